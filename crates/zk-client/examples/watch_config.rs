//! A configuration that is always current: `cargo run -p zk-client --example watch_config -- 127.0.0.1:2181 /path`.
//!
//! It watches the node with one request, reads it with the next, and reads it again whenever it may have changed. The
//! second read sees any change after the first, so the last state is always printed, even after a connection was lost.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use zk_client::{Client, ErrorCode, WatchMode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let servers = args.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let path = args.next().unwrap_or_else(|| "/config".to_owned());

    let zk = Client::connect(&servers).await?;
    let mut changes = zk.watch(&path, WatchMode::Node).await?;
    loop {
        match zk.get(&path).await {
            Ok(node) => println!("version {}: {}", node.stat.version, node.bytes().escape_ascii()),
            Err(error) if error.code() == Some(ErrorCode::NoNode) => println!("there is no {path:?}"),
            // It is safe to repeat a read.
            Err(error) if error.client_usable() => {
                println!("{error}; reading again");
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        if changes.next().await.is_none() {
            println!("{}", zk.closed().await.ending);
            return Ok(());
        }
    }
}
