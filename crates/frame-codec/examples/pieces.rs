//! One stream, written as frames and read in pieces of any size: no piece has to end where a frame does.
//!
//! ```sh
//! cargo run -p frame-codec --example pieces
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use frame_codec::{Decoder, Encoder, LengthPrefixed, Limits};

fn main() -> Result<(), Box<dyn Error>> {
    let mut encoder = Encoder::new(LengthPrefixed::u32_be(), Limits::default());
    for message in ["three", "small", "messages"] {
        encoder.push(message.as_bytes())?;
    }
    let mut wire = Vec::new();
    // A socket would take as much as it has room for.
    while !encoder.chunk().is_empty() {
        let chunk = encoder.chunk();
        wire.extend_from_slice(chunk);
        let written = chunk.len();
        encoder.consume(written);
    }

    for size in [1, 4, wire.len()] {
        let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default());
        println!("in pieces of {size}:");
        for piece in wire.chunks(size) {
            decoder.feed(piece);
            while let Some(batch) = decoder.next_batch()? {
                let frames: Vec<_> = batch.iter().map(|frame| frame.escape_ascii().to_string()).collect();
                println!("  {frames:?}");
            }
        }
        decoder.check_end()?; // the stream did not end within a frame
    }
    Ok(())
}
