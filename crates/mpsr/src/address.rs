//! The addresses of the command line: a kind, a colon, a name.

use std::{os::unix::ffi::OsStrExt as _, path::PathBuf, str::FromStr};

use uds_actor::{Address, Bind, Connect};

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A socket of ours.
    Socket(Address),
    /// A directory of other people's sockets.
    Directory(PathBuf),
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket(pub(crate) Address);

impl Socket {
    pub(crate) fn bind(&self) -> Bind {
        bind(&self.0)
    }

    pub(crate) fn connect(&self) -> Connect {
        Connect::to(self.0.clone())
    }
}

pub(crate) fn bind(address: &Address) -> Bind {
    match address {
        Address::Abstract(name) => Bind::abstract_name(name.clone()),
        Address::Systemd(name) => Bind::systemd(name.clone()),
        Address::Path(path) => Bind::path(path),
        _ => unreachable!("these are the addresses that are parsed"),
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

/// The same for a place of the funnel.
pub(crate) fn exact_place(place: &mpsr_server::Place) -> Vec<u8> {
    match place {
        mpsr_server::Place::Socket(address) => exact(address),
        mpsr_server::Place::Directory(path) => [b"dir:", path.as_os_str().as_bytes()].concat(),
        _ => unreachable!("these are the places that are parsed"),
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("dir:") {
            return if path.is_empty() { Err(empty("dir:/PATH")) } else { Ok(Self::Directory(path.into())) };
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return if name.is_empty() {
                Err(empty("systemd:NAME"))
            } else {
                Ok(Self::Socket(Address::Systemd(name.to_owned())))
            };
        }
        if !text.starts_with("unix:") {
            return Err(format!("an address begins with unix:, dir: or systemd:{}", hint(text)));
        }
        text.parse().map(|Socket(address)| Self::Socket(address))
    }
}

impl FromStr for Socket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix("unix:") else {
            return Err(format!("the address of a socket begins with unix:{}", hint(text)));
        };
        match name.strip_prefix('@') {
            Some("") => Err(empty("unix:@NAME")),
            Some(name) => Ok(Self(Address::Abstract(name.as_bytes().to_vec()))),
            None if name.is_empty() => Err(empty("unix:/PATH")),
            None => Ok(Self(Address::Path(name.into()))),
        }
    }
}

fn empty(form: &str) -> String {
    format!("a name is missing: {form}")
}

/// For those who typed a plain path.
fn hint(text: &str) -> String {
    if text.contains('/') { format!("; for the socket {text}, write unix:{text}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let socket = |address| Ok(Place::Socket(address));
        assert_eq!("unix:/run/a".parse(), socket(Address::Path("/run/a".into())));
        assert_eq!("unix:relative".parse(), socket(Address::Path("relative".into())));
        assert_eq!("unix:@a".parse(), socket(Address::Abstract(b"a".to_vec())));
        assert_eq!("systemd:a".parse(), socket(Address::Systemd("a".into())));
        assert_eq!("dir:/run".parse(), Ok(Place::Directory("/run".into())));
    }

    #[test]
    fn a_plain_path_is_refused_with_the_form_to_write() {
        let refusal = "/run/a".parse::<Place>().unwrap_err();
        assert!(refusal.contains("unix:/run/a"), "{refusal}");
    }
}
