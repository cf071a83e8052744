//! `mpsr send`: sends its arguments or standard input as messages.
//!
//! Exit status 0 means that every message was handed to the kernel, and that no receiver visibly left any of them
//! unread. `source.rs` has the messages, `route.rs` the connections (`offer.rs` those that we accept), `connection.rs`
//! what happens on one of them; this file counts.

mod connection;
mod offer;
mod outgoing;
mod route;
mod source;

use std::{fmt, io, sync::Arc, time::Duration};

use anyhow::bail;
use rustix::process::getuid;
use uds_actor::{Reason, Report};

use self::{
    connection::{End, How, OUTBOX, PATIENCE, serve},
    outgoing::may_be_taken,
    route::Route,
    source::{Progress, Source, Unit},
};
use crate::{
    args::{FramingName, Send},
    notes::note,
    signals::{ReportRequests, Signals, end_if_stuck},
    text::escaped_words,
    words::count,
};

/// How long the input may take to end after a receiver that had read all of it so far.
const LAST_INPUT: Duration = Duration::from_millis(100);
/// A receiver that does not admit us hangs up within this time.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: Send) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    tokio::spawn(end_if_stuck(Signals::catch()?, PATIENCE + AT_ONCE));
    let requests = ReportRequests::catch()?;
    let mut route = Route::new(&args)?;
    let mut source = Source::new(&args);
    let mut sent = Sent::default();
    tokio::spawn(report_on_request(requests, args.socket.0.to_string(), Arc::clone(source.progress())));
    let mut stream = tokio::select! {
        stream = route.open() => stream?,
        () = signals.next() => bail!("interrupted before a receiver was there"),
    };
    let outcome = loop {
        let start = source.position();
        let (how, end) = serve(&args, &mut source, stream, &mut signals).await;
        let progress = end.report.handed_to_kernel.bytes > 0;
        sent.add(&args, &mut source, start, &end.report);
        let done = match how {
            How::Complete => break sent.judge(&args),
            How::Failed(error) => Err(error),
            How::Interrupted => Err(anyhow::anyhow!("interrupted after {}", sent.messages(&source))),
            How::Stalled => Err(anyhow::anyhow!(
                "{}: the receiver took nothing for {} s; {}",
                args.socket.0,
                args.timeout.unwrap_or_default().as_secs_f64(),
                sent.balance(&source)
            )),
            // A receiver may hang up, having read everything, before we have noticed that this was everything.
            How::Lost if is_read_in_full(&args, &end.report) && source.has_ended(LAST_INPUT).await => {
                break sent.judge(&args);
            }
            How::Lost => Ok(()),
        };
        if let Err(error) = done {
            break Err(error);
        }
        let again = if !progress && args.bind {
            true
        } else {
            // Otherwise a new connection would have nothing to send.
            args.reconnect && (source.is_open() || source.position() < source.known())
        };
        if !again {
            break Err(anyhow::anyhow!("{}: {}; {}", args.socket.0, Loss(&end), sent.balance(&source)));
        }
        if args.verbose || progress {
            note(&escaped_words(&format!("mpsr: {}: {}; connecting again", args.socket.0, Loss(&end))));
        }
        stream = tokio::select! {
            stream = route.reopen(progress) => stream?,
            () = signals.next() => break Err(anyhow::anyhow!("interrupted after {}", sent.messages(&source))),
        };
    };
    if args.verbose {
        note(&escaped_words(&format!("sent {}, to {}", sent.in_full(&source), args.socket.0)));
    }
    outcome
}

/// Reports on SIGUSR1. How much of the queue was handed to the kernel is known only after the connection has ended.
async fn report_on_request(mut requests: ReportRequests, address: String, progress: Arc<Progress>) {
    loop {
        requests.next().await;
        let (queued, most) = (progress.to_words(), OUTBOX >> 10);
        let line = format!("so far: queued {queued} for {address}; at most {most} KiB of that wait in this process");
        note(&escaped_words(&line));
    }
}

/// What was handed to the kernel so far, on all connections.
#[derive(Debug, Default)]
struct Sent {
    frames: u64,
    bytes: u64,
    /// Messages that were handed over in part, and that are not sent again because a receiver may have taken that part
    /// for a message.
    truncated: u64,
    /// Connections that were closed before the receiver had read everything.
    resets: u64,
}

impl Sent {
    /// Counts a connection that began at this message, and moves the source to the next message to send.
    fn add(&mut self, args: &Send, source: &mut Source, start: u64, report: &Report) {
        self.frames += report.handed_to_kernel.frames;
        self.bytes += report.handed_to_kernel.bytes;
        if is_reset(&report.reason) && report.handed_to_kernel.bytes > 0 {
            self.resets += 1;
        }
        source.rewind(start + report.handed_to_kernel.frames);
        if report.truncated_sending > 0
            && let Some(message) = source.current()
            && may_be_taken(&args.frames.framing.framing(), message, report.truncated_sending)
        {
            self.truncated += 1;
            source.advance();
        }
    }

    /// Everything was handed over. Decides whether that is a success.
    fn judge(&self, args: &Send) -> anyhow::Result<()> {
        if self.truncated > 0 {
            bail!(
                "{}: {} truncated when a connection ended, and not sent again, because a receiver may have taken the beginning",
                args.socket.0,
                count(self.truncated, "message was", "messages were")
            );
        }
        if self.resets > 0 {
            bail!(
                "{}: all was sent, but {} closed before everything on it was read",
                args.socket.0,
                count(self.resets, "connection was", "connections were")
            );
        }
        Ok(())
    }

    fn messages(&self, source: &Source) -> String {
        match source.unit() {
            Unit::Bytes => count(self.bytes, "byte", "bytes"),
            _ => count(self.frames, "message", "messages"),
        }
    }

    fn in_full(&self, source: &Source) -> String {
        match source.unit() {
            Unit::Bytes => self.messages(source),
            _ => format!("{}, {} with framing", self.messages(source), count(self.bytes, "byte", "bytes")),
        }
    }

    /// What was sent and what was not, for an end that came too early.
    fn balance(&self, source: &Source) -> String {
        if source.unit() == Unit::Bytes {
            return format!("{} were sent, and the rest of standard input was not", self.messages(source));
        }
        let unsent = source.known().saturating_sub(self.frames);
        let rest = if source.is_open() { ", nor was the rest of standard input" } else { "" };
        format!(
            "{} sent, {} not{rest}",
            count(self.frames, "message was", "messages were"),
            count(unsent, "was", "were")
        )
    }
}

/// Whether the receiver hung up after it had read all that was written, where that may be the whole of the input. With
/// `until-eof` it is not: the message ends when our direction is closed, and the receiver did not wait for that.
fn is_read_in_full(args: &Send, report: &Report) -> bool {
    matches!(report.reason, Reason::HungUp)
        && report.handed_to_kernel.bytes > 0
        && report.truncated_sending == 0
        && args.frames.framing != FramingName::UntilEof
}

fn is_reset(reason: &Reason) -> bool {
    matches!(reason, Reason::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

/// How a connection was lost, as text.
///
/// A receiver that does not admit us closes the connection and sends nothing. We know for certain that it closed, and
/// whether it left anything unread. That it did not admit us is likely if it closed at once and the users differ.
struct Loss<'a>(&'a End);

impl Loss<'_> {
    fn hung_up(&self) -> bool {
        match &self.0.report.reason {
            Reason::HungUp => true,
            Reason::Failed(error) => {
                matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
            }
            _ => false,
        }
    }

    /// The receiver's uid and ours, if the receiver may not have admitted us.
    fn rejected(&self) -> Option<(u32, u32)> {
        let End { report, peer, lasted } = self.0;
        let nothing_read = report.handed_to_kernel.bytes == 0 || is_reset(&report.reason);
        let is_possible = self.hung_up() && nothing_read && *lasted < AT_ONCE;
        is_possible.then_some((peer.as_ref()?.uid(), getuid().as_raw()))
    }
}

impl fmt::Display for Loss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.0.report;
        // Only a receiver that names the users that it admits rejects its own user or root.
        let rejected = self.rejected().map(|(theirs, ours)| (theirs, ours, ours != theirs && ours != 0));
        if let Some((theirs, ours, true)) = rejected {
            write!(
                f,
                "not admitted, it seems: the receiver (uid {theirs}) hung up at once; ask it to admit uid {ours}; "
            )?;
        }
        match &report.reason {
            reason if is_reset(reason) => f.write_str("failed: the receiver closed before it had read everything"),
            _ if self.hung_up() && report.handed_to_kernel.bytes == 0 => {
                f.write_str("failed: the receiver hung up before anything was sent")
            }
            _ if self.hung_up() => f.write_str("failed: the receiver hung up before everything was sent"),
            reason => write!(f, "{reason}"),
        }?;
        match rejected {
            Some((_, ours, false)) => write!(f, " (perhaps uid {ours} is not admitted)"),
            _ => Ok(()),
        }
    }
}
