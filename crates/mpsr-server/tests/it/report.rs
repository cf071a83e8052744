//! What a report says about messages that are not plainly delivered: unterminated, too large, not taken by the output.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::PathBuf, sync::Arc};

use frame_codec::{Delimited, Framing, LengthPrefixed, Oversize, Syslog, Unterminated, UntilEof};
use mpsr_server::{Event, Funnel, Limits, Parting, ProducerReport, Report};
use test_kit::soon::{LONG, soon};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};
use uds_actor::{Bind, Count};

type AnyFraming = Arc<dyn Framing + Send + Sync>;

/// Everything that was told of one producer.
#[derive(Debug, Default)]
struct Told {
    /// Messages, and `<missing N>` where some are.
    stream: Vec<String>,
    left: Option<ProducerReport>,
}

/// Has one producer write `text`, then close or, if `shuts_down`, stay connected until the funnel is shut down.
async fn one(framing: AnyFraming, limits: Limits, text: &[u8], shuts_down: bool) -> (Told, Report) {
    let (_dir, path) = place();
    let builder = Funnel::builder(framing).listen(Bind::path(&path)).limits(limits);
    let mut funnel = builder.start().await.unwrap();
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(text).await.unwrap();
    let client = shuts_down.then_some(client);
    if shuts_down {
        funnel.handle().shutdown(LONG);
    }
    let mut told = Told::default();
    while told.left.is_none() {
        match soon("an event", funnel.next()).await.unwrap() {
            Event::Delivery(delivery) => {
                told.stream.extend(delivery.into_iter().map(|message| String::from_utf8(message.to_vec()).unwrap()));
            }
            Event::Missing { count, .. } => told.stream.push(format!("<missing {count}>")),
            Event::Left(report) => told.left = Some(report),
            _ => {}
        }
    }
    drop(client);
    (told, soon("the report", funnel.finished()).await)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    (dir, path)
}

fn lines() -> AnyFraming {
    Arc::new(Delimited::lines())
}

#[tokio::test]
async fn an_unterminated_last_line_is_delivered_and_marked_at_the_end_and_at_a_shutdown() {
    for shuts_down in [false, true] {
        let (told, report) = one(lines(), Limits::default(), b"whole\npart", shuts_down).await;
        let left = told.left.unwrap();
        assert_eq!((told.stream, left.unterminated, left.truncated()), (vec!["whole".into(), "part".into()], true, 0));
        assert_eq!((left.received.frames, left.delivered.frames, left.lost.frames), (2, 2, 0), "{left}");
        assert_eq!((report.unterminated, report.truncated), (1, 0), "{report}");
        assert!(matches!((left.parting, shuts_down), (Parting::Closed, false) | (Parting::Shutdown, true)));

        let (told, report) = one(lines(), Limits::default(), b"whole\n", shuts_down).await;
        assert_eq!(
            (told.stream, told.left.unwrap().unterminated, report.unterminated),
            (vec!["whole".into()], false, 0)
        );
    }
}

#[tokio::test]
async fn an_unterminated_line_is_truncated_where_lines_are_strict() {
    for shuts_down in [false, true] {
        let strict = Arc::new(Delimited::lines().unterminated(Unterminated::Truncate));
        let (told, report) = one(strict, Limits::default(), b"whole\npart", shuts_down).await;
        let left = told.left.unwrap();
        assert_eq!((told.stream, left.unterminated, left.truncated_bytes), (vec!["whole".into()], false, 4), "{left}");
        assert_eq!((report.unterminated, report.truncated), (0, 1));
    }
}

#[tokio::test]
async fn a_message_that_only_the_end_of_the_stream_ends_is_whole_at_the_end_and_truncated_at_a_shutdown() {
    let (told, _) = one(Arc::new(UntilEof), Limits::default(), b"all of it", false).await;
    assert_eq!((told.stream, told.left.unwrap().unterminated), (vec!["all of it".into()], false));
    let (told, _) = one(Arc::new(UntilEof), Limits::default(), b"some of it", true).await;
    let left = told.left.unwrap();
    assert_eq!((told.stream.len(), left.unterminated, left.truncated_bytes), (0, false, 10), "{left}");
}

#[tokio::test]
async fn messages_over_the_limit_are_left_out_or_shortened_and_counted_where_they_were() {
    let limits = |oversize| {
        let mut limits = Limits::default();
        (limits.max_frame, limits.oversize) = (6, oversize);
        limits
    };
    let text = b"before\nmuch too long\neven longer than that\nbehind\nagain too long";
    let (told, report) = one(lines(), limits(Oversize::Skip), text, false).await;
    let left = told.left.unwrap();
    assert_eq!(told.stream, ["before", "<missing 2>", "behind", "<missing 1>"]);
    assert_eq!((left.received.frames, left.delivered.frames, left.skipped, left.shortened), (2, 2, 3, 0), "{left}");
    assert!(matches!(left.parting, Parting::Closed));
    assert_eq!((report.skipped, report.shortened, report.received.frames), (3, 0, 2));

    let (told, report) = one(lines(), limits(Oversize::Shorten), text, false).await;
    let left = told.left.unwrap();
    assert_eq!(told.stream, ["before", "much t", "even l", "behind", "again "]);
    assert_eq!((left.received.frames, left.delivered.frames, left.skipped, left.shortened), (5, 5, 0, 3), "{left}");
    assert_eq!((report.skipped, report.shortened), (0, 3));

    let (told, _) = one(lines(), limits(Oversize::Disconnect), text, false).await;
    assert_eq!(told.stream, ["before"]);
    assert!(matches!(told.left.unwrap().parting, Parting::Malformed(_)));

    let wire = b"\0\0\0\x01a\0\0\0\x08too long\0\0\0\x01b";
    let (told, _) = one(Arc::new(LengthPrefixed::u32_be()), limits(Oversize::Skip), wire, false).await;
    assert_eq!(told.stream, ["a", "<missing 1>", "b"]);
}

#[tokio::test]
async fn syslog_messages_arrive_however_they_are_separated() {
    let (told, _) = one(Arc::new(Syslog), Limits::default(), b"<1>nul\0<1>line\n7 <1>coun<1>end", false).await;
    let left = told.left.unwrap();
    assert_eq!(
        (told.stream, left.unterminated),
        (["<1>nul", "<1>line", "<1>coun", "<1>end"].map(String::from).to_vec(), true)
    );
}

#[tokio::test]
async fn messages_that_the_application_could_not_deliver_are_lost_and_not_delivered() {
    let (_dir, path) = place();
    let mut funnel = Funnel::builder(lines()).listen(Bind::path(&path)).start().await.unwrap();
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"one\ntwo\nthree\n").await.unwrap();
    let delivery = soon("the lines", funnel.recv()).await.unwrap();
    let (id, count) = (delivery.producer().id, Count::of(delivery.batch()));
    assert_eq!(count, Count { frames: 3, bytes: 11 });
    // "one" went out.
    funnel.mark_lost(id, Count { frames: 2, bytes: 8 });
    drop(client);
    let left = loop {
        if let Event::Left(left) = soon("the end", funnel.next()).await.unwrap() {
            break left;
        }
    };
    assert_eq!((left.received, left.delivered), (count, Count { frames: 1, bytes: 3 }), "{left}");
    assert_eq!(left.lost, Count { frames: 2, bytes: 8 });
    // It has left; the funnel's own report still changes, and never by more than there was.
    funnel.mark_lost(id, Count { frames: 9, bytes: 99 });
    let report = soon("the report", funnel.finished()).await;
    assert_eq!((report.received, report.delivered.frames, report.lost), (count, 0, count), "{report}");
}
