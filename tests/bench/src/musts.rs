//! The promises about speed, compared with the measurements.

use serde::Serialize;

use crate::{
    idle,
    results::{Results, Row},
    writes::Place,
};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Must {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    pub(crate) measured: f64,
}

/// On which side of a figure the measured one must lie.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Must {
    pub(crate) fn holds(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.measured >= bound,
            Bound::AtMost(bound) => self.measured <= bound,
        }
    }
}

/// The promises for which this run has figures.
pub(crate) fn judge(results: &Results) -> Vec<Must> {
    let mut musts = Vec::new();
    let mut must = |what: &str, bound: Bound, measured: Option<f64>| {
        musts.extend(measured.map(|measured| Must { what: what.to_owned(), bound, measured }));
    };
    let ratio = |experiment: &str, payload, producers, ours: &str, theirs: &str, figure: fn(&Row) -> f64| {
        let table = results.table(experiment, payload, producers)?;
        Some(figure(table.row(ours)?) / figure(table.row(theirs)?))
    };
    let rate = |payload, ours, theirs| ratio("stream", payload, 1, ours, theirs, |row| row.rate.median);
    must("64 B, lent: rate to libzmq", Bound::AtLeast(6.0), rate(64, "ours", "libzmq"));
    let cpu = ratio("stream", 64, 1, "ours", "libzmq", |row| row.cpu.median);
    must("64 B, lent: CPU to libzmq", Bound::AtMost(1.0 / 8.0), cpu);
    must("64 B, lent: rate to Framed and a channel", Bound::AtLeast(5.0), rate(64, "ours", "framed"));
    must("64 B, owned: rate to libzmq", Bound::AtLeast(4.0), rate(64, "ours-owned", "libzmq"));
    must("1 KiB, lent: rate to libzmq", Bound::AtLeast(4.0), rate(1024, "ours", "libzmq"));
    for (name, ours) in [("sent by copying", "ours"), ("sent shared", "ours-shared")] {
        must(&format!("64 KiB, {name}: rate to libzmq"), Bound::AtLeast(1.5), rate(65_536, ours, "libzmq"));
        must(&format!("64 KiB, {name}: rate to the ceiling"), Bound::AtLeast(0.6), rate(65_536, ours, "ceiling"));
    }
    for producers in [1, 8] {
        let naive = ratio("naive", 64, producers, "ours", "framed", |row| row.rate.median);
        must(&format!("64 B, naive producers, {producers}: rate to Framed and a channel"), Bound::AtLeast(0.95), naive);
    }
    if let Some(trips) = &results.round_trip {
        must("lone message: round trip to raw read and write", Bound::AtMost(1.25), Some(trips.ratio.median));
        if let Some(calls) = &trips.calls {
            let all = |calls: &std::collections::BTreeMap<String, f64>| calls.values().sum::<f64>();
            // How often a wake-up finds the socket writable as well depends on the moment, hence the quarter.
            let more = (all(&calls.ours) - all(&calls.raw)).max(0.0);
            must("lone message: kernel calls more than raw", Bound::AtMost(0.25), Some(more));
        }
    }
    if let Some(idle) = results.idle.iter().find(|finding| finding.contender == idle::Contender::Buffers) {
        let most = idle.heap_fresh.max(idle.heap_quiet);
        must("idle connection: buffers, bytes", Bound::AtMost(2048.0), Some(most));
    }
    for finding in &results.writes {
        let place = match finding.place {
            Place::Inside => "in",
            Place::Beside => "beside",
        };
        let what = format!("writes to a file {place} a watched directory, {}: rate to unwatched", finding.filesystem);
        must(&what, Bound::AtLeast(0.95), Some(finding.ratio.median));
    }
    musts
}
