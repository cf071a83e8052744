//! A server that does what a test tells it, frame by frame.

use std::{future::Future, time::Duration};

use test_kit::soon::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use zk_client::{Builder, Client, InMemory, SessionId};
use zk_proto::{ConnectRequest, ConnectResponse, Password, Record, ReplyHeader, RequestHeader, Xid, Zxid};

pub(crate) const SESSION: SessionId = SessionId(0x1_0000_2345);

pub(crate) struct Server {
    pub(crate) stream: DuplexStream,
}

/// With the clock paused this is far beyond every timeout of the client, and passes at once if nothing happens.
#[track_caller]
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    within(Duration::from_secs(3600), future)
}

/// A client and its server, with a session of `timeout_ms`.
pub(crate) async fn connect(options: Builder, timeout_ms: i32) -> (Client, Server) {
    connect_through(options, timeout_ms, 1 << 16).await
}

/// The same over a stream that holds `buffer` bytes.
pub(crate) async fn connect_through(options: Builder, timeout_ms: i32, buffer: usize) -> (Client, Server) {
    let (connector, mut incoming) = InMemory::new(buffer);
    let serve = async {
        let mut server = Server { stream: incoming.accept().await.expect("the client connects") };
        server.grant(timeout_ms).await;
        server
    };
    let (client, server) =
        soon(async { tokio::join!(options.connect_with(connector.clone(), ["in memory"]), serve) }).await;
    (client.expect("the session is granted"), server)
}

impl Server {
    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        soon(self.try_frame()).await.expect("a frame")
    }

    /// `None` at the end of the stream.
    pub(crate) async fn try_frame(&mut self) -> Option<Vec<u8>> {
        let len = self.stream.read_u32().await.ok()?;
        let mut frame = vec![0; len as usize];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame)
    }

    /// A request: its number, its operation, and the rest.
    pub(crate) async fn request(&mut self) -> (i32, i32, Vec<u8>) {
        let frame = self.frame().await;
        let header = RequestHeader::from_bytes(&frame).expect("a header");
        (header.xid.0, header.op, frame[8..].to_vec())
    }

    pub(crate) async fn send(&mut self, frame: &[u8]) {
        let whole = [&u32::try_from(frame.len()).expect("short").to_be_bytes(), frame].concat();
        self.send_raw(&whole).await;
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.expect("the client reads");
    }

    pub(crate) async fn reply(&mut self, xid: i32, err: i32, body: &[u8]) {
        self.send(&reply(xid, err, body)).await;
    }

    /// Answers the connect request.
    pub(crate) async fn grant(&mut self, timeout_ms: i32) {
        let asked = self.frame().await;
        let asked = ConnectRequest::from_bytes(&asked).expect("a connect request");
        assert_eq!((asked.session, asked.password.as_bytes().len()), (SessionId::NONE, 16));
        self.send(&response(timeout_ms)).await;
    }
}

pub(crate) fn reply(xid: i32, err: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = ReplyHeader { xid: Xid(xid), zxid: Zxid(7), err }.to_bytes();
    frame.extend_from_slice(body);
    frame
}

pub(crate) fn response(timeout_ms: i32) -> Vec<u8> {
    ConnectResponse {
        protocol_version: 0,
        timeout_ms,
        session: SESSION,
        password: Password::new(&[9; 16][..]),
        read_only: Some(false),
    }
    .to_bytes()
}
