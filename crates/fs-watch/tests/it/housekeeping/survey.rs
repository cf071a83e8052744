//! Which process is behind each socket.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use fs_watch::directory::{Error, Found, Inspection, Survey, survey};
use fs_watch::{Answer, DotFiles, Evidence, Liveness, Probing, SocketKind, Verdict};

use crate::housekeeping::Scene;
use crate::housekeeping::other::Other;

fn found<'a>(survey: &'a Survey, name: &str) -> &'a Found {
    survey.sockets.iter().find(|found| found.path.ends_with(name)).unwrap_or_else(|| panic!("no {name}: {survey:?}"))
}

#[test]
fn each_socket_is_told_with_whoever_holds_it() {
    let scene = Scene::new();
    let _mine = scene.listen("mine");
    let other = Other::start("listen", &scene.path("other"));
    scene.leave("stale");
    let _datagrams = UnixDatagram::bind(scene.path("datagrams")).unwrap();
    let survey = survey(scene.dir(), Probing::TableAndConnect).unwrap();
    assert!(survey.no_table.is_none() && survey.hidden.is_some());
    let names: Vec<_> = survey.sockets.iter().map(|found| found.path.file_name().unwrap()).collect();
    assert_eq!(names, ["datagrams", "mine", "other", "stale"]);

    for (name, pid) in [("mine", std::process::id()), ("other", other.pid()), ("datagrams", std::process::id())] {
        let found = found(&survey, name);
        assert_eq!(found.liveness.verdict, Verdict::Listening, "{name}");
        let process = found.processes.iter().find(|process| process.pid == pid);
        let process = process.unwrap_or_else(|| panic!("{name}: {found:?}"));
        assert_eq!(process.uid, rustix::process::geteuid().as_raw(), "{name}");
        // Each process as it was called: by us, or by the test runner.
        let called = if pid == other.pid() {
            std::env::current_exe().unwrap().into()
        } else {
            std::env::args_os().next().unwrap()
        };
        assert_eq!(process.command[0], called);
        assert!(!process.name.is_empty());
    }
    assert_eq!(found(&survey, "mine").kind, Some(SocketKind::Stream));
    assert_eq!(found(&survey, "datagrams").kind, Some(SocketKind::Datagram));

    let stale = found(&survey, "stale");
    // So young a file may be of a server that we do not see and that has not got to listening yet.
    assert_eq!(stale.liveness.evidence, Evidence::Connect(Answer::Unbound));
    assert!(stale.processes.is_empty());
}

/// To connect to a datagram socket makes it a connected one in the kernel's table. It takes datagrams as before.
#[test]
fn a_datagram_socket_is_served_whoever_has_connected() {
    let scene = Scene::new();
    let _receiver = UnixDatagram::bind(scene.path("receiver")).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(scene.path("receiver")).unwrap();
    for probing in [Probing::TableOnly, Probing::TableAndConnect] {
        let survey = survey(scene.dir(), probing).unwrap();
        let receiver = found(&survey, "receiver");
        assert_eq!((receiver.liveness.verdict, receiver.kind), (Verdict::Listening, Some(SocketKind::Datagram)));
        assert!(receiver.processes.iter().any(|process| process.pid == std::process::id()), "{receiver:?}");
    }
}

#[test]
fn without_probing_nobody_is_connected_to_and_only_the_table_tells() {
    let scene = Scene::new();
    let listener = scene.listen("mine");
    scene.leave("stale");
    listener.set_nonblocking(true).unwrap();
    for (probing, mine) in [(Probing::TableOnly, Verdict::Listening), (Probing::Off, Verdict::Unknown)] {
        let survey = survey(scene.dir(), probing).unwrap();
        assert_eq!(found(&survey, "mine").liveness.verdict, mine);
        assert_eq!(found(&survey, "stale").liveness, Liveness::UNASKED);
    }
    survey(scene.dir(), Probing::TableAndConnect).unwrap();
    let none = listener.accept().unwrap_err();
    assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock, "what the table has is not connected to");
}

#[test]
fn the_backlog_is_told() {
    let scene = Scene::new();
    let _listener = scene.listen("mine");
    let _waiting: Vec<_> = (0..3).map(|_| UnixStream::connect(scene.path("mine")).unwrap()).collect();
    let survey = survey(scene.dir(), Probing::TableOnly).unwrap();
    match found(&survey, "mine").liveness.evidence {
        Evidence::Table { backlog: Some(backlog), .. } => assert_eq!(backlog.waiting, 3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_socket_is_not_listed_and_names_are_bytes() {
    let scene = Scene::new();
    fs::write(scene.path("file.sock"), "").unwrap();
    fs::create_dir(scene.path("directory.sock")).unwrap();
    let _hidden = scene.listen(".hidden.sock");
    symlink(scene.path(".hidden.sock"), scene.path("link.sock")).unwrap();
    assert!(survey(scene.dir(), Probing::TableAndConnect).unwrap().sockets.is_empty());

    let strange: [&[u8]; 3] = [b"new\nline\x1b[2J", b"\xff\xfe", b" "];
    let _listeners: Vec<_> = strange.iter().map(|name| scene.listen(OsStr::from_bytes(name))).collect();
    let survey = survey(scene.dir(), Probing::TableAndConnect).unwrap();
    let mut names: Vec<_> = survey.sockets.iter().map(|found| found.path.file_name().unwrap().as_bytes()).collect();
    names.sort();
    assert_eq!(names, [b" ", strange[0], strange[1]]);
    assert!(survey.sockets.iter().all(|found| found.liveness.verdict == Verdict::Listening));
}

#[test]
fn no_directory_is_said() {
    let scene = Scene::new();
    assert!(matches!(survey(scene.path("none"), Probing::Off), Err(Error::Missing { .. })));
    let _socket = scene.listen("socket");
    assert!(matches!(survey(scene.path("socket"), Probing::Off), Err(Error::NotADirectory { .. })));
}

#[test]
fn a_socket_that_several_hold_has_them_all() {
    let scene = Scene::new();
    let listener = UnixListener::bind(scene.path("shared")).unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::CLOEXEC).unwrap();
    // It is on its way from the old program to the new one, which is named last.
    while fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    let survey = survey(scene.dir(), Probing::TableOnly).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let pids: Vec<u32> = found(&survey, "shared").processes.iter().map(|process| process.pid).collect();
    assert!(pids.is_sorted() && pids.contains(&std::process::id()) && pids.contains(&child.id()), "{pids:?}");
    assert!(found(&survey, "shared").processes.iter().any(|process| process.name == "sleep"));
}

#[test]
fn whatever_is_there_the_table_is_read_three_times_at_most_and_each_orphan_is_one_question() {
    let scene = Scene::new();
    let names: Vec<_> = (0..200).map(|number| format!("orphan-{number}")).collect();
    for name in &names {
        drop(scene.listen(name));
    }
    scene.wait_until_all_left(&names);
    // Daemons that hang: their queues are full, and a connection would wait.
    let hung: Vec<_> = (0..20).map(|number| scene.listen(format!("hung-{number}"))).collect();
    for listener in &hung {
        rustix::net::listen(listener, 0).unwrap();
    }
    let _waiting: Vec<_> =
        (0..20).map(|number| UnixStream::connect(scene.path(format!("hung-{number}"))).unwrap()).collect();
    for probing in [Probing::Kernel, Probing::TableAndConnect] {
        let survey = survey(scene.dir(), probing).unwrap();
        assert_eq!((survey.sockets.len(), survey.cost.tables, survey.cost.questions), (220, 2, 200), "{probing:?}");
        assert!(survey.sockets.iter().all(|found| found.liveness.verdict != Verdict::Bound));
    }
    // What the table has costs no second one.
    for name in &names {
        fs::remove_file(scene.path(name)).unwrap();
    }
    let survey = survey(scene.dir(), Probing::Kernel).unwrap();
    assert_eq!((survey.sockets.len(), survey.cost.tables, survey.cost.questions), (20, 1, 0));
}

#[test]
fn a_client_that_has_bound_a_name_and_is_connected_is_bound() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
    let scene = Scene::new();
    let _server = scene.listen("server");
    let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&client, &SocketAddrUnix::new(scene.path("client")).unwrap()).unwrap();
    connect(&client, &SocketAddrUnix::new(scene.path("server")).unwrap()).unwrap();
    let survey = survey(scene.dir(), Probing::Kernel).unwrap();
    let client = found(&survey, "client");
    assert_eq!((client.liveness.verdict, client.kind), (Verdict::Bound, Some(SocketKind::Stream)), "{client:?}");
    assert!(client.processes.iter().any(|process| process.pid == std::process::id()));
}

#[test]
fn directories_that_are_too_many_or_too_deep_are_said_not_to_be_searched() {
    let scene = Scene::new();
    let deep = (0..33).fold(scene.dir().to_owned(), |path, _| path.join("d"));
    fs::create_dir_all(&deep).unwrap();
    let _too_deep = UnixListener::bind(deep.join("x")).unwrap();
    for recursive in [false, true] {
        let passed = Inspection::default().recursive(recursive).run([scene.dir()]).unwrap().passed_over;
        assert_eq!((passed.below, passed.not_searched), (0, 1), "{passed:?}");
    }
    let scene = Scene::new();
    (0..1030).for_each(|number| fs::create_dir(scene.path(number.to_string())).unwrap());
    let passed = Inspection::default().run([scene.dir()]).unwrap().passed_over;
    assert_eq!(passed.not_searched, 6, "{passed:?}");
    let passed = Inspection::default().recursive(true).run([scene.dir()]).unwrap().passed_over;
    assert_eq!(passed.not_searched, 0, "{passed:?}");
}

#[test]
fn what_is_passed_over_is_counted_and_listed_if_so_wanted() {
    let scene = Scene::new();
    let _plain = scene.listen("plain");
    let _hidden = scene.listen(".s.PGSQL.5432");
    fs::create_dir_all(scene.path("driver/deep")).unwrap();
    let _plugin = scene.listen("driver/csi.sock");
    let _deep = scene.listen("driver/deep/a.sock");
    symlink("driver/csi.sock", scene.path("link.sock")).unwrap();
    symlink("driver", scene.path("link-to-directory")).unwrap();
    symlink("nowhere", scene.path("dangling")).unwrap();
    let names = |survey: &Survey| -> Vec<String> {
        let names = survey.sockets.iter().map(|found| found.path.strip_prefix(scene.dir()).unwrap());
        names.map(|name| name.to_str().unwrap().to_owned()).collect()
    };
    let how = Inspection::default();
    let survey = how.run([scene.dir()]).unwrap();
    assert_eq!(names(&survey), ["plain"]);
    let passed = survey.passed_over;
    assert_eq!((passed.dot_names, passed.links, passed.below, passed.unreadable), (1, 1, 2, 0));

    let all = how.dot_files(DotFiles::Reported).links(true).run([scene.dir()]).unwrap();
    assert_eq!(names(&all), [".s.PGSQL.5432", "link.sock", "plain"]);
    let link = found(&all, "link.sock");
    assert_eq!((link.is_link, link.liveness.verdict), (true, Verdict::Listening));

    let deep = how.recursive(true).run([scene.dir()]).unwrap();
    assert_eq!(names(&deep), ["driver/csi.sock", "driver/deep/a.sock", "plain"]);
    assert_eq!(deep.passed_over.below, 0);

    // What is below a name with a dot is passed over as such.
    fs::create_dir_all(scene.path(".cache/deep")).unwrap();
    let _cached = [".cache/a.sock", ".cache/deep/.b.sock"].map(|name| scene.listen(name));
    let deep = how.recursive(true).run([scene.dir()]).unwrap();
    assert_eq!((deep.sockets.len(), deep.passed_over.dot_names, deep.passed_over.below), (3, 3, 0));
    assert_eq!(how.run([scene.dir()]).unwrap().passed_over.below, 4);
    let everything = how.recursive(true).dot_files(DotFiles::Reported).run([scene.dir()]).unwrap();
    assert_eq!((everything.sockets.len(), everything.passed_over.dot_names), (6, 0));

    // Sockets themselves, and several of everything.
    let these = how.run([scene.path("plain"), scene.path("driver"), scene.path("link.sock")]).unwrap();
    assert_eq!(names(&these), ["plain", "driver/csi.sock", "link.sock"]);
    fs::write(scene.path("file"), "").unwrap();
    assert!(matches!(how.run([scene.path("file")]), Err(Error::NeitherSocketNorDirectory { .. })));
    assert!(matches!(how.run([scene.path("none")]), Err(Error::Missing { .. })));
}
