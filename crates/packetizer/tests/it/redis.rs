//! The Redis example against a real `redis-server`.
#![cfg(feature = "tokio")]

#[path = "../../examples/redis.rs"]
#[expect(dead_code, reason = "the example has a main of its own")]
mod example;

use std::{
    path::PathBuf,
    process::{Child, Command as Process, Stdio},
    time::Duration,
};

use example::{Command, Value, client};
use tokio::{net::UnixStream, time::timeout};

struct Server {
    process: Child,
    directory: PathBuf,
}

impl Server {
    /// `None`: there is no `redis-server` on this machine.
    async fn start() -> Option<(Self, UnixStream)> {
        let directory = std::env::temp_dir().join(format!("packetizer-redis-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory of its own");
        let socket = directory.join("redis.sock");
        let process = Process::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"])
            .arg(&directory)
            .arg("--unixsocket")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let _ = std::fs::remove_dir_all(&directory);
                return None;
            }
            Err(error) => panic!("redis-server cannot be started: {error}"),
        };
        let server = Self { process, directory };
        let mut waited = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..500 {
            waited.tick().await;
            if let Ok(stream) = UnixStream::connect(&socket).await {
                return Some((server, stream));
            }
        }
        panic!("redis-server did not listen within 10 s");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn a_real_server_answers_each_command_in_its_order() {
    let Some((_server, stream)) = Server::start().await else {
        eprintln!("SKIPPED: there is no redis-server here");
        return;
    };
    let redis = client(stream);
    let bulk = |bytes: &[u8]| Value::Bulk(bytes.to_vec().into());
    let large = vec![b'x'; 500_000];
    let cases: [(&[&[u8]], Value); 9] = [
        (&[b"SET", b"k", b"v\r\n\0"], Value::Simple("OK".into())),
        (&[b"GET", b"k"], bulk(b"v\r\n\0")),
        (&[b"GET", b"none"], Value::Nil),
        (&[b"SET", b"large", &large], Value::Simple("OK".into())),
        (&[b"GET", b"large"], bulk(&large)),
        (&[b"INCR", b"n"], Value::Int(1)),
        (&[b"RPUSH", b"l", b"", b"b"], Value::Int(2)),
        (&[b"LRANGE", b"l", b"0", b"-1"], Value::Array(vec![bulk(b""), bulk(b"b")])),
        (&[b"EVAL", b"return {1, {2, {}}, false}", b"0"], {
            let inner = Value::Array(vec![Value::Int(2), Value::Array(vec![])]);
            Value::Array(vec![Value::Int(1), inner, Value::Nil])
        }),
    ];
    // All at once, and every second of some more is dropped.
    let calls: Vec<_> = cases.iter().map(|(words, _)| redis.call(&Command(words))).collect();
    let counted: Vec<_> = (0..2000).map(|_| redis.call(&Command(&[b"INCR", b"many"]))).collect();
    let wrong = redis.call(&Command(&[b"NONSENSE"]));
    for (call, (words, expected)) in calls.into_iter().zip(cases) {
        assert_eq!(
            timeout(Duration::from_secs(20), call).await.expect("in time").expect("a reply"),
            expected,
            "{words:?}"
        );
    }
    let mut kept = Vec::new();
    for (n, call) in (1_i64..).zip(counted) {
        if n % 2 == 0 {
            kept.push((n, call));
        }
    }
    for (n, call) in kept {
        assert_eq!(timeout(Duration::from_secs(20), call).await.expect("in time").expect("a reply"), Value::Int(n));
    }
    let wrong = timeout(Duration::from_secs(20), wrong).await.expect("in time").expect("a reply");
    assert!(matches!(&wrong, Value::Error(text) if text.starts_with("ERR unknown command")), "{wrong:?}");
}
