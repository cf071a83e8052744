//! The stream experiment as a picture: bars on a logarithmic scale, rate above, CPU below.

use std::fmt::Write as _;

use crate::{
    report,
    results::{Results, Row, Table},
};

/// The contenders in the picture, in this order, and their colours.
const DRAWN: [(&str, &str, &str); 6] = [
    ("ceiling", "plain write/read loop", "#9aa0a6"),
    ("ours", "Tributary, frames lent", "#0b6e4f"),
    ("ours-owned", "Tributary, frames owned", "#5bb98b"),
    ("libzmq", "libzmq", "#c0392b"),
    ("framed", "Framed + channel", "#2c6fbb"),
    ("omq", "omq-tokio", "#b8860b"),
];

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 230.0;
const GAP: f64 = 60.0;
const TOP: f64 = 70.0;

struct Panel {
    title: &'static str,
    top: f64,
    figure: fn(&Row) -> f64,
    label: fn(f64) -> String,
}

/// `None` if the run has no such table.
pub(crate) fn streams(results: &Results) -> Option<String> {
    let tables: Vec<&Table> = results.tables.iter().filter(|table| table.experiment == "stream").collect();
    if tables.is_empty() {
        return None;
    }
    let height = TOP + 2.0 * PANEL + GAP + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">One producer, one receiver, Unix stream \
         socket, current-thread runtimes ({})</text>",
        results.date
    );
    for (number, (_, label, colour)) in DRAWN.iter().enumerate() {
        let x = LEFT + number as f64 * 148.0;
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"34\" width=\"10\" height=\"10\" fill=\"{colour}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"43\" font-size=\"10\">{label}</text>", x + 14.0);
    }
    panel(
        &mut svg,
        &tables,
        &Panel { title: "messages/s (more is better)", top: TOP, figure: |row| row.rate.median, label: report::rate },
    );
    panel(
        &mut svg,
        &tables,
        &Panel {
            title: "CPU ns per message, both sides (less is better)",
            top: TOP + PANEL + GAP,
            figure: |row| row.cpu.median,
            label: |value| format!("{value:.0}"),
        },
    );
    svg.push_str("</svg>\n");
    Some(svg)
}

fn panel(svg: &mut String, tables: &[&Table], panel: &Panel) {
    let values = || tables.iter().flat_map(|table| &table.rows).map(panel.figure);
    // Whole decades.
    let low = values().fold(f64::MAX, f64::min).log10().floor();
    let high = values().fold(1.0, f64::max).log10().ceil().max(low + 1.0);
    let bottom = panel.top + PANEL;
    let y = |value: f64| bottom - (value.log10() - low) / (high - low) * (PANEL - 20.0);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" fill=\"#333333\">{}</text>", panel.top + 4.0, panel.title);
    let mut decade = low;
    while decade <= high {
        let at = y(10_f64.powf(decade));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\n<text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\" fill=\"#555555\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            (panel.label)(10_f64.powf(decade))
        );
        decade += 1.0;
    }
    let group = (WIDTH - LEFT - RIGHT) / tables.len() as f64;
    let bar = group * 0.86 / DRAWN.len() as f64;
    for (number, table) in tables.iter().enumerate() {
        let left = LEFT + number as f64 * group + group * 0.07;
        for (place, (name, _, colour)) in DRAWN.iter().enumerate() {
            let Some(row) = table.row(name) else { continue };
            let value = (panel.figure)(row);
            let (x, top) = (left + place as f64 * bar, y(value));
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"><title>{name}, {}: \
                 {}</title></rect>\n<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"7.5\" text-anchor=\"middle\">{}</text>",
                bar * 0.88,
                (bottom - top).max(0.0),
                report::size(table.payload),
                (panel.label)(value),
                x + bar * 0.44,
                top - 3.0,
                (panel.label)(value)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            left + group * 0.43,
            bottom + 16.0,
            report::size(table.payload)
        );
    }
}
