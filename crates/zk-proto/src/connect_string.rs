//! The connect string: which servers there are, and which node the client takes for the root.

use std::{fmt, str::FromStr};

use crate::path::{self, PathError};

/// The port of a server that names none.
const DEFAULT_PORT: u16 = 2181;

/// A parsed `host:port,host:port/chroot`.
///
/// A host is a name, an IPv4 address, or an IPv6 address in brackets. The port is 2181 where none is given. White space around
/// a server is ignored. This is the format of Apache's clients; `dns-srv://` names are not supported.
///
/// ```
/// use zk_proto::ConnectString;
///
/// let parsed: ConnectString = "zk1, [fd00::2]:2182/app".parse().unwrap();
/// assert_eq!(parsed.servers()[0].to_string(), "zk1:2181");
/// assert_eq!((parsed.servers()[1].host(), parsed.servers()[1].port()), ("fd00::2", 2182));
/// assert_eq!(parsed.chroot(), Some("/app"));
/// assert_eq!(parsed.to_string(), "zk1:2181,[fd00::2]:2182/app");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectString {
    servers: Vec<Server>,
    chroot: Option<Box<str>>,
}

/// One server of a [`ConnectString`]. Prints as `host:port`, with brackets around an IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    host: Box<str>,
    port: u16,
}

/// What is wrong with a connect string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectStringError {
    /// Nothing stands where a server should.
    #[error("a server has no host; write host:port,host:port")]
    NoHost,
    /// A host name with white space or control characters.
    #[error("a host contains white space or a control character")]
    Host,
    /// An IPv6 address without brackets: where it ends and the port begins cannot be told.
    #[error("an IPv6 address must stand in brackets: [::1]:2181")]
    NoBrackets,
    /// A bracket is not closed.
    #[error("an IPv6 address has no closing ']'")]
    Unclosed,
    /// What is in brackets is no IPv6 address. Zones (`%eth0`) are not supported.
    #[error("what is in brackets is not an IPv6 address")]
    NotIpv6,
    /// Something other than a port follows the brackets.
    #[error("something other than ':port' follows the ']'")]
    AfterBracket,
    /// A port that is not a number from 1 to 65535.
    #[error("a port is not a number from 1 to 65535")]
    Port,
    /// What follows the servers is not a path that a server accepts.
    #[error("what follows the servers is not a valid path: {0}")]
    Chroot(PathError),
}

impl ConnectString {
    /// The servers, in the order in which they are written; at least one.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The path that the client takes for the root; `None` if it is the root itself. It is valid, and not `/`.
    #[must_use]
    pub fn chroot(&self) -> Option<&str> {
        self.chroot.as_deref()
    }
}

impl Server {
    /// The name or the address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ConnectString {
    type Err = ConnectStringError;

    fn from_str(given: &str) -> Result<Self, ConnectStringError> {
        let (servers, chroot) = match given.find('/') {
            Some(slash) => given.split_at(slash),
            None => (given, ""),
        };
        let chroot = match chroot {
            "" | "/" => None,
            chroot => match path::flaw(chroot) {
                None => Some(chroot.into()),
                Some(flaw) => return Err(ConnectStringError::Chroot(flaw)),
            },
        };
        let servers = servers.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { servers, chroot })
    }
}

/// One `host`, `host:port`, `[address]` or `[address]:port`.
impl FromStr for Server {
    type Err = ConnectStringError;

    fn from_str(given: &str) -> Result<Self, ConnectStringError> {
        let given = given.trim();
        let (host, port) = match given.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(ConnectStringError::Unclosed)?;
                host.parse::<core::net::Ipv6Addr>().map_err(|_| ConnectStringError::NotIpv6)?;
                match port {
                    "" => (host, None),
                    port => (host, Some(port.strip_prefix(':').ok_or(ConnectStringError::AfterBracket)?)),
                }
            }
            None => match given.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(ConnectStringError::NoBrackets),
                Some((host, port)) => (host, Some(port)),
                None => (given, None),
            },
        };
        if host.is_empty() {
            return Err(ConnectStringError::NoHost);
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ConnectStringError::Host);
        }
        let port = match port {
            None => DEFAULT_PORT,
            // Digits only: `parse` would take a sign, too.
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port != 0).ok_or(ConnectStringError::Port)?
            }
            Some(_) => return Err(ConnectStringError::Port),
        };
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for ConnectString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, server) in self.servers.iter().enumerate() {
            let separator = if n == 0 { "" } else { "," };
            write!(f, "{separator}{server}")?;
        }
        f.write_str(self.chroot().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &str) -> Result<ConnectString, ConnectStringError> {
        given.parse()
    }

    #[test]
    fn servers_are_told_apart_and_get_the_default_port() {
        let names = |given| parse(given).unwrap().servers().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("zk1:2182, zk2 ,10.0.0.3"), ["zk1:2182", "zk2:2181", "10.0.0.3:2181"]);
        assert_eq!(names("[::1]:99,[fe80::1]"), ["[::1]:99", "[fe80::1]:2181"]);
    }

    #[test]
    fn a_path_behind_the_servers_is_the_chroot() {
        let chroot = |given| parse(given).unwrap().chroot().map(str::to_owned);
        assert_eq!(chroot("a:1,b:2/app/x").as_deref(), Some("/app/x"));
        assert_eq!((chroot("a"), chroot("a/")), (None, None));
        assert_eq!(parse("a:1,b:2/app").unwrap().to_string(), "a:1,b:2/app");
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        for given in ["a", "a,b:9", "[::1]", "[::1]:1,10.0.0.1:65535/x/y"] {
            let parsed = parse(given).unwrap();
            assert_eq!(parse(&parsed.to_string()), Ok(parsed));
        }
    }

    #[test]
    fn nonsense_is_rejected_with_a_reason() {
        use ConnectStringError::*;
        for (given, reason) in [
            ("", NoHost),
            (",", NoHost),
            ("a,", NoHost),
            (":1", NoHost),
            ("/", NoHost),
            ("/app", NoHost),
            ("a:", Port),
            ("a:0", Port),
            ("a:65536", Port),
            ("a:b", Port),
            ("a:-1", Port),
            ("a:+1", Port),
            ("a b:1", Host),
            ("a\u{1b}b", Host),
            ("::1", NoBrackets),
            ("[::1", Unclosed),
            ("[a]:1", NotIpv6),
            ("[fe80::1%1]:1", NotIpv6),
            ("[::1]x", AfterBracket),
            ("a/b/", Chroot(PathError::TrailingSlash)),
            ("a//", Chroot(PathError::TrailingSlash)),
            ("a/./b", Chroot(PathError::RelativeComponent)),
        ] {
            assert_eq!(parse(given), Err(reason), "{given:?}");
        }
    }
}
