//! `mpsr ls`: the sockets of a directory, and who is behind each.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use fs_watch::{
    Answer, Evidence, Probing, Verdict,
    directory::{Found, Survey, survey},
};

use crate::{
    args::Ls,
    json::{self, Object, PathText},
    output::{Output, note},
    table,
    text::escaped_cell,
};

pub(crate) fn run(args: &Ls) -> anyhow::Result<()> {
    let probing = if args.no_connect { Probing::TableOnly } else { Probing::TableAndConnect };
    let survey = survey(&args.directory, probing).context("cannot list")?;
    let mut output = Output::new();
    if args.json {
        for found in &survey.sockets {
            output.object(&object(found))?;
        }
    } else {
        let rows: Vec<_> = survey.sockets.iter().map(|found| row(found, &survey)).collect();
        for line in table::lines(["NAME", "STATE", "PID", "COMMAND", "UID", "MODE", "AGE", "BACKLOG"], &rows) {
            output.line(line.as_bytes())?;
        }
    }
    output.flush()?;
    remarks(&survey).iter().for_each(|remark| note(&format!("mpsr: {remark}")));
    Ok(())
}

/// What should be known of the limits of what was seen.
fn remarks(survey: &Survey) -> Vec<String> {
    let table = survey.no_table.as_ref().map(|error| format!("{error}: who listens is not known"));
    let is_riddle =
        survey.sockets.iter().any(|found| backlog_and_number(found).is_some() && found.processes.is_empty());
    let hidden = match survey.hidden {
        _ if !is_riddle => None,
        None => Some("there is no /proc to look for processes in".to_owned()),
        Some(0) => None,
        Some(hidden) => Some(format!("{hidden} processes of others could not be looked into; root sees who listens")),
    };
    [table, hidden].into_iter().flatten().collect()
}

fn state(found: &Found) -> &'static str {
    match (found.liveness.verdict, found.liveness.evidence) {
        (Verdict::Listening, Evidence::Connect(Answer::QueueFull)) => "full",
        (Verdict::Listening, Evidence::Table { backlog: Some(queue), .. }) if queue.waiting > queue.limit => "full",
        (Verdict::Listening, _) => "live",
        (Verdict::Bound, _) => "bound",
        (Verdict::Stale, _) => "stale",
        (Verdict::Unknown, _) => "unknown",
    }
}

fn backlog_and_number(found: &Found) -> Option<Option<(u32, u32)>> {
    match found.liveness.evidence {
        Evidence::Table { backlog, .. } => Some(backlog.map(|queue| (queue.waiting, queue.limit))),
        _ => None,
    }
}

/// Since the socket was made, where the filesystem knows; else since it was last changed.
fn age(found: &Found) -> Duration {
    let since = found.facts.birth.unwrap_or(found.facts.ctime);
    SystemTime::now().duration_since(since).unwrap_or_default()
}

fn row(found: &Found, survey: &Survey) -> [String; 8] {
    let name = found.path.file_name().unwrap_or(found.path.as_os_str());
    let (pid, command) = match &found.processes[..] {
        [] if backlog_and_number(found).is_some() && survey.hidden != Some(0) => ("?".to_owned(), "?".to_owned()),
        [] => ("-".to_owned(), "-".to_owned()),
        [first, others @ ..] => {
            let others = if others.is_empty() { String::new() } else { format!("+{}", others.len()) };
            (format!("{}{others}", first.pid), escaped_cell(first.name.as_encoded_bytes()))
        }
    };
    let backlog = backlog_and_number(found).flatten();
    [
        escaped_cell(name.as_encoded_bytes()),
        state(found).to_owned(),
        pid,
        command,
        found.facts.uid.to_string(),
        format!("{:03o}", found.facts.mode),
        short(age(found)),
        backlog.map_or_else(|| "-".to_owned(), |(waiting, limit)| format!("{waiting}/{limit}")),
    ]
}

/// The largest unit of which there is one at least.
fn short(age: Duration) -> String {
    let seconds = age.as_secs();
    let (number, unit) = match seconds {
        0..60 => (seconds, 's'),
        60..3600 => (seconds / 60, 'm'),
        3600..86_400 => (seconds / 3600, 'h'),
        _ => (seconds / 86_400, 'd'),
    };
    format!("{number}{unit}")
}

fn object(found: &Found) -> Object<'static> {
    let text = |bytes: &std::ffi::OsStr| bytes.to_string_lossy().into_owned();
    let processes = found.processes.iter().map(|process| json::Process {
        pid: process.pid,
        uid: process.uid,
        name: text(&process.name),
        command: process.command.iter().map(|argument| text(argument)).collect(),
    });
    Object::Socket {
        path: PathText::new(&found.path),
        state: state(found),
        kind: found.kind.to_string(),
        evidence: found.liveness.evidence.to_string(),
        mode: format!("{:o}", found.facts.mode),
        uid: found.facts.uid,
        gid: found.facts.gid,
        age: age(found).as_secs_f64(),
        backlog: backlog_and_number(found).flatten().map(|(waiting, limit)| json::Backlog { waiting, limit }),
        processes: processes.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (86_400, "1d"), (8_640_000, "100d")]
        {
            assert_eq!(short(Duration::from_secs(seconds)), expected);
        }
    }
}
