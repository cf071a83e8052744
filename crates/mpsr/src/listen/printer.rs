//! What `listen` prints: messages to standard output; everything else to standard error, or as objects among the
//! messages.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use mpsr_server::{Delivery, Event, Parting, Place, Producer, ProducerReport, Report, Via};
use uds_actor::{Address, NameLoss, Peer};

use super::{
    clock::rfc3339,
    ledger::{Ledger, Tally, Written},
    words,
};
use crate::{
    address::{exact, exact_place},
    args::{Listen, Print},
    json::{AddressText, Object, Payload, Timed, Totals},
    notes::{self, keep_order, last_note, last_object, note, note_object},
    output::Output,
    text::{escaped, escaped_words},
    words::{name_lost, rebound, rejected},
};

/// For people, each line has a sign after the producer's number: `|` for a message, `+` joined, `-` left. A message
/// cannot imitate another line: control characters are escaped, and each row of a long message has the sign, too.
#[derive(Debug)]
pub(super) struct Printer {
    output: Output,
    ledger: Ledger,
    print: Print,
    rebind: bool,
    once: bool,
    /// Which users are admitted to a socket without a file, and to one with a file.
    access: [String; 2],
    /// How many more messages may be printed.
    remaining: Option<u64>,
    started: Instant,
}

/// Prints the report so far, from any thread.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    tally: Arc<Tally>,
    json: bool,
    started: Instant,
}

impl Printer {
    pub(super) fn new(args: &Listen) -> Self {
        let ledger = Ledger::new(Arc::default());
        Self {
            output: Output::new(),
            ledger,
            print: args.print,
            rebind: args.file.rebind,
            once: args.end.once,
            access: [false, true].map(|has_file| args.admitted(has_file)),
            remaining: args.end.count,
            started: Instant::now(),
        }
    }

    pub(super) fn reports(&self) -> Reports {
        Reports { tally: Arc::clone(self.ledger.tally()), json: self.print.json, started: self.started }
    }

    /// Messages that standard output has accepted.
    pub(super) fn delivered(&self) -> u64 {
        self.ledger.tally().written().messages
    }

    /// Writes everything. Cancel safe.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.output.drain().await;
        self.ledger.settle(self.output.accepted());
        flushed
    }

    pub(super) async fn abandoned(&self) -> anyhow::Error {
        self.output.abandoned().await
    }

    /// Prints the event. If you drop this future, the part of the event that was not printed does not count as
    /// delivered.
    pub(super) async fn event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Delivery(delivery) => self.messages(&delivery).await,
            Event::Joined(producer) => self.joined(&producer).await,
            Event::Rejected { place, peer } => self.rejected(&place, peer.as_ref()).await,
            Event::NameLost { place, loss } => self.name_lost(&place, loss).await,
            Event::Rebound(place) => self.rebound(&place).await,
            Event::Missing { producer, count } => self.missing(&producer, count).await,
            Event::Left(report) => self.left(&report).await,
            Event::Synced(place) => self.watching(&place).await,
            Event::Unread { place, connections } => self.unread(&place, connections).await,
            Event::Trouble { place, error } => {
                Tally::add(&self.ledger.tally().failed_sources, words::is_failure(&error).into());
                self.warning(&place, words::warning(error)).await
            }
            _ => Ok(()),
        }
    }

    /// Whether the requested number of messages was printed.
    pub(super) fn is_complete(&self) -> bool {
        self.remaining == Some(0)
    }

    async fn messages(&mut self, delivery: &Delivery) -> anyhow::Result<()> {
        let producer = delivery.producer().id.value();
        Tally::add(&self.ledger.tally().received, delivery.batch().len() as u64);
        let front = self.front(delivery.producer());
        for message in delivery {
            match &mut self.remaining {
                Some(0) => break,
                Some(remaining) => *remaining -= 1,
                None => {}
            }
            if self.print.json {
                self.push_object(&Object::Message { producer, payload: Payload::new(message) });
            } else if self.output.is_terminal() {
                self.output.push_rows(&format!("{front} | {}", escaped(message)));
            } else {
                let ending: &[u8] = if self.print.no_newline { b"" } else { b"\n" };
                self.output.push(front.as_bytes(), message);
                self.output.push(ending, b"");
            }
            self.ledger.add(producer, message.len(), self.output.added());
            if self.output.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// The text in front of a message: on a terminal the number of its producer, and whatever the options ask for.
    fn front(&self, producer: &Producer) -> String {
        if self.print.json {
            return String::new();
        }
        let time = if self.print.timestamps { rfc3339(SystemTime::now()) + " " } else { String::new() };
        let name = if self.print.prefix { name(producer) } else { String::new() };
        match (self.output.is_terminal(), self.print.prefix) {
            (true, true) => format!("{time}{:>4} {name}", producer.id),
            (true, false) => format!("{time}{:>4}", producer.id),
            (false, true) => format!("{time}#{} {name}: ", producer.id),
            (false, false) => time,
        }
    }

    pub(super) async fn listening(&mut self, address: &Address) -> anyhow::Result<()> {
        let [without, with] = &self.access;
        let access = if matches!(address, Address::Path(_)) { with } else { without }.clone();
        let address = exact(address);
        if self.print.json {
            return self.object_aside(&Object::Listening { address: AddressText::new(address) }).await;
        }
        self.aside(&format!("listening on {}{access}", escaped(&address))).await
    }

    async fn watching(&mut self, place: &Place) -> anyhow::Result<()> {
        let address = exact_place(place);
        if self.print.json {
            return self.object_aside(&Object::Watching { address: AddressText::new(address) }).await;
        }
        self.aside(&format!("watching {}", escaped(&address))).await
    }

    async fn joined(&mut self, producer: &Producer) -> anyhow::Result<()> {
        Tally::add(&self.ledger.tally().producers, 1);
        let Producer { id, address, via, peer, .. } = producer;
        let address = exact(address);
        if self.print.json {
            let object = Object::Joined {
                producer: id.value(),
                address: AddressText::new(address),
                via: if *via == Via::Directory { "dir" } else { "listen" },
                pid: peer.pid(),
                uid: peer.uid(),
                gid: peer.gid(),
            };
            return self.object_aside(&object).await;
        }
        self.aside(&format!("{id:>4} + {peer} on {}", escaped(&address))).await
    }

    /// Printed even with `--quiet`: otherwise it would look as if the rejected peer had sent nothing.
    async fn rejected(&mut self, place: &Place, peer: Option<&Peer>) -> anyhow::Result<()> {
        Tally::add(&self.ledger.tally().rejected, 1);
        let address = exact_place(place);
        if self.print.json {
            let object = Object::Rejected {
                address: AddressText::new(address),
                pid: peer.and_then(Peer::pid),
                uid: peer.map(Peer::uid),
                gid: peer.map(Peer::gid),
            };
            return self.object(&object).await;
        }
        self.say(&rejected(&escaped(&address), peer)).await
    }

    async fn name_lost(&mut self, place: &Place, loss: NameLoss) -> anyhow::Result<()> {
        let address = exact_place(place);
        if self.print.json {
            let reason = if loss == NameLoss::Replaced { "replaced" } else { "removed" };
            return self.object(&Object::NameLost { address: AddressText::new(address), reason }).await;
        }
        self.say(&name_lost(&escaped(&address), loss, "new producer", self.rebind)).await
    }

    async fn rebound(&mut self, place: &Place) -> anyhow::Result<()> {
        let address = exact_place(place);
        if self.print.json {
            return self.object(&Object::Rebound { address: AddressText::new(address) }).await;
        }
        self.say(&rebound(&escaped(&address))).await
    }

    async fn missing(&mut self, producer: &Producer, count: u64) -> anyhow::Result<()> {
        if self.print.json {
            return self.object(&Object::Missing { producer: producer.id.value(), count }).await;
        }
        let words = if count == 1 {
            "1 message over the limit was".to_owned()
        } else {
            format!("{count} messages over the limit were")
        };
        self.say(&format!("{:>4} ! {words} skipped", producer.id)).await
    }

    async fn unread(&mut self, place: &Place, connections: u64) -> anyhow::Result<()> {
        Tally::add(&self.ledger.tally().unread, connections);
        let address = exact_place(place);
        if self.print.json {
            return self.object(&Object::Unread { address: AddressText::new(address), connections }).await;
        }
        let were =
            if connections == 1 { "1 connection was".to_owned() } else { format!("{connections} connections were") };
        let why = if self.once { "--once takes one" } else { "they were waiting when time ran out" };
        self.say(&format!("mpsr: {}: {were} closed unread: {why}", escaped(&address))).await
    }

    /// Called after all messages of the producer were written, or could not be, so that the numbers are final.
    async fn left(&mut self, report: &ProducerReport) -> anyhow::Result<()> {
        self.flush().await?;
        let tally = self.ledger.tally();
        Tally::add(&tally.truncated, report.truncated());
        Tally::add(&tally.unterminated, report.unterminated.into());
        Tally::add(&tally.skipped, report.skipped);
        Tally::add(&tally.shortened, report.shortened);
        let ProducerReport { producer, received, parting, .. } = report;
        let Written { messages: delivered, bytes } = self.ledger.close(producer.id.value());
        let lost = received.frames - delivered;
        let (reason, error) = reason(parting);
        if self.print.json {
            let object = Object::Left {
                producer: producer.id.value(),
                received: received.frames,
                delivered,
                truncated: report.truncated(),
                lost,
                bytes,
                unterminated: report.unterminated,
                skipped: report.skipped,
                shortened: report.shortened,
                reason,
                error,
            };
            return self.object_aside(&object).await;
        }
        let mut line = format!("{:>4} - {}: delivered {delivered}", producer.id, escaped_words(&parting.to_string()));
        if report.truncated_bytes > 0 {
            line += &format!(", truncated 1 message after {} bytes", report.truncated_bytes);
        }
        if report.unterminated {
            line += ", the last one unterminated";
        }
        for (number, what) in [(lost, "lost"), (report.skipped, "skipped"), (report.shortened, "shortened")] {
            if number > 0 {
                line += &format!(", {what} {number}");
            }
        }
        self.aside(&line).await
    }

    pub(super) async fn warning(&mut self, place: &Place, text: String) -> anyhow::Result<()> {
        let address = exact_place(place);
        if self.print.json {
            return self.object(&Object::Warning { address: AddressText::new(address), text }).await;
        }
        self.say(&format!("mpsr: {}: {}", escaped(&address), escaped_words(&text))).await
    }

    /// Prints the final report, and returns how many messages are lost. Nothing more is written to standard output.
    pub(super) fn end(&mut self, report: &Report, reason: &'static str) -> u64 {
        // The write that was in progress may have been dropped.
        self.ledger.settle(self.output.accepted());
        let Written { messages: delivered, bytes } = self.ledger.tally().written();
        let totals = Totals {
            producers: report.producers,
            received: report.received.frames,
            delivered,
            truncated: report.truncated,
            lost: report.received.frames - delivered,
            unterminated: report.unterminated,
            skipped: report.skipped,
            shortened: report.shortened,
            bytes,
            rejected: report.rejected,
            shed: Some(report.shed),
            unread: report.unread,
            failed_sources: report.failed_sources,
            seconds: report.elapsed.as_secs_f64(),
        };
        match (self.print.quiet, self.print.json) {
            (true, _) => {}
            (false, true) => last_object(&Object::Report { totals, notes_dropped: notes::dropped(), reason }),
            (false, false) => last_note(&totals.to_words()),
        }
        totals.lost
    }

    fn push_object(&mut self, object: &Object<'_>) {
        if self.print.timestamps {
            self.output.push_object(&Timed { object, time: rfc3339(SystemTime::now()) });
        } else {
            self.output.push_object(object);
        }
    }

    async fn object(&mut self, object: &Object<'_>) -> anyhow::Result<()> {
        self.push_object(object);
        if self.output.is_full() { self.flush().await } else { Ok(()) }
    }

    /// Prints an object that is not a message.
    async fn object_aside(&mut self, object: &Object<'_>) -> anyhow::Result<()> {
        if self.print.quiet { Ok(()) } else { self.object(object).await }
    }

    /// Prints a line that is not a message.
    async fn aside(&mut self, line: &str) -> anyhow::Result<()> {
        if self.print.quiet { Ok(()) } else { self.say(line).await }
    }

    /// Prints to standard error; if both streams are one terminal, in order with the messages.
    async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.flush().await?;
        note(line);
        if self.output.is_terminal() {
            keep_order();
        }
        Ok(())
    }
}

impl Reports {
    /// A message counts as received when it is taken from its producer's queue.
    pub(super) fn so_far(&self) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Written { messages: delivered, bytes } = self.tally.written();
        let seconds = self.started.elapsed().as_secs_f64();
        let totals = Totals {
            producers: read(&self.tally.producers),
            received: read(&self.tally.received),
            delivered,
            truncated: read(&self.tally.truncated),
            // Messages in between are not lost yet.
            lost: 0,
            unterminated: read(&self.tally.unterminated),
            skipped: read(&self.tally.skipped),
            shortened: read(&self.tally.shortened),
            bytes,
            rejected: read(&self.tally.rejected),
            // The funnel counts them, and reports the number at its end.
            shed: None,
            unread: read(&self.tally.unread),
            failed_sources: read(&self.tally.failed_sources),
            seconds,
        };
        if self.json {
            note_object(&Object::ReportSoFar { totals });
        } else {
            note(&format!("so far: {}", totals.to_words()));
        }
    }
}

/// The producer's name for `--prefix`: the name of its socket, or what the kernel says about the process that
/// connected.
fn name(producer: &Producer) -> String {
    match (&producer.address, producer.via) {
        (Address::Path(path), Via::Directory) => {
            escaped(path.file_name().unwrap_or(path.as_os_str()).as_encoded_bytes())
        }
        _ => match producer.peer.pid() {
            Some(pid) => format!("pid={pid} uid={}", producer.peer.uid()),
            None => format!("uid={}", producer.peer.uid()),
        },
    }
}

/// The reason as a word for programs, and the message of the system or the codec.
fn reason(parting: &Parting) -> (&'static str, Option<String>) {
    match parting {
        Parting::Closed => ("closed", None),
        Parting::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset => ("reset", Some(error.to_string())),
        Parting::Failed(error) => ("failed", Some(error.to_string())),
        Parting::Malformed(error) => ("malformed", Some(error.to_string())),
        Parting::Vanished => ("vanished", None),
        Parting::Shutdown => ("shutdown", None),
        _ => ("abandoned", None),
    }
}
