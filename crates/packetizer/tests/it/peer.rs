//! The other side of a connection in memory, in frames with a length in front.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

pub(crate) use test_kit::soon::in_time as soon;

pub(crate) async fn read_frame(stream: &mut DuplexStream) -> Vec<u8> {
    let mut frame = vec![0; soon(stream.read_u32()).await.unwrap() as usize];
    soon(stream.read_exact(&mut frame)).await.unwrap();
    frame
}

pub(crate) async fn write_frame(stream: &mut DuplexStream, frame: &[u8]) {
    soon(stream.write_u32(u32::try_from(frame.len()).unwrap())).await.unwrap();
    soon(stream.write_all(frame)).await.unwrap();
}
