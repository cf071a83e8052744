//! `mpsr listen`: a funnel on standard output.

mod ledger;
mod printer;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use futures_util::FutureExt as _;
use mpsr_server::{Funnel, Handle, Limits};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use self::printer::Printer;
use crate::{
    address::{Place, bind},
    args::Listen,
    descriptors::connections,
    output::last_word,
    signals::{ReportRequests, Signals},
};

/// How long after the end of `--drain` the messages that were received have to be taken from standard output.
const LAST_MESSAGES: Duration = Duration::from_millis(400);
/// How long after that the report may take.
const LAST_REPORT: Duration = Duration::from_millis(400);

pub(crate) async fn run(args: Listen) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let requests = ReportRequests::catch()?;
    let mut funnel = start(&args).await?;
    let mut printer = Printer::new(&args);
    let overdue = Arc::new(Notify::new());
    tokio::spawn(end_on_signal(signals, funnel.handle(), args.drain, Arc::clone(&overdue)));
    tokio::spawn(report_on_request(requests, printer.reports()));
    let printed = tokio::select! {
        printed = print(&mut funnel, &mut printer) => printed,
        () = overdue.notified() => Err(anyhow!("standard output was not read")),
    };
    let report = funnel.finished().await;
    printer.end(&report, if printed.is_ok() { "signal" } else { "output" });
    printed?;
    match report.received.frames - printer.delivered() {
        0 => Ok(()),
        lost => bail!("{lost} messages that were received are lost"),
    }
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
            Place::Socket(address) => {
                let bind = bind(address).admit(admit.clone());
                // Only what was asked for: an address that has no file has no mode either.
                builder.listen(if let Some(mode) = args.mode { bind.mode(mode) } else { bind })
            }
            Place::Directory(path) => builder.directory(path),
        };
    }
    builder.start().await.context("cannot listen")
}

/// The first request to end takes in what has been sent. A second one, or standard output that is stuck when the time is
/// over, ends the process where it stands; this runs beside the thread that prints, which may be stuck there.
async fn end_on_signal(mut signals: Signals, handle: Handle, drain: Duration, overdue: Arc<Notify>) {
    signals.next().await;
    handle.shutdown(drain);
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

async fn print(funnel: &mut Funnel, printer: &mut Printer) -> anyhow::Result<()> {
    for address in funnel.listening() {
        printer.listening(address).await?;
    }
    loop {
        // Flushed whenever nothing more is waiting: a busy funnel writes in blocks, a quiet one at once.
        let event = match funnel.next().now_or_never() {
            Some(event) => event,
            None => {
                printer.flush().await?;
                tokio::select! {
                    event = funnel.next() => event,
                    gone = printer.abandoned() => return Err(gone),
                }
            }
        };
        match event {
            Some(event) => printer.event(event).await?,
            None => return printer.flush().await,
        }
    }
}
