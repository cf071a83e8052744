//! `mpsr listen`: a funnel on standard output.

use std::{io, time::Duration};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use mpsr_server::{Delivery, Event, Funnel, Handle, Limits, Parting, Producer, ProducerReport, Report, Via};

use crate::{
    address::{Place, bind},
    args::Listen,
    descriptors::connections,
    json::{Object, Payload},
    output::{Output, last_word, note},
    signals::Signals,
    text::escaped,
};

pub(crate) async fn run(args: Listen) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let mut funnel = start(&args).await?;
    tokio::spawn(stop_on_signal(signals, funnel.handle(), args.drain));
    let mut printer = Printer { output: Output::new(), json: args.json, quiet: args.quiet };
    let printed = print(&mut funnel, &mut printer).await;
    let report = funnel.finished().await;
    printer.report(&report, if printed.is_ok() { "signal" } else { "output" });
    printed
}

async fn start(args: &Listen) -> anyhow::Result<Funnel> {
    let mut limits = Limits::default();
    limits.max_frame = args.frames.max_frame;
    let directories = args.places.iter().filter(|place| matches!(place, Place::Directory(_))).count();
    limits.connections = limits.connections.min(connections(args.places.len() - directories, directories));
    let admit = args.admit();
    let mut builder = Funnel::builder(args.frames.framing.framing()).limits(limits).admit(admit.clone());
    for place in &args.places {
        builder = match place {
            Place::Socket(address) => builder.listen(bind(address).mode(args.mode).admit(admit.clone())),
            Place::Directory(path) => builder.directory(path),
        };
    }
    builder.start().await.context("cannot listen")
}

/// The first signal takes in what has been sent; the second ends the process where it stands.
async fn stop_on_signal(mut signals: Signals, handle: Handle, drain: Duration) {
    signals.next().await;
    handle.shutdown(drain);
    signals.next().await;
    last_word("mpsr: ended by a second signal, without an account").await;
    std::process::exit(1);
}

async fn print(funnel: &mut Funnel, printer: &mut Printer) -> anyhow::Result<()> {
    for address in funnel.listening() {
        printer.listening(&address.to_string())?;
    }
    loop {
        // Flushed whenever nothing more is waiting: a busy funnel writes in blocks, a quiet one at once.
        let event = match funnel.next().now_or_never() {
            Some(event) => event,
            None => {
                printer.output.flush()?;
                tokio::select! {
                    event = funnel.next() => event,
                    gone = printer.output.abandoned() => return Err(gone),
                }
            }
        };
        match event {
            Some(event) => printer.event(event)?,
            None => return printer.output.flush(),
        }
    }
}

/// For people, each line has its sign behind the producer's number: `|` a message, `+` joined, `-` left. A message cannot
/// pass itself off for anything else.
struct Printer {
    output: Output,
    json: bool,
    quiet: bool,
}

impl Printer {
    fn event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Delivery(delivery) => self.messages(&delivery),
            Event::Joined(producer) => self.joined(&producer),
            Event::Left(account) => self.left(&account),
            Event::Synced(place) => self.watching(&place.to_string()),
            Event::Trouble { place, error } => {
                self.warning(&place.to_string(), &format!("{:#}", anyhow::Error::new(error)))
            }
            _ => Ok(()),
        }
    }

    fn messages(&mut self, delivery: &Delivery) -> anyhow::Result<()> {
        let producer = delivery.producer().id.value();
        for message in delivery {
            if self.json {
                self.output.object(&Object::Message { producer, payload: Payload::new(message) })?;
            } else if self.output.is_terminal() {
                let line = format!("{producer:>4} | {}", escaped(message));
                self.output.line(line.as_bytes())?;
            } else {
                self.output.line(message)?;
            }
        }
        Ok(())
    }

    fn listening(&mut self, address: &str) -> anyhow::Result<()> {
        if self.json {
            self.output.object(&Object::Listening { address: address.to_owned() })?;
            return self.output.flush();
        }
        self.aside(&format!("listening on {address}"))
    }

    fn watching(&mut self, address: &str) -> anyhow::Result<()> {
        if self.json {
            return self.output.object(&Object::Watching { address: address.to_owned() });
        }
        self.aside(&format!("watching {address}"))
    }

    fn joined(&mut self, producer: &Producer) -> anyhow::Result<()> {
        let Producer { id, address, via, peer, .. } = producer;
        if self.json {
            return self.output.object(&Object::Joined {
                producer: id.value(),
                address: address.to_string(),
                via: if *via == Via::Directory { "dir" } else { "listen" },
                pid: peer.pid(),
                uid: peer.uid(),
                gid: peer.gid(),
            });
        }
        self.aside(&format!("{id:>4} + {peer} on {address}"))
    }

    fn left(&mut self, account: &ProducerReport) -> anyhow::Result<()> {
        let ProducerReport { producer, received, delivered, lost, parting, .. } = account;
        let (reason, error) = reason(parting);
        if self.json {
            return self.output.object(&Object::Left {
                producer: producer.id.value(),
                received: received.frames,
                delivered: delivered.frames,
                truncated: account.truncated(),
                lost: lost.frames,
                bytes: delivered.bytes,
                reason,
                error,
            });
        }
        let mut line =
            format!("{:>4} - {}: delivered {}", producer.id, escaped(parting.to_string().as_bytes()), delivered.frames);
        if account.truncated_bytes > 0 {
            line += &format!(", truncated 1 message after {} bytes", account.truncated_bytes);
        }
        if lost.frames > 0 {
            line += &format!(", lost {}", lost.frames);
        }
        self.aside(&line)
    }

    fn warning(&mut self, address: &str, text: &str) -> anyhow::Result<()> {
        if self.json {
            return self.output.object(&Object::Warning { address: address.to_owned(), text: text.to_owned() });
        }
        note(&format!("mpsr: {}", escaped(text.as_bytes())));
        Ok(())
    }

    fn report(&self, report: &Report, reason: &'static str) {
        let seconds = report.elapsed.as_secs_f64();
        if self.json {
            let object = Object::Report {
                producers: report.producers,
                received: report.received.frames,
                delivered: report.delivered.frames,
                truncated: report.truncated,
                lost: report.lost.frames,
                bytes: report.delivered.bytes,
                rejected: report.rejected,
                shed: report.shed,
                seconds,
                reason,
            };
            note(&object.to_line());
        } else if !self.quiet {
            note(&format!("{report} in {seconds:.1} s"));
        }
    }

    /// Something about the messages rather than one of them; in its place among them if both go to a terminal.
    fn aside(&mut self, line: &str) -> anyhow::Result<()> {
        if !self.quiet {
            self.output.flush()?;
            note(line);
        }
        Ok(())
    }
}

/// The word for machines, and what the system or the codec said.
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
