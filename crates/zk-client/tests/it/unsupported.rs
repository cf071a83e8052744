//! What a server does not support is said in words, and not asked for again at once.

use std::time::Duration;

use zk_client::{Acl, Client, CreateMode, Error, ErrorCode, Reconfiguration, Zxid};
use zk_proto::{Data, OpCode, Record as _, Stat};

use crate::server::{connect, soon};

const UNIMPLEMENTED: i32 = -6;

#[tokio::test(start_paused = true)]
async fn an_operation_that_the_server_does_not_know_is_named_and_not_sent_again_for_a_minute() {
    let (zk, mut server) = connect(Client::builder(), 60_000).await;
    let ttl = CreateMode::Ttl(Duration::from_secs(1));
    let create = || zk.create("/a", "", ttl, Acl::OPEN);
    let created = create();
    let (xid, op, _) = server.request().await;
    assert_eq!(op, OpCode::CreateTtl.code());
    server.reply(xid, UNIMPLEMENTED, b"").await;
    let is_ttl = |error: &Error| matches!(error, Error::Unsupported { operation: "create a node with a time to live" });
    let error = soon(created).await.unwrap_err();
    assert!(is_ttl(&error), "{error:?}");
    assert_eq!((error.code(), error.is_retryable()), (Some(ErrorCode::Unimplemented), false));
    assert!(!error.maybe_executed() && error.client_usable());

    // Not sent again: what arrives next is another operation, which creates nodes of another kind.
    assert!(is_ttl(&soon(create()).await.unwrap_err()));
    let plain = zk.create("/a", "", CreateMode::Persistent, Acl::OPEN);
    let (xid, op, _) = server.request().await;
    assert_eq!(op, OpCode::Create.code());
    server.reply(xid, 0, b"\0\0\0\x02/a").await;
    soon(plain).await.unwrap();

    // After a minute the server may be another one. Pings are answered meanwhile.
    let serve = async {
        loop {
            let (xid, op, _) = server.request().await;
            if op == OpCode::CreateTtl.code() {
                let body = zk_proto::CreatedStat { path: "/a".into(), stat: Stat::default() }.to_bytes();
                server.reply(xid, 0, &body).await;
                return;
            }
            server.reply(xid, 0, b"").await;
        }
    };
    let ask = async {
        tokio::time::sleep(Duration::from_secs(61)).await;
        soon(create()).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test(start_paused = true)]
async fn the_members_of_an_ensemble_are_changed_by_lists_of_which_empty_ones_are_null() {
    let (zk, mut server) = connect(Client::builder(), 60_000).await;
    let joining = "server.4=h:1:2:participant;3";
    let changed = zk.reconfig(Reconfiguration::Change { joining, leaving: "" }, Some(Zxid(0x1_0000_0004)));
    let (xid, op, body) = server.request().await;
    assert_eq!(op, OpCode::Reconfig.code());
    let expected =
        zk_proto::Reconfig { joining: Some(joining.into()), leaving: None, members: None, from_config: 0x1_0000_0004 };
    assert_eq!(zk_proto::Reconfig::from_bytes(&body), Ok(expected));
    server.reply(xid, 0, &Data { data: Some(b"version=5"), stat: Stat::default() }.to_bytes()).await;
    assert_eq!(soon(changed).await.unwrap().bytes(), b"version=5");

    let changed = zk.reconfig(Reconfiguration::Replace("server.1=h:1:2:participant;3"), None);
    let (xid, _, body) = server.request().await;
    let asked = zk_proto::Reconfig::from_bytes(&body).unwrap();
    assert_eq!((asked.joining, asked.leaving, asked.from_config), (None, None, -1));
    assert_eq!(asked.members.as_deref(), Some("server.1=h:1:2:participant;3"));
    server.reply(xid, -123, b"").await;
    assert_eq!(soon(changed).await.unwrap_err().code(), Some(ErrorCode::ReconfigDisabled));
}
