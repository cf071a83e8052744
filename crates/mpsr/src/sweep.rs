//! `mpsr sweep`: removes the sockets of a directory that nobody needs any more.

use anyhow::{Context as _, bail};
use fs_watch::{
    Owner,
    directory::{self, Doubt, Fate, Finding, Kept},
};

use crate::{
    args::Sweep,
    json::{Object, PathText},
    output::{Output, note},
    text::escaped_cell,
};

pub(crate) fn run(args: &Sweep) -> anyhow::Result<()> {
    let owner = if args.any_owner { Owner::Anybody } else { Owner::Trusted };
    let sweep = directory::Sweep::default().min_age(args.min_age).owner(owner).dry_run(args.dry_run);
    let swept = sweep.run(&args.directory).context("cannot sweep")?;
    let mut output = Output::new();
    for finding in &swept.findings {
        if args.json {
            output.object(&object(finding))?;
        } else {
            output.line(line(finding).as_bytes())?;
        }
    }
    output.flush()?;
    if !args.json {
        let (verb, gone) =
            if args.dry_run { ("would remove", would_go(&swept.findings)) } else { ("removed", swept.removed()) };
        note(&format!("{verb} {gone} of {}", swept.findings.len()));
    }
    let failed = swept.findings.iter().filter(|finding| has_failed(&finding.fate)).count();
    match failed {
        0 => Ok(()),
        1 => bail!("a stale socket could not be removed"),
        _ => bail!("{failed} stale sockets could not be removed"),
    }
}

fn would_go(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| matches!(finding.fate, Fate::WouldBeRemoved)).count()
}

fn has_failed(fate: &Fate) -> bool {
    matches!(fate, Fate::Kept(Kept::Failed(_) | Kept::Displaced(_)))
}

/// For people: what has become of it, its name, and why it was kept.
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
    Object::Swept { path: PathText::new(&finding.path), fate, reason, text }
}

fn reason(why: &Kept) -> &'static str {
    match why {
        Kept::InUse => "in-use",
        Kept::Young(_) => "young",
        Kept::Foreign(_) => "foreign",
        Kept::Locked(_) => "locked",
        Kept::Unproven(Doubt::NoTable) => "no-table",
        Kept::Unproven(Doubt::UnknownFilesystem) => "unknown-filesystem",
        Kept::Unproven(_) => "unproven",
        Kept::Changed => "changed",
        Kept::Displaced(_) => "displaced",
        Kept::Failed(_) => "failed",
        _ => "other",
    }
}
