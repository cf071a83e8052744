//! Answers over the limit fail their own request and no other.

use crate::server::{connect, soon};
use zk_client::{Client, Error};
use zk_proto::{Children, Record as _};

/// 70,000 children of 60 characters each: 4,480,020 bytes at the default limit of 4 MiB.
#[tokio::test(start_paused = true)]
async fn a_list_over_the_limit_fails_alone() {
    let (client, mut server) = connect(Client::builder(), 9000).await;
    let before = client.exists("/before");
    let list = client.children("/many");
    let behind = client.exists("/behind");
    for _ in 0..3 {
        server.request().await;
    }
    let names = (0..70_000).map(|n| format!("{n:060}")).collect();
    let list_body = Children { names: Some(names) }.to_bytes();
    server.reply(1, -101, b"").await;
    server.reply(2, 0, &list_body).await;
    server.reply(3, -101, b"").await;
    assert_eq!(soon(before).await.expect("answered"), None);
    let error = soon(list).await.expect_err("it is too large");
    let Error::ReplyTooLarge { operation: "children", len: 4_480_020, max: 4_194_304, .. } = error else {
        panic!("{error:?}")
    };
    assert!(error.client_usable() && error.maybe_executed() && !error.is_retryable() && !error.is_peer_fault());
    assert_eq!(soon(behind).await.expect("answered"), None);
    // The connection goes on.
    let later = client.exists("/later");
    let (xid, ..) = server.request().await;
    server.reply(xid, -101, b"").await;
    assert_eq!(soon(later).await.expect("answered"), None);
}
