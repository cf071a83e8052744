//! Every operation, and what the server rejects it with.

use std::time::Duration;

use tributary_tests::zookeeper::ZooKeeper;
use zk_client::{
    Acl, AclVersion, Change, Client, CreateMode, Done, Ending, Error, ErrorCode, Permissions, Read, ReadReply,
    Sequence, Version, WatchEvent, WatchMode,
};

use super::{PERSISTENT, code, connect, soon};

#[tokio::test]
async fn nodes_of_every_kind_are_created() {
    let Some(server) = ZooKeeper::start_or_skip("nodes_of_every_kind_are_created") else { return };
    let zk = connect(&server).await;
    soon(zk.create("/k", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    let hour = Duration::from_secs(3600);
    let kinds = [
        (CreateMode::Persistent, false),
        (CreateMode::Ephemeral, false),
        (CreateMode::PersistentSequential, true),
        (CreateMode::EphemeralSequential, true),
        (CreateMode::Container, false),
        (CreateMode::Ttl(hour), false),
        (CreateMode::SequentialTtl(hour), true),
    ];
    for (number, (mode, sequential)) in (0..).zip(kinds) {
        let path = format!("/k/{number}-");
        let created = soon(zk.create_with_stat(&path, "x", mode, Acl::OPEN)).await.unwrap();
        let stat = created.stat.expect("it was asked for");
        assert_eq!((stat.version, stat.data_length), (0, 1), "{mode:?}");
        assert_eq!(created.sequence, sequential.then_some(Sequence(number)), "{mode:?}");
        let name = if sequential { format!("{path}{number:010}") } else { path };
        assert_eq!(created.path, name, "{mode:?}");
        let ephemeral = matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential);
        assert_eq!(stat.ephemeral_owner == zk.session(), ephemeral, "{mode:?}");
    }
    let rejected = soon(zk.create("/k/zero", "", CreateMode::Ttl(Duration::ZERO), Acl::OPEN)).await;
    assert_eq!(code(rejected), Some(ErrorCode::BadArguments));

    let mut ephemerals = soon(zk.ephemerals("/")).await.unwrap().sorted().join(" ");
    assert_eq!(ephemerals, "/k/1- /k/3-0000000003");
    ephemerals = soon(zk.chroot("/k").unwrap().ephemerals("/")).await.unwrap().sorted().join(" ");
    assert_eq!(ephemerals, "/1- /3-0000000003");
    assert_eq!(soon(zk.all_children_number("/k")).await.unwrap(), 7);
    let (names, stat) = soon(zk.children_with_stat("/k")).await.unwrap();
    assert_eq!((names.len(), stat.num_children), (7, 7));
    let error = soon(zk.create("/none/x", "", PERSISTENT, Acl::OPEN)).await.unwrap_err();
    assert_eq!(error.to_string(), r#"create "/none/x": the parent node does not exist"#);
}

#[tokio::test]
async fn a_transaction_is_executed_as_a_whole_or_not_at_all() {
    let Some(server) = ZooKeeper::start_or_skip("a_transaction_is_executed_as_a_whole_or_not_at_all") else { return };
    let zk = connect(&server).await;
    let done = zk
        .transaction()
        .create("/a", "one", PERSISTENT, Acl::OPEN)
        .create_with_stat("/a/n-", "", CreateMode::PersistentSequential, Acl::OPEN)
        .set("/a", "two", Version::Is(0))
        .check("/a", Version::Is(1))
        .create("/gone", "", PERSISTENT, Acl::OPEN)
        .delete("/gone", Version::Any)
        .commit();
    let done = soon(done).await.unwrap();
    let [Done::Created(a), Done::Created(n), Done::Set(stat), Done::Checked, Done::Created(_), Done::Deleted] =
        &done[..]
    else {
        panic!("{done:?}")
    };
    assert_eq!((a.as_ref(), n.as_ref(), n.sequence), ("/a", "/a/n-0000000000", Some(Sequence(0))));
    assert_eq!((stat.version, stat.data_length), (1, 3));

    let failed =
        zk.transaction().set("/a", "three", Version::Any).delete("/none", Version::Any).delete("/a", Version::Any);
    let error = soon(failed.commit()).await.unwrap_err();
    let Error::Transaction { index: 1, code: ErrorCode::NoNode, path } = &error else { panic!("{error:?}") };
    assert_eq!(&**path, "/none");
    assert!(!error.maybe_executed() && error.client_usable());
    assert_eq!(soon(zk.get("/a")).await.unwrap().bytes(), b"two");
    assert_eq!(soon(zk.transaction().commit()).await.unwrap(), []);
    let error = soon(zk.transaction().check("/a", Version::Is(-1)).commit()).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)));

    let reads = [Read::Get("/a"), Read::Children("/a"), Read::Get("/none")];
    let reads = soon(zk.multi_read(&reads)).await.unwrap();
    let [Ok(ReadReply::Node(node)), Ok(ReadReply::Children(names)), Err(error)] = &reads[..] else {
        panic!("{reads:?}")
    };
    assert_eq!((node.bytes(), names.sorted()), (&b"two"[..], vec!["n-0000000000"]));
    assert_eq!((error.code(), error.to_string().contains("/none")), (Some(ErrorCode::NoNode), true));
}

#[tokio::test]
async fn access_is_by_identity() {
    let Some(server) = ZooKeeper::start_or_skip("access_is_by_identity") else { return };
    let zk = soon(Client::builder().auth("digest", "user:pass:word").connect(&server.address())).await.unwrap();
    let who = soon(zk.who_am_i()).await.unwrap();
    let mut who: Vec<_> = who.iter().map(|who| (&*who.scheme, &*who.user)).collect();
    who.sort_unstable();
    assert_eq!(who, [("digest", "user"), ("ip", "127.0.0.1")]);
    soon(zk.create("/mine", "", PERSISTENT, Acl::CREATOR_ALL)).await.unwrap();
    soon(zk.create("/read", "", PERSISTENT, Acl::READ_UNSAFE)).await.unwrap();
    let (acl, stat) = soon(zk.get_acl("/mine")).await.unwrap();
    assert_eq!((acl[0].clone(), stat.aversion), (Acl::digest(Permissions::ALL, "user:pass:word"), 0));

    let other = connect(&server).await;
    assert_eq!(code(soon(other.get("/mine")).await), Some(ErrorCode::NoAuth));
    assert_eq!(code(soon(other.set("/read", "", Version::Any)).await), Some(ErrorCode::NoAuth));
    let open = [Acl::ip(Permissions::READ | Permissions::WRITE, "127.0.0.1"), acl[0].clone()];
    let stat = soon(zk.set_acl("/mine", &open, AclVersion::is(0))).await.unwrap();
    assert_eq!(stat.aversion, 1);
    assert_eq!(code(soon(zk.set_acl("/mine", &open, AclVersion::is(0))).await), Some(ErrorCode::BadVersion));
    soon(other.set("/mine", "written", Version::Any)).await.unwrap();
    soon(zk.sync("/mine")).await.unwrap();
    assert_eq!(soon(zk.get("/mine")).await.unwrap().bytes(), b"written");

    // A server that does not take an authentication ends the session for the client.
    let error = soon(other.add_auth("no-such-scheme", b"secret")).await.unwrap_err();
    assert!(matches!(error, Error::AuthFailed), "{error:?}");
    assert!(matches!(soon(other.closed()).await.ending, Ending::AuthFailed));
    let error = soon(Client::builder().auth("no-such-scheme", "x").connect(&server.address())).await.unwrap_err();
    assert!(matches!(error, Error::AuthFailed), "{error:?}");
}

#[tokio::test]
async fn trees_and_chroots() {
    let Some(server) = ZooKeeper::start_or_skip("trees_and_chroots") else { return };
    let root = connect(&server).await;
    let below = format!("{}/app/one", server.address());
    let zk = soon(Client::connect(&below)).await.unwrap();
    for error in
        [soon(zk.create("/x", "", PERSISTENT, Acl::OPEN)).await.unwrap_err(), soon(zk.children("/")).await.unwrap_err()]
    {
        assert!(matches!(&error, Error::ChrootMissing { path } if **path == *"/app/one"), "{error:?}");
    }
    let zk = soon(Client::builder().create_chroot(Acl::OPEN).connect(&below)).await.unwrap();
    let mut watch = soon(zk.watch("/", WatchMode::Tree)).await.unwrap();
    let created = soon(zk.create("/x-", "", CreateMode::PersistentSequential, Acl::OPEN)).await.unwrap();
    assert_eq!((created.as_ref(), created.sequence), ("/x-0000000000", Some(Sequence(0))));
    let event = soon(watch.next()).await.unwrap();
    assert!(matches!(&event, WatchEvent::Node(event) if event.path == "/x-0000000000"), "{event:?}");
    assert!(soon(root.exists("/app/one/x-0000000000")).await.unwrap().is_some());
    assert_eq!(soon(zk.config()).await.unwrap().stat.version, 0, "no chroot applies to it");

    soon(zk.ensure_path("/deep/er/and/deeper", Acl::OPEN)).await.unwrap();
    soon(zk.ensure_path("/deep/er", Acl::OPEN)).await.unwrap();
    for n in 0..300 {
        drop(zk.create(&format!("/deep/er/{n}"), "", PERSISTENT, Acl::OPEN));
    }
    soon(zk.delete_recursive("/deep")).await.unwrap();
    soon(zk.delete_recursive("/deep")).await.unwrap();
    assert_eq!(soon(root.exists("/app/one/deep")).await.unwrap(), None);
    assert_eq!(soon(zk.children("/")).await.unwrap().sorted(), ["x-0000000000"]);
}

#[tokio::test]
async fn a_stream_of_a_nodes_history_begins_with_now_and_ends_with_the_session() {
    let Some(server) = ZooKeeper::start_or_skip("a_stream_of_a_nodes_history") else { return };
    let zk = connect(&server).await;
    let mut stats = zk.watch_stat("/a");
    assert_eq!(soon(stats.next()).await, Some(None));
    soon(zk.create("/a", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    assert_eq!(soon(stats.next()).await.unwrap().expect("it exists").version, 0);
    for version in 1..10 {
        soon(zk.set("/a", "", Version::Any)).await.unwrap();
        assert_eq!(soon(stats.next()).await.unwrap().expect("it exists").version, version);
    }
    soon(zk.delete("/a", Version::Any)).await.unwrap();
    assert_eq!(soon(stats.next()).await, Some(None));
    assert!(stats.error().is_none());
    soon(zk.close()).await;
    assert_eq!(soon(stats.next()).await, None);
    assert!(matches!(stats.error(), Some(Error::Closed)));
}

#[tokio::test]
async fn users_of_one_watch_do_not_disturb_each_other() {
    let Some(server) = ZooKeeper::start_or_skip("users_of_one_watch_do_not_disturb_each_other") else { return };
    let zk = connect(&server).await;
    soon(zk.create("/a", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    let watched = || server.four_letters("wchs").unwrap();
    let mut first = soon(zk.watch("/a", WatchMode::Node)).await.unwrap();
    let mut second = soon(zk.watch("/a", WatchMode::Node)).await.unwrap();
    assert!(soon(zk.get_and_watch("/a/none")).await.is_err(), "what does not exist is not watched by reading");
    assert!(watched().contains("Total watches:1"), "{}", watched());
    drop(soon(first.next()));
    drop(first);
    soon(zk.set("/a", "", Version::Any)).await.unwrap();
    assert!(soon(second.next()).await.is_some());
    drop(second);
    // The removal is on its way before this is asked.
    soon(zk.sync("/")).await.unwrap();
    soon(zk.sync("/")).await.unwrap();
    assert!(watched().contains("Total watches:0"), "{}", watched());
}

/// A server before 3.9 keeps one watch of a connection on a path, the last one (ZOOKEEPER-4466).
#[tokio::test]
async fn watches_of_several_kinds_on_one_path_do_not_displace_each_other() {
    let Some(server) = ZooKeeper::start_or_skip("watches_of_several_kinds_on_one_path") else { return };
    let zk = connect(&server).await;
    for path in ["/n", "/t"] {
        soon(zk.create(path, "", PERSISTENT, Acl::OPEN)).await.unwrap();
    }
    let mut node = soon(zk.watch("/n", WatchMode::Node)).await.unwrap();
    let mut tree = soon(zk.watch("/t", WatchMode::Tree)).await.unwrap();
    for round in 0..3 {
        // Each of these would take the place of the persistent watch, and be gone with its event.
        let (_, data) = soon(zk.get_and_watch("/n")).await.unwrap();
        let (_, child) = soon(zk.children_and_watch("/n")).await.unwrap();
        let (_, in_tree) = soon(zk.exists_and_watch("/t")).await.unwrap();
        soon(zk.set("/n", "", Version::Any)).await.unwrap();
        soon(zk.create(&format!("/n/{round}"), "", PERSISTENT, Acl::OPEN)).await.unwrap();
        soon(zk.set("/t", "", Version::Any)).await.unwrap();
        soon(zk.create(&format!("/t/{round}"), "", PERSISTENT, Acl::OPEN)).await.unwrap();
        let mut told = Vec::new();
        for watch in [data, child, in_tree] {
            told.push(soon(watch).await.unwrap().change);
        }
        assert_eq!(told, [Change::Data, Change::Children, Change::Data]);
        for expected in [(Change::Data, "/n".to_owned()), (Change::Children, "/n".to_owned())] {
            assert_eq!(event(soon(node.next()).await), expected, "round {round}");
        }
        for expected in [(Change::Data, "/t".to_owned()), (Change::Created, format!("/t/{round}"))] {
            assert_eq!(event(soon(tree.next()).await), expected, "round {round}");
        }
    }
}

fn event(event: Option<WatchEvent>) -> (Change, String) {
    match event {
        Some(WatchEvent::Node(event)) => (event.change, event.path),
        other => panic!("{other:?}"),
    }
}
