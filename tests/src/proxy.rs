//! A TCP proxy that breaks connections: at once, or at a chosen byte in either direction.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// No byte is the last.
const UNLIMITED: i64 = i64::MAX;

/// A proxy in front of a server; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes that still pass, in both directions together.
    budget: AtomicI64,
    /// Connections that were accepted.
    accepted: AtomicU64,
    /// Each new value breaks the connections that there are.
    breaks: watch::Sender<u64>,
}

impl Proxy {
    /// A proxy for this server, on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start(server: String) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let breaks = watch::Sender::new(0);
        let shared = Arc::new(Shared { budget: AtomicI64::new(UNLIMITED), accepted: AtomicU64::new(0), breaks });
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Connections that were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Breaks every connection now.
    pub fn break_all(&self) {
        self.shared.breaks.send_modify(|breaks| *breaks += 1);
    }

    /// Breaks every connection once this many more bytes have passed, in both directions together; the bytes before are passed
    /// on. Later connections are not limited.
    pub fn break_after(&self, bytes: u32) {
        self.shared.budget.store(bytes.into(), Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.break_all();
    }
}

async fn accept(listener: TcpListener, server: String, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        // Dropping the client's stream says enough when the server is not there.
        let Ok(server) = TcpStream::connect(&server).await else { continue };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::spawn(pass(from_client, to_server, Arc::clone(&shared)));
        tokio::spawn(pass(from_server, to_client, Arc::clone(&shared)));
    }
}

/// Passes bytes on until one side ends or the connection is to break. Dropping one half after the other closes both.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>) {
    let mut breaks = shared.breaks.subscribe();
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            _ = breaks.changed() => return,
        };
        let Ok(read @ 1..) = read else { return shared.breaks.send_modify(|breaks| *breaks += 1) };
        let before = shared.budget.fetch_sub(i64::try_from(read).unwrap_or(i64::MAX), Ordering::Relaxed);
        let passes = usize::try_from(before.max(0)).unwrap_or(usize::MAX).min(read);
        if to.write_all(bytes.get(..passes).unwrap_or_default()).await.is_err() || passes < read {
            shared.budget.store(UNLIMITED, Ordering::Relaxed);
            shared.breaks.send_modify(|breaks| *breaks += 1);
            return;
        }
    }
}
