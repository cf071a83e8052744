//! A session from beginning to end: `cargo run -p zk-client --example quickstart -- 127.0.0.1:2181`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use zk_client::{Acl, Client, CreateMode, ErrorCode, Version};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let zk = Client::connect(&servers).await?;
    println!("session {} on {}, for {:?}", zk.session(), zk.server(), zk.session_timeout());

    // Ephemeral and sequential: everyone who runs this gets a separate node, which disappears with the session.
    let mine = zk.create("/quickstart-", "hello", CreateMode::EphemeralSequential, Acl::OPEN).await?.path;
    println!("created {mine}");

    // Three requests, one round trip. They are executed in the order of the calls.
    let changed = zk.set(&mine, "hello again", Version::Is(0));
    let outdated = zk.set(&mine, "too late", Version::Is(0));
    let read = zk.get(&mine);
    println!("changed to version {}", changed.await?.version);
    match outdated.await {
        Err(error) if error.code() == Some(ErrorCode::BadVersion) => println!("as expected: {error}"),
        other => println!("a server that does not check versions: {other:?}"),
    }
    println!("it holds {:?}", String::from_utf8_lossy(read.await?.bytes()));

    println!("the root has {:?}", zk.children("/").await?.sorted());
    println!("is there a /no-such-node? {:?}", zk.exists("/no-such-node").await?);

    let report = zk.close().await;
    println!("{:?} after {} answers", report.ending, report.requests.answered);
    Ok(())
}
