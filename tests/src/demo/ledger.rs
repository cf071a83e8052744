//! What each producer should send, and what arrived of it: every line once, in order, and nothing else.
//!
//! The ledger is told what to expect before a producer starts, and every event afterwards. It uses neither a clock nor
//! a socket.

use std::collections::HashMap;

use super::event::{Counts, Event, Via};

/// The reports of all producers.
#[derive(Debug, Default)]
pub struct Ledger {
    reports: Vec<ProducerReport>,
    /// The receiver's numbers, mapped to ours.
    by_producer: HashMap<u64, usize>,
    /// Producers that we did not start, and messages that none of our producers sent.
    strangers: Vec<String>,
}

/// One producer.
#[derive(Debug)]
pub struct ProducerReport {
    /// Its name for people.
    pub name: String,
    /// How to recognise its arrival.
    pub key: Key,
    expected: Vec<Vec<u8>>,
    delivered: u64,
    bytes: u64,
    next: usize,
    difference: Option<String>,
    standing: Standing,
}

/// How to recognise a producer when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// It connects to us: the kernel identifies its process.
    Pid(u32),
    /// We connect to it: its socket's path.
    Path(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Awaited,
    Joined,
    Left { counts: Counts, reason: String },
}

impl Ledger {
    /// Adds a producer; returns its index. Call it before the first event of that producer.
    pub fn expect(&mut self, name: impl Into<String>, key: Key, lines: Vec<Vec<u8>>) -> usize {
        self.reports.push(ProducerReport {
            name: name.into(),
            key,
            expected: lines,
            delivered: 0,
            bytes: 0,
            next: 0,
            difference: None,
            standing: Standing::Awaited,
        });
        self.reports.len() - 1
    }

    /// Applies one event; returns the index of the producer it is about.
    pub fn handle(&mut self, event: &Event) -> Option<usize> {
        match event {
            Event::Joined { producer, address, via, pid } => self.handle_joined(*producer, address, *via, *pid),
            Event::Message { producer, payload } => {
                let index = self.known(*producer, "sent a message")?;
                let report = &mut self.reports[index];
                if report.standing != Standing::Joined {
                    self.strangers.push(format!("{} sent a message after it left", report.name));
                }
                report.handle_message(payload);
                Some(index)
            }
            Event::Left { producer, counts, reason } => {
                let index = self.known(*producer, "left")?;
                let report = &mut self.reports[index];
                if report.standing != Standing::Joined {
                    self.strangers.push(format!("{} left twice", report.name));
                    return None;
                }
                report.standing = Standing::Left { counts: *counts, reason: reason.clone() };
                Some(index)
            }
            Event::Listening | Event::Watching | Event::Warning(_) | Event::Report { .. } | Event::Other(_) => None,
        }
    }

    /// The reports of all producers, in the order in which they were added.
    #[must_use]
    pub fn reports(&self) -> &[ProducerReport] {
        &self.reports
    }

    /// Whether every producer came and went.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.reports.iter().all(|report| matches!(report.standing, Standing::Left { .. }))
    }

    /// The sums over all producers, by our own count.
    #[must_use]
    pub fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        for report in &self.reports {
            let told = report.told();
            totals.received += told.received;
            totals.delivered += report.delivered;
            totals.truncated += told.truncated;
            totals.lost += told.lost;
            totals.bytes += report.bytes;
        }
        totals
    }

    /// Everything that is wrong; empty if every line arrived once and in order.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.strangers.clone();
        for report in &self.reports {
            report.collect_problems(&mut problems);
        }
        problems
    }

    /// The mistakes in the receiver's own report.
    #[must_use]
    pub fn problems_of_report(&self, producers: u64, told: Counts) -> Vec<String> {
        let mut problems = Vec::new();
        let totals = Counts { truncated: 0, lost: 0, ..self.totals() };
        let expected = Counts { received: totals.delivered, ..totals };
        if producers != self.reports.len() as u64 {
            problems.push(format!("the report counts {producers} producers, there were {}", self.reports.len()));
        }
        if told != expected {
            problems.push(format!("the report says {told:?}, but the events add up to {expected:?}"));
        }
        problems
    }

    fn handle_joined(&mut self, producer: u64, address: &str, via: Via, pid: Option<u32>) -> Option<usize> {
        let path = address.split_once(':').map_or(address, |(_, path)| path);
        let matches = |report: &ProducerReport| match (&report.key, via) {
            (Key::Pid(expected), Via::Listen) => pid == Some(*expected),
            (Key::Path(expected), Via::Dir) => expected == path,
            (Key::Pid(_), Via::Dir) | (Key::Path(_), Via::Listen) => false,
        };
        let Some(index) = self.reports.iter().position(matches) else {
            self.strangers.push(format!("an unknown producer joined: {address}, process {pid:?}"));
            return None;
        };
        let report = &mut self.reports[index];
        if report.standing != Standing::Awaited {
            self.strangers.push(format!("{} joined twice", report.name));
            return None;
        }
        report.standing = Standing::Joined;
        self.by_producer.insert(producer, index);
        Some(index)
    }

    fn known(&mut self, producer: u64, did: &str) -> Option<usize> {
        let index = self.by_producer.get(&producer).copied();
        if index.is_none() {
            self.strangers.push(format!("producer {producer} {did} without having joined"));
        }
        index
    }
}

impl ProducerReport {
    /// How many lines it was given to send.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.expected.len() as u64
    }

    /// How many messages of it the receiver printed, right or wrong.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The receiver's counts when it left.
    #[must_use]
    pub fn told(&self) -> Counts {
        match &self.standing {
            Standing::Left { counts, .. } => *counts,
            Standing::Awaited | Standing::Joined => Counts::default(),
        }
    }

    fn handle_message(&mut self, payload: &[u8]) {
        self.delivered += 1;
        self.bytes += payload.len() as u64;
        if self.difference.is_some() {
            // Only the first difference matters; what follows is shifted.
            return;
        }
        if self.expected.get(self.next).is_some_and(|line| line == payload) {
            self.next += 1;
            return;
        }
        self.difference = Some(self.explain(payload));
    }

    /// What is wrong with `payload` as the next message.
    fn explain(&self, payload: &[u8]) -> String {
        let line = self.next + 1;
        let got = excerpt(payload);
        let Some(wanted) = self.expected.get(self.next) else {
            return format!("after its last line came {got}");
        };
        // Equal lines are common (the empty one). The nearest one is the most likely.
        let missing = self.expected[self.next..].iter().position(|other| other == payload);
        let back = self.expected[..self.next].iter().rev().position(|other| other == payload).map(|before| before + 1);
        match (missing, back) {
            (Some(missing), back) if back.is_none_or(|back| missing < back) => {
                format!("at line {line} came {got}, which is line {}: {missing} missing", line + missing)
            }
            (_, Some(back)) => format!("at line {line} came {got} again, which is line {}", line - back),
            (_, None) => format!("at line {line} came {got}, not {}", excerpt(wanted)),
        }
    }

    fn collect_problems(&self, problems: &mut Vec<String>) {
        let name = &self.name;
        if let Some(difference) = &self.difference {
            problems.push(format!("{name}: {difference}"));
        } else if self.next < self.expected.len() {
            let wanted = excerpt(&self.expected[self.next]);
            let missing = self.expected.len() - self.next;
            problems.push(format!("{name}: {missing} lines missing from line {} on: {wanted}", self.next + 1));
        }
        match &self.standing {
            Standing::Awaited => problems.push(format!("{name}: never joined")),
            Standing::Joined => problems.push(format!("{name}: never left")),
            Standing::Left { counts, reason } => {
                let own = Counts {
                    received: self.delivered,
                    delivered: self.delivered,
                    truncated: 0,
                    lost: 0,
                    bytes: self.bytes,
                };
                if *counts != own {
                    problems.push(format!("{name}: its report has {counts:?}, we saw {own:?}"));
                }
                if reason != "closed" {
                    problems.push(format!("{name}: left with reason {reason:?} instead of an orderly end"));
                }
            }
        }
    }
}

/// The beginning of a line, quoted and escaped.
fn excerpt(line: &[u8]) -> String {
    const MAX: usize = 40;
    let text = String::from_utf8_lossy(line);
    let mut short: String = text.chars().take(MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests;
