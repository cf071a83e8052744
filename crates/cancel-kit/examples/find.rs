//! The classic mistake of async code, found in milliseconds: a write that keeps its offset in its future.
//!
//! ```sh
//! cargo run -p cancel-kit --example find
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::future::poll_fn;

use cancel_kit::{Drops, Pace, Wire, check};

/// Forgets what it has written when its future is dropped.
async fn send(wire: &mut Wire, message: &[u8]) {
    let mut offset = 0;
    while offset < message.len() {
        offset += poll_fn(|cx| wire.poll_write(cx, &message[offset..])).await.expect("the script has no errors");
    }
}

/// Keeps it outside, where the next future finds it.
async fn send_rest(wire: &mut Wire, message: &[u8], offset: &mut usize) {
    while *offset < message.len() {
        *offset += poll_fn(|cx| wire.poll_write(cx, &message[*offset..])).await.expect("the script has no errors");
    }
}

fn main() -> Result<(), String> {
    let found = check(async |drops: Drops| {
        let mut wire = Wire::new("", Pace::bytes(2));
        let tap = wire.tap();
        drops.drive(async || send(&mut wire, b"hello").await).await;
        String::from_utf8_lossy(&tap.written()).into_owned()
    });
    let Err(error) = found else { return Err("the mistake was not found".into()) };
    println!("send: {error}");

    let found = check(async |drops: Drops| {
        let mut wire = Wire::new("", Pace::bytes(2));
        let tap = wire.tap();
        let mut offset = 0;
        drops.drive(async || send_rest(&mut wire, b"hello", &mut offset).await).await;
        String::from_utf8_lossy(&tap.written()).into_owned()
    });
    found.map(|_| println!("send_rest: cancel safe")).map_err(|error| error.to_string())
}
