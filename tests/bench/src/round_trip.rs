//! A lone message there and back: what a message costs when nothing can be batched.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use frame_codec::LengthPrefixed;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use uds_actor::Actor;

use crate::{
    conduct::Player,
    meter::{Running, Stretch, now},
    role::{self, Role},
    runtime::Flavour,
    socket::{QUEUE_BYTES, connect_nonblocking, listen},
    stats::Spread,
};

/// Bytes of a message, and with the length in front.
const PAYLOAD: usize = 64;
const FRAME: usize = 4 + PAYLOAD;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// `Sender::send` and `Receiver::recv_batch` on both sides.
    Ours,
    /// tokio's `write_all` and `read` on both sides.
    Raw,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    path: PathBuf,
    trips: usize,
}

/// What the asking side measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Trips {
    stretch: Stretch,
    median: u64,
    high: u64,
}

/// One run, in nanoseconds of a round trip.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) mean: f64,
    pub(crate) median: f64,
    /// 99 of 100 are faster.
    pub(crate) high: f64,
    /// CPU of both sides.
    pub(crate) cpu: f64,
}

/// All runs, and the ratio of each pair of neighbours.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) trips: usize,
    pub(crate) ours: Vec<Sample>,
    pub(crate) raw: Vec<Sample>,
    /// Our mean relative to the mean of the raw run beside it.
    pub(crate) ratio: Spread,
    /// Kernel calls of one round trip, both sides, by name; `None` without strace.
    pub(crate) calls: Option<Calls>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Calls {
    pub(crate) ours: BTreeMap<String, f64>,
    pub(crate) raw: BTreeMap<String, f64>,
}

/// Runs pairs, each time the other one first.
pub(crate) fn run(pairs: usize, trips: usize, strace: bool) -> Result<Findings> {
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        for turn in 0..2 {
            if (pair + turn) % 2 == 0 {
                ours.push(sample(Contender::Ours, trips)?);
            } else {
                raw.push(sample(Contender::Raw, trips)?);
            }
        }
        eprint!(".");
    }
    eprintln!();
    let ratios = ours.iter().zip(&raw).map(|(ours, raw)| ours.mean / raw.mean);
    let ratio = Spread::of(ratios).context("there is a pair")?;
    let calls = if strace { Some(Calls { ours: calls(Contender::Ours)?, raw: calls(Contender::Raw)? }) } else { None };
    Ok(Findings { trips, ours, raw, ratio, calls })
}

fn sample(contender: Contender, trips: usize) -> Result<Sample> {
    let (echo, ask) = play([&[], &[]], contender, trips)?;
    let per_trip = |nanos: u64| nanos as f64 / trips as f64;
    Ok(Sample {
        mean: per_trip(ask.stretch.end - ask.stretch.start),
        median: ask.median as f64,
        high: ask.high as f64,
        cpu: per_trip(ask.stretch.cpu + echo.cpu),
    })
}

fn play(under: [&[std::ffi::OsString]; 2], contender: Contender, trips: usize) -> Result<(Stretch, Trips)> {
    let directory = TempDir::with_prefix("bench-")?;
    let load = Load { path: directory.path().join("s"), trips };
    let mut echo = Player::start_under(under[0], &Role::Echo(contender, load.clone()))?;
    let mut ask = Player::start_under(under[1], &Role::Ask(contender, load))?;
    echo.go()?;
    echo.await_ready()?;
    ask.go()?;
    let trips = ask.finish()?;
    Ok((echo.finish()?, trips))
}

/// Counts what a longer run calls more than a shorter one: what start and end call cancels out.
fn calls(contender: Contender) -> Result<BTreeMap<String, f64>> {
    const SHORT: usize = 200;
    const LONG: usize = 1_200;
    let mut counts = BTreeMap::<String, f64>::new();
    for (trips, sign) in [(SHORT, -1.0), (LONG, 1.0)] {
        let directory = TempDir::with_prefix("bench-")?;
        let files = ["echo", "ask"].map(|name| directory.path().join(name));
        let under = files.each_ref().map(|file| {
            ["strace", "-f", "-c", "-U", "calls,name", "-o"]
                .into_iter()
                .map(Into::into)
                .chain([file.clone().into_os_string()])
                .collect::<Vec<_>>()
        });
        play([&under[0], &under[1]], contender, trips)?;
        for file in files {
            for line in fs::read_to_string(file)?.lines() {
                let mut columns = line.split_whitespace();
                if let (Some(count), Some(name)) =
                    (columns.next().and_then(|count| count.parse::<f64>().ok()), columns.next())
                    && name != "total"
                {
                    *counts.entry(name.to_owned()).or_default() += sign * count;
                }
            }
        }
    }
    let mut calls: BTreeMap<_, _> =
        counts.into_iter().map(|(name, count)| (name, count / (LONG - SHORT) as f64)).collect();
    calls.retain(|_, count| *count >= 0.005);
    ensure!(!calls.is_empty(), "strace counted nothing");
    Ok(calls)
}

pub(crate) fn echo(contender: Contender, load: Load) -> Result<()> {
    let listener = listen(&load.path)?;
    role::say_ready()?;
    role::await_go()?;
    let running = Running::begin();
    role::say_ready()?;
    let (stream, _) = listener.accept()?;
    crate::socket::widen(&stream)?;
    stream.set_nonblocking(true)?;
    Flavour::CurrentThread.run(async move {
        let mut stream = UnixStream::from_std(stream)?;
        match contender {
            Contender::Ours => {
                let (sender, mut receiver, _control) = spawn(stream);
                while let Some(batch) = receiver.recv_batch().await {
                    for frame in &batch {
                        sender.send(frame).await?;
                    }
                }
            }
            Contender::Raw => {
                for _ in 0..load.trips {
                    let frame = read(&mut stream).await?;
                    stream.write_all(&frame).await?;
                }
            }
        }
        role::answer(&running.end())
    })
}

pub(crate) fn ask(contender: Contender, load: Load) -> Result<()> {
    let stream = connect_nonblocking(&load.path)?;
    Flavour::CurrentThread.run(async move {
        let mut stream = UnixStream::from_std(stream)?;
        let mut times = Vec::with_capacity(load.trips);
        role::say_ready()?;
        role::await_go()?;
        let running = Running::begin();
        let mut before = now();
        let mut note = || {
            let after = now();
            times.push(after - before);
            before = after;
        };
        match contender {
            Contender::Ours => {
                let (sender, mut receiver, _control) = spawn(stream);
                for trip in 0..load.trips {
                    let payload = [trip as u8; PAYLOAD];
                    sender.send(&payload).await?;
                    let batch = receiver.recv_batch().await.context("the echo has hung up")?;
                    ensure!(batch.len() == 1 && batch.get(0) == Some(&payload[..]), "another message came back");
                    note();
                }
            }
            Contender::Raw => {
                for trip in 0..load.trips {
                    let frame = [trip as u8; FRAME];
                    stream.write_all(&frame).await?;
                    ensure!(frame == read(&mut stream).await?, "another message came back");
                    note();
                }
            }
        }
        let stretch = running.end();
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        role::answer(&Trips { stretch, median: at(0.5), high: at(0.99) })
    })
}

/// Reads one frame into more room than it takes: a read that fills its buffer has tokio ask again whether there is more.
async fn read(stream: &mut UnixStream) -> Result<[u8; FRAME]> {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    while filled < FRAME {
        match stream.read(&mut buffer[filled..]).await? {
            0 => bail!("the peer has hung up"),
            count => filled += count,
        }
    }
    Ok(*buffer.first_chunk().context("a buffer is larger than a frame")?)
}

fn spawn(stream: UnixStream) -> (uds_actor::Sender, uds_actor::Receiver, uds_actor::Control) {
    Actor::new(stream, LengthPrefixed::u32_be()).outbox_bytes(QUEUE_BYTES).inbox_bytes(QUEUE_BYTES).spawn()
}
