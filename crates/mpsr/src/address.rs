//! The addresses of the command line: a kind, a colon, a name; or a plain path.

use std::{
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParserFactory};
use uds_actor::{Address, Bind, Connect};

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A socket that we listen on.
    Socket(Address),
    /// A directory of other programs' sockets.
    Directory(PathBuf),
}

/// The receiver's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket(pub(crate) Address);

impl Socket {
    pub(crate) fn bind(&self) -> Bind {
        Bind::at(self.0.clone())
    }

    pub(crate) fn connect(&self) -> Connect {
        Connect::to(self.0.clone())
    }

    fn parse(text: &OsStr) -> Result<Self, String> {
        match Kind::of(text)? {
            Kind::Path(path) => Ok(Self(Address::Path(path.to_owned()))),
            Kind::Abstract(name) => Ok(Self(Address::Abstract(name.to_owned()))),
            Kind::Directory(_) => Err("dir: is for listen, which takes every socket in a directory; \
                                       to send, name one socket"
                .to_owned()),
            Kind::Systemd(name) => Ok(Self(Address::Systemd(name.to_owned()))),
        }
    }
}

impl Place {
    fn parse(text: &OsStr) -> Result<Self, String> {
        Ok(match Kind::of(text)? {
            // A path without a kind means the directory, if there is one.
            Kind::Path(path) if path.as_os_str() == text && path.is_dir() => Self::Directory(path.to_owned()),
            Kind::Path(path) => Self::Socket(Address::Path(path.to_owned())),
            Kind::Abstract(name) => Self::Socket(Address::Abstract(name.to_owned())),
            Kind::Systemd(name) => Self::Socket(Address::Systemd(name.to_owned())),
            Kind::Directory(path) => Self::Directory(path.to_owned()),
        })
    }

    /// Whether both mean the same place, even if they are written differently: by another path, or through a link.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(one), Self::Directory(other)) => one == other || is_same_directory(one, other),
            (Self::Socket(Address::Path(one)), Self::Socket(Address::Path(other))) => {
                one == other
                    || one.file_name() == other.file_name() && is_same_directory(directory_of(one), directory_of(other))
            }
            _ => self == other,
        }
    }

    /// Whether it is a socket with a file, to which options such as mode and group apply.
    pub(crate) const fn has_file(&self) -> bool {
        matches!(self, Self::Socket(Address::Path(_)))
    }

    pub(crate) const fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }
}

/// The directory that contains the last component of this path.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Whether both paths lead to one directory. A directory that does not exist equals no other.
fn is_same_directory(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// What the text means.
enum Kind<'a> {
    Path(&'a Path),
    Abstract(&'a [u8]),
    Systemd(&'a str),
    Directory(&'a Path),
}

impl<'a> Kind<'a> {
    /// A path may be any bytes. Only ASCII can follow the kind of other addresses.
    fn of(text: &'a OsStr) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let path = |bytes| Path::new(OsStr::from_bytes(bytes));
        match kind(bytes) {
            Some((b"unix", [])) => Err(empty("unix:/PATH")),
            Some((b"unix", b"@")) => Err(empty("unix:@NAME")),
            Some((b"unix", [b'@', name @ ..])) => Ok(Self::Abstract(name)),
            Some((b"unix", name)) => Ok(Self::Path(path(name))),
            Some((b"dir", [])) => Err(empty("dir:/PATH")),
            Some((b"dir", name)) => Ok(Self::Directory(path(name))),
            Some((b"systemd", [])) => Err(empty("systemd:NAME")),
            Some((b"systemd", name)) => {
                std::str::from_utf8(name).map(Self::Systemd).map_err(|_| "such a name cannot be passed".to_owned())
            }
            Some((other, _)) => Err(format!(
                "{}: is not a kind of address, those are unix:, dir: and systemd:; for a file of this name, write ./{}",
                other.escape_ascii(),
                text.to_string_lossy().escape_debug(),
            )),
            None => match bytes {
                [] => Err("an address is a path, or unix:, dir: or systemd: and a name".to_owned()),
                [b'@', ..] => Err(format!(
                    "an abstract name is written unix:{0}; for a file of this name, write ./{0}",
                    text.to_string_lossy().escape_debug(),
                )),
                bytes => Ok(Self::Path(path(bytes))),
            },
        }
    }
}

/// The word before the first colon, unless that looks like a path, and what follows the colon.
pub(crate) fn kind(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (kind, name) = (bytes.get(..colon)?, bytes.get(colon + 1..)?);
    let is_word =
        kind.first()?.is_ascii_alphabetic() && kind.iter().all(|b| b.is_ascii_alphanumeric() || b"+-".contains(b));
    is_word.then_some((kind, name))
}

fn empty(form: &str) -> String {
    format!("a name is missing: {form}")
}

impl ValueParserFactory for Place {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().try_map(|text: OsString| Self::parse(&text)).into()
    }
}

impl ValueParserFactory for Socket {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().try_map(|text: OsString| Self::parse(&text)).into()
    }
}

/// An address as it is written on the command line, byte for byte.
pub(crate) fn exact(address: &Address) -> Vec<u8> {
    match address {
        Address::Abstract(name) => [b"unix:@", &name[..]].concat(),
        Address::Systemd(name) => [b"systemd:", name.as_bytes()].concat(),
        Address::Path(path) => [b"unix:", path.as_os_str().as_bytes()].concat(),
        _ => unreachable!("these are the addresses that are parsed"),
    }
}

/// The same for a place from which the funnel receives.
pub(crate) fn exact_place(place: &mpsr_server::Place) -> Vec<u8> {
    match place {
        mpsr_server::Place::Socket(address) => exact(address),
        mpsr_server::Place::Directory(path) => [b"dir:", path.as_os_str().as_bytes()].concat(),
        _ => unreachable!("these are the places that are parsed"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn place(text: impl AsRef<OsStr>) -> Result<Place, String> {
        Place::parse(text.as_ref())
    }

    #[test]
    fn every_form_is_understood() {
        let socket = |address| Ok(Place::Socket(address));
        assert_eq!(place("unix:/run/a"), socket(Address::Path("/run/a".into())));
        assert_eq!(place("unix:relative"), socket(Address::Path("relative".into())));
        assert_eq!(place("unix:@a"), socket(Address::Abstract(b"a".to_vec())));
        assert_eq!(place("systemd:a"), socket(Address::Systemd("a".into())));
        assert_eq!(place("dir:/run"), Ok(Place::Directory("/run".into())));
        let odd = OsString::from_vec(b"unix:/run/\xff".to_vec());
        assert_eq!(place(&odd), socket(Address::Path(OsString::from_vec(b"/run/\xff".to_vec()).into())));
    }

    #[test]
    fn a_plain_path_is_a_directory_if_there_is_one_and_else_a_socket() {
        let top = tempfile::tempdir().unwrap();
        let missing = top.path().join("in.sock");
        assert_eq!(place(top.path()), Ok(Place::Directory(top.path().to_owned())));
        assert_eq!(place(&missing), Ok(Place::Socket(Address::Path(missing.clone()))));
        assert_eq!(Socket::parse(missing.as_os_str()), Ok(Socket(Address::Path(missing))));
        for text in ["in.sock", "./a:b", "dir/a:b", "/tmp/unix:x", "1:2", ".unix:"] {
            assert_eq!(place(text), Ok(Place::Socket(Address::Path(text.into()))));
        }
        // An explicit kind takes precedence.
        let named = format!("unix:{}", top.path().display());
        assert_eq!(place(named), Ok(Place::Socket(Address::Path(top.path().to_owned()))));
    }

    #[test]
    fn an_error_says_what_to_write() {
        for (text, words) in [
            ("", "a path"),
            ("unix:", "unix:/PATH"),
            ("unix:@", "unix:@NAME"),
            ("dir:", "dir:/PATH"),
            ("systemd:", "systemd:NAME"),
            ("@name", "unix:@name"),
            ("unx:/run/a", "unx: is not a kind of address"),
            ("tcp://host:1", "./tcp://host:1"),
        ] {
            let error = place(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let error = Socket::parse("dir:/tmp".as_ref()).unwrap_err();
        assert!(error.contains("name one socket"), "{error}");
    }
}
