//! The program `zk` against a real Apache ZooKeeper.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::OnceLock,
    time::SystemTime,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};
use tributary_tests::zookeeper::ZooKeeper;
use zk_client::{Acl, Version};

use crate::{PERSISTENT, connect, soon};

/// The program. The build of all tests has made it beside this one; if it is not there, or older than its sources, it is built
/// now: a test cannot depend on the program of another package.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a process has a program");
        let beside = test.ancestors().nth(2).expect("tests are in a directory of the target directory").join("zk");
        let built = beside.metadata().and_then(|file| file.modified());
        if built.is_ok_and(|built| built >= newest_source()) { beside } else { build() }
    })
}

/// When one of its sources was changed last.
fn newest_source() -> SystemTime {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut directories: Vec<_> =
        ["zk", "zk-client", "zk-proto", "packetizer", "terminal-text"].map(|name| crates.join(name).join("src")).into();
    let mut newest = SystemTime::UNIX_EPOCH;
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().expect("the sources are there").flatten() {
            let file = entry.metadata().expect("they stay there");
            if file.is_dir() {
                directories.push(entry.path());
            } else {
                newest = newest.max(file.modified().expect("files have times"));
            }
        }
    }
    newest
}

fn build() -> PathBuf {
    let mut build = std::process::Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--quiet", "--package", "zk", "--message-format", "json"]);
    let built = build.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(built.status.success(), "zk cannot be built");
    let messages = String::from_utf8(built.stdout).expect("JSON is UTF-8");
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executables = messages.filter(|message| message["target"]["name"] == "zk");
    let mut executables = executables.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next().expect("cargo says where it is")
}

fn zk(server: &ZooKeeper, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(["--server", &server.address()]).args(arguments).kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn run(server: &ZooKeeper, arguments: &[&str]) -> Output {
    soon(zk(server, arguments).output()).await.expect("it runs")
}

/// What a command prints that must succeed.
async fn printed(server: &ZooKeeper, arguments: &[&str]) -> String {
    let output = run(server, arguments).await;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {:?}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn the_tool_reads_and_changes_a_real_tree() {
    let Some(server) = ZooKeeper::start_or_skip("the_tool_reads_and_changes_a_real_tree") else { return };
    assert_eq!(printed(&server, &["create", "-p", "/app/config", "one"]).await, "/app/config\n");
    assert_eq!(printed(&server, &["get", "/app/config"]).await, "one");
    assert_eq!(printed(&server, &["set", "/app/config", "two", "-v", "0"]).await, "");
    let late = run(&server, &["set", "/app/config", "three", "-v", "0"]).await;
    assert_eq!(late.status.code(), Some(4), "{late:?}");
    let object: Value = serde_json::from_str(&printed(&server, &["--json", "get", "/app/config"]).await).unwrap();
    assert_eq!((&object["text"], &object["stat"]["version"]), (&"two".into(), &1.into()));
    assert_eq!(printed(&server, &["create", "-s", "/app/item-"]).await, "/app/item-0000000001\n");
    assert_eq!(printed(&server, &["create", "-c", "/app/container"]).await, "/app/container\n");
    assert_eq!(printed(&server, &["create", "-t", "60000", "/app/ttl", "x"]).await, "/app/ttl\n");
    assert_eq!(printed(&server, &["ls", "/app"]).await, "config\ncontainer\nitem-0000000001\nttl\n");
    let tree = printed(&server, &["tree", "/app"]).await;
    assert_eq!(tree, "/app\n├── config\n├── container\n├── item-0000000001\n└── ttl\n");
    assert!(printed(&server, &["stat", "/app"]).await.contains("\nnumChildren = 4\n"));
    assert_eq!(printed(&server, &["sync"]).await, "");
    assert_eq!(printed(&server, &["whoami"]).await, "ip  127.0.0.1\n");
    assert_eq!(printed(&server, &["4lw", "ruok"]).await, "imok");
    assert_eq!(run(&server, &["delete", "/app"]).await.status.code(), Some(4));
    assert_eq!(printed(&server, &["delete", "-R", "/app"]).await, "");
    assert_eq!(run(&server, &["stat", "/app"]).await.status.code(), Some(3));

    // Access by an identity, which is proved anew by each command.
    let auth = ["--auth", "digest:user:secret"];
    printed(&server, &[&auth[..], &["create", "/mine", "x", "auth::cdrwa"]].concat()).await;
    assert_eq!(printed(&server, &[&auth[..], &["get", "/mine"]].concat()).await, "x");
    assert_eq!(run(&server, &["get", "/mine"]).await.status.code(), Some(5));
}

#[tokio::test]
async fn the_tool_watches_a_real_tree_and_holds_an_ephemeral_node() {
    let Some(server) = ZooKeeper::start_or_skip("the_tool_watches_a_real_tree_and_holds_an_ephemeral_node") else {
        return;
    };
    // Building it could take longer than the session.
    program();
    let client = connect(&server).await;
    let mut watching = zk(&server, &["--json", "watch", "/", "-n", "4"]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut events = BufReader::new(watching.stdout.take().expect("it is piped")).lines();
    let mut next = async || {
        let line = soon(events.next_line()).await.unwrap().expect("an event");
        let event: Value = serde_json::from_str(&line).unwrap();
        format!("{} {}", event["event"].as_str().unwrap(), event["path"].as_str().unwrap_or_default())
    };
    assert_eq!(next().await, "watching /");
    soon(client.create("/a", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    soon(client.set("/a", "x", Version::Any)).await.unwrap();
    assert_eq!((next().await.as_str(), next().await.as_str()), ("created /a", "data /a"));

    let mut holding = zk(&server, &["create", "-e", "/held"]);
    let mut holding = holding.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    assert_eq!(next().await, "created /held");
    let mut path = BufReader::new(holding.stdout.take().expect("it is piped")).lines();
    assert_eq!(soon(path.next_line()).await.unwrap().as_deref(), Some("/held"));
    let pid = i32::try_from(holding.id().expect("it runs")).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // The session is closed, so the node goes at once.
    assert_eq!(next().await, "deleted /held");
    assert!(soon(holding.wait()).await.unwrap().success());
    assert!(soon(watching.wait()).await.unwrap().success());
}
