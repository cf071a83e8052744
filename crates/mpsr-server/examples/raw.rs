//! A producer that frames nothing and keeps its connection open, as many existing programs do: what it writes is delivered when
//! it arrives.
//!
//! With lines, or a length in front, the receiver would wait for the rest of a message. With `Raw` it takes whatever arrived
//! together, so one delivery is not one write: join the pieces, or look for your own boundaries.
//!
//! ```sh
//! cargo run -p mpsr-server --example raw
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{io::Write as _, os::unix::net::UnixStream, time::Duration};

use mpsr_server::{Bind, Event, Funnel, Raw};

const TEXT: &[u8] = b"no newline, no length, and the connection stays open";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("in.sock");
    let mut funnel = Funnel::builder(Raw).listen(Bind::path(&path)).start().await?;

    let mut producer = UnixStream::connect(&path)?;
    producer.write_all(TEXT)?;

    let mut received = Vec::new();
    while received.len() < TEXT.len() {
        let Some(message) = funnel.recv_message().await else { return Err("the funnel ended".into()) };
        println!("{} bytes", message.payload().len());
        received.extend_from_slice(message.payload());
    }
    println!("{}", String::from_utf8_lossy(&received));
    assert_eq!(received, TEXT);

    drop(producer);
    funnel.handle().shutdown(Duration::from_secs(1));
    while let Some(event) = funnel.next().await {
        if let Event::Left(report) = event {
            println!("- {report}");
        }
    }
    Ok(())
}
