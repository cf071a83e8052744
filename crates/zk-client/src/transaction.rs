//! Transactions: several changes at once, or none of them.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use packetizer::{Call, TicketOf};
use zk_proto::{
    Acl, Check, Create, Create2, CreateContainer, CreateTtl, Delete, ErrorCode, Multi, MultiOp, Outcome, Session,
    SetData, Stat, session::Context,
};

use crate::{
    client::Client,
    create::{CreateMode, Created, millis},
    error::{Error, Result},
    payload::{Payload, Version},
    pending::Pending,
};

impl Client {
    /// Begins a transaction: either all of its operations are executed, in order and at once, or none is.
    pub fn transaction(&self) -> Transaction<'_> {
        Transaction::new(self)
    }
}

/// The result of one operation of a transaction that was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Done {
    /// A node was created.
    Created(Created),
    /// A node was written; its new history.
    Set(Stat),
    /// A node was deleted.
    Deleted,
    /// The node had the version that the operation named.
    Checked,
}

/// Operations of which either all are executed, in order and at once, or none is. Each operation sees the effects of
/// those before it.
///
/// ```no_run
/// # async fn example(zk: zk_client::Client) -> zk_client::Result<()> {
/// use zk_client::{Acl, CreateMode, Version};
///
/// zk.transaction()
///     .check("/leader", Version::Is(3))
///     .create("/jobs/1", "payload", CreateMode::Persistent, Acl::OPEN)
///     .delete("/queue/1", Version::Any)
///     .commit()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a transaction does nothing before it is committed"]
pub struct Transaction<'a> {
    client: &'a Client,
    ops: Vec<MultiOp<'a>>,
    /// The paths as the caller sees them.
    paths: Vec<&'a str>,
    len: usize,
    /// The first error in an operation.
    flaw: Option<zk_proto::Error>,
}

impl<'a> Transaction<'a> {
    pub(crate) const fn new(client: &'a Client) -> Self {
        Self { client, ops: Vec::new(), paths: Vec::new(), len: 0, flaw: None }
    }

    fn add(mut self, path: &'a str, len: usize, op: impl Into<MultiOp<'a>>) -> Self {
        self.ops.push(op.into());
        self.paths.push(path);
        self.len = self.len.saturating_add(path.len()).saturating_add(len);
        self
    }

    /// The version on the wire. [`commit`](Self::commit) reports an invalid one.
    fn version(&mut self, version: Version) -> i32 {
        version.on_the_wire().unwrap_or_else(|flaw| {
            self.flaw.get_or_insert(flaw);
            zk_proto::ANY_VERSION
        })
    }

    /// Creates a node.
    pub fn create(self, path: &'a str, data: impl Into<Payload<'a>>, mode: CreateMode, acl: &'a [Acl<'a>]) -> Self {
        let data = data.into();
        let len = data.len() + acl.iter().map(|entry| entry.scheme.len() + entry.id.len()).sum::<usize>();
        let (on_server, data, acl, flags) = (self.client.path(path), data.0, Some(acl.into()), mode.wire().flags());
        let op: MultiOp<'a> = match mode {
            CreateMode::Container => CreateContainer { path: on_server, data, acl, flags }.into(),
            CreateMode::Ttl(ttl) | CreateMode::SequentialTtl(ttl) => {
                CreateTtl { path: on_server, data, acl, flags, ttl: millis(ttl) }.into()
            }
            _ => Create { path: on_server, data, acl, flags }.into(),
        };
        self.add(path, len, op)
    }

    /// Creates a node, and asks for its history, which servers before 3.9 do not send.
    pub fn create_with_stat(
        self,
        path: &'a str,
        data: impl Into<Payload<'a>>,
        mode: CreateMode,
        acl: &'a [Acl<'a>],
    ) -> Self {
        match mode {
            CreateMode::Container | CreateMode::Ttl(_) | CreateMode::SequentialTtl(_) => {
                self.create(path, data, mode, acl)
            }
            _ => {
                let data = data.into();
                let len = data.len() + acl.iter().map(|entry| entry.scheme.len() + entry.id.len()).sum::<usize>();
                let on_server = self.client.path(path);
                let flags = mode.wire().flags();
                self.add(path, len, Create2 { path: on_server, data: data.0, acl: Some(acl.into()), flags })
            }
        }
    }

    /// Writes a node's data.
    pub fn set(mut self, path: &'a str, data: impl Into<Payload<'a>>, version: Version) -> Self {
        let (data, version) = (data.into(), self.version(version));
        let on_server = self.client.path(path);
        self.add(path, data.len(), SetData { path: on_server, data: data.0, version })
    }

    /// Deletes a node that has no children.
    pub fn delete(mut self, path: &'a str, version: Version) -> Self {
        let version = self.version(version);
        let on_server = self.client.path(path);
        self.add(path, 0, Delete { path: on_server, version })
    }

    /// Makes the transaction fail unless a node exists and has this version.
    pub fn check(mut self, path: &'a str, version: Version) -> Self {
        let version = self.version(version);
        let on_server = self.client.path(path);
        self.add(path, 0, Check { path: on_server, version })
    }

    /// Sends the transaction. Its place in the order of requests is that of this call. The results are in the order of
    /// the operations.
    ///
    /// # Errors
    ///
    /// [`Error::Transaction`] names the operation that failed; then nothing was executed. Otherwise, any error that
    /// keeps the request from being sent or answered.
    pub fn commit(self) -> impl Future<Output = Result<Vec<Done>>> + Send + 'static + use<> {
        let pending = match self.flaw {
            Some(flaw) => Pending::rejected(Error::Invalid(flaw)),
            None => self.client.request("transaction", "", self.len, &Commit(Multi { ops: self.ops })),
        };
        let paths: Vec<Box<str>> = self.paths.iter().map(|path| (*path).into()).collect();
        let chroot = self.client.chroot.clone();
        async move {
            match pending.await? {
                Committed::Failed { index, code } => {
                    let path = paths.get(index).cloned().unwrap_or_default();
                    Err(Error::Transaction { index, path, code })
                }
                Committed::Done(mut done) => {
                    for (done, path) in done.iter_mut().zip(&paths) {
                        if let Done::Created(created) = done {
                            created.localize(chroot.as_deref(), path);
                        }
                    }
                    Ok(done)
                }
            }
        }
    }
}

/// The request of a transaction.
struct Commit<'a>(Multi<'a>);

impl Call for Commit<'_> {
    type Protocol = Session;
    type Reply = std::result::Result<Committed, ErrorCode>;

    fn encode(
        &self,
        session: &mut Session,
        frame: &mut BytesMut,
    ) -> std::result::Result<TicketOf<Session>, zk_proto::Error> {
        Call::encode(&self.0, session, frame)
    }

    fn decode(context: Context, frame: Bytes) -> std::result::Result<Self::Reply, zk_proto::Error> {
        Ok(<Multi<'_> as Call>::decode(context, frame)?.map(Committed::new))
    }
}

/// The server's reply to a transaction.
pub(crate) enum Committed {
    Done(Vec<Done>),
    /// The first operation that failed.
    Failed {
        index: usize,
        code: ErrorCode,
    },
}

impl Committed {
    fn new(outcomes: Vec<Outcome>) -> Self {
        let failed = outcomes.iter().enumerate().find_map(|(index, outcome)| match outcome {
            Outcome::Failed(code) => Some((index, *code)),
            _ => None,
        });
        // If a server names none of the operations that were not executed, we know no more than that.
        let not_executed = || outcomes.iter().position(|outcome| *outcome == Outcome::NotExecuted);
        match failed.or_else(|| not_executed().map(|index| (index, ErrorCode::RuntimeInconsistency))) {
            Some((index, code)) => Self::Failed { index, code },
            None => Self::Done(outcomes.into_iter().filter_map(done).collect()),
        }
    }
}

fn done(outcome: Outcome) -> Option<Done> {
    Some(match outcome {
        Outcome::Created(path, stat) => Done::Created(Created { path, sequence: None, stat }),
        Outcome::Set(stat) => Done::Set(stat),
        Outcome::Deleted => Done::Deleted,
        Outcome::Checked => Done::Checked,
        _ => return None,
    })
}
