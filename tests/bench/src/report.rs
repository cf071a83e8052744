//! What a run found out, as Markdown for people and as files.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    fairness, idle,
    machine::Machine,
    musts::{Bound, Must},
    plot,
    results::{Results, Row, Skipped, Table},
    round_trip::{Calls, Findings},
    runtime::Flavour,
    stats::Spread,
    writes::{self, Place},
};

/// One table of contenders, with ratios to libzmq and to the first Framed among them.
pub(crate) fn table(table: &Table) -> String {
    let mut text = format!("\n### {}\n\n", title(table));
    text.push_str("| contender | runtime | messages/s | min – max | MB/s | CPU ns/message (send + receive) | × libzmq | × framed |\n");
    text.push_str("|---|---|--:|--:|--:|--:|--:|--:|\n");
    for row in &table.rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} – {} | {:.0} | {} ({} + {}) | {} | {} |",
            row.contender,
            runtime(row),
            rate(row.rate.median),
            rate(row.rate.min),
            rate(row.rate.max),
            row.rate.median * table.payload as f64 / 1e6,
            nanos(row.cpu.median),
            nanos(row.send_cpu),
            nanos(row.receive_cpu),
            ratio(row, table.row("libzmq")),
            ratio(row, table.row("framed").or_else(|| table.row("framed-plain"))),
        );
    }
    text
}

pub(crate) fn title(table: &Table) -> String {
    let producers = match table.producers {
        1 => "1 producer".to_owned(),
        producers => format!("{producers} producers"),
    };
    format!("{}, {}, {producers}", table.experiment, size(table.payload))
}

/// `64 B`, `4 KiB`
pub(crate) fn size(bytes: usize) -> String {
    if bytes >= 1024 { format!("{} KiB", bytes / 1024) } else { format!("{bytes} B") }
}

fn runtime(row: &Row) -> &'static str {
    match (row.contender, row.flavour) {
        ("libzmq", _) => "own I/O thread",
        ("ceiling" | "ceiling-vectored", _) => "none",
        (_, Flavour::CurrentThread) => "current thread",
        (_, Flavour::MultiThread) => "2 workers",
    }
}

/// Three digits that count: `12.3 M`, `567 k`.
pub(crate) fn rate(value: f64) -> String {
    let (value, unit) = if value >= 1e6 { (value / 1e6, " M") } else { (value / 1e3, " k") };
    format!("{value:.*}{unit}", if value < 10.0 { 2 } else { usize::from(value < 100.0) })
}

fn nanos(value: f64) -> String {
    format!("{value:.*}", usize::from(value < 100.0))
}

fn ratio(row: &Row, other: Option<&Row>) -> String {
    other.map_or_else(|| "–".to_owned(), |other| format!("{:.2}", row.rate.median / other.rate.median))
}

pub(crate) fn round_trip(findings: &Findings) -> String {
    let mut text = format!(
        "\n### lone message, 64 B, there and back, {} pairs of {} trips\n\n",
        findings.ours.len(),
        findings.trips
    );
    text.push_str("| contender | mean µs | median µs | 99th percentile µs | CPU µs/trip | kernel calls/trip |\n|---|--:|--:|--:|--:|---|\n");
    for (name, samples, calls) in [
        ("ours", &findings.ours, findings.calls.as_ref().map(|Calls { ours, .. }| ours)),
        ("raw tokio", &findings.raw, findings.calls.as_ref().map(|Calls { raw, .. }| raw)),
    ] {
        let micros = |figure: fn(&crate::round_trip::Sample) -> f64| {
            Spread::of(samples.iter().map(figure)).map_or(f64::NAN, |spread| spread.median / 1e3)
        };
        let calls = calls.map_or_else(
            || "not counted".to_owned(),
            |calls| {
                let each: Vec<_> = calls.iter().map(|(name, count)| format!("{name} {count:.2}")).collect();
                format!("{:.2}: {}", calls.values().sum::<f64>(), each.join(", "))
            },
        );
        let _ = writeln!(
            text,
            "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {calls} |",
            micros(|sample| sample.mean),
            micros(|sample| sample.median),
            micros(|sample| sample.high),
            micros(|sample| sample.cpu),
        );
    }
    let Spread { median, min, max } = findings.ratio;
    let _ = writeln!(text, "\nOurs to raw, pair by pair: median {median:.2}, from {min:.2} to {max:.2}.");
    text
}

pub(crate) fn idle(findings: &[idle::Finding]) -> String {
    let mut text =
        format!("\n### {} idle connections, bytes each\n\n", findings.first().map_or(0, |finding| finding.connections));
    text.push_str("| contender | heap, silent so far | resident | heap, silent after one message | resident |\n|---|--:|--:|--:|--:|\n");
    for finding in findings {
        let name = match finding.contender {
            idle::Contender::Ours => "ours (funnel), state and all",
            idle::Contender::Buffers => "ours, buffers alone",
            idle::Contender::Framed => "FramedRead in a task",
            idle::Contender::Bare => "bare task",
        };
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} |",
            finding.heap_fresh, finding.resident_fresh, finding.heap_quiet, finding.resident_quiet
        );
    }
    text
}

pub(crate) fn fairness(findings: &fairness::Findings) -> String {
    let fairness::Findings { loud, messages, batches, kibibytes, millis } = findings;
    let mut text = format!("\n### one quiet producer beside {loud} loud ones, {messages} messages of it\n\n");
    text.push_str("| what came first | median | most |\n|---|--:|--:|\n");
    for (what, [median, most]) in [("loud batches", batches), ("loud KiB", kibibytes), ("milliseconds", millis)] {
        let _ = writeln!(text, "| {what} | {median:.1} | {most:.1} |");
    }
    text
}

pub(crate) fn writes(findings: &[writes::Finding]) -> String {
    let mut text = "\n### writes to a file that is no socket, in a watched directory and beside it\n\n".to_owned();
    text.push_str(
        "| filesystem of | file | writes/s, unwatched | watched | ratio | min – max |\n|---|---|--:|--:|--:|--:|\n",
    );
    for writes::Finding { filesystem, place, unwatched, watched, ratio } in findings {
        let place = match place {
            Place::Inside => "in the directory",
            Place::Beside => "beside it",
        };
        let _ = writeln!(
            text,
            "| `{filesystem}` | {place} | {} | {} | {:.2} | {:.2} – {:.2} |",
            rate(unwatched.median),
            rate(watched.median),
            ratio.median,
            ratio.min,
            ratio.max
        );
    }
    text
}

/// The promises, what was skipped, and where it all ran.
pub(crate) fn ending(results: &Results) -> String {
    let mut text = String::new();
    if !results.musts.is_empty() {
        text.push_str("\n### Promises\n\n| promise | bound | measured | |\n|---|--:|--:|---|\n");
        for must in &results.musts {
            let _ = writeln!(
                text,
                "| {} | {} | {:.2} | {} |",
                must.what,
                bound(must),
                must.measured,
                if must.holds() { "holds" } else { "**does not hold**" }
            );
        }
    }
    for (title, entries) in [("Skipped", &results.skipped), ("FAILED", &results.failed)] {
        if !entries.is_empty() {
            let _ = writeln!(text, "\n### {title}\n");
        }
        for Skipped { what, why } in entries {
            let _ = writeln!(text, "- {what}: {why}");
        }
    }
    let Machine { processor, cores, kernel, kind, libzmq, rustc, commit, load } = &results.machine;
    let _ = writeln!(
        text,
        "\n{}, `{}`, {} rounds. {processor}, {cores} cores, {kind}, Linux {kernel}, load {load} at the start. libzmq {}, \
         {rustc}, commit {commit}.",
        results.date,
        results.command,
        results.rounds,
        libzmq.as_deref().unwrap_or("not there"),
    );
    text
}

fn bound(must: &Must) -> String {
    match must.bound {
        Bound::AtLeast(bound) => format!("≥ {bound}"),
        Bound::AtMost(bound) => format!("≤ {bound}"),
    }
}

/// Writes `results.json`, `results.md` and `stream.svg`.
pub(crate) fn save(results: &Results, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut markdown =
        "# Results\n\nWritten by `cargo xtask bench --save`; how to read it: [benchmarks](../benchmarks.md).\n"
            .to_owned();
    markdown.push_str(&ending(results));
    results.tables.iter().for_each(|each| markdown.push_str(&table(each)));
    markdown.extend(results.round_trip.as_ref().map(round_trip));
    if !results.idle.is_empty() {
        markdown.push_str(&idle(&results.idle));
    }
    markdown.extend(results.fairness.as_ref().map(fairness));
    if !results.writes.is_empty() {
        markdown.push_str(&writes(&results.writes));
    }
    let mut files = vec![("results.json", serde_json::to_string_pretty(results)? + "\n"), ("results.md", markdown)];
    files.extend(plot::streams(results).map(|svg| ("stream.svg", svg)));
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}
