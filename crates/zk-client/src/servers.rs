//! The connect string: the servers, and the client's root node.

use crate::error::Error;

/// The default port.
const DEFAULT_PORT: u16 = 2181;

/// A parsed connect string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Servers {
    /// Each name includes a port.
    pub(crate) names: Vec<String>,
    /// A valid path other than the root.
    pub(crate) chroot: Option<Box<str>>,
}

/// Splits `host:port,host:port/chroot`.
///
/// A host may be a name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn parse(given: &str) -> Result<Servers, Error> {
    let wrong = |reason| Error::ConnectString { given: given.into(), reason };
    let (servers, chroot) = match given.find('/') {
        Some(slash) => given.split_at(slash),
        None => (given, ""),
    };
    let chroot = match chroot {
        "" | "/" => None,
        path => {
            zk_proto::path::validate(path).map_err(|_| wrong("what follows the servers is not a valid path"))?;
            Some(path.into())
        }
    };
    let names = servers.split(',').map(|server| parse_one(server.trim()).map_err(wrong)).collect::<Result<_, _>>()?;
    Ok(Servers { names, chroot })
}

fn parse_one(server: &str) -> Result<String, &'static str> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("an IPv6 address has no closing ']'")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "what is in brackets is not an IPv6 address")?;
            match port {
                "" => (host, None),
                _ => (host, Some(port.strip_prefix(':').ok_or("something other than ':port' follows the ']'")?)),
            }
        }
        None => match server.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("an IPv6 address must stand in brackets: [::1]:2181"),
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    if host.is_empty() {
        return Err("a server has no host; write host:port,host:port");
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a host contains white space");
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("a port is not a number from 1 to 65535")?,
    };
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_and_get_the_usual_port() {
        let names = |given| parse(given).unwrap().names;
        assert_eq!(names("zk1:2182, zk2 ,10.0.0.3"), ["zk1:2182", "zk2:2181", "10.0.0.3:2181"]);
        assert_eq!(names("[::1]:99,[fe80::1]"), ["[::1]:99", "[fe80::1]:2181"]);
    }

    #[test]
    fn a_path_behind_the_servers_is_the_chroot() {
        let chroot = |given| parse(given).unwrap().chroot;
        assert_eq!(chroot("a:1,b:2/app/x").as_deref(), Some("/app/x"));
        assert_eq!((chroot("a"), chroot("a/")), (None, None));
        assert_eq!(parse("a:1,b:2/app").unwrap().names, ["a:1", "b:2"]);
    }

    #[test]
    fn nonsense_is_rejected_with_a_reason() {
        for given in [
            "", ",", "a,", "a:", "a:0", "a:65536", "a:b", ":1", "a b:1", "::1", "[::1", "[a]:1", "[::1]x", "a/b/",
            "a//", "a/./b", "/", "/app", "a:-1", "a\u{1b}b",
        ] {
            let error = parse(given).unwrap_err();
            assert!(matches!(&error, Error::ConnectString { given: g, .. } if g == given), "{given}: {error}");
        }
    }
}
