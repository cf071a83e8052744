//! The law of the whole watcher: after `sync`, a consumer knows what the directory holds and which sockets are live.
//!
//! Twelve operations in any order, in a directory that may itself be deleted, made again and exchanged. The truth is asked
//! of the kernel: `readdir` and `lstat`, and its table of sockets.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use fs_watch::{Probing, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use unix_diag::{FileId, Table};

use crate::real::mirror::Mirror;
use crate::real::{Place, Rig, Source};

const NAMES: u8 = 4;

#[derive(Clone, Debug)]
enum Step {
    Bind(u8),
    Listen(u8),
    Close(u8),
    Unlink(u8),
    RenameIn(u8),
    RenameOut(u8),
    RenameOver(u8, u8),
    Chmod(u8),
    HardLink(u8, u8),
    Symlink(u8),
    /// A process binds and listens, and is killed.
    Kill(u8),
    RemakeDirectory,
    ExchangeDirectory,
    /// The consumer catches up.
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    let pair = (name.clone(), name.clone());
    prop_oneof![
        4 => name.clone().prop_map(Step::Bind),
        4 => name.clone().prop_map(Step::Listen),
        3 => name.clone().prop_map(Step::Close),
        2 => name.clone().prop_map(Step::Unlink),
        2 => name.clone().prop_map(Step::RenameIn),
        2 => name.clone().prop_map(Step::RenameOut),
        2 => pair.clone().prop_map(|(from, to)| Step::RenameOver(from, to)),
        1 => name.clone().prop_map(Step::Chmod),
        1 => pair.prop_map(|(from, to)| Step::HardLink(from, to)),
        1 => name.clone().prop_map(Step::Symlink),
        1 => name.prop_map(Step::Kill),
        1 => Just(Step::RemakeDirectory),
        1 => Just(Step::ExchangeDirectory),
        6 => Just(Step::Sync),
    ]
}

/// What does the operations. Servers go by their numbers, wherever their files have got to.
struct World<'a> {
    rig: &'a Rig,
    servers: BTreeMap<u8, OwnedFd>,
    elsewhere: u32,
}

impl World<'_> {
    fn server(&mut self, path: &PathBuf, number: u8) -> bool {
        let server = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let bound = bind(&server, &SocketAddrUnix::new(path).unwrap()).is_ok();
        if bound {
            self.servers.insert(number, server);
        }
        bound
    }

    fn fresh(&mut self) -> PathBuf {
        self.elsewhere += 1;
        self.rig.beside(&format!("elsewhere-{}", self.elsewhere))
    }

    /// Operations that make no sense at the moment fail, which is as good as not having been tried.
    fn apply(&mut self, step: &Step) {
        let path = |name: u8| self.rig.path(&name.to_string());
        match *step {
            Step::Bind(name) => {
                let at = path(name);
                self.server(&at, name);
            }
            Step::Listen(name) => {
                self.servers.get(&name).map(|server| listen(server, 8));
            }
            Step::Close(name) => drop(self.servers.remove(&name)),
            Step::Unlink(name) => drop(fs::remove_file(path(name))),
            Step::RenameIn(name) => {
                let (from, to) = (self.fresh(), self.rig.path(&name.to_string()));
                if self.server(&from, name) {
                    fs::rename(from, to).unwrap();
                }
            }
            Step::RenameOut(name) => {
                let (from, to) = (self.rig.path(&name.to_string()), self.fresh());
                drop(fs::rename(from, to));
            }
            Step::RenameOver(from, to) => drop(fs::rename(path(from), path(to))),
            Step::Chmod(name) => drop(fs::set_permissions(path(name), fs::Permissions::from_mode(0o640))),
            Step::HardLink(from, to) => drop(fs::hard_link(path(from), path(to))),
            Step::Symlink(name) => drop(symlink("/nowhere", path(name))),
            Step::Kill(name) => killed(&path(name)),
            Step::RemakeDirectory => {
                // Its sockets may go on living.
                fs::remove_dir_all(self.rig.dir()).unwrap();
                fs::create_dir(self.rig.dir()).unwrap();
            }
            Step::ExchangeDirectory => {
                let other = self.rig.beside("other");
                if !other.exists() {
                    fs::create_dir(&other).unwrap();
                }
                renameat_with(CWD, self.rig.dir(), CWD, other, RenameFlags::EXCHANGE).unwrap();
            }
            Step::Sync => {}
        }
    }
}

/// A process that listens there, if it can, and is killed.
fn killed(path: &PathBuf) {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "real::model::serves_until_it_is_killed", "--nocapture", "--ignored"])
        .env("SERVE", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("served") && std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0 {}
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "a part of the others: the process that they kill"]
fn serves_until_it_is_killed() {
    let Some(path) = std::env::var_os("SERVE") else { return };
    let _listener = std::os::unix::net::UnixListener::bind(path);
    let mut output = std::io::stdout();
    std::io::Write::write_all(&mut output, b"served\n").unwrap();
    loop {
        std::thread::park();
    }
}

/// Compares what the consumer was told with what there is.
fn check(mirror: &Mirror, rig: &Rig, steps: &[Step]) {
    let table = Table::read().unwrap();
    let mut there = BTreeMap::new();
    for entry in fs::read_dir(rig.dir()).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.file_type().is_socket() {
            there.insert(rig.dir().join(entry.file_name()), metadata);
        }
    }
    for (path, socket) in &mirror.sockets {
        let metadata = there.get(path).unwrap_or_else(|| panic!("{path:?} is not there, after {steps:?}"));
        assert_eq!(socket.facts.inode, metadata.ino(), "{path:?} after {steps:?}");
        assert_eq!(socket.facts.birth, metadata.created().ok(), "{path:?} after {steps:?}");
    }
    for (path, metadata) in &there {
        let served = table.get(FileId::of(metadata));
        let told = mirror.sockets.get(path);
        match served {
            Some(entry) => {
                let told = told.unwrap_or_else(|| panic!("{path:?} was not told, after {steps:?}"));
                assert_eq!(mirror.is_ready(path), entry.is_served(), "{path:?} {told:?} after {steps:?}");
            }
            // No process has it. It is removed, or it is too young for that.
            None => {
                assert!(!mirror.is_ready(path), "{path:?} after {steps:?}");
                assert!(
                    told.is_none_or(|told| told.liveness.verdict != Verdict::Listening),
                    "{path:?} after {steps:?}"
                );
            }
        }
    }
}

async fn run(rig: Rig, steps: Vec<Step>) {
    let mut world = World { rig: &rig, servers: BTreeMap::new(), elsewhere: 0 };
    let mut mirror = Mirror::start(rig.builder().probing(Probing::default())).await;
    for (index, step) in steps.iter().chain([&Step::Sync]).enumerate() {
        world.apply(step);
        if matches!(step, Step::Sync) {
            mirror.sync().await;
            check(&mirror, &rig, &steps[..index.min(steps.len())]);
        }
    }
    mirror.watcher.shutdown().await;
}

/// `PROPTEST_CASES` sets how many; without it few, because each is a story of real files and processes.
fn cases() -> Config {
    let fork_free = Config { failure_persistence: None, ..Config::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => fork_free,
        None => Config { cases: 48, ..fork_free },
    }
}

fn any_story_ends_in_the_truth(place: Place, source: Source) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let steps = proptest::collection::vec(step(), 0..30);
    let outcome = TestRunner::new(cases()).run(&steps, |steps| {
        if let Some(rig) = Rig::new(place, source) {
            runtime.block_on(async {
                tokio::time::timeout(crate::real::LIMIT, run(rig, steps)).await.expect("the watcher hangs");
            });
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn any_story_ends_in_the_truth_on_disk_by_events() {
    any_story_ends_in_the_truth(Place::Disk, Source::Events);
}

#[test]
fn any_story_ends_in_the_truth_on_disk_by_polling() {
    any_story_ends_in_the_truth(Place::Disk, Source::Polling);
}

#[test]
fn any_story_ends_in_the_truth_in_memory_by_events() {
    any_story_ends_in_the_truth(Place::Memory, Source::Events);
}

#[test]
fn any_story_ends_in_the_truth_in_memory_by_polling() {
    any_story_ends_in_the_truth(Place::Memory, Source::Polling);
}
