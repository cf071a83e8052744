//! Every framing × every way to find each other, with our own actor as the producer: what it says it handed over is what the
//! funnel says it received, message by message.

use mpsr_server::{Limits, Parting};
use tokio::task::JoinSet;
use uds_actor::Actor;

use crate::funnel::{
    framings::{self, Choice},
    rig::{Everything, Rig, Source, soon},
};

const PRODUCERS: usize = 3;

/// What one producer sends: whatever the framing can carry of it.
fn messages(choice: &Choice, producer: usize) -> Vec<Vec<u8>> {
    let bodies: [&[u8]; 9] = [b"", b"x", b"a line", b"two\nlines", b"a\0b", b"cr\r", b"1 ", b"<end", &[b'z'; 70_000]];
    let marked = bodies.iter().map(|body| [format!("{producer}:").as_bytes(), body].concat());
    let plain = bodies.iter().map(|body| body.to_vec());
    let eight = (0..5).map(|number| format!("{producer}:{number:06}").into_bytes());
    let mut messages: Vec<_> = marked.chain(plain).chain(eight).collect();
    messages.retain(|message| choice.framing.envelope(message).is_ok());
    if choice.is_one_message() {
        messages.retain(|message| message.len() > 1000);
        messages.truncate(1);
    }
    assert!(!messages.is_empty(), "{} carries something", choice.name);
    messages
}

async fn cell(source: Source, choice: &Choice) {
    let mut rig = Rig::start(source, choice.framing.clone(), Limits::default()).await;
    let mut sending = JoinSet::new();
    for number in 0..PRODUCERS {
        let stream = rig.producer().await;
        let messages = messages(choice, number);
        let (sender, _receiver, control) = Actor::new(stream, choice.framing.clone()).spawn();
        sending.spawn(async move {
            for message in &messages {
                sender.send(message).await.unwrap();
            }
            sender.finish().await.unwrap();
            // The funnel closes its side when it has read the end.
            let report = control.finished().await;
            assert_eq!((report.handed_to_kernel.frames, report.unsent.len()), (messages.len() as u64, 0), "{report}");
            (number, messages)
        });
    }
    let mut told = Everything::default();
    told.until_left(&mut rig, PRODUCERS).await;
    for (number, sent) in soon("the producers", sending.join_all()).await {
        let here = format!("{source:?}, {}, producer {number}", choice.name);
        let told = told.in_order()[number];
        let left = told.left.as_ref().unwrap();
        if choice.keeps_messages() {
            assert_eq!(told.messages, sent, "{here}");
        } else {
            assert_eq!(told.messages.concat(), sent.concat(), "{here}");
        }
        assert!(matches!(left.parting, Parting::Closed), "{here}: {left}");
        assert_eq!((left.truncated_bytes, left.unterminated, left.lost.frames), (0, false, 0), "{here}: {left}");
    }
    assert_eq!(told.trouble, Vec::<String>::new());
    rig.funnel.handle().shutdown(crate::funnel::rig::LONG);
    let report = told.until_end(rig).await;
    told.check(&report);
}

async fn row(source: Source) {
    for choice in framings::all() {
        cell(source, &choice).await;
    }
}

#[tokio::test]
async fn every_framing_arrives_through_a_socket_file() {
    row(Source::Path).await;
}

#[tokio::test]
async fn every_framing_arrives_through_an_abstract_name() {
    row(Source::Abstract).await;
}

#[tokio::test]
async fn every_framing_arrives_from_a_directory() {
    row(Source::Directory).await;
}

#[tokio::test]
async fn every_framing_arrives_from_members() {
    row(Source::Members).await;
}
