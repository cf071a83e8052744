//! Writes one node's data to standard output, unchanged: `cargo run -p zk-client --example get -- 127.0.0.1:2181
//! /path`.

use std::{io::Write as _, process::ExitCode, time::Duration};

use zk_client::{Client, ErrorCode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let servers = args.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let path = args.next().unwrap_or_else(|| "/zookeeper/config".to_owned());

    let zk = Client::builder().request_timeout(Duration::from_secs(5)).connect(&servers).await?;
    let code = match zk.get(&path).await {
        Ok(node) => {
            std::io::stdout().write_all(node.bytes())?;
            ExitCode::SUCCESS
        }
        Err(error) if error.code() == Some(ErrorCode::NoNode) => ExitCode::from(1),
        Err(error) => return Err(error.into()),
    };
    zk.close().await;
    Ok(code)
}
