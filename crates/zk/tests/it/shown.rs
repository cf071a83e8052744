//! What comes from a server cannot command a terminal, and what goes to a program is exact.

use std::{fs::File, io::Read as _, process::Stdio, thread};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr},
};
use serde_json::json;
use zk_proto::{Created, Record as _, Request};

use crate::{
    peer::{Act, Peer, children, data, names},
    running::{Running, finish, zk},
};

/// Obeyed, it would clear the screen, rename the window, hide text and turn it round.
const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07 \u{9b}31m \u{202e}txt.exe\r and \x00";

/// Everything that this command shows on a terminal.
fn screen(server: &str, arguments: &[&str]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    // Lines end as they are written, so that what is read is what was written.
    let mut modes = tcgetattr(&slave).unwrap();
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
    let reading = thread::spawn(move || {
        let (mut master, mut screen, mut piece) = (File::from(master), Vec::new(), [0; 4096]);
        // A terminal that all processes have closed ends with an error, after all that was written.
        while let Ok(read @ 1..) = master.read(&mut piece) {
            screen.extend_from_slice(&piece[..read]);
        }
        screen
    });
    let mut command = zk(server, arguments);
    command.stdin(Stdio::null()).stdout(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
    let mut running = Running::start(&mut command);
    drop((command, slave));
    running.wait();
    String::from_utf8(reading.join().unwrap()).expect("what is shown is text")
}

fn assert_harmless(screen: &str) {
    let odd = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{9b}' | '\u{202e}'));
    assert!(!screen.contains(odd), "{screen:?}");
    assert!(screen.contains(r"\u{1b}[2J"), "{screen:?}");
}

#[test]
fn hostile_names_are_escaped_in_text_wherever_it_goes() {
    let peer = Peer::start(|_, request| match request {
        Request::GetChildren2(_) => children(&[HOSTILE, "plain"]),
        Request::GetChildren(list) if list.path == "/" => names(&[HOSTILE, "plain"]),
        Request::GetChildren(_) => names(&[]),
        Request::Create(_) => Act::Reply(Created { path: format!("/{HOSTILE}").into() }.to_bytes()),
        _ => panic!("{request:?}"),
    });
    for arguments in [&["ls"][..], &["tree"], &["ls", "-R"], &["create", "/a"]] {
        let ended = finish(&mut zk(&peer.address, arguments));
        assert_harmless(std::str::from_utf8(&ended.stdout).unwrap());
        assert_harmless(&screen(&peer.address, arguments));
    }
    // A program gets the name itself, and a terminal the same object in other words.
    let object = finish(&mut zk(&peer.address, ["ls", "--json"])).json();
    assert_eq!(object["children"], json!([HOSTILE, "plain"]));
    let shown = screen(&peer.address, &["ls", "--json"]);
    assert!(!shown.contains(|c: char| c != '\n' && c.is_control()), "{shown:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["children"], json!([HOSTILE, "plain"]));
}

#[test]
fn data_is_escaped_on_a_terminal_only() {
    let peer = Peer::start(|_, _| data(Some(HOSTILE.as_bytes())));
    let shown = screen(&peer.address, &["get", "/a"]);
    assert_harmless(&shown);
    assert!(shown.ends_with('\n'), "{shown:?}");
    assert_eq!(finish(&mut zk(&peer.address, ["get", "/a"])).stdout, HOSTILE.as_bytes());
    let peer = Peer::start(|_, _| data(None));
    assert_eq!(screen(&peer.address, &["get", "/a"]), "zk: the node holds null\n");
    let peer = Peer::start(|_, _| data(Some(b"one\n\ntwo\n")));
    assert_eq!(screen(&peer.address, &["get", "/a"]), "one\n\ntwo\n");
}

#[test]
fn hostile_words_of_the_command_line_are_escaped_too() {
    let peer = Peer::start(|_, _| Act::Silence);
    for path in [HOSTILE.trim_end_matches('\0'), "/\x1b[2J"] {
        assert_harmless(&screen(&peer.address, &["get", path]));
    }
    // The parser leaves out what it takes for a colour.
    let shown = screen(&peer.address, &["\x1b[2J", "/a"]);
    assert!(!shown.contains(|c: char| c != '\n' && c.is_control()), "{shown:?}");
}
