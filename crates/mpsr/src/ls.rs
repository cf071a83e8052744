//! `mpsr ls`: the sockets of directories, and the processes behind them.

use std::{
    collections::HashMap,
    error::Error as _,
    path::Path,
    time::{Duration, SystemTime},
};

use fs_watch::{
    Answer, DotFiles, Evidence, Probing, Verdict,
    directory::{Found, Inspection, PassedOver, Survey},
};

use crate::{
    args::Ls,
    json::{self, CommandText, NameText, Object, PathText},
    names,
    output::{Output, is_broken_pipe, note},
    table,
    text::{escaped_cell, escaped_words},
    words::{self, kind_of_socket},
};

pub(crate) fn run(args: &Ls) -> anyhow::Result<()> {
    let inspection = Inspection::default()
        .probing(if args.connect { Probing::TableAndConnect } else { Probing::Kernel })
        .dot_files(if args.all { DotFiles::Reported } else { DotFiles::Ignored })
        .links(args.all)
        .recursive(args.recursive);
    let (survey, errors) = inspection.run_each(&args.paths);
    let has_listed = errors.len() < args.paths.len();
    let mut errors: Vec<_> = errors.into_iter().map(|error| words::directory("cannot list", error)).collect();
    // The last error becomes the error of the command and is printed at the end.
    let failed = errors.pop().map_or(Ok(()), Err);
    errors.iter().for_each(|error| note(&format!("mpsr: {}", escaped_words(&format!("{error:#}")))));
    if !has_listed {
        return failed;
    }
    match print(args, &survey) {
        // For example `| head`: the reader has gone.
        Err(error) if is_broken_pipe(&error) => return failed,
        printed => printed?,
    }
    remarks(args, &survey).iter().for_each(|remark| note(&format!("mpsr: {remark}")));
    failed
}

fn print(args: &Ls, survey: &Survey) -> anyhow::Result<()> {
    let mut output = Output::new();
    if args.json {
        for found in &survey.sockets {
            output.object(&object(found))?;
        }
        if let Some(object) = Object::passed_over(&survey.passed_over) {
            output.object(&object)?;
        }
        if let Some(text) = no_table(survey) {
            output.object(&Object::Remark { text })?;
        }
    } else {
        // Names within a single directory need not repeat it.
        let within = match &args.paths[..] {
            [only] => Some(only.as_path()),
            _ => None,
        };
        let owners = names::users();
        let rows: Vec<_> = survey.sockets.iter().map(|found| row(found, survey, within, &owners)).collect();
        let heads = ["NAME", "STATE", "KIND", "PID", "COMMAND", "OWNER", "MODE", "AGE", "BACKLOG"];
        let width = output.is_terminal().then(|| output.width());
        for line in table::lines(heads, &rows, width) {
            output.line(&line)?;
        }
    }
    output.flush()
}

/// What the user must know about the limits of the survey.
fn remarks(args: &Ls, survey: &Survey) -> Vec<String> {
    let table = no_table(survey).filter(|_| !args.json);
    let is_riddle =
        survey.sockets.iter().any(|found| backlog_and_number(found).is_some() && found.processes.is_empty());
    let hidden = match survey.hidden {
        _ if !is_riddle => None,
        None => Some("there is no /proc to look for processes in".to_owned()),
        Some(0) => None,
        Some(hidden) => Some(format!(
            "{hidden} {} of other users could not be inspected; root can see which of them listen",
            plural(hidden, "process", "processes")
        )),
    };
    let unasked = if args.connect { None } else { unasked(survey) };
    [table, hidden, unasked].into_iter().flatten().chain(passed_over(&survey.passed_over)).collect()
}

/// Which sockets we know nothing about, because the kernel's table cannot be read, and why it cannot.
fn no_table(survey: &Survey) -> Option<String> {
    let error = survey.no_table.as_ref()?;
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Some(format!("{error}{cause}: which sockets are listened on is not known"))
}

/// A hint that `--connect` would find out more about some sockets, if so.
pub(crate) fn unasked(survey: &Survey) -> Option<String> {
    let count = survey.sockets.iter().filter(|found| is_for_connect(found)).count();
    (count > 0).then(|| {
        format!(
            "{count} unknown {}: the kernel's table does not show {}; --connect asks, which the server notices",
            plural(count, "socket", "sockets"),
            plural(count, "it", "them")
        )
    })
}

/// Whether a connection would find out more: for sockets that are bound elsewhere, were not queried, or are on a
/// filesystem where a server may run on the other side.
fn is_for_connect(found: &Found) -> bool {
    // A timestamp in the future counts as old: the clock was set back since.
    let is_old = found.facts.age() >= Duration::from_secs(2);
    match (found.liveness.verdict, found.liveness.evidence) {
        (Verdict::Unknown, Evidence::None | Evidence::Connect(Answer::Bound)) => true,
        (Verdict::Unknown, Evidence::Connect(Answer::Unbound)) => is_old,
        _ => false,
    }
}

/// What was left out, and which option shows it.
pub(crate) fn passed_over(passed: &PassedOver) -> Option<String> {
    let parts = [
        (passed.dot_names, "socket with a dot-name", "sockets with dot-names", "--all"),
        (passed.links, "symbolic link to a socket", "symbolic links to sockets", "--all"),
        (passed.below, "socket in a directory below", "sockets in directories below", "--recursive"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many, option)| {
            format!("{count} {} ({option} shows {})", plural(count, one, many), plural(count, "it", "them"))
        })
        .collect();
    let unreadable = passed.unreadable;
    let unreadable = (unreadable > 0)
        .then(|| format!("{unreadable} {} that may not be read", plural(unreadable, "directory", "directories")));
    let not_searched = passed.not_searched;
    let not_searched = (not_searched > 0)
        .then(|| format!("{not_searched} {} not searched", plural(not_searched, "directory", "directories")));
    let parts: Vec<_> = parts.into_iter().chain(unreadable).chain(not_searched).collect();
    (!parts.is_empty()).then(|| format!("passed over: {}", parts.join(", ")))
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
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

/// Since the socket was made, if the filesystem knows; otherwise since its last change.
fn age(found: &Found) -> Duration {
    let since = found.facts.birth.unwrap_or(found.facts.ctime);
    SystemTime::now().duration_since(since).unwrap_or_default()
}

/// The path relative to the named directory, or as it was named.
fn name<'a>(found: &'a Found, within: Option<&Path>) -> &'a Path {
    let below = within.and_then(|within| found.path.strip_prefix(within).ok());
    below.filter(|below| !below.as_os_str().is_empty()).unwrap_or(&found.path)
}

fn row(found: &Found, survey: &Survey, within: Option<&Path>, owners: &HashMap<u32, String>) -> [String; 9] {
    let mark = if found.is_link { "@" } else { "" };
    let uid = found.facts.uid;
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
        format!("{}{mark}", escaped_cell(name(found, within).as_os_str().as_encoded_bytes())),
        state(found).to_owned(),
        found.kind.map_or_else(|| "-".to_owned(), |kind| kind.to_string()),
        pid,
        command,
        owners.get(&uid).map_or_else(|| uid.to_string(), |name| escaped_cell(name.as_bytes())),
        format!("{:03o}", found.facts.mode),
        short(age(found)),
        backlog.map_or_else(|| "-".to_owned(), |(waiting, limit)| format!("{waiting}/{limit}")),
    ]
}

/// In the largest unit of which there is at least one.
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
    let processes = found.processes.iter().map(|process| json::Process {
        pid: process.pid,
        uid: process.uid,
        name: NameText::new(&process.name),
        command: CommandText::new(&process.command),
    });
    Object::Socket {
        path: PathText::new(&found.path),
        state: state(found),
        kind: kind_of_socket(found.kind),
        evidence: found.liveness.evidence.to_string(),
        mode: format!("{:o}", found.facts.mode),
        uid: found.facts.uid,
        gid: found.facts.gid,
        age: age(found).as_secs_f64(),
        backlog: backlog_and_number(found).flatten().map(|(waiting, limit)| json::Backlog { waiting, limit }),
        link: found.is_link,
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
