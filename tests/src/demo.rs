//! The demo: one `mpsr listen`, several producers that are other programs, and a report of every line.
//!
//! ```text
//!  mpsr send, socat, nc, python3 ──connect──► in.sock ─┐
//!                                                      ├─► mpsr listen ──JSON──► ledger ──► report
//!  mpsr send --bind, socat, python3 ◄──connect── sockets/ ┘
//! ```
//! What arrives is compared with the files that were sent, by this program and not by the tool.

pub mod crew;
pub mod event;
pub mod ledger;
mod receiver;
pub mod recipe;
pub mod screen;
pub mod source;
pub mod table;

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{io::AsyncWriteExt, process::ChildStdin, signal::unix::SignalKind, time::timeout};

use crew::{Crew, Departure};
use event::Event;
use ledger::{Key, Ledger};
use receiver::Receiver;
use recipe::{RECIPES, Recipe, Stage};
use screen::Screen;
use source::Source;

/// Parameters of the demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `mpsr` to show.
    pub mpsr: PathBuf,
    /// A directory with text files, for input beside the system's own.
    pub sources: PathBuf,
    /// After so long the demo ends as a failure.
    pub limit: Duration,
}

/// Runs the demo; what was wrong, if anything, is the returned list.
///
/// # Errors
///
/// It could not be run to its end: the receiver did not start, said something outside its contract, or time was up.
/// Every process it started is gone either way.
pub async fn run<W: Write>(options: &Options, screen: &mut Screen<W>) -> Result<Vec<String>> {
    let scratch = tempfile::Builder::new().prefix("tributary-demo-").tempdir().context("no temporary directory")?;
    let stage = Stage {
        mpsr: options.mpsr.clone(),
        listener: scratch.path().join("in.sock"),
        sockets: scratch.path().join("sockets"),
    };
    std::fs::create_dir(&stage.sockets).context("cannot make the directory of sockets")?;

    let mut usable = Vec::new();
    for recipe in RECIPES {
        match recipe.obstacle() {
            None => usable.push(*recipe),
            Some(reason) => {
                screen.say(&format!("SKIPPED producer {} ({}): {reason}", recipe.name, recipe.transport.word()))?
            }
        }
    }
    let sources = source::gather(&options.sources, scratch.path(), usable.len())?;
    let cast = usable.into_iter().zip(sources).collect();

    let mut show = Show {
        stage,
        cast,
        ledger: Ledger::default(),
        crew: Crew::new(),
        feeders: Vec::new(),
        problems: Vec::new(),
        present: Vec::new(),
    };
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut receiver = None;
    let result = tokio::select! {
        result = timeout(options.limit, show.play(&mut receiver, screen)) => match result {
            Ok(result) => result,
            Err(_) => Err(show.overdue(options.limit)),
        },
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to stop")),
    };

    for feeder in show.feeders {
        feeder.abort();
    }
    show.crew.dismiss().await;
    if let Some(receiver) = receiver {
        let said = receiver.dismiss().await;
        if result.is_err() && !said.trim().is_empty() {
            screen.say(&format!("mpsr said on standard error:\n{}", indented(&said)))?;
        }
    }
    result?;
    Ok(show.problems)
}

/// One performance.
struct Show {
    stage: Stage,
    cast: Vec<(Recipe, Source)>,
    ledger: Ledger,
    crew: Crew,
    feeders: Vec<tokio::task::JoinHandle<()>>,
    problems: Vec<String>,
    /// The producers that have not ended yet.
    present: Vec<usize>,
}

impl Show {
    async fn play<W: Write>(&mut self, receiver: &mut Option<Receiver>, screen: &mut Screen<W>) -> Result<()> {
        screen.say(&format!("a directory of our own: {}", self.stage.listener.with_file_name("").display()))?;
        for (index, (recipe, _)) in self.cast.iter().enumerate() {
            screen.name(index, recipe.name);
        }
        // The first producer binds before the receiver starts, so a listing finds it. The others come while it watches.
        self.enter(0, screen)?;
        let socket = self.cast[0].0.socket(&self.stage, 0).expect("the first recipe binds");
        self.until_bound(&socket).await?;

        let receiver = receiver.insert(Receiver::start(&self.stage)?);
        let (mut listening, mut watching, mut entered, mut begun, mut ended) = (false, false, 1, None, None);
        while !(self.present.is_empty() && entered == self.cast.len() && self.ledger.is_settled()) {
            tokio::select! {
                event = receiver.next() => {
                    let event = event?.context("mpsr listen ended on its own")?;
                    match &event {
                        Event::Listening => listening = true,
                        Event::Watching => watching = true,
                        Event::Warning(text) => screen.say(&format!("mpsr warns: {}", screen::escaped(text)))?,
                        _ => {}
                    }
                    let index = self.ledger.handle(&event);
                    self.show(&event, index, screen)?;
                    match &event {
                        Event::Joined { .. } => _ = begun.get_or_insert_with(Instant::now),
                        Event::Left { .. } => ended = Some(Instant::now()),
                        _ => {}
                    }
                    // Each producer starts after an event of the one before, so that they come at different moments.
                    let cue = matches!(event, Event::Joined { .. } | Event::Listening | Event::Watching);
                    if cue && listening && watching && entered < self.cast.len() {
                        self.enter(entered, screen)?;
                        entered += 1;
                    }
                }
                Some(departure) = self.crew.next() => self.see_off(departure)?,
            }
        }
        let took = begun.zip(ended).map_or(Duration::ZERO, |(begun, ended)| ended.duration_since(begun));
        self.close(receiver, took, screen).await
    }

    /// Stops the receiver and compares its report with the ledger.
    async fn close<W: Write>(&mut self, receiver: &mut Receiver, took: Duration, screen: &mut Screen<W>) -> Result<()> {
        let end = receiver.stop().await?;
        self.problems.extend(self.ledger.problems());
        match end.report {
            Some(Event::Report { producers, counts }) => {
                self.problems.extend(self.ledger.problems_of_report(producers, counts))
            }
            _ => self.problems.push(format!("mpsr gave no report; it said: {}", indented(&end.said))),
        }
        if !end.status.success() {
            self.problems.push(format!("mpsr ended with {} after SIGTERM, not with success", end.status));
        }
        screen.say("")?;
        let transports: Vec<&str> = self.cast.iter().map(|(recipe, _)| recipe.transport.word()).collect();
        for line in table::summary(&self.ledger, &transports, took) {
            screen.say(&line)?;
        }
        Ok(())
    }

    /// Starts the producer with this index.
    fn enter<W: Write>(&mut self, index: usize, screen: &mut Screen<W>) -> Result<()> {
        let (recipe, source) = &self.cast[index];
        let command =
            recipe.command(&self.stage, index, source).with_context(|| format!("cannot read {}", source.label))?;
        let hired = self.crew.hire(index, command).with_context(|| format!("cannot start {}", recipe.name))?;
        self.present.push(index);
        let key = match recipe.socket(&self.stage, index) {
            Some(path) => Key::Path(path.display().to_string()),
            None => Key::Pid(hired.pid),
        };
        if let Some(stdin) = hired.stdin {
            let lines = source.lines.clone();
            self.feeders.push(tokio::spawn(feed(stdin, lines)));
        }
        self.ledger.expect(recipe.name, key, source.lines.clone());
        screen.note(
            index,
            &format!("starts (process {}): {} lines of {}", hired.pid, source.lines.len(), source.label),
        )?;
        Ok(())
    }

    fn show<W: Write>(&self, event: &Event, index: Option<usize>, screen: &mut Screen<W>) -> Result<()> {
        let Some(index) = index else { return Ok(()) };
        match event {
            Event::Joined { .. } => screen.note(index, "joined")?,
            Event::Message { payload, .. } => screen.message(index, payload, Instant::now())?,
            Event::Left { counts, reason, .. } => {
                screen.confess(index)?;
                screen.note(index, &format!("left ({reason}): {} delivered", counts.delivered))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A child ended. A bad exit ends the demo.
    fn see_off(&mut self, departure: Departure) -> Result<()> {
        self.present.retain(|&index| index != departure.index);
        let name = self.cast[departure.index].0.name;
        let how = match departure.status {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        bail!("{name}: its process ended with {how}; it said: {}", indented(&departure.said))
    }

    /// Waits until the first producer's socket is there, or the producer is gone.
    async fn until_bound(&mut self, socket: &std::path::Path) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tokio::select! {
                _ = tick.tick() => if socket.exists() { return Ok(()) },
                Some(departure) = self.crew.next() => {
                    self.see_off(departure)?;
                    bail!("the first producer ended before it was received");
                }
            }
        }
    }

    /// The error when time is up: which producers are missing, and what was wrong by then.
    fn overdue(&self, limit: Duration) -> anyhow::Error {
        let mut lines = vec![format!("not done after {:.1} s", limit.as_secs_f64())];
        lines.extend(self.present.iter().map(|&index| format!("{}: its process still runs", self.cast[index].0.name)));
        lines.extend(self.ledger.problems());
        anyhow::anyhow!(lines.join("\n  "))
    }
}

/// Writes the lines slowly and in pieces that end anywhere, as a busy program would.
async fn feed(mut stdin: ChildStdin, lines: Vec<Vec<u8>>) {
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    let pieces = 150;
    for piece in text.chunks(text.len().div_ceil(pieces)) {
        // If the child is gone, its exit is reported.
        if stdin.write_all(piece).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn indented(said: &str) -> String {
    let lines: Vec<String> = said.trim().lines().map(|line| format!("    {}", screen::escaped(line))).collect();
    let last = lines.len().saturating_sub(20);
    if lines.is_empty() { "(nothing)".to_owned() } else { format!("\n{}", lines[last..].join("\n")) }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use screen::Manner;

    /// Runs the demo on a shell script that stands in for `mpsr`; returns what went wrong.
    async fn failure_with(script: &str, limit: Duration) -> String {
        // If another test starts a child while the script is being written, that child has it open for writing for a
        // moment, and a file that is open for writing cannot be run.
        static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _alone = ALONE.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let mpsr = dir.path().join("mpsr");
        fs::write(&mpsr, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&mpsr, fs::Permissions::from_mode(0o755)).unwrap();
        let options = Options { mpsr, sources: dir.path().into(), limit };
        let mut screen = Screen::new(Vec::new(), Manner::default());
        let run = timeout(Duration::from_secs(60), run(&options, &mut screen));
        run.await.expect("the limit is not kept").unwrap_err().to_string()
    }

    fn is_anyone_called(words: &str) -> bool {
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path().join("cmdline")));
        processes
            .filter_map(|path| fs::read(path).ok())
            .any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(words))
    }

    #[tokio::test]
    async fn a_producer_that_fails_is_named_with_its_last_words() {
        let failure = failure_with("echo no such luck >&2; exit 3", Duration::from_secs(30)).await;
        assert!(failure.starts_with("mpsr send --bind: its process ended with exit status: 3"), "{failure}");
        assert!(failure.contains("no such luck"), "{failure}");
    }

    #[tokio::test]
    async fn a_hang_is_a_failure_and_leaves_nobody_behind() {
        // A number of seconds that no other process sleeps for.
        let seconds = 600_000_000 + u64::from(std::process::id());
        let script = format!("[ $1 = send ] && : > ${{2#unix:}}; exec sleep {seconds}");
        let failure = failure_with(&script, Duration::from_millis(700)).await;
        assert!(
            failure.contains("mpsr send --bind: its process still runs") && failure.contains("never joined"),
            "{failure}"
        );
        assert!(!is_anyone_called(&format!("sleep {seconds}")));
        assert!(is_anyone_called(&std::env::current_exe().unwrap().display().to_string()), "the search is blind");
    }

    #[tokio::test]
    async fn a_receiver_outside_its_contract_is_told() {
        let script = "[ $1 = send ] && { : > ${2#unix:}; exec sleep 60; }; echo hello; exec sleep 60";
        let failure = failure_with(script, Duration::from_secs(30)).await;
        assert!(failure.contains(r#"outside its contract: "hello""#), "{failure}");
    }
}
