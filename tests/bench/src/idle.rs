//! Many silent connections: what each of them costs.

use std::{future::poll_fn, io::Write as _, os::unix::net::UnixStream, path::PathBuf, task::Poll, time::Duration};

use anyhow::{Context as _, Result, ensure};
use frame_codec::{Intake, LengthPrefixed, Limits as FrameLimits, Pump, PumpEvent};
use futures_util::StreamExt as _;
use mpsr_server::{Event, Funnel, Limits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{net::UnixListener, sync::mpsc, task::spawn_blocking};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use uds_actor::Bind;

use crate::{
    conduct::Player,
    meter::{heap, resident},
    payload::Stamped,
    role::{self, Role},
    runtime::Flavour,
    socket::listen,
};

const PAYLOAD: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// Connections of a funnel.
    Ours,
    /// The buffers of the same number of connections and nothing else: what a `Pump` reports.
    Buffers,
    /// A task per connection, with a `FramedRead` and a channel to one receiver.
    Framed,
    /// A task per connection that waits until the socket is readable and has no buffer: the lower limit.
    Bare,
}

pub(crate) const CONTENDERS: [Contender; 4] = [Contender::Ours, Contender::Buffers, Contender::Framed, Contender::Bare];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    path: PathBuf,
    connections: usize,
}

/// Bytes of the server process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Memory {
    heap: u64,
    resident: u64,
}

/// Bytes per connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) contender: Contender,
    pub(crate) connections: usize,
    /// Allocated, before any producer has sent anything.
    pub(crate) heap_fresh: f64,
    /// Physical memory of the server's process, then.
    pub(crate) resident_fresh: f64,
    /// The same after each has sent one message and fallen silent.
    pub(crate) heap_quiet: f64,
    pub(crate) resident_quiet: f64,
}

/// Descriptors that a process has besides its connections.
const SPARE: u64 = 64;

/// How many connections the limit on descriptors allows, at most `wanted`.
pub(crate) fn affordable(wanted: usize) -> usize {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).saturating_sub(SPARE);
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX))
}

pub(crate) fn run(contender: Contender, connections: usize) -> Result<Finding> {
    let directory = TempDir::with_prefix("bench-")?;
    let load = Load { path: directory.path().join("s"), connections };
    let mut server = Player::start(&Role::IdleServer(contender, load.clone()))?;
    let mut clients = Player::start(&Role::IdleClients(load))?;
    server.go()?;
    clients.go()?;
    let [empty, fresh]: [Memory; 2] = server.report()?;
    server.go()?;
    clients.go()?;
    let quiet: Memory = server.report()?;
    drop(clients);
    let each = |now: u64, before: u64| (now as f64 - before as f64) / connections as f64;
    Ok(Finding {
        contender,
        connections,
        heap_fresh: each(fresh.heap, empty.heap),
        resident_fresh: each(fresh.resident, empty.resident),
        heap_quiet: each(quiet.heap, empty.heap),
        resident_quiet: each(quiet.resident, empty.resident),
    })
}

pub(crate) fn clients(load: &Load) -> Result<()> {
    raise_limit(load.connections)?;
    role::say_ready()?;
    role::await_go()?;
    let streams = (0..load.connections).map(|_| UnixStream::connect(&load.path)).collect::<Result<Vec<_>, _>>()?;
    role::await_go()?;
    let mut stamped = Stamped::new(PAYLOAD);
    for mut stream in &streams {
        let mut frame = 64_u32.to_be_bytes().to_vec();
        frame.extend_from_slice(stamped.next());
        stream.write_all(&frame)?;
    }
    // No producer hangs up before the memory is measured. Then the conductor ends this process.
    role::await_go()
}

pub(crate) fn server(contender: Contender, load: Load) -> Result<()> {
    raise_limit(load.connections)?;
    Flavour::CurrentThread.run(async move {
        match contender {
            Contender::Ours => funnel(load).await,
            Contender::Buffers => buffers(load).await,
            Contender::Framed => framed(load).await,
            Contender::Bare => bare(load).await,
        }
    })
}

async fn funnel(load: Load) -> Result<()> {
    let mut limits = Limits::default();
    limits.connections = load.connections;
    let mut funnel =
        Funnel::builder(LengthPrefixed::u32_be()).limits(limits).listen(Bind::path(&load.path)).start().await?;
    let empty = begin().await?;
    let mut joined = 0;
    while joined < load.connections {
        match funnel.next().await.context("the funnel goes on")? {
            Event::Joined(_) => joined += 1,
            other => anyhow::bail!("{other:?} instead of a producer"),
        }
    }
    fresh(empty).await?;
    let mut messages = 0;
    while messages < load.connections {
        messages += funnel.recv().await.context("the funnel goes on")?.batch().len();
    }
    quiet().await
}

async fn buffers(load: Load) -> Result<()> {
    let listener = bind(&load)?;
    let empty = begin().await?;
    let mut pumps = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let (stream, _) = listener.accept().await?;
        let mut pump = Pump::new(stream, LengthPrefixed::u32_be(), FrameLimits::default());
        let waits = poll_fn(|cx| Poll::Ready(pump.poll_next(cx, Intake::Open).is_pending())).await;
        ensure!(waits, "a client said something too early");
        pumps.push(pump);
    }
    let held = |pumps: &[Pump<_, _>]| pumps.iter().map(|pump| pump.memory_len() as u64).sum::<u64>();
    let resident = measure().await?.resident;
    role::answer(&[Memory { heap: 0, ..empty }, Memory { heap: held(&pumps), resident }])?;
    spawn_blocking(role::await_go).await??;
    for pump in &mut pumps {
        ensure!(matches!(pump.next().await, PumpEvent::Batch(_)), "each says one thing");
        let waits = poll_fn(|cx| Poll::Ready(pump.poll_next(cx, Intake::Open).is_pending())).await;
        ensure!(waits, "each says only one thing");
        pump.release();
    }
    let resident = measure().await?.resident;
    role::answer(&Memory { heap: held(&pumps), resident })
}

async fn framed(load: Load) -> Result<()> {
    let listener = bind(&load)?;
    let empty = begin().await?;
    let (sender, mut messages) = mpsc::channel(1024);
    for _ in 0..load.connections {
        let (stream, _) = listener.accept().await?;
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut frames = FramedRead::new(stream, LengthDelimitedCodec::new());
            while let Some(Ok(frame)) = frames.next().await {
                if sender.send(frame).await.is_err() {
                    break;
                }
            }
        });
    }
    fresh(empty).await?;
    for _ in 0..load.connections {
        messages.recv().await.context("the connections go on")?;
    }
    quiet().await
}

async fn bare(load: Load) -> Result<()> {
    let listener = bind(&load)?;
    let empty = begin().await?;
    let (sender, mut messages) = mpsc::channel(1024);
    for _ in 0..load.connections {
        let (stream, _) = listener.accept().await?;
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut scratch = [0; 4 + PAYLOAD];
            while stream.readable().await.is_ok() {
                match stream.try_read(&mut scratch) {
                    Ok(0) => break,
                    Ok(count) if sender.send(count).await.is_err() => break,
                    _ => {}
                }
            }
        });
    }
    fresh(empty).await?;
    for _ in 0..load.connections {
        messages.recv().await.context("the connections go on")?;
    }
    quiet().await
}

fn bind(load: &Load) -> Result<UnixListener> {
    let listener = listen(&load.path)?;
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}

/// Measures the server without connections, and lets them come.
async fn begin() -> Result<Memory> {
    role::say_ready()?;
    spawn_blocking(role::await_go).await??;
    measure().await
}

/// Measures it with connections that have not said anything.
async fn fresh(empty: Memory) -> Result<()> {
    role::answer(&[empty, measure().await?])?;
    spawn_blocking(role::await_go).await?
}

/// Measures it with connections that have said something, and ends.
async fn quiet() -> Result<()> {
    role::answer(&measure().await?)
}

async fn measure() -> Result<Memory> {
    // No event shows when a connection has become idle again; it takes much less time than this.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(Memory { heap: heap(), resident: resident()? })
}

fn raise_limit(connections: usize) -> Result<()> {
    let wanted = connections as u64 + SPARE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        ensure!(maximum.is_none_or(|maximum| maximum >= wanted), "this needs {wanted} descriptors");
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    }
    Ok(())
}
