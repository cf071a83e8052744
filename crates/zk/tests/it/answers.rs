//! What each command asks, and what it prints of the answer.

use serde_json::json;
use zk_proto::{
    Acl, ClientInfo, Created, CreatedStat, Identities, OpCode, Record as _, Request, SessionId, Stat, Synced, Zxid,
};

use crate::{
    peer::{Act, Peer, children, data, names},
    running::{finish, finish_with, zk},
};

/// Not text, and with everything that a terminal would obey.
const BYTES: &[u8] = b"\x00\xff\x1b[2J\r\n\xc3\x28 end";

#[test]
fn get_writes_the_bytes_of_a_node_as_they_are() {
    let peer = Peer::start(|_, request| {
        assert!(matches!(request, Request::GetData(get) if get.path == "/a" && !get.watch));
        data(Some(BYTES))
    });
    let got = finish(&mut zk(&peer.address, ["get", "/a"]));
    assert_eq!((got.code, got.stdout.as_slice(), got.stderr.as_str()), (Some(0), BYTES, ""));
    assert_eq!(peer.seen(), [OpCode::GetData, OpCode::CloseSession], "the session is closed");
    assert_eq!(finish(&mut zk(&peer.address, ["get", "--hex", "/a"])).text(), "00ff1b5b324a0d0ac32820656e64\n");
    assert_eq!(finish(&mut zk(&peer.address, ["get", "--base64", "/a"])).text(), "AP8bWzJKDQrDKCBlbmQ=\n");
    // The history does not come between the bytes.
    let got = finish(&mut zk(&peer.address, ["get", "-s", "/a"]));
    assert_eq!((got.code, got.stdout.as_slice()), (Some(0), BYTES));
    assert!(got.stderr.contains("\ndataVersion = 0\n"), "{}", got.stderr);
}

#[test]
fn objects_say_whether_a_node_holds_text_bytes_or_null() {
    for (bytes, expected) in [
        (Some("é\n".as_bytes()), json!({ "data": "w6kK", "text": "é\n" })),
        (Some(b"\xff"), json!({ "data": "/w==" })),
        (Some(b""), json!({ "data": "", "text": "" })),
        (None, json!({ "data": null })),
    ] {
        let peer = Peer::start(move |_, _| data(bytes));
        let mut object = finish(&mut zk(&peer.address, ["--json", "get", "/a"])).json();
        let object = object.as_object_mut().unwrap();
        assert_eq!(object.remove("path"), Some("/a".into()));
        assert_eq!(object.remove("stat").unwrap()["version"], 0);
        assert_eq!(serde_json::Value::Object(object.clone()), expected);
    }
}

#[test]
fn set_sends_its_argument_a_file_standard_input_or_null() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    std::fs::write(&file, BYTES).unwrap();
    let file = file.to_str().unwrap();
    for (arguments, expected) in [
        (&["set", "/a", "text"][..], Some(&b"text"[..])),
        (&["set", "/a", ""], Some(b"")),
        (&["set", "/a", "--", "-v"], Some(b"-v")),
        (&["set", "/a", "--file", file], Some(BYTES)),
        (&["set", "/a", "--file", "-"], Some(b"from a pipe\n")),
        (&["set", "/a", "--null"], None),
    ] {
        let peer = Peer::start(move |_, request| {
            assert!(
                matches!(request, Request::SetData(set) if set.data == expected && set.version == -1),
                "{request:?}"
            );
            Act::Reply(Stat::default().to_bytes())
        });
        let set = finish_with(&mut zk(&peer.address, arguments), b"from a pipe\n");
        assert_eq!(set.text(), "", "{arguments:?}");
    }
    let peer = Peer::start(|_, request| {
        assert!(matches!(request, Request::SetData(set) if set.version == 3));
        Act::Reply(Stat { version: 4, ..Stat::default() }.to_bytes())
    });
    let text = finish(&mut zk(&peer.address, ["set", "-s", "/a", "text", "-v", "3"])).text();
    assert!(text.contains("\ndataVersion = 4\n"), "{text}");
}

#[test]
fn create_understands_the_options_of_zk_cli_and_prints_the_path() {
    let peer = Peer::start(|_, request| match request {
        Request::Create(new) => {
            assert_eq!((&*new.path, new.data, new.flags), ("/q/n-", Some(&b"data"[..]), 2));
            assert_eq!(new.acl.as_deref(), Some(&[Acl::ip(zk_proto::Permissions::READ, "10.0.0.1")][..]));
            Act::Reply(Created { path: "/q/n-0000000007".into() }.to_bytes())
        }
        _ => panic!("{request:?}"),
    });
    let created = finish(&mut zk(&peer.address, ["create", "-s", "/q/n-", "data", "ip:10.0.0.1:r"])).text();
    assert_eq!(created, "/q/n-0000000007\n");

    let peer = Peer::start(|_, request| match request {
        Request::Exists(_) => Act::Reject(zk_proto::ErrorCode::NoNode),
        Request::Create(above) => Act::Reply(Created { path: above.path.clone() }.to_bytes()),
        Request::CreateContainer(new) => {
            assert_eq!((&*new.path, new.data), ("/a/b/c", None));
            Act::Reply(CreatedStat { path: new.path.clone(), stat: Stat::default() }.to_bytes())
        }
        _ => panic!("{request:?}"),
    });
    let created = finish(&mut zk(&peer.address, ["create", "-p", "-c", "/a/b/c", "--json"])).json();
    assert_eq!(created["path"], "/a/b/c");
    let seen = [OpCode::Exists, OpCode::Create, OpCode::Create, OpCode::CreateContainer, OpCode::CloseSession];
    assert_eq!(peer.seen(), seen);
}

#[test]
fn lists_are_sorted_and_histories_are_those_of_zk_cli() {
    let peer = Peer::start(|_, request| match request {
        Request::Exists(_) => Act::Reply(
            Stat {
                czxid: Zxid(0x2a),
                ctime: 1_795_247_291_776,
                ephemeral_owner: SessionId(0x100),
                data_length: 3,
                ..Stat::default()
            }
            .to_bytes(),
        ),
        _ => children(&["b", "ü", "a"]),
    });
    assert_eq!(finish(&mut zk(&peer.address, ["ls"])).text(), "a\nb\nü\n");
    let object = finish(&mut zk(&peer.address, ["ls", "/", "--json"])).json();
    assert_eq!((&object["path"], &object["children"]), (&json!("/"), &json!(["a", "b", "ü"])));
    let text = finish(&mut zk(&peer.address, ["stat", "/a"])).text();
    assert!(text.starts_with("cZxid = 0x2a\nctime = 2026-11-21T07:48:11.776Z\nmZxid = 0x0\n"), "{text}");
    assert!(text.ends_with("ephemeralOwner = 0x100\ndataLength = 3\nnumChildren = 0\n"), "{text}");
    let object = finish(&mut zk(&peer.address, ["--json", "stat", "/a"])).json();
    assert_eq!((&object["stat"]["czxid"], &object["stat"]["ephemeral_owner"]), (&json!(42), &json!("0x100")));
}

#[test]
fn a_tree_is_drawn_and_nodes_that_vanish_meanwhile_are_left_out() {
    let peer = Peer::start(|_, request| {
        let Request::GetChildren(list) = request else { panic!("{request:?}") };
        match &*list.path {
            "/" => names(&["z", "a"]),
            "/a" => names(&["1", "2", "gone"]),
            "/a/gone" => Act::Reject(zk_proto::ErrorCode::NoNode),
            "/a/1" => names(&["deep"]),
            _ => names(&[]),
        }
    });
    let tree = finish(&mut zk(&peer.address, ["tree"])).text();
    assert_eq!(tree, "/\n├── a\n│   ├── 1\n│   │   └── deep\n│   ├── 2\n└── z\n");
    assert_eq!(finish(&mut zk(&peer.address, ["tree", "-L", "1"])).text(), "/\n├── a\n└── z\n");
    assert_eq!(finish(&mut zk(&peer.address, ["ls", "-R", "/a"])).text(), "/a\n/a/1\n/a/1/deep\n/a/2\n");
    let objects = finish(&mut zk(&peer.address, ["tree", "--json", "-L", "1"])).text();
    let first: serde_json::Value = serde_json::from_str(objects.lines().next().unwrap()).unwrap();
    assert_eq!(first, json!({ "path": "/", "depth": 0, "children": 2 }));
}

#[test]
fn a_part_of_a_tree_that_may_not_be_listed_is_named_and_the_rest_is_shown() {
    let peer = Peer::start(|_, request| match request {
        Request::GetChildren(list) if list.path == "/" => names(&["a", "secret", "z"]),
        Request::GetChildren(list) if list.path == "/secret" => Act::Reject(zk_proto::ErrorCode::NoAuth),
        _ => names(&[]),
    });
    let tree = finish(&mut zk(&peer.address, ["tree"]));
    assert_eq!(String::from_utf8(tree.stdout).unwrap(), "/\n├── a\n├── secret\n└── z\n");
    assert_eq!(tree.code, Some(5));
    assert!(tree.stderr.contains("the tree is not complete: 1 nodes"), "{}", tree.stderr);
}

#[test]
fn sync_whoami_and_delete_say_what_they_did() {
    let peer = Peer::start(|_, request| match request {
        Request::Sync(_) => Act::Reply(Synced { path: Some("/".into()) }.to_bytes()),
        Request::WhoAmI(_) => {
            let who = ClientInfo { scheme: "ip".into(), user: "127.0.0.1".into() };
            Act::Reply(Identities { identities: Some(vec![who].into()) }.to_bytes())
        }
        Request::Delete(delete) => {
            assert_eq!((&*delete.path, delete.version), ("/a", 2));
            Act::Reply(Vec::new())
        }
        _ => panic!("{request:?}"),
    });
    assert_eq!(finish(&mut zk(&peer.address, ["sync"])).text(), "");
    assert_eq!(finish(&mut zk(&peer.address, ["whoami"])).text(), "ip  127.0.0.1\n");
    let object = finish(&mut zk(&peer.address, ["whoami", "--json"])).json();
    assert_eq!(object, json!({ "scheme": "ip", "user": "127.0.0.1" }));
    assert_eq!(finish(&mut zk(&peer.address, ["delete", "-v", "2", "/a"])).text(), "");
    assert_eq!(finish(&mut zk(&peer.address, ["delete", "-v", "2", "/a", "--json"])).json(), json!({ "path": "/a" }));
}
