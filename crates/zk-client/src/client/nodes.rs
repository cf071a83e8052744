//! Requests about single nodes.

use zk_proto::{
    Acl, Delete, Exists, GetAcl, GetAllChildrenNumber, GetChildren, GetChildren2, GetData, GetEphemerals, Names, Node,
    SetAcl, SetData, Stat, Sync,
};

use super::Client;
use crate::{
    create::{CreateMode, Created, NewNode},
    error::Error,
    payload::{Payload, Version},
    pending::Pending,
};

/// Each method lists the codes with which the server may reject it ([`Error::Rejected`]). In addition, it fails with
/// any error that keeps the request from being sent or answered.
impl Client {
    /// Creates a node. The server appends a [number](Created::sequence) to the path of a sequential node.
    ///
    /// # Errors
    ///
    /// `NodeExists`; `NoNode` if the parent is missing; `NoChildrenForEphemerals`; `NoAuth` according to the parent's
    /// list; `InvalidAcl`; `Unimplemented` for a time to live that the server does not have enabled, which then closes
    /// the connection.
    pub fn create<'a>(
        &self,
        path: &str,
        data: impl Into<Payload<'a>>,
        mode: CreateMode,
        acl: &[Acl<'_>],
    ) -> Pending<Created> {
        self.new_node("create", path, data.into(), mode, acl, false)
    }

    /// Like [`create`](Self::create), but also returns the node's [history](Created::stat) (3.5).
    ///
    /// # Errors
    ///
    /// See [`create`](Self::create).
    pub fn create_with_stat<'a>(
        &self,
        path: &str,
        data: impl Into<Payload<'a>>,
        mode: CreateMode,
        acl: &[Acl<'_>],
    ) -> Pending<Created> {
        self.new_node("create with stat", path, data.into(), mode, acl, true)
    }

    fn new_node(
        &self,
        operation: &'static str,
        path: &str,
        data: Payload<'_>,
        mode: CreateMode,
        acl: &[Acl<'_>],
        stat: bool,
    ) -> Pending<Created> {
        let listed: usize = acl.iter().map(|entry| entry.scheme.len() + entry.id.len()).sum();
        // A server that knows one kind of node need not know another.
        let operation = match mode {
            CreateMode::Container => "create a container",
            CreateMode::Ttl(_) | CreateMode::SequentialTtl(_) => "create a node with a time to live",
            _ => operation,
        };
        let node = NewNode { path: self.path(path), data: data.0, acl, mode, stat };
        self.request(operation, path, data.len() + listed, &node)
            .localized(|created, about| created.localize(about.chroot.as_deref(), &about.path))
    }

    /// Reads a node.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn get(&self, path: &str) -> Pending<Node> {
        self.request("get", path, 0, &GetData { path: self.path(path), watch: false })
    }

    /// Writes a node's data.
    ///
    /// # Errors
    ///
    /// `NoNode`, `BadVersion`, `NoAuth`; [`Error::Invalid`] for version −1.
    pub fn set<'a>(&self, path: &str, data: impl Into<Payload<'a>>, version: Version) -> Pending<Stat> {
        let data = data.into();
        match version.on_the_wire() {
            Ok(version) => {
                self.request("set", path, data.len(), &SetData { path: self.path(path), data: data.0, version })
            }
            Err(error) => Pending::rejected(Error::Invalid(error)),
        }
    }

    /// Deletes a node that has no children.
    ///
    /// # Errors
    ///
    /// `NoNode`, `BadVersion`, `NotEmpty`, `NoAuth` according to the parent's list; [`Error::Invalid`] for version −1.
    pub fn delete(&self, path: &str, version: Version) -> Pending<()> {
        match version.on_the_wire() {
            Ok(version) => self.request("delete", path, 0, &Delete { path: self.path(path), version }),
            Err(error) => Pending::rejected(Error::Invalid(error)),
        }
    }

    /// Returns a node's history; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// `NoAuth` from servers since 3.8.4 and 3.9.2.
    pub fn exists(&self, path: &str) -> Pending<Option<Stat>> {
        self.request("exists", path, 0, &Exists { path: self.path(path), watch: false })
    }

    /// Lists the names of a node's children, in no particular order.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn children(&self, path: &str) -> Pending<Names> {
        self.request("children", path, 0, &GetChildren { path: self.path(path), watch: false })
    }

    /// Lists the names of a node's children, in no particular order, and returns the node's own history.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn children_with_stat(&self, path: &str) -> Pending<(Names, Stat)> {
        self.request("children with stat", path, 0, &GetChildren2 { path: self.path(path), watch: false })
    }

    /// Counts the nodes below a node, itself excluded (3.6).
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn all_children_number(&self, path: &str) -> Pending<i32> {
        self.request("all children number", path, 0, &GetAllChildrenNumber { path: self.path(path) })
    }

    /// Lists this session's ephemeral nodes whose paths begin with the text `prefix`; `/` lists all of them (3.6).
    ///
    /// # Errors
    ///
    /// None of its own.
    pub fn ephemerals(&self, prefix: &str) -> Pending<Names> {
        let request = GetEphemerals { prefix: Some(self.path(prefix)) };
        self.request("ephemerals", prefix, 0, &request).localized(|names, about| {
            if about.chroot.is_some() {
                *names = names.iter().map(|path| about.localize(path)).collect();
            }
        })
    }

    /// Reads a node's access control list and its history. Without the `ADMIN` permission, the server hides the secrets
    /// in it.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn get_acl(&self, path: &str) -> Pending<(Vec<Acl<'static>>, Stat)> {
        self.request("get acl", path, 0, &GetAcl { path: self.path(path) })
    }

    /// Writes a node's access control list. `version` is the version of the list: [`Stat::aversion`].
    ///
    /// # Errors
    ///
    /// `NoNode`, `BadVersion`, `NoAuth`, `InvalidAcl`; [`Error::Invalid`] for version −1.
    pub fn set_acl(&self, path: &str, acl: &[Acl<'_>], version: AclVersion) -> Pending<Stat> {
        let listed: usize = acl.iter().map(|entry| entry.scheme.len() + entry.id.len()).sum();
        match version.0.on_the_wire() {
            Ok(version) => {
                self.request("set acl", path, listed, &SetAcl { path: self.path(path), acl: Some(acl.into()), version })
            }
            Err(error) => Pending::rejected(Error::Invalid(error)),
        }
    }

    /// Waits until the server of this connection has applied everything that the leader had executed. Later reads are
    /// not older than that.
    ///
    /// # Errors
    ///
    /// None of its own.
    pub fn sync(&self, path: &str) -> Pending<()> {
        self.request("sync", path, 0, &Sync { path: Some(self.path(path)) })
    }
}

/// The version of an access control list that a change applies to; not to be confused with the [`Version`] of a node's
/// data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AclVersion(Version);

impl AclVersion {
    /// Any version.
    pub const ANY: Self = Self(Version::Any);

    /// This version: a node's [`aversion`](Stat::aversion). −1 is an error, and nothing is sent.
    #[must_use]
    pub const fn is(aversion: i32) -> Self {
        Self(Version::Is(aversion))
    }
}
