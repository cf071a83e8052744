//! `mpsr send`: arguments or standard input, as messages.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use frame_codec::{Decoder, Delimited, Fixed, Framing, Raw};
use tokio::{
    io::{AsyncReadExt as _, stdin},
    net::UnixStream,
    time::timeout,
};
use uds_actor::{Actor, Error, Report, SendError, Sender};

use crate::{
    args::{Division, Send},
    output::note,
    signals::Signals,
};

/// How long a receiver may take nothing before an interrupted sender gives up on what is queued.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Send) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    let stream = tokio::select! {
        stream = open(&args) => stream?,
        () = signals.next() => bail!("interrupted before anybody was there"),
    };
    let (sender, receiver, control) =
        Actor::new(stream, args.frames.framing.framing()).limits(args.frames.limits()).spawn();
    // Nothing is expected back; what the other side says stays in the kernel.
    drop(receiver);
    let sent = tokio::select! {
        sent = send_all(&args, &sender) => sent.map(|()| Outcome::Complete),
        () = signals.next() => Ok(Outcome::Interrupted),
        _ = control.finished() => Ok(Outcome::Complete),
    };
    let report = match sent {
        Ok(Outcome::Complete) => tokio::select! {
            report = async { drop(sender); control.finished().await } => report,
            () = signals.next() => control.close(PATIENCE).await,
        },
        _ => {
            drop(sender);
            control.close(PATIENCE).await
        }
    };
    let interrupted = matches!(sent, Ok(Outcome::Interrupted));
    sent.and_then(|_| judge(&args, &report, interrupted))
}

enum Outcome {
    Complete,
    Interrupted,
}

async fn open(args: &Send) -> anyhow::Result<UnixStream> {
    if !args.bind {
        let connected = args.socket.connect().deadline(args.wait.unwrap_or_default()).connect().await;
        return connected.map_err(|error| match error {
            Error::NotThere { .. } | Error::NobodyListening { .. } | Error::QueueFull { .. } if args.wait.is_none() => {
                anyhow!("cannot send: {error} with --wait SECONDS")
            }
            error => anyhow::Error::new(error).context("cannot send"),
        });
    }
    let mut listener = args.socket.bind().listen().context("cannot offer messages")?;
    let accepted = match args.wait {
        None => listener.accept().await,
        Some(time) => timeout(time, listener.accept())
            .await
            .with_context(|| format!("nobody connected to {} within {} s", args.socket.0, time.as_secs_f64()))?,
    };
    Ok(accepted.context("cannot offer messages")?.0)
}

/// Queues everything. A connection that closes early is told by its report.
async fn send_all(args: &Send, sender: &Sender) -> anyhow::Result<()> {
    if args.messages.is_empty() {
        let limits = args.frames.limits();
        return match args.frames.framing.division() {
            Division::Lines => send_stdin(Decoder::new(Delimited::lines(), limits), sender).await,
            Division::Nul => send_stdin(Decoder::new(Delimited::nul(), limits), sender).await,
            Division::Fixed(len) => send_stdin(Decoder::new(Fixed::new(len), limits), sender).await,
            Division::None => send_stdin(Decoder::new(Raw, limits), sender).await,
        };
    }
    for (number, message) in (1..).zip(&args.messages) {
        if !queue(sender, message.as_encoded_bytes()).await.with_context(|| format!("message {number}"))? {
            break;
        }
    }
    Ok(())
}

async fn send_stdin(mut decoder: Decoder<impl Framing>, sender: &Sender) -> anyhow::Result<()> {
    let mut input = stdin();
    let mut line = 0_u64;
    loop {
        let ended = input.read_buf(&mut decoder.room()).await.context("cannot read standard input")? == 0;
        loop {
            let batch = match decoder.next_batch() {
                Ok(None) if ended => decoder.finish(),
                found => found,
            };
            let Some(batch) = batch.with_context(|| format!("line {} of standard input", line + 1))? else { break };
            for message in &batch {
                line += 1;
                if !queue(sender, message).await.with_context(|| format!("line {line} of standard input"))? {
                    return Ok(());
                }
            }
        }
        if ended {
            return Ok(());
        }
    }
}

/// Whether the connection takes more.
async fn queue(sender: &Sender, message: &[u8]) -> anyhow::Result<bool> {
    match sender.send(message).await {
        Ok(()) => Ok(true),
        Err(SendError::Closed) => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}

fn judge(args: &Send, report: &Report, interrupted: bool) -> anyhow::Result<()> {
    let sent = report.handed_to_kernel;
    let left = report.unsent.len() + usize::from(report.truncated_sending > 0);
    if args.verbose {
        note(&format!("sent {} messages, {} bytes with framing, to {}", sent.frames, sent.bytes, args.socket.0));
    }
    if report.reason.is_peer_fault() || left > 0 {
        bail!("{}: {}; {} messages were sent before, {left} were not", args.socket.0, report.reason, sent.frames);
    }
    if interrupted {
        bail!("interrupted after {} messages", sent.frames);
    }
    Ok(())
}
