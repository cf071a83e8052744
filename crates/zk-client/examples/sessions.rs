//! The events of a session, and its hand-over: `cargo run -p zk-client --example sessions -- 127.0.0.1:2181`.
//!
//! Stop the server and start it again while this runs: the session is suspended and resumed. Ctrl-C hands the session
//! over to a second client, as a process would that is replaced by its successor. The ephemeral node stays. The second
//! client then closes the session.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use zk_client::{Acl, Client, CreateMode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2181".to_owned());

    let first = Client::builder().session_timeout(Duration::from_secs(30)).connect(&servers).await?;
    let mut events = first.events();
    let mine = first.create("/sessions-", "", CreateMode::EphemeralSequential, Acl::OPEN).await?.path;
    println!("session {} on {}, with {mine}", first.session(), first.server());

    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => println!("{event:?}"),
                None => return Ok(()),
            },
            interrupted = tokio::signal::ctrl_c() => break interrupted?,
        }
    }

    // The password in it proves that the session is ours: keep it like any other secret.
    let session = first.detach().await?;
    let second = Client::builder().resume(session).connect(&servers).await?;
    let owner = second.exists(&mine).await?.map(|stat| stat.ephemeral_owner);
    println!("the second client has session {}; the owner of {mine} is {owner:?}", second.session());
    println!("{}", second.close().await.ending);
    Ok(())
}
