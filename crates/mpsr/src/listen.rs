//! `mpsr listen`: a funnel that writes to standard output.

mod clock;
mod ledger;
mod printer;
mod words;

use std::{future::pending, io::IsTerminal as _, sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use futures_util::FutureExt as _;
use mpsr_server::{Event, Funnel, Handle, Limits, Parting, Place};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, timeout},
};
use uds_actor::{Address, Bind};

use self::printer::Printer;
use crate::{
    address,
    args::{End, Listen},
    descriptors::connections,
    memory::{self, Burst},
    output::last_word,
    signals::{ReportRequests, Signals},
};

/// How much room a message may take in the output, as a multiple of its size: unchanged, or with each byte as an escape
/// of six.
const PLAIN: u64 = 2;
const ESCAPED: u64 = 16;

/// How long the start may still take after a signal. Normally it takes milliseconds.
const START: Duration = Duration::from_millis(800);
/// How long the messages that were received may wait for standard output after `--drain` has passed.
const LAST_MESSAGES: Duration = Duration::from_millis(400);
/// How long the report may take after that.
const LAST_REPORT: Duration = Duration::from_millis(400);

pub(crate) async fn run(args: Listen) -> anyhow::Result<()> {
    memory::prepare();
    let signals = Signals::catch()?;
    let requests = ReportRequests::catch()?;
    let overdue = Arc::new(Notify::new());
    let (started, starting) = oneshot::channel();
    tokio::spawn(end_on_signal(signals, starting, args.end.drain, Arc::clone(&overdue)));
    let mut funnel = start(&args).await?;
    // If the task has ended, the process is ending.
    let _ = started.send(funnel.handle());
    let mut printer = Printer::new(&args);
    tokio::spawn(report_on_request(requests, printer.reports()));
    let ended = tokio::select! {
        ended = receive(&args, &mut funnel, &mut printer) => ended,
        () = overdue.notified() => Err(anyhow!("standard output was not read")),
    };
    let report = funnel.finished().await;
    let lost = printer.end(&report, ended.as_ref().map_or("output", Ended::word));
    let missed = Missed { lost, unread: report.unread, failed_sources: report.failed_sources };
    judge(&args.end, ended?, printer.delivered(), missed)
}

/// Why `listen` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Signal,
    Count,
    Once,
    Timeout,
    /// Every source of messages has failed.
    Sources,
}

impl Ended {
    const fn word(&self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Count => "count",
            Self::Once => "once",
            Self::Timeout => "timeout",
            Self::Sources => "sources",
        }
    }
}

/// What did not reach standard output.
#[derive(Clone, Copy, Debug)]
struct Missed {
    /// Messages that were received.
    lost: u64,
    /// Connections that were closed without being read.
    unread: u64,
    failed_sources: u64,
}

/// Whether the command did what its options asked for.
fn judge(end: &End, ended: Ended, delivered: u64, missed: Missed) -> anyhow::Result<()> {
    let Missed { lost, unread, failed_sources } = missed;
    match (ended, end.count) {
        (Ended::Sources, _) => bail!("every source of messages has failed"),
        (Ended::Once, Some(count)) if delivered < count => bail!("the connection has ended: {delivered} of {count}"),
        // Messages beyond the requested number are not missing.
        (Ended::Count | Ended::Once, _) => Ok(()),
        (Ended::Timeout, Some(count)) => bail!("no message came for {}: {delivered} of {count}", idle(end)),
        (Ended::Timeout, _) if end.once => bail!("no message came for {}, and no connection has ended", idle(end)),
        _ if lost == 1 => bail!("1 message that was received is lost"),
        _ if lost > 0 => bail!("{lost} messages that were received are lost"),
        _ if unread == 1 && !end.once => bail!("1 connection was closed unread"),
        _ if unread > 0 && !end.once => bail!("{unread} connections were closed unread"),
        _ if failed_sources == 1 => bail!("a source of messages has failed"),
        _ if failed_sources > 0 => bail!("{failed_sources} sources of messages have failed"),
        _ => Ok(()),
    }
}

fn idle(end: &End) -> String {
    format!("{:?}", end.timeout.unwrap_or_default())
}

async fn start(args: &Listen) -> anyhow::Result<Funnel> {
    let mut limits = Limits::default();
    limits.max_frame = args.frames.max_frame;
    limits.oversize = args.oversize.policy();
    let directories = args.places.iter().filter(|place| place.is_directory()).count();
    let copies = if args.print.json || std::io::stdout().is_terminal() { ESCAPED } else { PLAIN };
    let fitting = memory::limits::connections(args.frames.max_frame, copies, directories)?;
    let connections = connections(args.places.len() - directories, directories).min(fitting);
    limits.connections = limits.connections.min(connections);
    limits.admissions = args.end.once.then_some(1);
    let mut builder = Funnel::builder(args.frames.framing.framing())
        .limits(limits)
        .reconnect(args.directories.reconnect)
        .rebind(args.file.rebind);
    if let Some(admit) = args.access.admit() {
        builder = builder.admit(admit);
    }
    for place in &args.places {
        builder = match place {
            address::Place::Socket(address) => builder.listen(bind(args, address, place.has_file())),
            address::Place::Directory(path) => builder.directory(path),
        };
    }
    builder.start().await.map_err(words::start)
}

fn bind(args: &Listen, address: &Address, has_file: bool) -> Bind {
    let mut bind = Bind::at(address.clone());
    if let Some(admit) = args.access.admit() {
        bind = bind.admit(admit);
    }
    if has_file { args.file.apply(bind) } else { bind }
}

/// The first request to end receives what has been sent. A second request, or standard output that is stuck when the
/// time is over, ends the process immediately. This task runs beside the thread that prints, because that thread may be
/// stuck, and so may a start in a directory on a filesystem that does not respond.
async fn end_on_signal(
    mut signals: Signals,
    starting: oneshot::Receiver<Handle>,
    drain: Duration,
    overdue: Arc<Notify>,
) {
    signals.next().await;
    match timeout(START, starting).await {
        Ok(Ok(handle)) => handle.shutdown(drain),
        // It could not start, and reports why.
        Ok(Err(_)) => return,
        Err(_) => {
            last_word("mpsr: ended by a signal before it could start: a filesystem does not answer").await;
            std::process::exit(1);
        }
    }
    if timeout(drain.saturating_add(LAST_MESSAGES), signals.next()).await.is_err() {
        overdue.notify_one();
        tokio::select! {
            () = sleep(LAST_REPORT) => {
                last_word("mpsr: ended without a report: standard output is stuck").await;
                std::process::exit(1);
            }
            () = signals.next() => {}
        }
    }
    last_word("mpsr: ended by a second signal, without a report").await;
    std::process::exit(1);
}

async fn report_on_request(mut requests: ReportRequests, reports: printer::Reports) {
    loop {
        requests.next().await;
        reports.so_far();
    }
}

async fn receive(args: &Listen, funnel: &mut Funnel, printer: &mut Printer) -> anyhow::Result<Ended> {
    let end = &args.end;
    for address in funnel.listening() {
        printer.listening(address).await?;
        if let Address::Path(path) = address
            && let Some(text) = args.access.unreachable(&args.file, path)
        {
            printer.warning(&Place::Socket(address.clone()), text).await?;
        }
    }
    let ended = print(end, funnel, printer).await?;
    if ended == Ended::Timeout {
        // The same as after a signal: receive what has been sent.
        funnel.handle().shutdown(end.drain);
        let rest = End { timeout: None, ..*end };
        let printed = timeout(end.drain.saturating_add(LAST_MESSAGES), print(&rest, funnel, printer));
        printed.await.map_err(|_| anyhow!("standard output was not read"))??;
    }
    printer.flush().await?;
    Ok(ended)
}

/// Prints until a signal has ended the funnel, or a condition of `end` is fulfilled.
async fn print(end: &End, funnel: &mut Funnel, printer: &mut Printer) -> anyhow::Result<Ended> {
    let mut last_message = Instant::now();
    let mut burst = Burst::new();
    let mut has_served = false;
    loop {
        // Flush whenever there is nothing more to print: a busy funnel writes whole blocks, a quiet one writes at once.
        let event = match funnel.next().now_or_never() {
            Some(event) => event,
            None => {
                tokio::select! {
                    flushed = printer.flush() => flushed?,
                    () = idle_for(end.timeout, last_message) => return Ok(Ended::Timeout),
                }
                tokio::select! {
                    event = funnel.next() => event,
                    gone = printer.abandoned() => return Err(gone),
                    () = idle_for(end.timeout, last_message) => return Ok(Ended::Timeout),
                    () = burst.over() => {
                        memory::give_back();
                        continue;
                    }
                }
            }
        };
        let Some(event) = event else {
            return Ok(match has_served && end.once {
                true => Ended::Once,
                false if funnel.handle().is_shutdown() => Ended::Signal,
                false => Ended::Sources,
            });
        };
        if let Event::Left(report) = &event {
            // If a signal ended the one connection, the signal is the reason.
            has_served |= !report.is_empty() && !matches!(report.parting, Parting::Shutdown | Parting::Abandoned);
        }
        let mut bytes = 0;
        if let Event::Delivery(delivery) = &event {
            last_message = Instant::now();
            bytes = delivery.batch().byte_len() as u64;
        }
        burst.note(bytes);
        printer.event(event).await?;
        if printer.is_complete() {
            return Ok(Ended::Count);
        }
    }
}

async fn idle_for(limit: Option<Duration>, since: Instant) {
    match limit {
        Some(limit) => sleep(limit.saturating_sub(since.elapsed())).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Missed = Missed { lost: 0, unread: 0, failed_sources: 0 };

    /// The error, if any, when `listen` ends with these options after it has delivered one message.
    fn judged(once: bool, count: Option<u64>, ended: Ended, missed: Missed) -> Option<String> {
        let end = End { count, once, timeout: Some(Duration::from_secs(2)), drain: Duration::ZERO };
        judge(&end, ended, 1, missed).err().map(|error| error.to_string())
    }

    #[test]
    fn an_end_is_a_success_only_if_what_was_asked_for_was_done_and_nothing_was_missed() {
        let lost = Missed { lost: 2, ..NOTHING };
        let unread = Missed { unread: 1, ..NOTHING };
        let failed = Missed { failed_sources: 1, ..NOTHING };
        let all = Missed { lost: 1, unread: 3, failed_sources: 2 };
        for (once, count, ended, missed, error) in [
            (false, None, Ended::Signal, NOTHING, None),
            (false, None, Ended::Signal, lost, Some("2 messages that were received are lost")),
            (false, None, Ended::Signal, unread, Some("1 connection was closed unread")),
            (false, None, Ended::Signal, failed, Some("a source of messages has failed")),
            (false, None, Ended::Signal, all, Some("1 message that was received is lost")),
            (false, None, Ended::Sources, failed, Some("every source of messages has failed")),
            (false, None, Ended::Timeout, NOTHING, None),
            (false, None, Ended::Timeout, unread, Some("1 connection was closed unread")),
            (false, Some(2), Ended::Timeout, NOTHING, Some("no message came for 2s: 1 of 2")),
            (true, None, Ended::Timeout, NOTHING, Some("no message came for 2s, and no connection has ended")),
            // Messages beyond the requested number are not missing.
            (true, None, Ended::Once, unread, None),
            (true, None, Ended::Signal, unread, None),
            (true, None, Ended::Signal, lost, Some("2 messages that were received are lost")),
            (true, Some(2), Ended::Once, NOTHING, Some("the connection has ended: 1 of 2")),
            (false, Some(1), Ended::Count, all, None),
        ] {
            assert_eq!(judged(once, count, ended, missed).as_deref(), error, "{once} {count:?} {ended:?} {missed:?}");
        }
    }
}
