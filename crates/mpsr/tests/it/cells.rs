//! A receiver on each kind of address that the README's table gives `listen`, and how a producer reaches it.

use std::{
    io,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    listen::directory,
    running::{Running, mpsr},
};

/// The kinds of addresses in the README's table. A plain path is a kind of its own, and so is a plain directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    PlainPath,
    Path,
    Abstract,
    Systemd,
    Directory,
    PlainDirectory,
}

impl Kind {
    /// All that the README says `listen` takes, in its order. One that is new there needs a producer here.
    pub(crate) fn documented() -> Vec<Self> {
        let page = include_str!("../../README.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| address | `listen` |")).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
        let of_listen = cells.filter(|cells| cells[1] != "–");
        let kinds = of_listen.flat_map(|cells| cells[0].split(", ").map(Self::of).collect::<Vec<_>>()).collect();
        assert_ne!(kinds, [], "the README has the table of addresses");
        kinds
    }

    fn of(address: &str) -> Self {
        match address {
            "`/PATH`" => Self::PlainPath,
            "`unix:/PATH`" => Self::Path,
            "`unix:@NAME`" => Self::Abstract,
            "`systemd:NAME`" => Self::Systemd,
            "`dir:/PATH`" => Self::Directory,
            "or a directory" => Self::PlainDirectory,
            other => panic!("the README lists {other}, which no test listens on"),
        }
    }
}

/// Tells one test's abstract names from another's.
fn unique(directory: &TempDir) -> String {
    format!("mpsr-{}", directory.path().file_name().unwrap().to_string_lossy())
}

/// A receiver, and what a producer has to do to reach it.
pub(crate) struct Cell {
    /// Holds the files.
    pub(crate) directory: TempDir,
    pub(crate) command: Command,
    pub(crate) producer: Producer,
}

/// How to reach the receiver.
pub(crate) enum Producer {
    Connects(SocketAddr),
    Listens(UnixListener),
}

impl Cell {
    /// `mpsr listen` on an address of this kind, with standard output and error piped. `USER` and `GROUP` among the options
    /// stand for ours.
    pub(crate) fn new(kind: Kind, options: &[&str]) -> Self {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let folder = directory.path().join("sockets");
        let connects = || Producer::Connects(SocketAddr::from_pathname(&path).unwrap());
        let listens = || {
            std::fs::create_dir(&folder).unwrap();
            Producer::Listens(UnixListener::bind(folder.join("p.sock")).unwrap())
        };
        let mut passed = None;
        let (address, producer) = match kind {
            Kind::Path => (format!("unix:{}", text(&path)), connects()),
            Kind::PlainPath => (text(&path), connects()),
            Kind::Abstract => {
                let name = unique(&directory);
                (format!("unix:@{name}"), Producer::Connects(SocketAddr::from_abstract_name(&name).unwrap()))
            }
            Kind::Systemd => {
                passed = Some(UnixListener::bind(&path).unwrap());
                ("systemd:in".to_owned(), connects())
            }
            Kind::Directory => (format!("dir:{}", text(&folder)), listens()),
            Kind::PlainDirectory => (text(&folder), listens()),
        };
        let user = rustix::process::getuid().as_raw().to_string();
        let group = rustix::process::getgid().as_raw().to_string();
        let options = options.iter().map(|option| match *option {
            "USER" => user.clone(),
            "GROUP" => group.clone(),
            option => option.to_owned(),
        });
        let arguments: Vec<String> = ["listen".to_owned(), address].into_iter().chain(options).collect();
        let mut command = mpsr(&arguments);
        command.stdin(Stdio::null());
        if let Some(listener) = passed {
            // As a service manager does: the socket is descriptor 3, and the environment names it.
            command = Command::new("sh");
            let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=in exec "$0" "$@""#;
            command.args(["-c", script, env!("CARGO_BIN_EXE_mpsr")]).args(&arguments).stdin(OwnedFd::from(listener));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { directory, command, producer }
    }
}

impl Producer {
    /// A connection, as soon as there is a receiver, unless it has ended.
    pub(crate) fn connect(self, listen: &mut Running) -> io::Result<UnixStream> {
        match self {
            Self::Listens(listener) => listener.accept().map(|(stream, _)| stream),
            Self::Connects(address) => loop {
                match UnixStream::connect_addr(&address) {
                    Err(_) if !listen.has_ended() => std::thread::yield_now(),
                    connected => return connected,
                }
            },
        }
    }
}
