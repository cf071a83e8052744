//! A pump over pairs of sockets.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, net::UnixStream, time::timeout};

use super::*;
use crate::{Delimited, LengthPrefixed};

const HANG: Duration = Duration::from_secs(20);

/// Everything a pump reads until the end, and how it ended.
async fn drain<S: AsyncRead + AsyncWrite + Unpin, F: Framing>(pump: &mut Pump<S, F>) -> (Vec<Vec<u8>>, End) {
    let mut frames = Vec::new();
    loop {
        match timeout(HANG, pump.next()).await.expect("the stream ends") {
            PumpEvent::Batch(batch) => frames.extend(batch.iter().map(<[u8]>::to_vec)),
            PumpEvent::End(end) => return (frames, end),
            _ => {}
        }
    }
}

#[tokio::test]
async fn two_pumps_that_flood_each_other_both_get_through() {
    let (left, right) = UnixStream::pair().unwrap();
    let flood = |stream| async move {
        let mut pump = Pump::new(stream, LengthPrefixed::u32_be(), Limits::default());
        for _ in 0..4 {
            pump.encoder().push(&vec![1; 1 << 20]).unwrap(); // far more than the socket buffers hold
        }
        pump.finish();
        drain(&mut pump).await
    };
    let ((left, left_end), (right, right_end)) =
        timeout(HANG, async { tokio::join!(flood(left), flood(right)) }).await.unwrap();
    assert_eq!((left.len(), right.len()), (4, 4));
    assert!(matches!((left_end, right_end), (End::Eof { truncated: 0 }, End::Eof { truncated: 0 })));
}

#[tokio::test]
async fn a_peer_that_half_closes_still_gets_its_answer() {
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(b"question\n").await.unwrap();
    there.shutdown().await.unwrap();
    let mut pump = Pump::new(here, Delimited::lines(), Limits::default());
    let (frames, end) = drain(&mut pump).await;
    assert_eq!((frames, matches!(end, End::Eof { truncated: 0 })), (vec![b"question".to_vec()], true));
    pump.encoder().push(b"answer").unwrap();
    assert!(matches!(timeout(HANG, pump.next()).await.unwrap(), PumpEvent::Drained));
    let mut answer = [0; 7];
    there.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer\n");
}

#[tokio::test]
async fn complete_frames_come_before_the_truncated_one_is_reported() {
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(b"\0\0\0\x02ok\0\0\0\x09par").await.unwrap();
    drop(there);
    let mut pump = Pump::new(here, LengthPrefixed::u32_be(), Limits::default());
    let (frames, end) = drain(&mut pump).await;
    assert_eq!(frames, [b"ok".to_vec()]);
    assert!(matches!(end, End::Eof { truncated: 7 }), "{end:?}");
}

#[tokio::test]
async fn paused_intake_leaves_the_bytes_where_they_are() {
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(b"later\n").await.unwrap();
    let mut pump = Pump::new(here, Delimited::lines(), Limits::default());
    let paused = poll_fn(|cx| Poll::Ready(pump.poll_next(cx, Intake::Paused).is_pending())).await;
    assert!(paused);
    assert!(matches!(timeout(HANG, pump.next()).await.unwrap(), PumpEvent::Batch(_)));
}

#[tokio::test]
async fn what_was_pushed_after_the_queue_had_drained_is_not_told_to_be_written() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut pump = Pump::new(here, Delimited::lines(), Limits::default());
    pump.encoder().push(b"first").unwrap();
    assert!(matches!(timeout(HANG, pump.next()).await.unwrap(), PumpEvent::Drained));
    // The next event is one of the reading side, although the second line is written.
    there.write_all(b"meanwhile\n").await.unwrap();
    pump.stream().readable().await.unwrap();
    pump.encoder().push(b"second").unwrap();
    assert!(matches!(timeout(HANG, pump.next()).await.unwrap(), PumpEvent::Batch(_)));
    // Far more than the socket takes while its peer does not read.
    pump.encoder().push(&vec![b'x'; 1 << 20]).unwrap();
    let told = poll_fn(|cx| Poll::Ready(pump.poll_next(cx, Intake::Open))).await;
    assert!(told.is_pending(), "{told:?} with {} bytes pending", pump.encoder().pending_bytes());
    assert!(pump.encoder().has_pending());
}

#[tokio::test]
async fn a_pump_at_rest_holds_next_to_nothing() {
    let (here, there) = UnixStream::pair().unwrap();
    let mut left = Pump::new(here, LengthPrefixed::u32_be(), Limits::default());
    let mut right = Pump::new(there, LengthPrefixed::u32_be(), Limits::default());
    for len in [1, 100_000, 500_000, 10] {
        left.encoder().push(&vec![1; len]).unwrap();
        let (mut sent, mut received) = (false, None);
        while !sent || received.is_none() {
            tokio::select! {
                event = left.next() => sent |= matches!(event, PumpEvent::Drained),
                PumpEvent::Batch(batch) = right.next() => received = Some(batch),
            }
        }
        assert_eq!(received.unwrap().byte_len(), len);
        for pump in [&mut left, &mut right] {
            let waits = poll_fn(|cx| Poll::Ready(pump.poll_next(cx, Intake::Open).is_pending())).await;
            pump.release();
            assert!(waits && pump.memory_len() <= 2048, "{} bytes after a frame of {len}", pump.memory_len());
        }
    }
}

#[tokio::test]
async fn a_failed_write_is_told_once_and_reading_goes_on() {
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(b"last words\n").await.unwrap();
    drop(there);
    let mut pump = Pump::new(here, Delimited::lines(), Limits::default());
    pump.encoder().push(b"this is not received").unwrap();
    let failed = timeout(HANG, pump.next()).await.unwrap();
    assert!(matches!(&failed, PumpEvent::WriteFailed(e) if e.kind() == io::ErrorKind::BrokenPipe), "{failed:?}");
    let (frames, _) = drain(&mut pump).await;
    assert_eq!(frames, [b"last words".to_vec()]);
    assert_eq!(pump.encoder().take_unsent().0.len(), 1);
}
#[tokio::test]
async fn a_pump_that_is_stopped_gives_what_has_arrived_and_counts_the_rest() {
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(b"one\ntwo\nrest").await.unwrap();
    let mut pump = Pump::new(here, Delimited::lines(), Limits::default());
    assert!(matches!(timeout(HANG, pump.next()).await.unwrap(), PumpEvent::Batch(batch) if batch.len() == 2));
    assert!(pump.take_received().is_none());
    assert_eq!((pump.truncated_len(), pump.bytes_read(), pump.is_unterminated()), (4, 12, false));
    let memory = pump.memory_len();
    assert!(memory >= 4, "it holds the rest");
    pump.encoder().push(&[b'x'; 10_000]).unwrap();
    assert!(pump.memory_len() >= memory + 10_000, "what waits to be written counts, too");
    let rest = pump.take_unterminated().expect("the rest is a line at an end");
    assert_eq!(rest.get(0), Some(&b"rest"[..]));
    assert!(pump.is_unterminated() && pump.take_unterminated().is_none());
    assert_eq!(pump.truncated_len(), 0);
}

#[tokio::test]
async fn after_writing_is_closed_frames_stay_in_the_encoder() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut pump = Pump::new(here, Delimited::lines(), Limits::default());
    assert!(!pump.is_write_closed() && !pump.is_read_ended());
    pump.close_writing();
    assert!(pump.is_write_closed());
    pump.encoder().push(b"stays").unwrap();
    there.write_all(b"comes\n").await.unwrap();
    there.shutdown().await.unwrap();
    let (frames, end) = drain(&mut pump).await;
    assert_eq!((frames, matches!(end, End::Eof { truncated: 0 })), (vec![b"comes".to_vec()], true));
    assert!(pump.is_read_ended());
    assert_eq!(pump.encoder().take_unsent().0.len(), 1);
    drop(pump);
    let mut written = Vec::new();
    timeout(HANG, there.read_to_end(&mut written)).await.unwrap().unwrap();
    assert!(written.is_empty());
}

#[tokio::test]
async fn it_is_printed_with_its_parts_and_without_bytes() {
    let (here, _there) = tokio::io::duplex(64);
    let mut pump = Pump::new(here, Delimited::lines(), Limits::default());
    pump.encoder().push(b"secret").unwrap();
    let printed = format!("{pump:?}");
    assert!(printed.starts_with("Pump { stream: ") && printed.contains("decoder: Decoder { framing: "), "{printed}");
    assert!(printed.contains("encoder: Encoder") && !printed.contains("secret"), "{printed}");
}
