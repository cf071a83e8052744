//! Strategies for records, requests, replies and whole conversations, and the laws of a record (feature `proptest`).
//! Use them to test your own proxy, server or client.
//!
//! ```
//! use proptest::prelude::*;
//! use zk_proto::testing;
//!
//! /// Puts a request into the log: what you want to test.
//! fn describe(frame: &[u8]) -> String {
//!     format!("{} bytes", frame.len())
//! }
//!
//! proptest!(|(conversation in testing::conversation(), garbage in testing::hostile())| {
//!     for exchange in &conversation {
//!         prop_assert!(describe(&exchange.asked).ends_with("bytes"));
//!     }
//!     describe(&garbage);
//! });
//! ```
//!
//! Decoded records borrow from the bytes that they are read from. The records that these strategies make borrow from
//! memory that is leaked.

use std::borrow::Cow;

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    Acl, AclStat, AddWatch, Auth, Check, CheckWatches, Children, ChildrenStat, ClientInfo, CloseSession,
    ConnectRequest, ConnectResponse, Create, Create2, CreateContainer, CreateTtl, Created, CreatedStat, Data, Delete,
    ErrorResponse, Exists, GetAcl, GetAllChildrenNumber, GetChildren, GetChildren2, GetData, GetEphemerals, Identities,
    Multi, MultiOp, MultiRead, MultiReply, MultiResult, Names, Nothing, OpCode, Password, Permissions, Ping, Reconfig,
    Record, RemoveWatches, ReplyHeader, Request, RequestHeader, Response, Sasl, SaslToken, SessionId, SetAcl, SetData,
    SetWatches, SetWatches2, Stat, Sync, Synced, TotalNumber, WatcherEvent, WhoAmI, Zxid, jute::Reader,
};

/// Any text, and paths.
pub fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![".{0,12}", "(/[a-z]{1,5}){1,3}"].prop_map(Cow::Owned)
}

/// A path that servers accept.
pub fn path() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![Just("/".to_owned()), "(/[a-z0-9äé .]{0,3}[a-z]){1,4}"].prop_map(Cow::Owned)
}

/// Bytes or null.
pub fn buffer() -> impl Strategy<Value = Option<&'static [u8]>> {
    option::of(
        prop_oneof![9 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 4000..5000)].prop_map(|bytes| &*bytes.leak()),
    )
}

fn nullable_text() -> impl Strategy<Value = Option<Cow<'static, str>>> {
    option::of(text())
}

fn names() -> impl Strategy<Value = Option<Names>> {
    option::of(vec(text(), 0..6).prop_map(Names::from_iter))
}

fn paths() -> impl Strategy<Value = crate::Paths<'static>> {
    option::of(vec(path(), 0..4).prop_map(Cow::Owned))
}

/// A password, of the usual length or another.
pub fn password() -> impl Strategy<Value = Password<'static>> {
    prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 0..20)].prop_map(Password::new)
}

/// An entry of an access control list.
pub fn acl() -> impl Strategy<Value = Acl<'static>> {
    (any::<i32>(), text(), text()).prop_map(|(bits, scheme, id)| Acl { permissions: Permissions(bits), scheme, id })
}

fn acls() -> impl Strategy<Value = Option<Cow<'static, [Acl<'static>]>>> {
    option::of(vec(acl(), 0..4).prop_map(Cow::Owned))
}

prop_compose! {
    /// A node's history.
    pub fn stat()(longs in any::<[i64; 6]>(), ints in any::<[i32; 5]>()) -> Stat {
        let [czxid, mzxid, ctime, mtime, owner, pzxid] = longs;
        let [version, cversion, aversion, data_length, num_children] = ints;
        Stat {
            czxid: Zxid(czxid),
            mzxid: Zxid(mzxid),
            ctime,
            mtime,
            version,
            cversion,
            aversion,
            ephemeral_owner: SessionId(owner),
            data_length,
            num_children,
            pzxid: Zxid(pzxid),
        }
    }
}

/// The first request of a connection.
pub fn connect_request() -> impl Strategy<Value = ConnectRequest<'static>> {
    (any::<(i32, i64, i32, i64)>(), password(), any::<Option<bool>>()).prop_map(
        |((protocol_version, zxid, timeout_ms, session), password, read_only)| ConnectRequest {
            protocol_version,
            last_zxid_seen: Zxid(zxid),
            timeout_ms,
            session: SessionId(session),
            password,
            read_only,
        },
    )
}

/// The reply to a connect request.
pub fn connect_response() -> impl Strategy<Value = ConnectResponse<'static>> {
    (any::<(i32, i32, i64)>(), password(), any::<Option<bool>>()).prop_map(
        |((protocol_version, timeout_ms, session), password, read_only)| ConnectResponse {
            protocol_version,
            timeout_ms,
            session: SessionId(session),
            password,
            read_only,
        },
    )
}

/// A notification.
pub fn watcher_event() -> impl Strategy<Value = WatcherEvent<'static>> {
    (prop_oneof![1..5_i32, any::<i32>()], prop_oneof![Just(3), any::<i32>()], path())
        .prop_map(|(kind, state, path)| WatcherEvent { kind, state, path })
}

/// Fields that many requests share.
type Parts = (Cow<'static, str>, Option<&'static [u8]>, Option<Cow<'static, [Acl<'static>]>>, i32, i64, bool);

fn parts() -> impl Strategy<Value = Parts> {
    let number = prop_oneof![-1..8_i32, any::<i32>()];
    (path(), buffer(), acls(), number, any::<i64>(), any::<bool>())
}

/// An operation of a transaction.
pub fn multi_op() -> impl Strategy<Value = MultiOp<'static>> {
    (0..7_u8, parts()).prop_map(|(which, (path, data, acl, number, ttl, _))| match which {
        0 => Create { path, data, acl, flags: number }.into(),
        1 => Create2 { path, data, acl, flags: number }.into(),
        2 => CreateContainer { path, data, acl, flags: number }.into(),
        3 => CreateTtl { path, data, acl, flags: number, ttl }.into(),
        4 => Delete { path, version: number }.into(),
        5 => SetData { path, data, version: number }.into(),
        _ => Check { path, version: number }.into(),
    })
}

fn read_op() -> impl Strategy<Value = MultiOp<'static>> {
    (any::<bool>(), parts()).prop_map(|(data, (path, .., watch))| {
        if data { GetData { path, watch }.into() } else { GetChildren { path, watch }.into() }
    })
}

fn multi_result() -> impl Strategy<Value = MultiResult<'static>> {
    (0..8_u8, parts(), stat(), names()).prop_map(|(which, (path, data, _, number, ..), stat, names)| match which {
        0 => MultiResult::Created(Created { path }),
        1 => MultiResult::CreatedStat(CreatedStat { path, stat }),
        2 => MultiResult::Deleted,
        3 => MultiResult::Set(stat),
        4 => MultiResult::Checked,
        5 => MultiResult::Data(Data { data, stat }),
        6 => MultiResult::Children(Children { names }),
        _ => MultiResult::Error(number),
    })
}

/// An operation.
pub fn op() -> impl Strategy<Value = OpCode> {
    select(OpCode::ALL)
}

/// Any request.
pub fn request() -> impl Strategy<Value = Request<'static>> {
    op().prop_flat_map(request_of)
}

/// A request of this operation.
pub fn request_of(op: OpCode) -> BoxedStrategy<Request<'static>> {
    if let OpCode::Multi = op {
        return vec(multi_op(), 0..5).prop_map(|ops| Request::Multi(Multi { ops })).boxed();
    }
    if let OpCode::MultiRead = op {
        return vec(read_op(), 0..5).prop_map(|ops| Request::MultiRead(MultiRead { ops })).boxed();
    }
    if let OpCode::SetWatches | OpCode::SetWatches2 = op {
        return (any::<i64>(), [paths(), paths(), paths(), paths(), paths()])
            .prop_map(move |(zxid, [data, exist, child, persistent, persistent_recursive])| {
                let relative_zxid = Zxid(zxid);
                if op == OpCode::SetWatches {
                    return Request::SetWatches(SetWatches { relative_zxid, data, exist, child });
                }
                let all = SetWatches2 { relative_zxid, data, exist, child, persistent, persistent_recursive };
                Request::SetWatches2(all)
            })
            .boxed();
    }
    (parts(), nullable_text(), nullable_text(), nullable_text())
        .prop_map(move |((path, data, acl, number, long, watch), joining, leaving, members)| match op {
            OpCode::Create => Request::Create(Create { path, data, acl, flags: number }),
            OpCode::Create2 => Request::Create2(Create2 { path, data, acl, flags: number }),
            OpCode::CreateContainer => Request::CreateContainer(CreateContainer { path, data, acl, flags: number }),
            OpCode::CreateTtl => Request::CreateTtl(CreateTtl { path, data, acl, flags: number, ttl: long }),
            OpCode::Delete => Request::Delete(Delete { path, version: number }),
            OpCode::Check => Request::Check(Check { path, version: number }),
            OpCode::Exists => Request::Exists(Exists { path, watch }),
            OpCode::GetData => Request::GetData(GetData { path, watch }),
            OpCode::SetData => Request::SetData(SetData { path, data, version: number }),
            OpCode::GetAcl => Request::GetAcl(GetAcl { path }),
            OpCode::SetAcl => Request::SetAcl(SetAcl { path, acl, version: number }),
            OpCode::GetChildren => Request::GetChildren(GetChildren { path, watch }),
            OpCode::GetChildren2 => Request::GetChildren2(GetChildren2 { path, watch }),
            OpCode::Sync => Request::Sync(Sync { path: joining }),
            OpCode::Reconfig => Request::Reconfig(Reconfig { joining, leaving, members, from_config: long }),
            OpCode::CheckWatches => Request::CheckWatches(CheckWatches { path, kind: number }),
            OpCode::RemoveWatches => Request::RemoveWatches(RemoveWatches { path, kind: number }),
            OpCode::Auth => Request::Auth(Auth { kind: number, scheme: path, proof: data }),
            OpCode::Sasl => Request::Sasl(Sasl { token: data }),
            OpCode::GetEphemerals => Request::GetEphemerals(GetEphemerals { prefix: joining }),
            OpCode::GetAllChildrenNumber => Request::GetAllChildrenNumber(GetAllChildrenNumber { path }),
            OpCode::AddWatch => Request::AddWatch(AddWatch { path, mode: number }),
            OpCode::Ping => Request::Ping(Ping),
            OpCode::WhoAmI => Request::WhoAmI(WhoAmI),
            OpCode::CloseSession => Request::CloseSession(CloseSession),
            OpCode::Multi | OpCode::MultiRead | OpCode::SetWatches | OpCode::SetWatches2 => Request::Ping(Ping),
        })
        .boxed()
}

/// A reply to this operation that is not an error.
pub fn response_of(op: OpCode) -> BoxedStrategy<Response<'static>> {
    let identities = option::of(
        vec((text(), text()).prop_map(|(scheme, user)| ClientInfo { scheme, user }), 0..3).prop_map(Cow::Owned),
    );
    (parts(), stat(), names(), vec(multi_result(), 0..5), nullable_text(), identities)
        .prop_map(move |((path, data, acl, number, ..), stat, names, results, nullable, identities)| match op {
            OpCode::Create => Response::Create(Created { path }),
            OpCode::Create2 => Response::Create2(CreatedStat { path, stat }),
            OpCode::CreateContainer => Response::CreateContainer(CreatedStat { path, stat }),
            OpCode::CreateTtl => Response::CreateTtl(CreatedStat { path, stat }),
            OpCode::Delete => Response::Delete(Nothing),
            OpCode::Check => Response::Check(Nothing),
            OpCode::Exists => Response::Exists(stat),
            OpCode::GetData => Response::GetData(Data { data, stat }),
            OpCode::SetData => Response::SetData(stat),
            OpCode::GetAcl => Response::GetAcl(AclStat { acl, stat }),
            OpCode::SetAcl => Response::SetAcl(stat),
            OpCode::GetChildren => Response::GetChildren(Children { names }),
            OpCode::GetChildren2 => Response::GetChildren2(ChildrenStat { names, stat }),
            OpCode::Sync => Response::Sync(Synced { path: nullable }),
            OpCode::Multi => Response::Multi(MultiReply { results }),
            OpCode::MultiRead => Response::MultiRead(MultiReply { results }),
            OpCode::Reconfig => Response::Reconfig(Data { data, stat }),
            OpCode::CheckWatches => Response::CheckWatches(Nothing),
            OpCode::RemoveWatches => Response::RemoveWatches(Nothing),
            OpCode::Auth => Response::Auth(Nothing),
            OpCode::SetWatches => Response::SetWatches(Nothing),
            OpCode::SetWatches2 => Response::SetWatches2(Nothing),
            OpCode::Sasl => Response::Sasl(SaslToken { token: data }),
            OpCode::GetEphemerals => Response::GetEphemerals(Children { names }),
            OpCode::GetAllChildrenNumber => Response::GetAllChildrenNumber(TotalNumber { total: number }),
            OpCode::AddWatch => Response::AddWatch(ErrorResponse { err: number }),
            OpCode::WhoAmI => Response::WhoAmI(Identities { identities }),
            OpCode::Ping => Response::Ping(Nothing),
            OpCode::CloseSession => Response::CloseSession(Nothing),
        })
        .boxed()
}

/// Any reply that is not an error.
pub fn response() -> impl Strategy<Value = Response<'static>> {
    op().prop_flat_map(response_of)
}

/// A request with its header, and the frame that answers it, both without a length prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The request.
    pub request: Request<'static>,
    /// The request's frame.
    pub asked: Vec<u8>,
    /// The reply's frame.
    pub answered: Vec<u8>,
}

/// What a client and a server exchange after the handshake: requests with the numbers that clients assign, each with a
/// reply that may be an error.
pub fn conversation() -> impl Strategy<Value = Vec<Exchange>> {
    let exchange = op().prop_flat_map(|op| {
        let err = prop_oneof![4 => Just(0), 1 => prop_oneof![-130..-1_i32, any::<i32>()]];
        (request_of(op), response_of(op), err, any::<i64>())
    });
    vec(exchange, 0..20).prop_map(|exchanges| {
        let mut xids = crate::Xids::default();
        let frames = exchanges.into_iter().map(|(request, response, err, zxid)| {
            let xid = match request.op().xid() {
                crate::XidRule::Fixed(xid) => xid,
                crate::XidRule::Next => xids.take(),
            };
            let mut asked = RequestHeader { xid, op: request.op().code() }.to_bytes();
            request.encode(&mut asked);
            let mut answered = ReplyHeader { xid, zxid: Zxid(zxid), err }.to_bytes();
            if err == 0 {
                response.encode(&mut answered);
            }
            Exchange { request, asked, answered }
        });
        frames.collect()
    })
}

/// Bytes that occasionally look like records: small numbers, lengths that fit, lengths that do not.
pub fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => (0..6_i32).prop_map(|n| n.to_be_bytes().to_vec()),
        1 => Just(vec![0xff; 4]),
        1 => Just(i32::MAX.to_be_bytes().to_vec()),
        1 => any::<i32>().prop_map(|n| n.to_be_bytes().to_vec()),
        2 => Just(b"/a".to_vec()),
        2 => vec(any::<u8>(), 0..8),
        1 => Just(vec![0; 68]),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A request that is encoded and decoded is the same request.
///
/// # Errors
///
/// The law that was broken.
pub fn check_request(request: &Request<'static>) -> Result<(), TestCaseError> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    let bytes: &'static [u8] = bytes.leak();
    let mut reader = Reader::new(bytes);
    prop_assert_eq!(&Request::decode(request.op(), &mut reader), &Ok(request.clone()));
    prop_assert_eq!(reader.left(), 0, "a record is read to its end");
    for len in 0..bytes.len() {
        let prefix = Request::decode(request.op(), &mut Reader::new(bytes.get(..len).unwrap_or_default()));
        prop_assert!(prefix.is_err(), "{} of {} bytes are taken for all", len, bytes.len());
    }
    Ok(())
}

/// A reply that is encoded and decoded is the same reply.
///
/// # Errors
///
/// The law that was broken.
pub fn check_response(response: &Response<'static>) -> Result<(), TestCaseError> {
    let mut bytes = Vec::new();
    response.encode(&mut bytes);
    let bytes: &'static [u8] = bytes.leak();
    let mut reader = Reader::new(bytes);
    prop_assert_eq!(&Response::decode(response.op(), &mut reader), &Ok(response.clone()));
    prop_assert_eq!(reader.left(), 0, "a record is read to its end");
    for len in 0..bytes.len() {
        let prefix = Response::decode(response.op(), &mut Reader::new(bytes.get(..len).unwrap_or_default()));
        prop_assert!(prefix.is_err(), "{} of {} bytes are taken for all", len, bytes.len());
    }
    Ok(())
}
