//! The objects of `--json`, one per line. The README documents their field names, which must not change.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fs_watch::directory::PassedOver;
use serde::Serialize;

/// What the commands print.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Object<'a> {
    Listening {
        #[serde(flatten)]
        address: AddressText,
    },
    Watching {
        #[serde(flatten)]
        address: AddressText,
    },
    Joined {
        producer: u64,
        #[serde(flatten)]
        address: AddressText,
        via: &'static str,
        pid: Option<u32>,
        uid: u32,
        gid: u32,
    },
    Message {
        producer: u64,
        #[serde(flatten)]
        payload: Payload<'a>,
    },
    Left {
        producer: u64,
        received: u64,
        delivered: u64,
        truncated: u64,
        lost: u64,
        bytes: u64,
        /// These three are left out if they are false or zero.
        #[serde(skip_serializing_if = "is_false")]
        unterminated: bool,
        #[serde(skip_serializing_if = "is_zero")]
        skipped: u64,
        #[serde(skip_serializing_if = "is_zero")]
        shortened: u64,
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    Rejected {
        #[serde(flatten)]
        address: AddressText,
        /// These are null if the kernel does not provide them.
        pid: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    NameLost {
        #[serde(flatten)]
        address: AddressText,
        reason: &'static str,
    },
    Rebound {
        #[serde(flatten)]
        address: AddressText,
    },
    Missing {
        producer: u64,
        count: u64,
    },
    Unread {
        #[serde(flatten)]
        address: AddressText,
        connections: u64,
    },
    Warning {
        #[serde(flatten)]
        address: AddressText,
        text: String,
    },
    Report {
        #[serde(flatten)]
        totals: Totals,
        /// Left out if it is zero.
        #[serde(skip_serializing_if = "is_zero")]
        notes_dropped: u64,
        reason: &'static str,
    },
    ReportSoFar {
        #[serde(flatten)]
        totals: Totals,
    },
    Init,
    Present {
        #[serde(flatten)]
        socket: Socket,
    },
    InitDone,
    Added {
        #[serde(flatten)]
        socket: Socket,
    },
    Ready {
        #[serde(flatten)]
        socket: Socket,
        kind: String,
    },
    Removed {
        #[serde(flatten)]
        path: PathText,
        generation: u64,
        reason: String,
    },
    Degraded {
        /// The directory.
        #[serde(flatten)]
        path: PathText,
        text: String,
    },
    Resynced,
    Socket {
        #[serde(flatten)]
        path: PathText,
        state: &'static str,
        kind: String,
        evidence: String,
        mode: String,
        uid: u32,
        gid: u32,
        age: f64,
        backlog: Option<Backlog>,
        /// Whether the path is a symbolic link to the socket.
        link: bool,
        processes: Vec<Process>,
    },
    PassedOver {
        dot_names: usize,
        links: usize,
        below: usize,
        unreadable: usize,
        not_searched: usize,
    },
    /// A remark about a whole command.
    #[serde(rename = "warning")]
    Remark {
        text: String,
    },
    Swept {
        #[serde(flatten)]
        path: PathText,
        /// `socket`, or `lock` for a lock file beside one.
        kind: &'static str,
        fate: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
}

impl Object<'_> {
    /// `None` if nothing was left out.
    pub(crate) fn passed_over(passed: &PassedOver) -> Option<Self> {
        let PassedOver { dot_names, links, below, unreadable, not_searched, .. } = *passed;
        (*passed != PassedOver::default()).then_some(Self::PassedOver {
            dot_names,
            links,
            below,
            unreadable,
            not_searched,
        })
    }
}

/// An object that is printed as a line.
pub(crate) trait Line: Serialize {
    fn to_line(&self) -> String {
        serde_json::to_string(self).expect("these objects have string keys and finite numbers")
    }
}

impl Line for Object<'_> {}
impl Line for Timed<'_> {}

/// An object with the time at which it was printed.
#[derive(Debug, Serialize)]
pub(crate) struct Timed<'a> {
    #[serde(flatten)]
    pub(crate) object: &'a Object<'a>,
    pub(crate) time: String,
}

/// The numbers of a report.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Totals {
    pub(crate) producers: u64,
    pub(crate) received: u64,
    pub(crate) delivered: u64,
    pub(crate) truncated: u64,
    pub(crate) lost: u64,
    pub(crate) unterminated: u64,
    pub(crate) skipped: u64,
    pub(crate) shortened: u64,
    pub(crate) bytes: u64,
    pub(crate) rejected: u64,
    /// `None` if it is not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shed: Option<u64>,
    pub(crate) unread: u64,
    pub(crate) failed_sources: u64,
    pub(crate) seconds: f64,
}

impl Totals {
    /// The totals as text.
    pub(crate) fn to_words(self) -> String {
        let count = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let mut words = format!(
            "received {} from {}, delivered {}, truncated {}, lost {}",
            count(self.received, "message"),
            count(self.producers, "producer"),
            self.delivered,
            self.truncated,
            self.lost,
        );
        for (number, what) in
            [(self.unterminated, "unterminated"), (self.skipped, "skipped"), (self.shortened, "shortened")]
        {
            if number > 0 {
                words += &format!(", {what} {number}");
            }
        }
        for (number, what) in [(self.rejected, "rejected"), (self.shed.unwrap_or(0), "shed")] {
            if number > 0 {
                words += &format!(", {what} {}", count(number, "connection"));
            }
        }
        if self.unread > 0 {
            words += &format!(", closed {} unread", count(self.unread, "connection"));
        }
        if self.failed_sources > 0 {
            words += &format!(", {} failed", count(self.failed_sources, "source"));
        }
        words + &format!(" in {:.1} s", self.seconds)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A message: its text, or its bytes if they are not UTF-8.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Payload<'a> {
    Text(&'a str),
    Base64(String),
}

impl<'a> Payload<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Base64(BASE64_STANDARD.encode(bytes)),
        }
    }
}

/// A path: its text, or its bytes if they are not UTF-8.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PathText {
    Path(String),
    PathBase64(String),
}

impl PathText {
    pub(crate) fn new(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Path(text.to_owned()),
            None => Self::PathBase64(BASE64_STANDARD.encode(path.as_os_str().as_encoded_bytes())),
        }
    }
}

/// An address as on the command line: its text, or its bytes if they are not UTF-8. It is exact, without the escapes of
/// the output for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AddressText {
    Address(String),
    AddressBase64(String),
}

impl AddressText {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Address(text),
            Err(error) => Self::AddressBase64(BASE64_STANDARD.encode(error.as_bytes())),
        }
    }
}

/// A socket in a directory.
#[derive(Debug, Serialize)]
pub(crate) struct Socket {
    #[serde(flatten)]
    pub(crate) path: PathText,
    pub(crate) generation: u64,
    pub(crate) mode: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A listener's queue.
#[derive(Debug, Serialize)]
pub(crate) struct Backlog {
    pub(crate) waiting: u32,
    pub(crate) limit: u32,
}

/// A process that has a socket open.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    #[serde(flatten)]
    pub(crate) name: NameText,
    #[serde(flatten)]
    pub(crate) command: CommandText,
}

/// A process's name: its text, or its bytes if they are not UTF-8.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NameText {
    Name(String),
    NameBase64(String),
}

impl NameText {
    pub(crate) fn new(name: &OsStr) -> Self {
        match name.to_str() {
            Some(text) => Self::Name(text.to_owned()),
            None => Self::NameBase64(BASE64_STANDARD.encode(name.as_encoded_bytes())),
        }
    }
}

/// A process's arguments: their texts, or all of their bytes if one is not UTF-8.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CommandText {
    Command(Vec<String>),
    CommandBase64(Vec<String>),
}

impl CommandText {
    pub(crate) fn new(arguments: &[OsString]) -> Self {
        let texts: Option<Vec<_>> = arguments.iter().map(|argument| argument.to_str().map(str::to_owned)).collect();
        let encoded = || arguments.iter().map(|argument| BASE64_STANDARD.encode(argument.as_encoded_bytes())).collect();
        texts.map_or_else(|| Self::CommandBase64(encoded()), Self::Command)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_message_that_is_not_utf_8_comes_in_base64() {
        let line = |bytes| Object::Message { producer: 1, payload: Payload::new(bytes) }.to_line();
        assert_eq!(line(b"a\"b\n"), r#"{"event":"message","producer":1,"text":"a\"b\n"}"#);
        assert_eq!(line(b"\xff"), r#"{"event":"message","producer":1,"base64":"/w=="}"#);
    }

    #[test]
    fn names_of_processes_are_exact() {
        let process = |name: &[u8], arguments: &[&[u8]]| {
            let arguments: Vec<_> = arguments.iter().map(|bytes| OsStr::from_bytes(bytes).to_owned()).collect();
            let (name, command) = (NameText::new(OsStr::from_bytes(name)), CommandText::new(&arguments));
            serde_json::to_string(&Process { pid: 1, uid: 0, name, command }).unwrap()
        };
        assert_eq!(process(b"a", &[b"a", b""]), r#"{"pid":1,"uid":0,"name":"a","command":["a",""]}"#);
        let exact = r#"{"pid":1,"uid":0,"name_base64":"/w==","command_base64":["YQ==","/w=="]}"#;
        assert_eq!(process(b"\xff", &[b"a", b"\xff"]), exact);
    }

    #[test]
    fn an_address_is_exact() {
        let line = |bytes: &[u8]| Object::Listening { address: AddressText::new(bytes.to_vec()) }.to_line();
        let hostile = "unix:/run/\u{1b} \x1b[2J\n\u{202e}\\.sock";
        let object: serde_json::Value = serde_json::from_str(&line(hostile.as_bytes())).unwrap();
        assert_eq!(object, serde_json::json!({ "event": "listening", "address": hostile }));
        assert_eq!(line(b"dir:/\xff"), r#"{"event":"listening","address_base64":"ZGlyOi//"}"#);
    }
}
