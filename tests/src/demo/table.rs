//! The reports as a table.

use std::time::Duration;

use super::{event::Counts, ledger::Ledger, screen::escaped};

/// The words above the columns.
const HEAD: [&str; 6] = ["producer", "transport", "sent", "delivered", "truncated", "lost"];

/// One line per producer, a line of sums, and how fast it was.
///
/// `transports` has one word per report.
#[must_use]
pub fn summary(ledger: &Ledger, transports: &[&str], took: Duration) -> Vec<String> {
    let mut rows: Vec<[String; 6]> = vec![HEAD.map(str::to_owned)];
    for (report, transport) in ledger.reports().iter().zip(transports) {
        let told = report.told();
        rows.push(row(&report.name, transport, report.sent(), report.delivered(), told.truncated, told.lost));
    }
    let Counts { delivered, truncated, lost, bytes, .. } = ledger.totals();
    let sent = ledger.reports().iter().map(super::ledger::ProducerReport::sent).sum();
    rows.push(row("total", "", sent, delivered, truncated, lost));

    let widths: [usize; 6] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut lines: Vec<String> = rows.iter().map(|row| align(row, &widths)).collect();
    let rule = "-".repeat(lines.iter().map(|line| line.chars().count()).max().unwrap_or(0));
    lines.insert(lines.len() - 1, rule);

    let seconds = took.as_secs_f64();
    let rate = if seconds > 0.0 { delivered as f64 / seconds } else { 0.0 };
    // Not a benchmark, and it must not look like one.
    lines.push(format!(
        "{delivered} lines, {bytes} bytes in {seconds:.2} s: {rate:.0} lines/s, some producers being slow on purpose"
    ));
    lines
}

fn row(name: &str, transport: &str, sent: u64, delivered: u64, truncated: u64, lost: u64) -> [String; 6] {
    let [sent, delivered, truncated, lost] = [sent, delivered, truncated, lost].map(|number| number.to_string());
    [escaped(name), transport.to_owned(), sent, delivered, truncated, lost]
}

/// Words lean left, numbers right.
fn align(row: &[String; 6], widths: &[usize; 6]) -> String {
    let cells: Vec<String> = (0..6)
        .map(|column| {
            let (cell, width) = (&row[column], widths[column]);
            if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        })
        .collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{
        event::{Event, Via},
        ledger::Key,
    };

    #[test]
    fn columns_line_up_and_sums_are_right() {
        let mut ledger = Ledger::default();
        ledger.expect("mpsr send", Key::Pid(1), vec![b"abc".to_vec(); 12]);
        ledger.expect("socat", Key::Path("/s".into()), vec![b"abc".to_vec(); 3]);
        ledger.handle(&Event::Joined { producer: 1, address: "unix:/in".into(), via: Via::Listen, pid: Some(1) });
        for _ in 0..12 {
            ledger.handle(&Event::Message { producer: 1, payload: b"abc".to_vec() });
        }
        let lines = summary(&ledger, &["connect", "dir"], Duration::from_millis(500));
        assert_eq!(
            lines,
            [
                "producer   transport  sent  delivered  truncated  lost",
                "mpsr send  connect      12         12          0     0",
                "socat      dir           3          0          0     0",
                "------------------------------------------------------",
                "total                   15         12          0     0",
                "12 lines, 36 bytes in 0.50 s: 24 lines/s, some producers being slow on purpose",
            ]
        );
    }
}
