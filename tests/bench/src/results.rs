//! What a run found out, as it is written to JSON.

use serde::Serialize;

use crate::{
    conduct::Sample, fairness, idle, machine::Machine, musts::Must, round_trip, runtime::Flavour, stats::Spread, writes,
};

#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) date: String,
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    /// `SO_SNDBUF` of every producer, and the bound of every queue, in bytes.
    pub(crate) send_buffer: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) tables: Vec<Table>,
    pub(crate) round_trip: Option<round_trip::Findings>,
    pub(crate) idle: Vec<idle::Finding>,
    pub(crate) fairness: Option<fairness::Findings>,
    pub(crate) writes: Vec<writes::Finding>,
    pub(crate) musts: Vec<Must>,
    pub(crate) skipped: Vec<Skipped>,
    /// What was tried and went wrong: a hang, a lost or changed message.
    pub(crate) failed: Vec<Skipped>,
}

/// Contenders that did the same.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) experiment: &'static str,
    /// Bytes of a message.
    pub(crate) payload: usize,
    pub(crate) producers: usize,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) contender: &'static str,
    pub(crate) flavour: Flavour,
    /// Messages of each producer in each round.
    pub(crate) messages: u64,
    /// Messages a second.
    pub(crate) rate: Spread,
    /// Nanoseconds of CPU for a message: both sides, the producers', the receiver's.
    pub(crate) cpu: Spread,
    pub(crate) send_cpu: f64,
    pub(crate) receive_cpu: f64,
    pub(crate) samples: Vec<Sample>,
}

/// What has no figure, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Skipped {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Table {
    pub(crate) fn row(&self, contender: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.contender == contender)
    }
}

impl Results {
    pub(crate) fn table(&self, experiment: &str, payload: usize, producers: usize) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| (table.experiment, table.payload, table.producers) == (experiment, payload, producers))
    }
}

impl Row {
    /// `None` if there is no sample.
    pub(crate) fn of(contender: &'static str, flavour: Flavour, messages: u64, samples: Vec<Sample>) -> Option<Self> {
        let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
        Some(Self {
            contender,
            flavour,
            messages,
            rate: spread(|sample| sample.rate)?,
            cpu: spread(|sample| sample.send_cpu + sample.receive_cpu)?,
            send_cpu: spread(|sample| sample.send_cpu)?.median,
            receive_cpu: spread(|sample| sample.receive_cpu)?.median,
            samples,
        })
    }
}
