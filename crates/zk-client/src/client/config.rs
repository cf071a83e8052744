//! The configuration of the ensemble: which servers are its members.

use std::borrow::Cow;

use zk_proto::{GetData, Node, Reconfig, Zxid};

use super::Client;
use crate::pending::Pending;

/// The node with the configuration; no chroot applies to it.
const CONFIG: &str = "/zookeeper/config";

/// A change of the members of the ensemble, in the syntax of ZooKeeper's configuration files:
/// `server.4=host:2888:3888:participant;2181`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconfiguration<'a> {
    /// Adds servers, and removes others. Each list has commas in between; an empty one changes nothing.
    Change {
        /// The servers to add, or to change.
        joining: &'a str,
        /// The ids of the servers to remove: `1,2`.
        leaving: &'a str,
    },
    /// Replaces the whole list of members, with commas in between.
    Replace(&'a str),
}

impl Client {
    /// Returns the configuration of the ensemble, in the syntax of ZooKeeper's configuration files; empty for a single
    /// server (3.5).
    ///
    /// # Errors
    ///
    /// `NoNode` from servers before 3.5.
    pub fn config(&self) -> Pending<Node> {
        self.request("config", CONFIG, 0, &GetData { path: CONFIG.into(), watch: false })
    }

    /// Changes the members of the ensemble, and returns the new configuration (3.5). With `from`, only if the configuration has this
    /// version, which is the number in its last line (`version=100000004`, hexadecimal).
    ///
    /// The identity needs the permission `WRITE` on `/zookeeper/config`, and the servers `reconfigEnabled`.
    ///
    /// # Errors
    ///
    /// `ReconfigDisabled`, `NoAuth`, `BadArguments`, `BadVersion`, `ReconfigInProgress`, `NewConfigNoQuorum`;
    /// [`Error::Unsupported`](crate::Error::Unsupported) from servers before 3.5 and from single servers.
    pub fn reconfig(&self, change: Reconfiguration<'_>, from: Option<Zxid>) -> Pending<Node> {
        let given = |list: &str| (!list.is_empty()).then(|| Cow::<'_, str>::Owned(list.to_owned()));
        let (joining, leaving, members) = match change {
            Reconfiguration::Change { joining, leaving } => (given(joining), given(leaving), None),
            Reconfiguration::Replace(members) => (None, None, given(members)),
        };
        let len = [&joining, &leaving, &members].into_iter().flatten().map(|list| list.len()).sum::<usize>();
        let from_config = from.map_or(zk_proto::ANY_CONFIG, |version| version.0);
        self.request("reconfig", CONFIG, len, &Reconfig { joining, leaving, members, from_config })
    }
}
