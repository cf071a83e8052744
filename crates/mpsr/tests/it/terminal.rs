//! What is shown to people, and that what others sent cannot command their terminal.

use std::{
    fs::{self, File},
    io::Read as _,
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::Signal,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

use crate::{
    listen::{directory, unix},
    running::{Running, eventually, finish, listened_on, mpsr},
};

/// Obeyed, it would clear the screen, rename the window, hide text and turn it round.
const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07 \u{9b}31m \u{202e}txt.exe\r and \x00";

/// A terminal of our own, and what a program writes to it.
struct Terminal {
    slave: OwnedFd,
    reading: thread::JoinHandle<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn open() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        // Lines end as they are written, so that what is read is what was written.
        let mut modes = tcgetattr(&slave).unwrap();
        modes.output_modes.remove(OutputModes::OPOST);
        tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let screen = Arc::clone(&written);
        let reading = thread::spawn(move || {
            // A terminal that everybody has closed ends with an error, after all that was written.
            let (mut master, mut piece) = (File::from(master), [0; 4096]);
            while let Ok(read @ 1..) = master.read(&mut piece) {
                screen.lock().unwrap().extend_from_slice(&piece[..read]);
            }
        });
        Self { slave, reading, written }
    }

    fn stdio(&self) -> Stdio {
        self.slave.try_clone().unwrap().into()
    }

    /// Waits until a row begins with these words.
    fn shows(&self, words: &str) {
        let shows = |screen: &[u8]| String::from_utf8_lossy(screen).lines().any(|row| row.starts_with(words));
        eventually("a row begins as it should", || shows(&self.written.lock().unwrap()));
    }

    /// All that was written, once no process has it open any more.
    fn screen(self) -> String {
        drop(self.slave);
        self.reading.join().unwrap();
        let written = std::mem::take(&mut *self.written.lock().unwrap());
        String::from_utf8(written).expect("what is shown is text")
    }
}

/// Everything that a receiver with these arguments shows of one hostile message, on a terminal.
fn shown(arguments: &[&str]) -> String {
    shown_of(HOSTILE, arguments)
}

/// The same of another message.
fn shown_of(message: &str, arguments: &[&str]) -> String {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let terminal = Terminal::open();
    let mut command = mpsr(["listen", &unix(&path), "--framing", "until-eof"]);
    command.args(arguments).stdin(Stdio::null()).stdout(terminal.stdio()).stderr(terminal.stdio());
    let mut listen = Running::start(&mut command);
    drop(command);
    listened_on(&path);
    let sent = finish(&mut mpsr(["send", &unix(&path), "--framing", "until-eof"]), message.as_bytes());
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
    terminal.screen()
}

/// Nothing that a terminal would obey.
#[track_caller]
fn assert_harmless(screen: &str) {
    let harmful = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
    assert_eq!(screen.chars().find(harmful), None, "{screen:?}");
}

#[test]
fn control_characters_are_shown_and_not_obeyed() {
    let screen = shown(&[]);
    assert_harmless(&screen);
    assert!(
        screen.contains(r"   1 | \u{1b}[2J\u{1b}]0;owned\u{7} \u{9b}31m \u{202e}txt.exe\r and \u{0}"),
        "{screen:?}"
    );
    for word in ["listening on unix:", "   1 + pid ", "   1 - ", ": delivered 1", "received 1 message from 1 producer"]
    {
        assert!(screen.contains(word), "no {word:?} in {screen:?}");
    }
}

#[test]
fn what_cannot_be_seen_is_shown_and_an_escape_is_not_a_text_that_looks_like_one() {
    // Fillers, format characters and selectors that a terminal shows nothing of.
    let screen = shown_of("a\u{180e}\u{fff9}\u{115f}\u{3164}\u{e0041}\u{e0100}\u{ad}b \\u{1b} \\", &[]);
    assert!(
        screen.contains(r"   1 | a\u{180e}\u{fff9}\u{115f}\u{3164}\u{e0041}\u{e0100}\u{ad}b \\u{1b} \\"),
        "{screen:?}"
    );
}

#[test]
fn a_message_cannot_wrap_into_a_line_that_looks_like_ours() {
    // A terminal that does not report its width has 80 columns, and each row begins with 7 columns of our own.
    let forged = format!("{}   2 + pid 1 (uid 0, gid 0) on unix:/run/in.sock", "x".repeat(73));
    let wide = format!("{}{forged}", "文".repeat(36));
    for (message, arguments) in
        [(&forged, &[][..]), (&wide, &[]), (&forged, &["--prefix"]), (&forged, &["--timestamps"])]
    {
        let screen = shown_of(message, arguments);
        assert_harmless(&screen);
        let mut rows = screen.lines().skip_while(|row| !row.contains(" | "));
        rows.next().expect("the message");
        let others: Vec<&str> = rows.take_while(|row| !row.starts_with("   1 - ")).collect();
        assert!(!others.is_empty() && others.iter().all(|row| row.starts_with("     | ")), "{screen}");
        assert!(!screen.lines().any(|row| row.starts_with("   2 ")), "{screen}");
    }
}

/// A name with which a terminal of 80 columns would begin a row with these words, behind what stands in front of the name.
fn forged(in_front: &str, words: &str) -> String {
    format!("{}{words}", "x".repeat(80 - in_front.len()))
}

/// A socket of this name, which may be longer than an address.
fn bind(directory: &Path, name: &str) -> UnixListener {
    let listener = UnixListener::bind(directory.join(".short")).unwrap();
    fs::rename(directory.join(".short"), directory.join(name)).unwrap();
    listener
}

#[test]
fn a_name_cannot_wrap_into_a_line_that_looks_like_one_of_watch() {
    let directory = directory();
    let name = forged(&format!("+ {}/", directory.path().display()), "-  vital.sock  gone, generation 1");
    let terminal = Terminal::open();
    let mut command = mpsr(["watch"]);
    command.arg(directory.path()).stdin(Stdio::null()).stdout(terminal.stdio()).stderr(Stdio::null());
    let mut watch = Running::start(&mut command);
    drop(command);
    terminal.shows("-- watching");
    let _listener = bind(directory.path(), &name);
    terminal.shows("! /");
    fs::remove_file(directory.path().join(&name)).unwrap();
    terminal.shows("- /");
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait(), Some(0));
    let screen = terminal.screen();
    assert_harmless(&screen);
    assert!(screen.lines().all(|row| row.chars().count() <= 80), "{screen}");
    // Of what came, was ready and went.
    let continued = screen.lines().filter(|row| row.starts_with(r"     | -")).count();
    assert_eq!(continued, 3, "{screen}");
    assert!(screen.contains(r"     | - \u{20}vital.sock \u{20}gone, generation 1"), "{screen}");
    assert_eq!(screen.lines().filter(|row| row.starts_with('-')).count(), 2, "{screen}");
}

#[test]
fn a_name_cannot_wrap_into_a_line_that_looks_like_one_of_ls_or_sweep() {
    let pid = std::process::id().to_string();
    let row = "vital.sock  live   stream  1  systemd  root  666  2d";
    for (arguments, names) in [
        // One begins a row, one looks like a row as it is, and one continues that of another name.
        (&["ls"][..], [forged("", row), row.to_owned(), forged("", "            live   stream  1")]),
        (
            &["sweep", "--dry-run"],
            [
                forged("kept          ", "removed       vital.sock"),
                forged("kept          ", "would remove  a"),
                "a: not".into(),
            ],
        ),
    ] {
        let directory = directory();
        let _listeners = names.each_ref().map(|name| bind(directory.path(), name));
        let terminal = Terminal::open();
        let mut command = mpsr(arguments);
        command.arg(directory.path()).stdin(Stdio::null()).stdout(terminal.stdio()).stderr(Stdio::null());
        let mut running = Running::start(&mut command);
        drop(command);
        assert_eq!(running.wait(), Some(0));
        let screen = terminal.screen();
        assert_harmless(&screen);
        assert!(screen.lines().all(|row| row.chars().count() <= 80), "{screen}");
        for row in screen.lines() {
            let is_of_name =
                row.starts_with("     | ") || row.starts_with('x') || row.starts_with(r"vital.sock \u{20}");
            let is_ours = ["NAME ", "kept          x", "kept          a: "].iter().any(|start| row.starts_with(start));
            // The rest of a row after a name on a separate line: its columns are those of the head.
            let is_rest = row.starts_with("            ") && row.split_whitespace().nth(2) == Some(&pid);
            assert!(is_of_name || is_ours || is_rest, "{row:?} in {screen}");
        }
        assert!(screen.lines().filter(|row| row.starts_with("     | ")).count() >= 2, "{screen}");
    }
}

#[test]
fn what_is_said_on_a_terminal_stands_in_its_place_among_the_messages() {
    for _ in 0..10 {
        let screen = shown_of("in its place", &[]);
        let place = |words: &str| screen.find(words).unwrap_or_else(|| panic!("no {words:?} in {screen:?}"));
        let places = ["listening on", "   1 + pid", "   1 | in its place", "   1 - ", "received 1"].map(place);
        assert!(places.is_sorted(), "{screen:?}");
    }
}

/// `mpsr ls *` passes the names that others have given their files.
#[test]
fn a_command_line_that_is_wrong_is_repeated_without_commanding_the_terminal() {
    let forged = "--x' found\n   1 + pid 1 (uid 0, gid 0) on unix:/run/in.sock";
    for arguments in [
        &["ls", "--\x1b[2J"][..],
        &["ls", "--x=\u{202e}\u{200b}"],
        &["listen", "unx:\x1b]0;owned\x07"],
        &["listen", "x", "--wait\u{9b}31m"],
        &["send", "x", "--wait", "1\x1b[2J"],
        &["\x1b[2J"],
        &["ls", forged],
        &["ls", "-\n   1 + pid 1"],
    ] {
        let ended = finish(&mut mpsr(arguments), b"");
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert_harmless(&ended.stderr);
        assert!(!ended.stderr.contains(['\u{202e}', '\u{200b}']), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.lines().any(|line| line.starts_with("   1 + ")), "{arguments:?}: {}", ended.stderr);
    }
    let ended = finish(&mut mpsr(["ls", "--nonsense"]), b"");
    assert!(ended.stderr.lines().count() > 2, "an ordinary mistake is told as usual: {}", ended.stderr);
}

#[test]
fn objects_on_a_terminal_are_the_same_objects_and_as_harmless() {
    let screen = shown(&["--json"]);
    assert_harmless(&screen);
    let objects: Vec<serde_json::Value> = screen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let message = objects.iter().find(|object| object["event"] == "message").expect("a message");
    assert_eq!(message["text"], HOSTILE);
}

#[test]
fn quiet_shows_messages_alone() {
    for arguments in [&["--quiet"][..], &["--quiet", "--json"]] {
        let screen = shown(arguments);
        assert_eq!(screen.lines().count(), 1, "{screen:?}");
    }
}

/// The terminal shows `^C` where the cursor is.
#[test]
fn what_is_said_after_an_interrupt_begins_at_the_left_edge_and_breaks_at_spaces() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let terminal = Terminal::open();
    let columns = Winsize { ws_row: 24, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal.slave, columns).unwrap();
    let mut command = mpsr(["listen", path.to_str().unwrap()]);
    command.stdin(Stdio::null()).stdout(terminal.stdio()).stderr(terminal.stdio());
    let mut listen = Running::start(&mut command);
    drop(command);
    terminal.shows("listening on ");
    listen.signal(Signal::INT);
    assert_eq!(listen.wait(), Some(0));
    let screen = terminal.screen();
    let (_, report) = screen.split_once("\n\rreceived ").unwrap_or_else(|| panic!("{screen:?}"));
    assert!(report.starts_with("0 messages from 0 producers, delivered 0,\n     truncated 0, lost 0 in"), "{report:?}");
}

#[test]
fn what_is_piped_is_what_was_sent() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut command = mpsr(["listen", &unix(&path), "--framing", "until-eof"]);
    let mut listen = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (stdout, stderr) = (crate::running::all(listen.child().stdout.take()), listen.stderr());
    stderr.next();
    let every_byte: Vec<u8> = (0..=255).chain(HOSTILE.bytes()).collect();
    finish(&mut mpsr(["send", &unix(&path), "--framing", "until-eof"]), &every_byte);
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
    assert_eq!(stdout.join().unwrap(), [&every_byte[..], b"\n"].concat());
    assert_harmless(&stderr.rest().join("\n"));
}
