//! Requests that leave a watch.

use std::future::Future;

use packetizer::Call;
use zk_proto::{
    AddWatch, AddWatchMode, ErrorCode, Exists, GetChildren2, GetData, Names, Node, Session, Stat,
    session::{LeavesWatch, Watching},
};

use super::Client;
use crate::{
    error::Result,
    pending::Pending,
    sink::Sink,
    watch::{Claim, Watch, WatchMode, Watches},
};

/// As with all other methods, the request is made when you call the method. The watch comes with its reply. If you drop
/// the future, there is no watch.
impl Client {
    /// Reads a node, and watches for the next change of its data or for its deletion.
    ///
    /// # Errors
    ///
    /// See [`get`](Self::get). On an error, there is no watch.
    pub fn get_and_watch(&self, path: &str) -> impl Future<Output = Result<(Node, Watch)>> + Send + 'static + use<> {
        self.once("get and watch", path, GetData { path: self.path(path), watch: true }).finish()
    }

    /// Returns a node's history, and watches for the next change of its data or for its deletion; if it does not exist,
    /// for its creation.
    ///
    /// # Errors
    ///
    /// See [`exists`](Self::exists). On an error, there is no watch.
    pub fn exists_and_watch(
        &self,
        path: &str,
    ) -> impl Future<Output = Result<(Option<Stat>, Watch)>> + Send + 'static + use<> {
        self.once("exists and watch", path, Exists { path: self.path(path), watch: true }).finish()
    }

    /// Lists a node's children and returns its history, and watches for the next child that is created or deleted, or
    /// for the node's own deletion.
    ///
    /// # Errors
    ///
    /// See [`children`](Self::children). On an error, there is no watch.
    pub fn children_and_watch(
        &self,
        path: &str,
    ) -> impl Future<Output = Result<((Names, Stat), Watch)>> + Send + 'static + use<> {
        self.once("children and watch", path, GetChildren2 { path: self.path(path), watch: true }).finish()
    }

    /// Watches a node or a tree until you drop the stream or the session ends (3.6). The node need not exist. The
    /// stream yields every change that the server makes after this request.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) from servers before 3.6.
    pub fn watch(&self, path: &str, mode: WatchMode) -> impl Future<Output = Result<Watches>> + Send + 'static + use<> {
        let (sink, events) = Sink::stream(self.inner.max_events, self.chroot.clone());
        let claim = Claim::new(&self.inner.handle, &self.inner.link, sink);
        let mode = match mode {
            WatchMode::Node => AddWatchMode::Persistent,
            WatchMode::Tree => AddWatchMode::PersistentRecursive,
        };
        let call = AddWatch { path: self.path(path), mode: mode.number() };
        let reply: Pending<()> = self.request("watch", path, 0, &Watching { call, user: claim.id() });
        async move {
            reply.await?;
            Ok(Watches::new(events, claim))
        }
    }

    /// Makes a request for a one-shot watch.
    fn once<T, C>(&self, operation: &'static str, path: &str, call: C) -> Once<T>
    where
        C: LeavesWatch + Call<Protocol = Session, Reply = std::result::Result<T, ErrorCode>>,
    {
        let (sink, event) = Sink::once(self.chroot.clone());
        let claim = Claim::new(&self.inner.handle, &self.inner.link, sink);
        let reply = self.request(operation, path, 0, &Watching { call, user: claim.id() });
        Once { reply, watch: Watch::new(event, claim) }
    }
}

/// A request for a one-shot watch.
struct Once<T> {
    reply: Pending<T>,
    watch: Watch,
}

impl<T> Once<T> {
    async fn finish(self) -> Result<(T, Watch)> {
        Ok((self.reply.await?, self.watch))
    }
}
