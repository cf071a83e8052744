//! `mpsr sweep`: removes the sockets of a directory that are proven stale, and lock files that no process holds.

use anyhow::bail;
use fs_watch::{
    Owner,
    directory::{self, Doubt, Fate, Finding, Kept, LockFate, LockFinding, Swept},
};

use crate::{
    args::Sweep,
    json::{Object, PathText},
    output::{Output, is_broken_pipe, note},
    text::escaped_cell,
    words,
};

pub(crate) fn run(args: &Sweep) -> anyhow::Result<()> {
    let owner = if args.any_owner { Owner::Anybody } else { Owner::Trusted };
    let sweep = directory::Sweep::default().min_age(args.min_age).owner(owner).dry_run(args.dry_run);
    let sweep = sweep.any_filesystem(args.any_filesystem);
    let swept = sweep.run(&args.directory).map_err(|error| words::directory("cannot sweep", error))?;
    // The files are gone even if their names cannot be printed.
    let printed = print(args, &swept);
    if !args.json {
        note(&summary(&swept, args.dry_run));
    }
    if swept.findings.iter().any(may_be_hidden) {
        note("mpsr: servers may be hidden here; if you know that none is, --any-filesystem removes what looks stale");
    }
    let failed = swept.findings.iter().filter(|finding| has_failed(&finding.fate)).count();
    let failed = failed + swept.locks.iter().filter(|finding| matches!(finding.fate, LockFate::Failed(_))).count();
    match failed {
        // For example `| head`: the reader has seen enough.
        0 if printed.as_ref().is_err_and(is_broken_pipe) => Ok(()),
        0 => printed,
        1 => bail!("a stale file could not be removed"),
        _ => bail!("{failed} stale files could not be removed"),
    }
}

fn print(args: &Sweep, swept: &Swept) -> anyhow::Result<()> {
    let mut output = Output::new();
    for finding in &swept.findings {
        if args.json {
            output.object(&object(finding))?;
        } else {
            output.line(&line(finding))?;
        }
    }
    for finding in &swept.locks {
        if args.json {
            output.object(&lock_object(finding))?;
        } else if let Some(line) = lock_line(finding) {
            output.line(&line)?;
        }
    }
    output.flush()
}

fn summary(swept: &Swept, dry_run: bool) -> String {
    let (verb, gone) = if dry_run { ("would remove", would_go(&swept.findings)) } else { ("removed", swept.removed()) };
    let locks =
        swept.locks.iter().filter(|lock| matches!(lock.fate, LockFate::Removed | LockFate::WouldBeRemoved)).count();
    let locks = match locks {
        0 => String::new(),
        1 => ", and 1 lock file".to_owned(),
        locks => format!(", and {locks} lock files"),
    };
    format!("{verb} {gone} of {}{locks}", swept.findings.len())
}

/// Whether it was kept because of its filesystem.
fn may_be_hidden(finding: &Finding) -> bool {
    matches!(finding.fate, Fate::Kept(Kept::Unproven(Doubt::HiddenServers(_) | Doubt::BackingSide)))
}

fn would_go(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| matches!(finding.fate, Fate::WouldBeRemoved)).count()
}

fn has_failed(fate: &Fate) -> bool {
    matches!(fate, Fate::Kept(Kept::Failed(_) | Kept::Displaced(_)))
}

/// A line for people: what happened to the file, its name, and why it was kept.
fn line(finding: &Finding) -> String {
    let name = finding.path.file_name().unwrap_or(finding.path.as_os_str());
    let name = escaped_cell(name.as_encoded_bytes());
    match &finding.fate {
        Fate::Removed => format!("removed       {name}"),
        Fate::WouldBeRemoved => format!("would remove  {name}"),
        Fate::Kept(why) => format!("kept          {name}: {}", escaped_cell(why.to_string().as_bytes())),
        other => format!("{other}  {name}"),
    }
}

fn object(finding: &Finding) -> Object<'static> {
    let (fate, reason, text) = match &finding.fate {
        Fate::Removed => ("removed", None, None),
        Fate::WouldBeRemoved => ("would-remove", None, None),
        Fate::Kept(why) => ("kept", Some(reason(why)), Some(why.to_string())),
        other => ("kept", Some("other"), Some(other.to_string())),
    };
    Object::Swept { path: PathText::new(&finding.path), kind: "socket", fate, reason, text }
}

/// A line for people. It does not mention a lock that is held or young, because the socket's line does.
fn lock_line(finding: &LockFinding) -> Option<String> {
    let name = finding.path.file_name().unwrap_or(finding.path.as_os_str());
    let name = escaped_cell(name.as_encoded_bytes());
    match &finding.fate {
        LockFate::Removed => Some(format!("removed       {name}: a lock file that no process holds")),
        LockFate::WouldBeRemoved => Some(format!("would remove  {name}: a lock file that no process holds")),
        LockFate::Failed(_) => Some(format!("{name}: {}", escaped_cell(finding.fate.to_string().as_bytes()))),
        _ => None,
    }
}

fn lock_object(finding: &LockFinding) -> Object<'static> {
    let (fate, reason) = match &finding.fate {
        LockFate::Removed => ("removed", None),
        LockFate::WouldBeRemoved => ("would-remove", None),
        LockFate::Held(_) => ("kept", Some("locked")),
        LockFate::Young(_) => ("kept", Some("young")),
        LockFate::Foreign(_) => ("kept", Some("foreign")),
        LockFate::Failed(_) => ("kept", Some("failed")),
        _ => ("kept", Some("other")),
    };
    let text = reason.map(|_| finding.fate.to_string());
    Object::Swept { path: PathText::new(&finding.path), kind: "lock", fate, reason, text }
}

fn reason(why: &Kept) -> &'static str {
    match why {
        Kept::InUse => "in-use",
        Kept::Young(_) => "young",
        Kept::Foreign(_) => "foreign",
        Kept::Locked(_) => "locked",
        Kept::Unproven(Doubt::NoTable) => "no-table",
        Kept::Unproven(Doubt::UnknownFilesystem) => "unknown-filesystem",
        Kept::Unproven(Doubt::HiddenServers(_)) => "shared-filesystem",
        Kept::Unproven(Doubt::BackingSide) => "backing-side",
        Kept::Unproven(_) => "unproven",
        Kept::Changed => "changed",
        Kept::Displaced(_) => "displaced",
        Kept::Failed(_) => "failed",
        _ => "other",
    }
}
