//! Which servers there are, and below which node the client works.

use zk_proto::ConnectString;

use crate::error::Error;

/// The servers of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Servers {
    /// In the words of the connector; with a port for TCP.
    pub(crate) names: Vec<String>,
    /// A valid path that is not the root.
    pub(crate) chroot: Option<Box<str>>,
}

/// Splits `host:port,host:port/chroot`.
pub(crate) fn parse(given: &str) -> Result<Servers, Error> {
    let parsed: ConnectString =
        given.parse().map_err(|reason| Error::ConnectString { given: given.to_owned(), reason })?;
    let names = parsed.servers().iter().map(ToString::to_string).collect();
    Ok(Servers { names, chroot: parsed.chroot().map(Into::into) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_string_gives_names_with_ports_and_a_chroot() {
        let servers = parse("zk1,[::1]:99/app").unwrap();
        assert_eq!(servers.names, ["zk1:2181", "[::1]:99"]);
        assert_eq!(servers.chroot.as_deref(), Some("/app"));
        let error = parse("a b").unwrap_err();
        assert!(matches!(&error, Error::ConnectString { given, .. } if given == "a b"), "{error}");
    }
}
