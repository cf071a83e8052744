//! Requests about several nodes at once, and operations composed of several requests.

use std::{collections::VecDeque, future::Future};

use zk_proto::{Acl, ClientInfo, ErrorCode, GetChildren, GetData, MultiOp, MultiRead, Names, Node, Outcome, WhoAmI};

use super::Client;
use crate::{
    create::CreateMode,
    error::{Error, Result},
    payload::{Payload, Version},
    pending::Pending,
};

/// How often a tree is listed again if it turns out not to be empty.
const MOST_LISTINGS: usize = 10;

/// The number of concurrent requests.
const WINDOW: usize = 1 << 10;

/// One read of [`Client::multi_read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<'a> {
    /// A node's data.
    Get(&'a str),
    /// The names of a node's children.
    Children(&'a str),
}

/// The result of one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadReply {
    /// A node.
    Node(Node),
    /// The names of a node's children.
    Children(Names),
}

impl Client {
    /// Reads several nodes in one request. Each read can fail on its own (3.6).
    ///
    /// # Errors
    ///
    /// Each read: [`Error::Rejected`] with `NoNode` or `NoAuth`. The whole request: [`Error::Unsupported`] from servers before
    /// 3.6, which then close the connection.
    pub fn multi_read(
        &self,
        reads: &[Read<'_>],
    ) -> impl Future<Output = Result<Vec<Result<ReadReply>>>> + Send + 'static + use<> {
        let op = |read: &Read<'_>| -> MultiOp<'_> {
            match *read {
                Read::Get(path) => GetData { path: self.path(path).into_owned().into(), watch: false }.into(),
                Read::Children(path) => GetChildren { path: self.path(path).into_owned().into(), watch: false }.into(),
            }
        };
        let asked: Vec<(&'static str, Box<str>)> = reads
            .iter()
            .map(|read| match read {
                Read::Get(path) => ("get", (*path).into()),
                Read::Children(path) => ("children", (*path).into()),
            })
            .collect();
        let len = asked.iter().map(|(_, path)| path.len()).sum();
        let call = MultiRead { ops: reads.iter().map(op).collect() };
        let pending = self.request("multi read", "", len, &call);
        async move {
            let outcomes = pending.await?.into_iter().zip(asked);
            Ok(outcomes
                .map(|(outcome, (operation, path))| match outcome {
                    Outcome::Node(node) => Ok(ReadReply::Node(node)),
                    Outcome::Children(names) => Ok(ReadReply::Children(names)),
                    Outcome::Failed(code) => Err(Error::Rejected { operation, path, code }),
                    _ => Err(Error::Rejected { operation, path, code: ErrorCode::RuntimeInconsistency }),
                })
                .collect())
        }
    }

    /// Returns the identities that the server knows for this connection (3.7).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] from servers before 3.7.
    pub fn who_am_i(&self) -> Pending<Vec<ClientInfo<'static>>> {
        self.request("who am i", "", 0, &WhoAmI)
    }

    /// Creates a node and its ancestors, if they do not exist.
    ///
    /// # Errors
    ///
    /// The same as [`create`](Self::create), except for `NodeExists` and `NoNode`.
    ///
    /// # Cancel safety
    ///
    /// Some of the nodes may have been created.
    pub async fn ensure_path(&self, path: &str, acl: &[Acl<'_>]) -> Result<()> {
        if self.exists(path).await?.is_some() {
            return Ok(());
        }
        let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
        let creates: Vec<_> = ends
            .filter_map(|end| path.get(..end))
            .map(|path| self.create(path, Payload::from(&[][..]), CreateMode::Persistent, acl))
            .collect();
        let mut above = Ok(());
        for create in creates {
            match create.await {
                Ok(_) => above = Ok(()),
                Err(error) if error.code() == Some(ErrorCode::NodeExists) => above = Ok(()),
                // An ancestor may exist even so, under a parent that we may not write to.
                Err(error) => above = above.and(Err(error)),
            }
        }
        above
    }

    /// Creates the chroot.
    pub(crate) async fn ensure_chroot(&self, acl: &[Acl<'_>]) -> Result<()> {
        let Some(chroot) = &self.chroot else { return Ok(()) };
        let root = Self { inner: std::sync::Arc::clone(&self.inner), chroot: None };
        root.ensure_path(chroot, acl).await
    }

    /// Deletes a node and every node below it. It also deletes nodes that are created there in the meantime, if it sees
    /// them. A node that does not exist is not an error.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] with `NoAuth`, or with `NotEmpty` and the path of the node that is not empty, if nodes keep
    /// being created. Some nodes are deleted by then.
    ///
    /// # Cancel safety
    ///
    /// Some of the nodes may have been deleted.
    pub async fn delete_recursive(&self, path: &str) -> Result<()> {
        let mut last = Ok(());
        for _ in 0..=MOST_LISTINGS {
            let tree = self.tree(path).await?;
            last = self.delete_all(tree).await?;
            if last.is_ok() {
                return Ok(());
            }
        }
        last
    }

    /// A node and all nodes below it, each after its parent.
    async fn tree(&self, path: &str) -> Result<Vec<String>> {
        let mut tree = vec![path.to_owned()];
        let mut listed = 0;
        let mut pending = VecDeque::new();
        loop {
            while pending.len() < WINDOW
                && let Some(path) = tree.get(listed)
            {
                pending.push_back((listed, self.children(path)));
                listed += 1;
            }
            let Some((index, names)) = pending.pop_front() else { return Ok(tree) };
            let names = match names.await {
                Ok(names) => names,
                Err(error) if error.code() == Some(ErrorCode::NoNode) => continue,
                Err(error) => return Err(error),
            };
            let parent = tree.get(index).map(|path| path.trim_end_matches('/').to_owned()).unwrap_or_default();
            tree.extend(names.iter().map(|name| format!("{parent}/{name}")));
        }
    }

    /// Deletes nodes, the last one first. The inner result is the last node that was not empty.
    async fn delete_all(&self, mut tree: Vec<String>) -> Result<Result<()>> {
        let mut not_empty = Ok(());
        let mut pending = VecDeque::new();
        loop {
            while pending.len() < WINDOW
                && let Some(path) = tree.pop()
            {
                pending.push_back(self.delete(&path, Version::Any));
            }
            let Some(deleted) = pending.pop_front() else { return Ok(not_empty) };
            match deleted.await {
                Ok(()) => {}
                Err(error) if error.code() == Some(ErrorCode::NoNode) => {}
                Err(error) if error.code() == Some(ErrorCode::NotEmpty) => {
                    // The deepest one is the cause: those above it are not empty because of it.
                    not_empty = not_empty.and(Err(error));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
