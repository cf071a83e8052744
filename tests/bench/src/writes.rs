//! What a watcher costs those who write to unrelated files in the watched directory, or beside it.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fs_watch::Watcher;
use serde::Serialize;
use tempfile::TempDir;

use crate::{runtime::Flavour, stats::Spread};

/// How long each rate is measured.
const STRETCH: Duration = Duration::from_millis(50);
const LINE: &[u8] = b"a line of a log\n";
/// A filesystem in memory, where a write costs the least, and so a watcher's share is the largest.
const IN_MEMORY: &str = "/dev/shm";

/// Where the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    Inside,
    Beside,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// The directory that stands for its filesystem.
    pub(crate) filesystem: String,
    pub(crate) place: Place,
    /// Writes per second.
    pub(crate) unwatched: Spread,
    pub(crate) watched: Spread,
    /// Watched to unwatched, pair by pair.
    pub(crate) ratio: Spread,
}

/// Each pair is one stretch with a watcher and one without, one after the other, in alternating order.
pub(crate) fn run(pairs: usize) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let disk = std::env::temp_dir();
    let memory = Path::new(IN_MEMORY);
    for filesystem in [disk.as_path(), memory].into_iter().filter(|path| path.is_dir()) {
        for place in [Place::Inside, Place::Beside] {
            findings.push(measure(filesystem, place, pairs)?);
        }
    }
    Ok(findings)
}

fn measure(filesystem: &Path, place: Place, pairs: usize) -> Result<Finding> {
    let scratch = TempDir::with_prefix_in("bench-", filesystem)?;
    let log = |name: &str| -> Result<File> {
        let sockets = scratch.path().join(name).join("sockets");
        fs::create_dir_all(&sockets)?;
        let directory = if place == Place::Inside { sockets } else { scratch.path().join(name) };
        Ok(File::options().create(true).append(true).open(directory.join("app.log"))?)
    };
    let [mut unwatched, mut watched] = [log("unwatched")?, log("watched")?];
    // It has its own thread; there is nothing to tell, so no task has to take events.
    let sockets = scratch.path().join("watched/sockets");
    let _watcher = Flavour::CurrentThread.run(async move { Ok(Watcher::start(sockets).await?) })?;
    let mut rates = Vec::with_capacity(pairs);
    for pair in 0..pairs {
        let watched_first = (pair % 2 == 1).then(|| rate(&mut watched)).transpose()?;
        let without = rate(&mut unwatched)?;
        let with = watched_first.map_or_else(|| rate(&mut watched), Ok)?;
        rates.push((without, with));
    }
    let spread = |figure: fn(&(f64, f64)) -> f64| Spread::of(rates.iter().map(figure)).context("there is a pair");
    Ok(Finding {
        filesystem: filesystem.display().to_string(),
        place,
        unwatched: spread(|rates| rates.0)?,
        watched: spread(|rates| rates.1)?,
        ratio: spread(|rates| rates.1 / rates.0)?,
    })
}

/// Writes per second.
fn rate(log: &mut File) -> Result<f64> {
    log.set_len(0)?;
    let began = Instant::now();
    let mut writes = 0_u32;
    while began.elapsed() < STRETCH {
        for _ in 0..64 {
            log.write_all(LINE)?;
        }
        writes += 64;
    }
    Ok(f64::from(writes) / began.elapsed().as_secs_f64())
}
