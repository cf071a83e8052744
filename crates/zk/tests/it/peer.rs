//! A server of one page: it grants sessions, answers pings, what concerns watches of earlier connections and the end of a session, and
//! leaves the rest to the test.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
};

use zk_proto::{
    Children, ChildrenStat, ConnectRequest, ConnectResponse, Data, ErrorCode, Names, OpCode, Password, Record,
    ReplyHeader, Request, RequestHeader, SessionId, Stat, WatcherEvent, Xid, Zxid, jute::Reader,
};

use crate::running::LIMIT;

/// What to do with a request.
pub(crate) enum Act {
    /// Answer with this record.
    Reply(Vec<u8>),
    /// Reject it.
    Reject(ErrorCode),
    /// Answer with this record, and then send these events.
    Then(Vec<u8>, Vec<WatcherEvent<'static>>),
    /// Answer with this record, and then end the connection.
    Last(Vec<u8>),
    /// Say nothing.
    Silence,
    /// End the connection.
    HangUp,
}

/// A server on a port of its own. Its threads end with the connections that they serve.
pub(crate) struct Peer {
    pub(crate) address: String,
    /// The operations that arrived, pings left out.
    seen: Receiver<OpCode>,
    /// Whether the last connection said that a read-only server will do.
    read_only: Arc<AtomicBool>,
}

impl Peer {
    /// Serves connections one after the other, with this answer to each request. The first argument is the number of the
    /// connection, from 0 on.
    pub(crate) fn start(act: impl Fn(usize, &Request<'_>) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, seen) = mpsc::channel();
        let read_only = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&read_only);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                // It ends when the client does, in whatever way.
                let _ = serve(&mut stream.unwrap(), &sender, &asked, |request| act(number, request));
            }
        });
        Self { address, seen, read_only }
    }

    /// Waits until this operation arrives.
    pub(crate) fn saw(&self, op: OpCode) {
        while self.seen.recv_timeout(LIMIT).expect("the operation arrives") != op {}
    }

    /// Whether the last connection said that a read-only server will do.
    pub(crate) fn read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// The operations that have arrived so far.
    pub(crate) fn seen(&self) -> Vec<OpCode> {
        self.seen.try_iter().collect()
    }
}

fn serve(
    stream: &mut TcpStream,
    seen: &mpsc::Sender<OpCode>,
    read_only: &AtomicBool,
    act: impl Fn(&Request<'_>) -> Act,
) -> io::Result<()> {
    let connect = frame(stream)?;
    let asked = ConnectRequest::from_bytes(&connect).unwrap();
    read_only.store(asked.read_only == Some(true), Ordering::Relaxed);
    let granted = ConnectResponse {
        protocol_version: 0,
        timeout_ms: asked.timeout_ms,
        session: SessionId(0x77),
        password: Password::new(&[7; 16][..]),
        // A server without a quorum, to those who accept one.
        read_only: asked.read_only,
    };
    send(stream, &granted.to_bytes())?;
    loop {
        let bytes = frame(stream)?;
        let mut reader = Reader::new(&bytes);
        let header = RequestHeader::decode(&mut reader).unwrap();
        let op = OpCode::from_code(header.op).unwrap();
        let request = Request::decode(op, &mut reader).unwrap();
        let act = match op {
            OpCode::Ping | OpCode::CloseSession | OpCode::SetWatches | OpCode::SetWatches2 | OpCode::RemoveWatches => {
                Act::Reply(Vec::new())
            }
            _ => act(&request),
        };
        if op != OpCode::Ping {
            // The test may have ended.
            let _ = seen.send(op);
        }
        let reply = |err, body: &[u8]| {
            let mut frame = ReplyHeader { xid: header.xid, zxid: Zxid(9), err }.to_bytes();
            frame.extend_from_slice(body);
            frame
        };
        match act {
            Act::Reply(body) => send(stream, &reply(0, &body))?,
            Act::Reject(code) => send(stream, &reply(code.code(), &[]))?,
            Act::Then(body, events) => {
                send(stream, &reply(0, &body))?;
                for event in events {
                    let mut frame = ReplyHeader { xid: Xid::NOTIFICATION, zxid: Zxid(8), err: 0 }.to_bytes();
                    frame.extend_from_slice(&event.to_bytes());
                    send(stream, &frame)?;
                }
            }
            Act::Last(body) => return send(stream, &reply(0, &body)),
            Act::Silence => {}
            Act::HangUp => return Ok(()),
        }
        if op == OpCode::CloseSession {
            return Ok(());
        }
    }
}

fn frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn send(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    stream.write_all(&[&u32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat())
}

/// The answer to `get`.
pub(crate) fn data(data: Option<&[u8]>) -> Act {
    Act::Reply(Data { data, stat: Stat::default() }.to_bytes())
}

/// The answer to `ls`.
pub(crate) fn children(names: &[&str]) -> Act {
    let names = Some(names.iter().copied().collect::<Names>());
    Act::Reply(ChildrenStat { names, stat: Stat::default() }.to_bytes())
}

/// The answer to each listing of a tree.
pub(crate) fn names(names: &[&str]) -> Act {
    Act::Reply(Children { names: Some(names.iter().copied().collect::<Names>()) }.to_bytes())
}
