//! A model of a server: one tree, its sessions, and the watches of one connection. It executes frames one by one.

use std::collections::{BTreeMap, BTreeSet};

use zk_proto::{
    AddWatchMode, ConnectRequest, ConnectResponse, Created, Data, ErrorCode, ErrorResponse, EventType, Names, OpCode,
    Password, Record, ReplyHeader, Request, RequestHeader, Response, SessionId, Stat, WatcherEvent, Xid, Zxid,
    jute::Reader,
};
use zk_proto::{Children, ChildrenStat, Nothing, Synced};

pub(crate) type Millis = u64;

/// The server waits for this long for a word from a client, whatever it asks for.
pub(crate) const TIMEOUT: Millis = 9_000;

struct Node {
    stat: Stat,
    data: Vec<u8>,
}

struct Session {
    password: Vec<u8>,
    expires: Millis,
}

/// How the next handshake is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// With the header of a reply.
    Rejects,
    /// By hanging up.
    HangsUp,
    /// With another session, as ClickHouse Keeper does.
    Replaces,
}

/// One connection, as the server sees it.
///
/// From 3.9 on it may have several watches on a path; before, the last one takes the place of the others (ZOOKEEPER-4466).
#[derive(Default)]
pub(crate) struct Connection {
    /// Before 3.9.
    pub(crate) old: bool,
    pub(crate) session: Option<SessionId>,
    pub(crate) once_data: BTreeSet<String>,
    pub(crate) once_child: BTreeSet<String>,
    /// Of the node itself, and of its list of children: kept in two places.
    pub(crate) persistent: BTreeSet<String>,
    pub(crate) persistent_child: BTreeSet<String>,
    pub(crate) recursive: BTreeSet<String>,
    /// Identities that were proved.
    pub(crate) proofs: BTreeSet<Vec<u8>>,
    /// User requests that were executed.
    pub(crate) requests: usize,
    /// Frames to the client.
    pub(crate) out: Vec<Vec<u8>>,
    pub(crate) closed: bool,
}

pub(crate) struct Server {
    nodes: BTreeMap<String, Node>,
    sessions: BTreeMap<SessionId, Session>,
    next_session: i64,
    pub(crate) zxid: i64,
    pub(crate) mood: Mood,
    /// From 3.9 on notifications say which transaction they are of.
    pub(crate) tells_zxid: bool,
    /// How often each write was executed, by the data that names it.
    pub(crate) executed: BTreeMap<Vec<u8>, usize>,
    /// Sessions closed by request.
    pub(crate) closed: BTreeSet<SessionId>,
}

impl Server {
    pub(crate) fn new(tells_zxid: bool) -> Self {
        let root = Node { stat: Stat::default(), data: Vec::new() };
        Self {
            nodes: [("/".to_owned(), root)].into(),
            sessions: BTreeMap::new(),
            next_session: 0x100,
            zxid: 1,
            mood: Mood::Good,
            tells_zxid,
            executed: BTreeMap::new(),
            closed: BTreeSet::new(),
        }
    }

    pub(crate) fn is_alive(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    pub(crate) fn stat(&self, path: &str) -> Option<Stat> {
        self.nodes.get(path).map(|node| node.stat)
    }

    /// Ends the sessions that were not heard of for too long; `true` if there were some.
    pub(crate) fn expire(&mut self, now: Millis) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.expires > now);
        self.sessions.len() < before
    }

    /// Another client writes.
    pub(crate) fn write(&mut self, connection: Option<&mut Connection>, kind: u64, path: &str) {
        let mut idle = Connection::default();
        let connection = connection.unwrap_or(&mut idle);
        match kind % 3 {
            0 => drop(self.create(connection, path, b"other")),
            1 => drop(self.set(connection, path, b"other")),
            _ => drop(self.delete(connection, path)),
        }
    }

    /// Executes one frame.
    pub(crate) fn handle(&mut self, connection: &mut Connection, frame: &[u8], now: Millis) {
        if connection.closed {
            return;
        }
        let Some(session) = connection.session else { return self.shake_hands(connection, frame, now) };
        let Some(alive) = self.sessions.get_mut(&session) else {
            connection.closed = true;
            return;
        };
        alive.expires = now + TIMEOUT;
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).expect("a header");
        let op = OpCode::from_code(header.op).expect("a known operation");
        let request = Request::decode(op, &mut reader).expect("a request");
        if header.xid.0 > 0 && !matches!(op, OpCode::RemoveWatches | OpCode::CloseSession) {
            connection.requests += 1;
        }
        let result = self.execute(connection, session, request);
        let (err, body) = match result {
            Ok(response) => {
                let mut body = Vec::new();
                response.encode(&mut body);
                (0, body)
            }
            Err(code) => (code.code(), Vec::new()),
        };
        let zxid = if op == OpCode::Auth { 0 } else { self.zxid };
        connection.reply(header.xid, zxid, err, &body);
    }

    fn shake_hands(&mut self, connection: &mut Connection, frame: &[u8], now: Millis) {
        let asked = ConnectRequest::from_bytes(frame).expect("a connect request");
        match self.mood {
            Mood::Rejects => {
                connection.out.push(ReplyHeader { xid: Xid(0), zxid: Zxid(0), err: -119 }.to_bytes());
                connection.closed = true;
                return;
            }
            Mood::HangsUp => {
                connection.closed = true;
                return;
            }
            Mood::Good | Mood::Replaces => {}
        }
        assert!(asked.last_zxid_seen.0 <= self.zxid, "the client has seen what has not happened");
        let known = self.sessions.get(&asked.session).is_some_and(|known| known.password == asked.password.as_bytes());
        let (session, password) = if asked.session == SessionId::NONE || self.mood == Mood::Replaces {
            assert!(asked.session != SessionId::NONE || asked.last_zxid_seen == Zxid(0), "a new session begins at 0");
            self.next_session += 1;
            self.zxid += 1;
            (SessionId(self.next_session), self.next_session.to_be_bytes().repeat(2))
        } else if known {
            (asked.session, asked.password.as_bytes().to_vec())
        } else {
            connection.out.push(granted(SessionId::NONE, vec![0; 16], 0));
            connection.closed = true;
            return;
        };
        self.sessions.insert(session, Session { password: password.clone(), expires: now + TIMEOUT });
        connection.session = Some(session);
        connection.out.push(granted(session, password, TIMEOUT as i32));
    }

    fn execute<'a>(
        &mut self,
        connection: &mut Connection,
        session: SessionId,
        request: Request<'a>,
    ) -> Result<Response<'a>, ErrorCode> {
        Ok(match request {
            Request::Create(create) => {
                *self.executed.entry(create.data.unwrap_or_default().to_vec()).or_default() += 1;
                self.create(connection, &create.path, create.data.unwrap_or_default())?;
                Response::Create(Created { path: create.path })
            }
            Request::SetData(set) => {
                *self.executed.entry(set.data.unwrap_or_default().to_vec()).or_default() += 1;
                Response::SetData(self.set(connection, &set.path, set.data.unwrap_or_default())?)
            }
            Request::Delete(delete) => {
                self.delete(connection, &delete.path)?;
                Response::Delete(Nothing)
            }
            Request::Exists(exists) => {
                if exists.watch {
                    connection.watch(Store::Data, &exists.path);
                }
                Response::Exists(self.stat(&exists.path).ok_or(ErrorCode::NoNode)?)
            }
            Request::GetData(get) => {
                let node = self.nodes.get(&*get.path).ok_or(ErrorCode::NoNode)?;
                if get.watch {
                    connection.watch(Store::Data, &get.path);
                }
                // Its reply borrows nothing that is left: the data is that of a leaked copy of a few bytes.
                Response::GetData(Data { data: Some(Vec::leak(node.data.clone())), stat: node.stat })
            }
            Request::GetChildren(get) => {
                let (names, _) = self.children(connection, &get.path, get.watch)?;
                Response::GetChildren(Children { names: Some(names) })
            }
            Request::GetChildren2(get) => {
                let (names, stat) = self.children(connection, &get.path, get.watch)?;
                Response::GetChildren2(ChildrenStat { names: Some(names), stat })
            }
            Request::Sync(sync) => Response::Sync(Synced { path: sync.path }),
            Request::AddWatch(add) => {
                match AddWatchMode::from_number(add.mode) {
                    AddWatchMode::Persistent => connection.watch(Store::Persistent, &add.path),
                    _ => connection.watch(Store::Recursive, &add.path),
                }
                Response::AddWatch(ErrorResponse { err: 0 })
            }
            Request::RemoveWatches(remove) => {
                assert_eq!(remove.kind, 3, "all kinds at once");
                let sets = [
                    &mut connection.once_data,
                    &mut connection.once_child,
                    &mut connection.persistent,
                    &mut connection.persistent_child,
                    &mut connection.recursive,
                ];
                let removed = sets.into_iter().filter_map(|set| set.take(&*remove.path)).count();
                if removed == 0 {
                    return Err(ErrorCode::NoWatcher);
                }
                Response::RemoveWatches(Nothing)
            }
            Request::SetWatches(set) => {
                let none = || Some(Vec::new().into());
                self.restore(connection, set.relative_zxid, [set.data, set.exist, set.child, none(), none()]);
                Response::SetWatches(Nothing)
            }
            Request::SetWatches2(set) => {
                let lists = [set.data, set.exist, set.child, set.persistent, set.persistent_recursive];
                self.restore(connection, set.relative_zxid, lists);
                Response::SetWatches2(Nothing)
            }
            Request::Auth(auth) => {
                connection.proofs.insert(auth.proof.unwrap_or_default().to_vec());
                Response::Auth(Nothing)
            }
            Request::Ping(_) => Response::Ping(Nothing),
            Request::CloseSession(_) => {
                self.zxid += 1;
                self.sessions.remove(&session);
                self.closed.insert(session);
                Response::CloseSession(Nothing)
            }
            other => panic!("the model does not know {other:?}"),
        })
    }

    fn children(&self, connection: &mut Connection, path: &str, watch: bool) -> Result<(Names, Stat), ErrorCode> {
        let stat = self.stat(path).ok_or(ErrorCode::NoNode)?;
        if watch {
            connection.watch(Store::Child, path);
        }
        Ok((self.nodes.keys().filter(|child| *child != "/" && parent(child) == path).collect(), stat))
    }

    fn restore(
        &self,
        connection: &mut Connection,
        Zxid(seen): Zxid,
        [data, exist, child, persistent, recursive]: [zk_proto::Paths<'_>; 5],
    ) {
        for path in data.expect("a list").iter() {
            match self.stat(path) {
                None => connection.tell(EventType::Deleted, path, -1),
                Some(stat) if stat.mzxid.0 > seen => connection.tell(EventType::DataChanged, path, -1),
                Some(_) => connection.watch(Store::Data, path),
            }
        }
        for path in exist.expect("a list").iter() {
            match self.stat(path) {
                Some(_) => connection.tell(EventType::Created, path, -1),
                None => connection.watch(Store::Data, path),
            }
        }
        for path in child.expect("a list").iter() {
            match self.stat(path) {
                None => connection.tell(EventType::Deleted, path, -1),
                Some(stat) if stat.pzxid.0 > seen => connection.tell(EventType::ChildrenChanged, path, -1),
                Some(_) => connection.watch(Store::Child, path),
            }
        }
        persistent.expect("a list").iter().for_each(|path| connection.watch(Store::Persistent, path));
        recursive.expect("a list").iter().for_each(|path| connection.watch(Store::Recursive, path));
    }

    fn create(&mut self, connection: &mut Connection, path: &str, data: &[u8]) -> Result<(), ErrorCode> {
        self.zxid += 1;
        if self.nodes.contains_key(path) {
            return Err(ErrorCode::NodeExists);
        }
        let zxid = Zxid(self.zxid);
        self.nodes.get_mut(parent(path)).ok_or(ErrorCode::NoNode)?.stat.pzxid = zxid;
        let stat = Stat { czxid: zxid, mzxid: zxid, pzxid: zxid, ..Stat::default() };
        self.nodes.insert(path.to_owned(), Node { stat, data: data.to_vec() });
        self.fire(connection, EventType::Created, path);
        Ok(())
    }

    fn set(&mut self, connection: &mut Connection, path: &str, data: &[u8]) -> Result<Stat, ErrorCode> {
        self.zxid += 1;
        let node = self.nodes.get_mut(path).ok_or(ErrorCode::NoNode)?;
        node.stat.mzxid = Zxid(self.zxid);
        node.stat.version += 1;
        node.data = data.to_vec();
        let stat = node.stat;
        self.fire(connection, EventType::DataChanged, path);
        Ok(stat)
    }

    fn delete(&mut self, connection: &mut Connection, path: &str) -> Result<(), ErrorCode> {
        self.zxid += 1;
        if self.nodes.keys().any(|child| *child != "/" && parent(child) == path) {
            return Err(ErrorCode::NotEmpty);
        }
        self.nodes.remove(path).ok_or(ErrorCode::NoNode)?;
        self.nodes.get_mut(parent(path)).expect("it had a parent").stat.pzxid = Zxid(self.zxid);
        self.fire(connection, EventType::Deleted, path);
        Ok(())
    }

    /// Tells the connection of a change, by the rules of 3.9.
    fn fire(&self, connection: &mut Connection, event: EventType, path: &str) {
        let zxid = if self.tells_zxid { self.zxid } else { -1 };
        let mut above = Some(path);
        let mut in_tree = false;
        while let Some(path) = above {
            in_tree |= connection.recursive.contains(path);
            above = (path != "/").then(|| parent(path));
        }
        let data = connection.once_data.remove(path) | connection.persistent.contains(path) | in_tree;
        if data {
            connection.tell(event, path, zxid);
        }
        if event == EventType::Deleted {
            let child = connection.once_child.remove(path) | connection.persistent_child.contains(path);
            if child && !data {
                connection.tell(event, path, zxid);
            }
        }
        if event != EventType::DataChanged {
            let parent = parent(path);
            if connection.once_child.remove(parent) | connection.persistent_child.contains(parent) {
                connection.tell(EventType::ChildrenChanged, parent, zxid);
            }
        }
    }
}

/// Where a watch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Data,
    Child,
    Persistent,
    Recursive,
}

impl Connection {
    fn watch(&mut self, store: Store, path: &str) {
        let (data, child) = (store != Store::Child, store != Store::Data);
        if self.old && data {
            self.once_data.remove(path);
            self.persistent.remove(path);
            self.recursive.remove(path);
        }
        if self.old && child {
            self.once_child.remove(path);
            self.persistent_child.remove(path);
        }
        match store {
            Store::Data => drop(self.once_data.insert(path.to_owned())),
            Store::Child => drop(self.once_child.insert(path.to_owned())),
            Store::Persistent => {
                self.persistent.insert(path.to_owned());
                self.persistent_child.insert(path.to_owned());
            }
            Store::Recursive => drop(self.recursive.insert(path.to_owned())),
        }
    }

    fn reply(&mut self, xid: Xid, zxid: i64, err: i32, body: &[u8]) {
        self.out.push([&ReplyHeader { xid, zxid: Zxid(zxid), err }.to_bytes()[..], body].concat());
    }

    fn tell(&mut self, event: EventType, path: &str, zxid: i64) {
        let body = WatcherEvent { kind: event.number(), state: 3, path: path.into() }.to_bytes();
        self.reply(Xid::NOTIFICATION, zxid, 0, &body);
    }
}

fn granted(session: SessionId, password: Vec<u8>, timeout_ms: i32) -> Vec<u8> {
    let password = Password::new(password);
    ConnectResponse { protocol_version: 0, timeout_ms, session, password, read_only: Some(false) }.to_bytes()
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(end) => &path[..end],
    }
}
