//! The law of the roster: folding the changes reproduces the listing.
//!
//! A directory of facts is changed at random, and scanned as unreliably as real ones are: listings miss names or break
//! off, and lookups fail. Whatever the order, applying each change to a map
//!
//! * never adds what is there nor removes what is not,
//! * never removes a socket that has been there all the time,
//! * never uses an identity twice, and lets generations only rise at a path,
//! * and after one complete listing with its doubts answered leaves exactly the sockets that are there.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fs_watch::{Change, DotFiles, Facts, Generation, Listing, Reason, Roster, Sighting, Socket, SocketId};
use proptest::collection::vec;
use proptest::prelude::*;

const NAMES: u8 = 6;

/// The directory changes, or is scanned.
#[derive(Clone, Debug)]
enum Step {
    Bind(u8),
    /// A new socket with an inode number that was used before.
    Rebind(u8),
    Unlink(u8),
    Rename(u8, u8),
    Exchange(u8, u8),
    HardLink(u8, u8),
    Chmod(u8),
    /// A regular file takes the name.
    WriteFile(u8),
    DeleteDirectory,
    /// A pass that is complete but misses the names with these bits.
    List {
        missed: u8,
    },
    /// A pass that breaks off before the names with these bits.
    ListBrokenOff {
        unseen: u8,
    },
    /// A pass after which the doubts are not answered.
    ListAndForget {
        missed: u8,
    },
    /// A pass after which the doubts cannot be answered.
    ListAndFail {
        missed: u8,
    },
    ScanName(u8),
    FailToScanName(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    prop_oneof![
        3 => name.clone().prop_map(Step::Bind),
        3 => name.clone().prop_map(Step::Rebind),
        2 => name.clone().prop_map(Step::Unlink),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Exchange(from, to)),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::HardLink(from, to)),
        1 => name.clone().prop_map(Step::Chmod),
        1 => name.clone().prop_map(Step::WriteFile),
        1 => Just(Step::DeleteDirectory),
        3 => any::<u8>().prop_map(|missed| Step::List { missed }),
        2 => any::<u8>().prop_map(|unseen| Step::ListBrokenOff { unseen }),
        1 => any::<u8>().prop_map(|missed| Step::ListAndForget { missed }),
        1 => any::<u8>().prop_map(|missed| Step::ListAndFail { missed }),
        4 => name.clone().prop_map(Step::ScanName),
        1 => name.prop_map(Step::FailToScanName),
    ]
}

/// What is really there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Socket(Facts),
    File,
}

#[derive(Default)]
struct Directory {
    entries: BTreeMap<OsString, Entry>,
    clock: u64,
    /// Whether the filesystem records when a file was made.
    births: bool,
}

fn name(number: u8) -> OsString {
    // One of them a dot-file, which must never be heard of.
    if number == 0 { ".0".into() } else { number.to_string().into() }
}

impl Directory {
    fn now(&mut self) -> SystemTime {
        self.clock += 1;
        UNIX_EPOCH + Duration::from_secs(self.clock)
    }

    fn bind(&mut self, at: u8, inode: u64) {
        let now = self.now();
        let birth = self.births.then_some(now);
        let facts = Facts { device: 1, inode, birth, ctime: now, mode: 0o755, uid: 0, gid: 0 };
        self.entries.insert(name(at), Entry::Socket(facts));
    }

    /// Each of these moves `ctime`, as the system calls do.
    fn touch(&mut self, entry: Entry) -> Entry {
        match entry {
            Entry::Socket(facts) => Entry::Socket(Facts { ctime: self.now(), ..facts }),
            Entry::File => Entry::File,
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Bind(at) => {
                let fresh = 1_000 + self.clock;
                self.bind(at, fresh);
            }
            Step::Rebind(at) => self.bind(at, 7),
            Step::Unlink(at) => {
                self.entries.remove(&name(at));
            }
            Step::Rename(from, to) => {
                if let Some(entry) = self.entries.remove(&name(from)) {
                    let entry = self.touch(entry);
                    self.entries.insert(name(to), entry);
                }
            }
            Step::Exchange(one, other) => {
                let pair = (self.entries.get(&name(one)), self.entries.get(&name(other)));
                if let (Some(&first), Some(&second)) = pair {
                    let first = self.touch(first);
                    self.entries.insert(name(other), first);
                    let second = self.touch(second);
                    self.entries.insert(name(one), second);
                }
            }
            Step::HardLink(from, to) => {
                if let Some(&entry) = self.entries.get(&name(from)) {
                    let entry = self.touch(entry);
                    self.entries.insert(name(from), entry);
                    self.entries.insert(name(to), entry);
                }
            }
            Step::Chmod(at) => {
                if let Some(&entry) = self.entries.get(&name(at)) {
                    let entry = self.touch(entry);
                    self.entries.insert(name(at), entry);
                }
            }
            Step::WriteFile(at) => {
                self.entries.insert(name(at), Entry::File);
            }
            Step::DeleteDirectory => self.entries.clear(),
            _ => {}
        }
    }

    fn scan_name(&self, name: &OsString) -> Sighting {
        match self.entries.get(name) {
            Some(Entry::Socket(facts)) => Sighting::Socket(*facts),
            Some(Entry::File) => Sighting::Other,
            None => Sighting::Absent,
        }
    }

    fn list(&self, without: u8) -> Vec<(OsString, Facts)> {
        let hidden: HashSet<_> = (0..NAMES).filter(|bit| without & (1 << bit) != 0).map(name).collect();
        self.entries
            .iter()
            .filter(|(name, _)| !hidden.contains(*name))
            .filter_map(|(name, entry)| match entry {
                Entry::Socket(facts) => Some((name.clone(), *facts)),
                Entry::File => None,
            })
            .collect()
    }
}

/// A consumer that believes every change, and checks it.
#[derive(Default)]
struct Consumer {
    sockets: BTreeMap<PathBuf, Socket>,
    highest: HashMap<PathBuf, Generation>,
    ids: HashSet<SocketId>,
}

impl Consumer {
    fn take(&mut self, roster: &mut Roster, truth: &Directory) {
        let mut replaced = None;
        while let Some(change) = roster.poll_change() {
            match change {
                Change::Added(socket) => {
                    let hidden = socket.path.file_name().unwrap().as_encoded_bytes()[0] == b'.';
                    assert!(!hidden, "a dot-file was announced");
                    let highest = self.highest.insert(socket.path.clone(), socket.generation);
                    assert!(highest < Some(socket.generation), "a generation fell at its path");
                    if let Some(old) = replaced.take() {
                        let SocketId { path, generation } = old;
                        assert_eq!(path, socket.path, "a successor must follow its predecessor");
                        assert_eq!(generation.value() + 1, socket.generation.value());
                    }
                    assert!(self.ids.insert(socket.id()), "an identity was used twice");
                    let before = self.sockets.insert(socket.path.clone(), socket);
                    assert_eq!(before, None, "what is there was added");
                }
                Change::Ready(_) => panic!("no probe was made"),
                Change::Removed { id, reason } => {
                    assert_eq!(replaced, None, "a replacement must be followed by its successor");
                    let before = self.sockets.remove(&id.path);
                    let before = before.expect("what is not there was removed");
                    assert_eq!(before.id(), id);
                    let name = id.path.file_name().unwrap().to_owned();
                    if let Some(Entry::Socket(facts)) = truth.entries.get(&name) {
                        assert!(!facts.is_same_file(&before.facts), "removed while it was there");
                    }
                    replaced = (reason == Reason::Replaced).then_some(id);
                }
            }
        }
        assert_eq!(replaced, None, "a replaced socket has a successor");
        let believed: Vec<_> = roster.sockets().map(|socket| socket.id()).collect();
        let folded: Vec<_> = self.sockets.values().map(Socket::id).collect();
        assert_eq!(believed, folded, "folding the changes must reproduce the roster");
    }
}

fn answer_doubts(roster: &mut Roster, truth: &Directory) {
    while let Some(doubtful) = roster.poll_doubt() {
        let sighting = truth.scan_name(&doubtful);
        roster.handle_sighting(doubtful, sighting);
    }
}

proptest! {
    #[test]
    fn folding_the_changes_reproduces_the_listing(
        steps in vec(step(), 0..60),
        births in any::<bool>(),
    ) {
        let mut truth = Directory { births, ..Directory::default() };
        let mut roster = Roster::new("/run/sockets", DotFiles::Ignored);
        let mut consumer = Consumer::default();
        for step in &steps {
            truth.apply(step);
            match *step {
                Step::List { missed } => {
                    roster.handle_listing(Listing::Complete(truth.list(missed)));
                    answer_doubts(&mut roster, &truth);
                }
                Step::ListBrokenOff { unseen } => {
                    roster.handle_listing(Listing::Partial(truth.list(unseen)));
                    prop_assert_eq!(roster.poll_doubt(), None);
                }
                Step::ListAndForget { missed } => {
                    roster.handle_listing(Listing::Complete(truth.list(missed)));
                }
                Step::ListAndFail { missed } => {
                    roster.handle_listing(Listing::Complete(truth.list(missed)));
                    while let Some(doubtful) = roster.poll_doubt() {
                        roster.handle_sighting(doubtful, Sighting::Unknown);
                    }
                }
                Step::ScanName(at) => {
                    let sighting = truth.scan_name(&name(at));
                    roster.handle_sighting(name(at), sighting);
                }
                Step::FailToScanName(at) => roster.handle_sighting(name(at), Sighting::Unknown),
                _ => {}
            }
            consumer.take(&mut roster, &truth);
        }

        roster.handle_listing(Listing::Complete(truth.list(0)));
        answer_doubts(&mut roster, &truth);
        consumer.take(&mut roster, &truth);
        let there: Vec<_> = truth
            .list(0)
            .into_iter()
            .filter(|(name, _)| roster.admits(name))
            .map(|(name, facts)| (roster.dir().join(name), facts))
            .collect();
        let announced: Vec<_> = roster.sockets().map(|socket| (socket.path, socket.facts)).collect();
        prop_assert_eq!(announced, there);
    }
}
