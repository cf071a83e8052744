//! A process that was busy or suspended, and a line that is slow, are no reason to give a session up.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::server::{connect, reply, response, soon};
use tokio::time::Instant;
use zk_client::{Client, Unix};
use zk_proto::{Data, Record as _, Stat};

const TIMEOUT_MS: i32 = 1200;

/// Grants a session and answers pings at once. A request it announces, and answers with "no node" when it is told to.
fn serve(mut stream: UnixStream, asked: &mpsc::Sender<()>, go: &mpsc::Receiver<()>) {
    let mut handshake = true;
    loop {
        let mut len = [0; 4];
        if stream.read_exact(&mut len).is_err() {
            return;
        }
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        stream.read_exact(&mut frame).unwrap();
        let xid = i32::from_be_bytes(frame[..4].try_into().unwrap());
        let answer = if handshake { response(TIMEOUT_MS) } else { reply(xid, if xid > 0 { -101 } else { 0 }, b"") };
        if xid > 0 && !handshake {
            asked.send(()).unwrap();
            go.recv().unwrap();
        }
        handshake = false;
        let whole = [&u32::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
        if stream.write_all(&whole).is_err() {
            return;
        }
    }
}

/// The runtime is blocked for longer than the read timeout (two thirds of the session's), with the answer in the socket.
#[tokio::test]
async fn an_answer_that_lies_in_the_socket_is_found_however_late() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zk.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let ((asked, was_asked), (answer, go)) = (mpsc::channel(), mpsc::channel());
    let server = thread::spawn(move || serve(listener.accept().unwrap().0, &asked, &go));
    let zk = Client::builder().connect_with(Unix, [path.to_str().unwrap()]).await.unwrap();
    for round in 0..6 {
        let pending = zk.exists("/a");
        while was_asked.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        // From here on nothing of the client runs, and meanwhile the answer comes.
        answer.send(()).unwrap();
        thread::sleep(Duration::from_millis(TIMEOUT_MS as u64 * 9 / 10));
        assert_eq!(pending.await.unwrap_or_else(|error| panic!("round {round}: {error}")), None);
    }
    let closed = zk.close();
    answer.send(()).unwrap();
    soon(closed).await;
    server.join().unwrap();
}

/// 1 MiB at 100 kB/s, within a session of 9 s: it takes longer than the read timeout, and is answered.
#[tokio::test(start_paused = true)]
async fn a_large_answer_on_a_slow_line_is_waited_for() {
    let (zk, mut server) = connect(Client::builder(), 9000).await;
    let start = Instant::now();
    let pending = zk.get("/large");
    let (xid, ..) = server.request().await;
    let large = vec![7; 1 << 20];
    let body = Data { data: Some(&large), stat: Stat::default() }.to_bytes();
    let answer = reply(xid, 0, &body);
    let whole = [&u32::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
    let slow = tokio::spawn(async move {
        for piece in whole.chunks(10_000) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            server.send_raw(piece).await;
        }
        server
    });
    assert_eq!(soon(pending).await.unwrap().bytes(), large);
    assert!(start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
    drop(soon(slow).await.unwrap());
}
