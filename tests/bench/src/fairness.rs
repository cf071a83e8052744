//! One quiet producer beside many loud ones: how many of the others' messages come before each of its own.

use std::{
    io::Write as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use frame_codec::LengthPrefixed;
use mpsr_server::Funnel;
use serde::Serialize;
use tempfile::TempDir;
use uds_actor::Bind;

use crate::runtime::Flavour;

/// Producers that write as fast as they can.
const LOUD: usize = 30;
/// Batches of each of them before the measurement: their reads have then grown to their full size.
const WARM_UP: u64 = 20;
/// Bytes that a loud producer writes at once.
const BLOCK: usize = 64 << 10;
const QUIET: &[u8] = b"quiet";
/// Between two messages of the quiet producer.
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) loud: usize,
    /// Messages of the quiet producer.
    pub(crate) messages: usize,
    /// Batches of loud producers that were delivered while a message waited: the median and the most.
    pub(crate) batches: [f64; 2],
    /// The same in KiB of memory, as the schedule counts it.
    pub(crate) kibibytes: [f64; 2],
    /// How long it waited, in milliseconds.
    pub(crate) millis: [f64; 2],
}

/// What the receiver has delivered of loud producers.
#[derive(Debug, Default)]
struct Loud {
    batches: AtomicU64,
    bytes: AtomicU64,
}

impl Loud {
    fn count(&self) -> (u64, u64) {
        (self.batches.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// What one message waited for.
struct Wait {
    batches: u64,
    bytes: u64,
    time: Duration,
}

pub(crate) fn run(messages: usize) -> Result<Findings> {
    let directory = TempDir::with_prefix("bench-")?;
    let path = directory.path().join("s");
    let waits = Flavour::CurrentThread.run(receive(path, messages))?;
    let figures = |figure: fn(&Wait) -> f64| {
        let mut figures: Vec<f64> = waits.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        [figures[figures.len() / 2], figures[figures.len() - 1]]
    };
    Ok(Findings {
        loud: LOUD,
        messages,
        batches: figures(|wait| wait.batches as f64),
        kibibytes: figures(|wait| wait.bytes as f64 / 1024.0),
        millis: figures(|wait| wait.time.as_secs_f64() * 1e3),
    })
}

async fn receive(path: PathBuf, messages: usize) -> Result<Vec<Wait>> {
    ensure!(messages > 0, "there is nothing to measure");
    let mut funnel = Funnel::builder(LengthPrefixed::u32_be()).listen(Bind::path(&path)).start().await?;
    let producers = (0..LOUD).map(|_| flood(&path)).collect::<Result<Vec<_>>>()?;
    let loud = Arc::new(Loud::default());
    while loud.batches.load(Ordering::Relaxed) < LOUD as u64 * WARM_UP {
        funnel.recv().await.context("the funnel goes on")?;
        loud.batches.fetch_add(1, Ordering::Relaxed);
    }
    let (delivered, deliveries) = mpsc::channel();
    let quiet = thread::spawn({
        let (path, loud) = (path.clone(), Arc::clone(&loud));
        move || ask(&path, messages, &loud, &deliveries)
    });
    let mut heard = 0;
    while heard < messages {
        let delivery = funnel.recv().await.context("the funnel goes on")?;
        if delivery.batch().get(0) == Some(QUIET) {
            heard += delivery.batch().len();
            delivered.send(loud.count())?;
        } else {
            loud.batches.fetch_add(1, Ordering::Relaxed);
            loud.bytes.fetch_add(delivery.batch().memory_len() as u64, Ordering::Relaxed);
        }
    }
    // The connections are closed, so that the producers end.
    funnel.finished().await;
    for producer in producers {
        producer.join().expect("a producer does not panic");
    }
    quiet.join().expect("a producer does not panic")
}

/// Writes until the receiver is gone.
fn flood(path: &Path) -> Result<thread::JoinHandle<()>> {
    let mut stream = UnixStream::connect(path)?;
    let message = [&64_u32.to_be_bytes()[..], &[b'l'; 64]].concat();
    let block = message.repeat(BLOCK / message.len());
    Ok(thread::spawn(move || while stream.write_all(&block).is_ok() {}))
}

/// Writes one message at a time, and notes what was delivered before it.
fn ask(path: &Path, messages: usize, loud: &Loud, deliveries: &mpsc::Receiver<(u64, u64)>) -> Result<Vec<Wait>> {
    let mut stream = UnixStream::connect(path)?;
    let message = [&(QUIET.len() as u32).to_be_bytes()[..], QUIET].concat();
    let mut waits = Vec::with_capacity(messages);
    for _ in 0..messages {
        thread::sleep(PAUSE);
        let (before, began) = (loud.count(), Instant::now());
        stream.write_all(&message)?;
        let after = deliveries.recv().context("the receiver goes on")?;
        waits.push(Wait { batches: after.0 - before.0, bytes: after.1 - before.1, time: began.elapsed() });
    }
    Ok(waits)
}
