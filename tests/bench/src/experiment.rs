//! What is measured, and in which order.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, ensure};

use crate::{
    args,
    conduct::{self, Sample},
    contender::{Contender, Produce, Receive},
    fairness, idle, machine, musts, report,
    results::{Results, Row, Skipped, Table},
    round_trip, socket, writes,
};

/// One producer, one receiver.
const STREAM: &str = "stream";
/// Producers that batch, into one receiver that accepts them.
const FUNNEL: &str = "funnel";
/// Producers that write each message in a separate call.
const NAIVE: &str = "naive";
const ROUND_TRIP: &str = "round-trip";
const IDLE: &str = "idle";
/// One quiet producer beside many loud ones.
const FAIRNESS: &str = "fairness";
/// Writers of other files in a watched directory, or beside it.
const WRITES: &str = "writes";
/// The experiments that have their own figures.
const OTHERS: [&str; 4] = [ROUND_TRIP, IDLE, FAIRNESS, WRITES];

/// The contenders of one experiment, and what they are tried with.
struct Experiment {
    name: &'static str,
    payloads: &'static [usize],
    producers: &'static [usize],
    contenders: &'static [Contender],
}

const EXPERIMENTS: [Experiment; 3] = [
    Experiment {
        name: STREAM,
        payloads: &[64, 256, 1024, 4096, 65_536],
        producers: &[1],
        contenders: &[
            Contender::new("ceiling", Produce::Batches, Receive::Batches),
            Contender::new("ceiling-vectored", Produce::Vectored, Receive::Exact).from(4096),
            Contender::new("ours", Produce::Actor, Receive::Actor),
            Contender::new("ours-owned", Produce::Actor, Receive::ActorOwned),
            Contender::new("ours-shared", Produce::ActorShared, Receive::Actor).from(4096),
            Contender::new("libzmq", Produce::Zmq, Receive::Zmq),
            Contender::new("framed", Produce::Feed, Receive::Framed),
            Contender::new("framed-tuned", Produce::FeedTuned, Receive::FramedTuned),
            Contender::new("framed-tasks", Produce::FeedTask, Receive::Framed),
            Contender::new("omq", Produce::Omq, Receive::Omq),
            Contender::new("ours-mt", Produce::Actor, Receive::Actor).threaded(),
            Contender::new("ours-owned-mt", Produce::Actor, Receive::ActorOwned).threaded(),
            Contender::new("framed-mt", Produce::Feed, Receive::Framed).threaded(),
            Contender::new("omq-mt", Produce::Omq, Receive::Omq).threaded(),
        ],
    },
    Experiment {
        name: FUNNEL,
        payloads: &[64, 1024],
        producers: &[1, 8],
        contenders: &[
            Contender::new("ours", Produce::Actor, Receive::Funnel),
            Contender::new("ours-plain", Produce::Batches, Receive::Funnel),
            Contender::new("framed-plain", Produce::Batches, Receive::Framed),
            Contender::new("framed", Produce::Feed, Receive::Framed),
            Contender::new("libzmq", Produce::Zmq, Receive::Zmq),
            Contender::new("omq", Produce::Omq, Receive::Omq),
            Contender::new("ours-mt", Produce::Actor, Receive::Funnel).threaded(),
        ],
    },
    Experiment {
        name: NAIVE,
        payloads: &[64],
        producers: &[1, 8],
        contenders: &[
            Contender::new("ours", Produce::Naive, Receive::Funnel),
            Contender::new("ours-mt", Produce::Naive, Receive::Funnel).threaded(),
            Contender::new("framed", Produce::Naive, Receive::Framed),
            Contender::new("framed-mt", Produce::Naive, Receive::Framed).threaded(),
        ],
    },
];

/// How long and how often.
struct Effort {
    rounds: usize,
    /// How long one run should take, in seconds.
    seconds: f64,
    pairs: usize,
    trips: usize,
    connections: usize,
    /// Messages of the quiet producer.
    quiet: usize,
    /// Pairs of stretches with a watcher and without.
    stretches: usize,
}

impl Effort {
    fn new(options: &args::Run) -> Self {
        let mut effort = if options.quick {
            Self { rounds: 3, seconds: 0.15, pairs: 5, trips: 2_000, connections: 1_000, quiet: 50, stretches: 10 }
        } else {
            Self { rounds: 7, seconds: 0.5, pairs: 15, trips: 10_000, connections: 10_000, quiet: 1_000, stretches: 60 }
        };
        if let Some(rounds) = options.rounds {
            effort.rounds = rounds.max(1);
        }
        effort
    }
}

/// The words of `--only`. Each kind of word that occurs restricts the run.
struct Choice {
    experiments: Vec<String>,
    payloads: Vec<usize>,
    contenders: Vec<String>,
}

impl Choice {
    fn parse(only: Option<&str>) -> Result<Self> {
        let mut choice = Self { experiments: Vec::new(), payloads: Vec::new(), contenders: Vec::new() };
        for word in only.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let known = |name: &str| EXPERIMENTS.iter().any(|experiment| experiment.name == name);
            if let Ok(payload) = word.parse() {
                choice.payloads.push(payload);
            } else if known(word) || OTHERS.contains(&word) {
                choice.experiments.push(word.to_owned());
            } else {
                let contenders = || EXPERIMENTS.iter().flat_map(|experiment| experiment.contenders);
                ensure!(
                    contenders().any(|contender| contender.name == word),
                    "`--only {word}` names no experiment ({STREAM}, {FUNNEL}, {NAIVE}, {}), no contender and no \
                     payload size",
                    OTHERS.join(", ")
                );
                choice.contenders.push(word.to_owned());
            }
        }
        Ok(choice)
    }

    fn has_experiment(&self, name: &str) -> bool {
        self.experiments.is_empty() || self.experiments.iter().any(|chosen| chosen == name)
    }

    fn has_payload(&self, payload: usize) -> bool {
        self.payloads.is_empty() || self.payloads.contains(&payload)
    }

    fn has_contender(&self, name: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|chosen| chosen == name)
    }
}

pub(crate) fn run(options: &args::Run) -> Result<ExitCode> {
    let choice = Choice::parse(options.only.as_deref())?;
    let effort = Effort::new(options);
    let mut results = Results {
        date: machine::today(),
        command: command(options),
        machine: machine::Machine::describe(),
        rounds: effort.rounds,
        send_buffer: socket::SEND_BUFFER,
        queue_bytes: socket::QUEUE_BYTES,
        tables: Vec::new(),
        round_trip: None,
        idle: Vec::new(),
        fairness: None,
        writes: Vec::new(),
        musts: Vec::new(),
        skipped: Vec::new(),
        failed: Vec::new(),
    };
    for experiment in EXPERIMENTS.iter().filter(|experiment| choice.has_experiment(experiment.name)) {
        for &payload in experiment.payloads.iter().filter(|&&payload| choice.has_payload(payload)) {
            for &producers in experiment.producers {
                let contenders = present(experiment, &choice, payload, &mut results.skipped);
                let rows = rounds(experiment.name, &contenders, payload, producers, &effort, &mut results.failed);
                let table = Table { experiment: experiment.name, payload, producers, rows };
                println!("{}", report::table(&table));
                results.tables.push(table);
            }
        }
    }
    if choice.has_experiment(ROUND_TRIP) {
        let strace = is_installed("strace");
        if !strace {
            skip(
                &mut results.skipped,
                "kernel calls of a round trip",
                "strace is not installed: apt-get install strace",
            );
        }
        eprint!("{ROUND_TRIP}: {} pairs ", effort.pairs);
        let findings = round_trip::run(effort.pairs, effort.trips, strace)?;
        println!("{}", report::round_trip(&findings));
        results.round_trip = Some(findings);
    }
    if choice.has_experiment(IDLE) {
        let connections = idle::affordable(effort.connections);
        if connections < effort.connections {
            let why = format!("the limit on descriptors allows {connections}: raise it with `ulimit -Hn`");
            skip(&mut results.skipped, &format!("{} idle connections", effort.connections), &why);
        }
        for contender in idle::CONTENDERS {
            eprintln!("{IDLE}: {connections} connections, {contender:?}");
            results.idle.push(idle::run(contender, connections)?);
        }
        println!("{}", report::idle(&results.idle));
    }
    if choice.has_experiment(FAIRNESS) {
        eprintln!("{FAIRNESS}: {} messages of one quiet producer", effort.quiet);
        let findings = fairness::run(effort.quiet)?;
        println!("{}", report::fairness(&findings));
        results.fairness = Some(findings);
    }
    if choice.has_experiment(WRITES) {
        eprintln!("{WRITES}: {} pairs", effort.stretches);
        results.writes = writes::run(effort.stretches)?;
        println!("{}", report::writes(&results.writes));
    }
    results.musts = musts::judge(&results);
    println!("{}", report::ending(&results));
    if let Some(directory) = &options.save {
        report::save(&results, directory)?;
    }
    Ok(if results.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The contenders of an experiment that are asked for, make sense, and are there.
fn present(
    experiment: &Experiment,
    choice: &Choice,
    payload: usize,
    skipped: &mut Vec<Skipped>,
) -> Vec<&'static Contender> {
    let asked = experiment.contenders.iter();
    let asked = asked.filter(|contender| choice.has_contender(contender.name) && payload >= contender.from);
    let mut present = Vec::new();
    for contender in asked {
        match contender.missing() {
            Some(why) => skip(skipped, contender.name, why),
            None => present.push(contender),
        }
    }
    present
}

/// Finds out how many messages fill the time, and then runs all contenders in turn, round after round.
fn rounds(
    experiment: &str,
    contenders: &[&'static Contender],
    payload: usize,
    producers: usize,
    effort: &Effort,
    failed: &mut Vec<Skipped>,
) -> Vec<Row> {
    eprint!("{experiment}: {payload} B, {producers} producers ");
    let first = (32_usize << 20).div_ceil(payload).clamp(1_000, 100_000) as u64 / producers as u64;
    let mut runs: Vec<_> = contenders
        .iter()
        .filter_map(|&contender| {
            let sample = conduct::stream(contender, payload, first, producers);
            let sample = or_note(sample, contender, payload, producers, failed)?;
            let messages = (sample.rate * effort.seconds / producers as f64) as u64;
            Some((contender, messages.max(first / 4).max(100), Vec::new()))
        })
        .collect();
    for round in 0..effort.rounds {
        eprint!(".");
        // Each round begins with a different contender, so that none always runs on a machine that the same neighbour
        // has heated.
        let count = runs.len();
        for turn in 0..count {
            let (contender, messages, samples) = &mut runs[(turn + round) % count];
            let sample = conduct::stream(contender, payload, *messages, producers);
            samples.extend(or_note(sample, contender, payload, producers, failed));
        }
    }
    eprintln!();
    runs.into_iter()
        .filter_map(|(contender, messages, samples)| Row::of(contender.name, contender.flavour, messages, samples))
        .collect()
}

/// The sample, or none and a note of what went wrong.
fn or_note(
    sample: Result<Sample>,
    contender: &Contender,
    payload: usize,
    producers: usize,
    failed: &mut Vec<Skipped>,
) -> Option<Sample> {
    match sample {
        Ok(sample) => Some(sample),
        Err(error) => {
            let what = format!("{}, {payload} B, {producers} producers", contender.name);
            eprintln!("FAILED {what}: {error}");
            failed.push(Skipped { what, why: error.to_string() });
            None
        }
    }
}

fn skip(skipped: &mut Vec<Skipped>, what: &str, why: &str) {
    let entry = Skipped { what: what.to_owned(), why: why.to_owned() };
    if !skipped.contains(&entry) {
        eprintln!("SKIPPED {what}: {why}");
        skipped.push(entry);
    }
}

fn is_installed(program: &str) -> bool {
    Command::new(program)
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The line that repeats this run.
fn command(options: &args::Run) -> String {
    let mut line = "cargo xtask bench".to_owned();
    if options.quick {
        line.push_str(" --quick");
    }
    if let Some(only) = &options.only {
        line.push_str(&format!(" --only {only}"));
    }
    if let Some(rounds) = options.rounds {
        line.push_str(&format!(" --rounds {rounds}"));
    }
    if options.save.is_some() {
        line.push_str(" --save");
    }
    line
}
