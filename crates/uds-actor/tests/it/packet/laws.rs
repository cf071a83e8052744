//! The law: packets arrive whole, once, in order, with the boundaries they were sent with, and the report adds up —
//! whatever the sizes, whatever the bounds.

use proptest::prelude::*;
use test_kit::soon::{LONG, soon};
use tokio::net::UnixDatagram;
use uds_actor::{
    Count, Receiver, Sender, Seqpacket,
    packet::{Actor, Control, Report},
};

use super::{drain, take};

/// What the kernel takes with the send buffer it gives by default.
fn largest() -> usize {
    std::fs::read_to_string("/proc/sys/net/core/wmem_default").unwrap().trim().parse::<usize>().unwrap() - 32
}

fn size() -> impl Strategy<Value = usize> {
    let largest = largest();
    prop_oneof![
        4 => 1_usize..200,
        2 => 200_usize..5000,
        1 => prop::sample::select(vec![1, 2, 4095, 4096, 4097, 65_535, 65_536, largest - 1, largest]),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    sizes: Vec<usize>,
    outbox: usize,
    inbox: usize,
    /// How many packets are sent before one is received.
    ahead: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let bound = prop_oneof![Just(0_usize), 1_usize..10_000, Just(1 << 20)];
    (prop::collection::vec(size(), 1..60), bound.clone(), bound, 0_usize..8)
        .prop_map(|(sizes, outbox, inbox, ahead)| Case { sizes, outbox, inbox, ahead })
}

/// Each packet can be told from its neighbours.
fn packets(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(n, size)| vec![n as u8 ^ *size as u8; *size]).collect()
}

fn count(packets: &[Vec<u8>]) -> Count {
    let mut count = Count::default();
    for packet in packets {
        count += Count { frames: 1, bytes: packet.len() as u64 };
    }
    count
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(soon("the case", future))
}

type Handles = (Sender, Receiver, Control);

fn seqpackets(case: &Case) -> (Handles, Handles) {
    let (here, there) = Seqpacket::pair().unwrap();
    (Actor::new(here).outbox_bytes(case.outbox).spawn(), Actor::new(there).inbox_bytes(case.inbox).spawn())
}

fn datagrams(case: &Case) -> (Handles, Handles) {
    let (here, there) = UnixDatagram::pair().unwrap();
    (Actor::new(here).outbox_bytes(case.outbox).spawn(), Actor::new(there).inbox_bytes(case.inbox).spawn())
}

/// Sends everything and receives everything; answers with what came, and both accounts.
async fn carry(case: &Case, connect: fn(&Case) -> (Handles, Handles)) -> (Vec<Vec<u8>>, Report, Report) {
    let ((sender, _back, here), (_answers, mut receiver, there)) = connect(case);
    let sent = packets(&case.sizes);
    let sending = async {
        for packet in &sent {
            sender.send(packet).await.unwrap();
        }
        sender.flush().await.unwrap();
    };
    let receiving = async {
        for _ in 0..case.ahead {
            tokio::task::yield_now().await;
        }
        take(&mut receiver, case.sizes.len()).await
    };
    let ((), mut came) = tokio::join!(sending, receiving);
    let (here, there) = tokio::join!(here.close(LONG), async {
        drop(there.drain(LONG));
        came.extend(drain(&mut receiver).await);
        there.finished().await
    });
    (came, here, there)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn packets_arrive_whole_and_in_order_and_the_report_adds_up(case in cases()) {
        for connect in [seqpackets, datagrams] {
            let (came, here, there) = run(carry(&case, connect));
            let sent = packets(&case.sizes);
            prop_assert!(came == sent, "{} packets of {}", came.len(), sent.len());
            prop_assert_eq!(here.handed_to_kernel, count(&sent));
            prop_assert_eq!((here.unsent.len(), here.rejected, here.dropped), (0, 0, 0));
            prop_assert_eq!((there.received, there.delivered, there.lost), (count(&sent), count(&sent), Count::default()));
            prop_assert!(there.turned_away.is_empty());
        }
    }

    /// An abort at any moment: each packet that was accepted is either handed over or returned, in order, and what was
    /// handed over arrives.
    #[test]
    fn what_an_abort_returns_and_what_arrives_is_what_was_accepted(case in cases(), turns in 0_usize..6) {
        let (accepted, report, came) = run(async {
            let ((sender, _back, here), (_answers, mut receiver, _there)) = seqpackets(&case);
            let mut accepted = Vec::new();
            for packet in packets(&case.sizes) {
                if sender.try_send(&packet).is_ok() {
                    accepted.push(packet);
                }
            }
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let report = here.abort().await;
            (accepted, report, drain(&mut receiver).await)
        });
        prop_assert_eq!(report.handed_to_kernel, count(&came));
        let unsent = report.unsent.iter().map(<[u8]>::to_vec);
        let all: Vec<_> = came.into_iter().chain(unsent).collect();
        prop_assert!(all == accepted, "{} of {}", all.len(), accepted.len());
    }
}
