//! What cannot be done is refused with what, where and what to do, and nothing else is disturbed.

use std::{
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
        net::{UnixDatagram, UnixListener, UnixStream},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use test_kit::process::public_directory;

use crate::{
    admission::STRANGER,
    clients::skip_forbidden,
    listen::{Listen, bound, directory, of_kind, texts, unix},
    running::{Ended, Running, finish, listened_on, mpsr},
};

/// Runs to the end, which must come by itself, with this code and a message on standard error alone that has these words.
#[track_caller]
fn assert_rejected(arguments: &[&str], code: i32, words: &[&str]) {
    let Ended { code: ended, stdout, stderr } = finish(&mut mpsr(arguments), b"");
    assert_eq!((ended, stdout.len()), (Some(code), 0), "{arguments:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: no {word:?} in {stderr:?}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}

#[test]
fn wrong_usage_and_malformed_addresses_end_with_2() {
    for (arguments, word) in [
        (&[][..], "Usage"),
        (&["receive"], "receive"),
        (&["listen"], "ADDRESS"),
        (&["listen", "unx:/run/x.sock"], "unx: is not a kind of address"),
        (&["listen", "@name"], "unix:@name"),
        (&["listen", "unix:/x", "--count", "0"], "at least one"),
        (&["listen", "unix:/x", "--allow-uid", "no-such-user"], "no-such-user"),
        (&["listen", "unix:/x", "--allow-any", "--allow-gid", "1"], "--allow-any"),
        (&["listen", "unix:/x", "--no-newline"], "--framing raw"),
        (&["listen", "unix:/x", "dir:/y", "unix:/x"], "given twice"),
        (&["listen", "unix:/x", "--max-frame", "2g"], "at most 1g"),
        (&["listen", "unix:@x", "--mode", "660"], "Usage: mpsr listen"),
        (&["listen", "unix:/x", "--prefix", "--json"], "--json"),
        (&["listen", "unix:"], "unix:/PATH"),
        (&["listen", "tcp://localhost:1"], "tcp://localhost:1"),
        (&["listen", "unix:/x", "--framing", "csv"], "csv"),
        (&["listen", "unix:/x", "--mode", "999"], "999"),
        (&["listen", "unix:/x", "--max-frame", "many"], "many"),
        (&["listen", "unix:/x", "--max-frame", "0"], "0"),
        (&["send"], "ADDRESS"),
        (&["send", "dir:/tmp"], "dir:/tmp"),
        (&["send", "unix:/x", "--wait", "soon"], "soon"),
        (&["send", "unix:/x", "--framing", "until-eof", "one", "two"], "until-eof"),
        (&["watch"], "DIR"),
        (&["watch", "dir:"], "dir:"),
        (&["watch", "unix:/x"], "unix: is not understood here: this command takes a directory of sockets"),
        (&["sweep", "systemd:x"], "systemd: is not understood here: this command takes a directory of sockets"),
        (&["ls", "systemd:x"], "systemd: is not understood here: this command takes directories and sockets"),
        (&["ls", "@x"], "@ is not understood here"),
        (&["send", "unix:/x", "--framing", "raw", "--count", "1"], "not divided into messages"),
        (&["send", "unix:/x", "--framing", "until-eof", "--count", "1"], "not divided into messages"),
    ] {
        assert_rejected(arguments, 2, &[word]);
    }
}

/// Each socket would be connected to twice, and a one-shot producer would serve the wrong connection.
#[test]
fn a_place_may_not_be_given_twice_however_it_is_written() {
    let top = directory();
    let at = |name: &str| text(&top.path().join(name)).to_owned();
    fs::create_dir(at("sockets")).unwrap();
    std::os::unix::fs::symlink("sockets", at("link")).unwrap();
    let is_told = |one: &str, other: &str| {
        let ended = finish(mpsr(["listen", one, other]).current_dir(top.path()), b"");
        assert!(ended.code == Some(2) && ended.stderr.contains("given twice"), "{one} {other}: {ended:?}");
    };
    for (one, other) in [
        (at("sockets"), at("link")),
        (format!("dir:{}", at("sockets")), at("sockets/")),
        (at("sockets"), at("link/../sockets")),
        (at("sockets/in.sock"), at("link/in.sock")),
        (format!("unix:{}", at("in.sock")), at("sockets/../in.sock")),
    ] {
        is_told(&one, &other);
    }
    is_told("in.sock", "./in.sock");
    assert!(!top.path().join("in.sock").exists(), "nothing was bound");
    // Others are others: two sockets of one directory, and the same name in two.
    let mut listen = Running::start(
        mpsr(["listen", "a.sock", "b.sock", "sockets/a.sock"]).current_dir(top.path()).stdin(Stdio::null()),
    );
    for name in ["a.sock", "b.sock", "sockets/a.sock"] {
        listened_on(&top.path().join(name));
    }
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
}

#[test]
fn help_and_version_are_no_mistakes() {
    for arguments in [&["--help"][..], &["listen", "--help"], &["send", "-h"], &["watch", "-h"], &["--version"]] {
        let ended = finish(&mut mpsr(arguments), b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!ended.stdout.is_empty());
    }
}

#[test]
fn a_path_longer_than_an_address_works_and_one_longer_than_a_name_is_rejected() {
    let directory = directory();
    let deep = directory.path().join("d".repeat(80)).join("e".repeat(80));
    fs::create_dir_all(&deep).unwrap();
    let path = deep.join("x.sock");
    assert!(path.as_os_str().len() > 108);
    let mut listen = Listen::start([unix(&path)]);
    let sent = finish(&mut mpsr(["send", &unix(&path), "through"]), b"");
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["through"]);
    listen.stop().assert_report(1, 1, 0);

    let name = "n".repeat(250);
    let path = unix(directory.path().join(&name));
    assert_rejected(&["listen", &path], 1, &[&name, "250 bytes where 249 are possible", "use a shorter name"]);
    let path = format!("unix:/{}x", "d/".repeat(2048));
    assert_rejected(&["listen", &path], 1, &["4098 bytes where 4095 are possible"]);
    assert_rejected(&["send", &path, "a"], 1, &["4098 bytes where 4095 are possible"]);
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let address = unix(&file);
    let words = [text(&file), "is a regular file, not a socket", "left alone"];
    assert_rejected(&["listen", &address], 1, &words);
    assert_rejected(&["send", "--bind", &address, "a"], 1, &words);
    assert_rejected(&["send", &address, "a"], 1, &[text(&file)]);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    // A directory, and a link to the file.
    assert_rejected(&["listen", &unix(directory.path())], 1, &["is a directory", "write dir:/PATH"]);
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_rejected(&["listen", &unix(&link)], 1, &["is a symbolic link"]);
    assert_eq!(fs::read(&link).unwrap(), b"precious");
}

/// What each command says of each kind of file that it cannot use, in full: no advice that does not fit.
#[test]
fn what_is_wrong_is_said_in_words_that_fit_the_command() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("dir")).unwrap();
    std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
    let _datagrams = UnixDatagram::bind(path("dgram")).unwrap();
    let _bound = bound(&directory.path().join("bound"));
    let _served = UnixListener::bind(path("served")).unwrap();
    for (arguments, name, words) in [
        (&["send"][..], "file", "cannot send: \"{}\" is a regular file, not a socket"),
        (&["send"], "dir", "cannot send: \"{}\" is a directory; name one of the sockets in it"),
        (&["send"], "dangling", "cannot send: there is no \"{}\"; start its server, or wait for it with --wait TIME"),
        (&["send"], "none", "cannot send: there is no \"{}\"; start its server, or wait for it with --wait TIME"),
        (&["send"], "dgram", "cannot send: unix:{} is not a stream socket, and send can use no other kind"),
        (
            &["send"],
            "bound",
            "cannot send: no process is listening on unix:{}; start its server, or wait for it with --wait TIME",
        ),
        (&["send", "--bind"], "served", "cannot offer messages: \"{}\" is taken: "),
        (&["send", "--bind"], "dgram", "cannot offer messages: \"{}\" is taken: "),
        (&["send", "--bind"], "bound", "cannot offer messages: \"{}\" is taken: "),
        (&["listen"], "served", "cannot listen: \"{}\" is taken: "),
        (&["listen"], "dgram", "cannot listen: \"{}\" is taken: "),
        (&["ls"], "none", "cannot list: there is no \"{}\""),
        (&["ls"], "dangling", "cannot list: there is no \"{}\""),
        (&["ls"], "file", "cannot list: \"{}\" is neither a socket nor a directory"),
        (&["sweep"], "none", "cannot sweep: there is no \"{}\""),
        (&["sweep"], "served", "cannot sweep: \"{}\" is not a directory: name the directory that holds the sockets"),
        (&["watch"], "none", "cannot watch: no directory at \"{}\": create it first"),
        (&["watch"], "served", "cannot watch: \"{}\" is not a directory: name the directory that holds the sockets"),
    ] {
        let ended = finish(mpsr(arguments.iter().copied()).arg(path(name)).stdin(Stdio::null()), b"");
        let words = format!("mpsr: {}", words.replace("{}", &path(name)));
        // Behind that stands what the kernel said.
        let is_whole = words.ends_with("is taken: ") || ended.stderr == format!("{words}\n");
        assert!(ended.stderr.starts_with(&words) && is_whole, "{arguments:?} {name}: {:?}", ended.stderr);
        assert_eq!((ended.code, &ended.stdout[..]), (Some(1), &b""[..]), "{arguments:?} {name}");
    }
    let below = path("no") + "/x";
    let no_directory = format!("there is no directory \"{}\" for a socket to be in; create it first", path("no"));
    for (arguments, doing) in [(&["listen"][..], "cannot listen"), (&["send", "--bind"], "cannot offer messages")] {
        let ended = finish(mpsr(arguments.iter().copied()).arg(&below).stdin(Stdio::null()), b"");
        assert_eq!((ended.code, ended.stderr), (Some(1), format!("mpsr: {doing}: {no_directory}\n")));
    }
}

/// As another user, who may not read one directory nor write to the other.
#[test]
fn what_a_user_may_not_do_is_said_in_words_that_fit_the_command() {
    const TEST: &str = "what_a_user_may_not_do_is_said_in_words_that_fit_the_command";
    if !rustix::process::geteuid().is_root() {
        return skip_forbidden(TEST, "only root can be another user");
    }
    let directory = public_directory();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    // Readable for others, wherever the build put it.
    fs::copy(env!("CARGO_BIN_EXE_mpsr"), path("mpsr")).unwrap();
    fs::DirBuilder::new().mode(0o700).create(path("private")).unwrap();
    let [private, below] = [path("private"), path("x.sock")];
    let unreadable =
        "cannot be read: Permission denied (os error 13); this process must be allowed to read and to search it";
    let unwritable =
        format!("this process may not make files in {:?}: Permission denied (os error 13)", directory.path());
    for (arguments, words) in [
        (&["ls", &private][..], format!("cannot list: {private:?} {unreadable}")),
        (&["sweep", &private], format!("cannot sweep: {private:?} {unreadable}")),
        (&["watch", &private], format!("cannot watch: {private:?} {unreadable}")),
        (&["listen", &below], format!("cannot listen: {unwritable}")),
        (&["send", "--bind", &below], format!("cannot offer messages: {unwritable}")),
    ] {
        let mut command = Command::new(path("mpsr"));
        let ended = finish(command.args(arguments).uid(STRANGER).gid(STRANGER), b"");
        assert_eq!((ended.code, ended.stderr), (Some(1), format!("mpsr: {words}\n")), "{arguments:?}");
    }
}

/// As after `sudo mpsr listen` that was killed, in the directory of the user who starts it next.
#[test]
fn a_stale_socket_of_another_user_is_left_alone_and_the_way_out_is_said() {
    const TEST: &str = "a_stale_socket_of_another_user_is_left_alone_and_the_way_out_is_said";
    if !rustix::process::getuid().is_root() {
        println!("SKIPPED {TEST}: only root can leave a file in another user's directory");
        return;
    }
    let public = directory();
    fs::set_permissions(public.path(), Permissions::from_mode(0o755)).unwrap();
    // Readable for others, wherever the build put it.
    let program = public.path().join("mpsr");
    fs::copy(env!("CARGO_BIN_EXE_mpsr"), &program).unwrap();
    let home = public.path().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(60_004), Some(60_004)).unwrap();
    let path = home.join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    listen.running.signal(Signal::KILL);
    listen.running.wait();
    let mut as_user = Command::new("setpriv");
    as_user.args(["--reuid=60004", "--regid=60004", "--clear-groups"]).arg(&program).args(["listen", &unix(&path)]);
    let ended = finish(&mut as_user, b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("only its owner and root can find that out: remove it yourself"), "{}", ended.stderr);
    // Who does so is served: the lock that root has left is no obstacle.
    fs::remove_file(&path).unwrap();
    let mut listen = Running::start(as_user.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    listened_on(&path);
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for arguments in [&["--help"][..], &["--version"], &["listen", "-h"]] {
        assert_eq!(
            mpsr(arguments).stdout(full()).stderr(Stdio::null()).status().unwrap().code(),
            Some(1),
            "{arguments:?}"
        );
    }
    assert_eq!(mpsr(["listen"]).stderr(full()).status().unwrap().code(), Some(2));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let directory = directory();
    let missing = directory.path().join("missing");
    let path = unix(missing.join("x.sock"));
    assert_rejected(&["listen", &path], 1, &[text(&missing), "create it"]);
    assert_rejected(&["send", &path, "a"], 1, &[text(&missing), "start its server"]);
    assert_rejected(&["listen", &format!("dir:{}", text(&missing))], 1, &[text(&missing)]);
    assert_rejected(&["watch", text(&missing)], 1, &[text(&missing)]);
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert_rejected(&["watch", text(&file)], 1, &[text(&file), "directory"]);
}

#[test]
fn a_directory_in_which_others_may_replace_files_takes_an_option() {
    let directory = directory();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let path = directory.path().join("x.sock");
    assert_rejected(&["listen", &unix(&path)], 1, &["others may replace files", "(mode 0777)", "--shared-directory"]);
    let mut listen = Listen::start([&unix(&path), "--shared-directory"]);
    UnixStream::connect(&path).unwrap().write_all(b"in\n").unwrap();
    assert_eq!(listen.until("message")["text"], "in");
    listen.until("left");
    listen.stop().assert_report(1, 1, 0);
}

#[test]
fn of_several_places_one_that_cannot_be_had_leaves_nothing_behind() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let missing = format!("dir:{}/missing", text(directory.path()));
    assert_rejected(&["listen", &unix(&path), &missing], 1, &["missing"]);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_nobody_listens_on_is_named_and_with_wait_it_is_waited_for() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    assert_rejected(&["send", &unix(&path), "a"], 1, &[text(&path), "start its server"]);
    drop(UnixListener::bind(&path).unwrap());
    assert_rejected(&["send", &unix(&path), "a"], 1, &["no process is listening on", text(&path), "start its server"]);
    assert_rejected(&["send", &unix(&path), "--wait", "0.1", "a"], 1, &["no process is listening on", "after"]);

    // The sender is there first; the receiver replaces what is stale.
    let mut sender = Running::start(&mut mpsr(["send", &unix(&path), "--wait", "30", "patient"]));
    let mut listen = Listen::start([unix(&path)]);
    assert_eq!(sender.wait(), Some(0));
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["patient"]);
    listen.stop().assert_report(1, 1, 0);
}

#[test]
fn a_receiver_that_is_there_already_is_not_disturbed() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut producer = UnixStream::connect(&path).unwrap();
    producer.write_all(b"before\n").unwrap();
    listen.until("message");
    let pid = format!("process {}", listen.running.pid());
    assert_rejected(&["listen", &unix(&path)], 1, &[text(&path), "is taken", &pid]);
    producer.write_all(b"after\n").unwrap();
    assert_eq!(listen.until("message")["text"], "after");
    assert_eq!(finish(&mut mpsr(["send", &unix(&path), "new"]), b"").code, Some(0));
    assert_eq!(listen.until("message")["text"], "new");
    listen.stop().assert_report(2, 3, 0);

    // Neither is a server that knows nothing of locks.
    let server = UnixListener::bind(&path).unwrap();
    assert_rejected(&["listen", &unix(&path)], 1, &[text(&path), "is taken"]);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"still here").unwrap();
    drop(client);
    server.set_nonblocking(true).unwrap();
    let heard = server.incoming().map_while(Result::ok).map(|mut stream| {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    });
    // A connection that only asks whether it is alive sends nothing.
    assert_eq!(heard.filter(|heard| !heard.is_empty()).collect::<Vec<_>>(), ["still here"]);
}

#[test]
fn after_kill_9_the_same_path_is_taken_again() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    for _ in 0..3 {
        let mut listen = Listen::start([unix(&path)]);
        listen.running.signal(Signal::KILL);
        assert_eq!(listen.running.wait(), None);
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket(), "it left its socket behind");
    }
    let mut listen = Listen::start([unix(&path)]);
    assert_eq!(finish(&mut mpsr(["send", &unix(&path), "again"]), b"").code, Some(0));
    assert_eq!(listen.until("message")["text"], "again");
    listen.stop().assert_report(1, 1, 0);
    assert!(!path.exists());
}

#[test]
fn a_producer_whose_frame_is_over_the_limit_is_malformed_and_others_are_not_disturbed() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--framing", "u32be", "--max-frame", "16"]);
    let mut good = UnixStream::connect(&path).unwrap();
    good.write_all(b"\0\0\0\x10exactly sixteen.").unwrap();
    listen.until("message");

    let mut bad = UnixStream::connect(&path).unwrap();
    // The length alone gives it away: nothing of it has been sent.
    bad.write_all(b"\0\0\0\x02ok\0\0\0\x11").unwrap();
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["ok"]);
    assert_eq!([&left["received"], &left["delivered"], &left["truncated"]], [1, 1, 1]);
    assert_eq!(left["reason"], "malformed");
    let error = left["error"].as_str().expect("the error is told");
    assert!(error.contains("17") && error.contains("16"), "{error}");
    assert_eq!(bad.read(&mut [0]).unwrap(), 0, "it is hung up on");

    good.write_all(b"\0\0\0\x04more").unwrap();
    assert_eq!(listen.until("message")["text"], "more");
    drop(good);
    listen.until("left");
    listen.stop().assert_report(2, 3, 1);
}

#[test]
fn a_line_over_the_limit_is_malformed_on_both_sides() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--max-frame", "16"]);
    let mut bad = UnixStream::connect(&path).unwrap();
    bad.write_all(b"short\nthis line never ends, and it need not").unwrap();
    let left = listen.until("left");
    assert_eq!(
        [&left["reason"], &left["received"], &left["truncated"]],
        [&"malformed".into(), &1.into(), &1.into()] as [&serde_json::Value; 3]
    );
    assert_eq!(of_kind(&listen.events, "message").len(), 1);
    // Our own sender notices before it sends.
    let address = unix(&path);
    let sent = finish(&mut mpsr(["send", &address, "--max-frame", "16"]), b"short\nseventeen bytes..\nnever\n");
    assert_eq!(sent.code, Some(1));
    assert!(sent.stderr.contains("line 2 of standard input") && sent.stderr.contains("16"), "{}", sent.stderr);
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["short"]);
    listen.stop().assert_report(2, 2, 1);
}

#[test]
fn what_is_over_the_limit_is_skipped_or_shortened_if_that_was_asked_for() {
    let directory = directory();
    for (policy, heard, counts) in [
        ("skip", &["short", "again"][..], (Some(2), None)),
        ("shorten", &["short", "this line is lon", "so is this one, ", "again"][..], (None, Some(2))),
    ] {
        let path = directory.path().join(policy);
        let mut listen = Listen::start([&unix(&path), "--max-frame", "16", "--oversize", policy]);
        let mut producer = UnixStream::connect(&path).unwrap();
        producer.write_all(b"short\nthis line is longer than that\nso is this one, by far\nagain\n").unwrap();
        drop(producer);
        let left = listen.until("left");
        assert_eq!(left["reason"], "closed");
        assert_eq!(texts(&listen.events, &left["producer"]), heard);
        assert_eq!((left["skipped"].as_u64(), left["shortened"].as_u64()), counts);
        let missing: u64 =
            of_kind(&listen.events, "missing").iter().map(|event| event["count"].as_u64().unwrap()).sum();
        assert_eq!(missing, counts.0.unwrap_or(0));
        let end = listen.stop();
        end.assert_report(1, heard.len() as u64, 0);
        assert_eq!([&end.report["skipped"], &end.report["shortened"]], [counts.0.unwrap_or(0), counts.1.unwrap_or(0)]);
    }
}

#[test]
fn nothing_is_said_on_standard_output_when_listening_fails() {
    // A script that reads the messages reads no complaint as one.
    let mut running = Running::start(
        mpsr(["listen", "unix:/dev/null/x.sock"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
    );
    assert_eq!(running.stdout().rest(), [""; 0]);
    let said = running.stderr().rest();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("mpsr: cannot listen: "), "{said:?}");
    assert_eq!(running.wait(), Some(1));
}
