//! The messages as they arrive: a sample of them, each with its producer.
//!
//! A file of ten thousand lines arrives faster than anyone reads. On a terminal a few lines of
//! each producer are shown each moment, elsewhere a handful in all, and what was left out is counted.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// Lines of one producer that are always shown.
const ALWAYS: u64 = 3;
/// On a terminal: one more line of each producer after so long.
const PACE: Duration = Duration::from_millis(120);
/// Characters of a message that are shown.
const WIDTH: usize = 72;
/// Colours that are readable on dark and on light.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// Where the sample goes, and in what manner.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    manner: Manner,
    lanes: Vec<Lane>,
}

/// How the sample is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// Someone watches: keep showing lines while they come.
    pub live: bool,
    /// A colour for each producer.
    pub colour: bool,
}

/// What was shown of one producer.
#[derive(Debug, Clone, Default)]
struct Lane {
    name: String,
    shown: u64,
    hidden: u64,
    last: Option<Instant>,
}

impl<W: Write> Screen<W> {
    /// A screen on `out`.
    pub fn new(out: W, manner: Manner) -> Self {
        Self { out, manner, lanes: Vec::new() }
    }

    /// A line of the demo's own.
    ///
    /// # Errors
    ///
    /// `out` cannot be written to; so with every method here.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Names the producer with this index.
    pub fn name(&mut self, index: usize, name: &str) {
        if self.lanes.len() <= index {
            self.lanes.resize(index + 1, Lane::default());
        }
        self.lanes[index].name = escaped(name);
    }

    /// Something happened to a producer.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub fn note(&mut self, index: usize, text: &str) -> io::Result<()> {
        self.line(index, "·", &escaped(text))
    }

    /// A message came; it is shown or counted.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub fn message(&mut self, index: usize, payload: &[u8], now: Instant) -> io::Result<()> {
        let live = self.manner.live;
        let lane = &mut self.lanes[index];
        let due = lane.last.is_none_or(|last| now.duration_since(last) >= PACE);
        if lane.shown >= ALWAYS && !(live && due) {
            lane.hidden += 1;
            return Ok(());
        }
        lane.shown += 1;
        lane.last = Some(now);
        self.confess(index)?;
        let text = shortened(&escaped(&String::from_utf8_lossy(payload)));
        self.line(index, "│", &text)
    }

    /// Says how many messages of the producer were not shown since the last one that was.
    ///
    /// # Errors
    ///
    /// As [`say`](Self::say).
    pub fn confess(&mut self, index: usize) -> io::Result<()> {
        match std::mem::take(&mut self.lanes[index].hidden) {
            0 => Ok(()),
            hidden => self.line(index, "│", &format!("… {hidden} more")),
        }
    }

    fn line(&mut self, index: usize, mark: &str, text: &str) -> io::Result<()> {
        let width = self.lanes.iter().map(|lane| lane.name.chars().count()).max().unwrap_or(0);
        let name = &self.lanes[index].name;
        let line = if self.manner.colour {
            let colour = COLOURS[index % COLOURS.len()];
            format!("\x1b[{colour}m{name:<width$} {mark}\x1b[0m {text}")
        } else {
            format!("{name:<width$} {mark} {text}")
        };
        self.say(line.trim_end())
    }
}

/// `text` with everything that could steer a terminal or reorder its line written out.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // Controls; marks of direction; characters without width; line separators.
        let is_unsafe = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}');
        if is_unsafe {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(manner: Manner, messages: &[(u64, &str)]) -> Vec<String> {
        let begun = Instant::now();
        let mut screen = Screen::new(Vec::new(), manner);
        screen.name(0, "socat");
        screen.name(1, "mpsr send");
        for (millis, text) in messages {
            screen.message(0, text.as_bytes(), begun + Duration::from_millis(*millis)).unwrap();
        }
        screen.confess(0).unwrap();
        screen.note(1, "joined").unwrap();
        String::from_utf8(screen.out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_handful_is_shown_and_the_rest_is_counted() {
        let messages: Vec<_> = (0..10).map(|at| (at * 1000, "text")).collect();
        let lines = shown(Manner::default(), &messages);
        assert_eq!(
            lines,
            ["socat     │ text", "socat     │ text", "socat     │ text", "socat     │ … 7 more", "mpsr send · joined"]
        );
    }

    #[test]
    fn someone_who_watches_sees_more_but_not_everything() {
        let messages: Vec<_> = (0..1000).map(|at| (at, "text")).collect();
        let lines = shown(Manner { live: true, colour: false }, &messages);
        assert!(lines.len() > 10 && lines.len() < 40, "{}", lines.len());
        assert!(lines.iter().any(|line| line.contains("… 119 more")), "{lines:?}");
    }

    #[test]
    fn colour_is_for_the_name_and_ends_before_the_message() {
        let lines = shown(Manner { live: false, colour: true }, &[(0, "text")]);
        assert_eq!(lines[0], "\x1b[36msocat     │\x1b[0m text");
        assert!(lines[1].starts_with("\x1b[33mmpsr send ·"));
    }

    #[test]
    fn what_a_peer_sent_does_not_steer_the_terminal() {
        assert_eq!(escaped("\x1b[2J\r\n\t\0\u{9b}31m\u{202e}x é ✓"), r"\u{1b}[2J\r\n\t\u{0}\u{9b}31m\u{202e}x é ✓");
        let long = "é".repeat(WIDTH + 1);
        assert_eq!(shortened(&long).chars().count(), WIDTH + 1);
        assert_eq!(shortened(&long[2..]), long[2..]);
    }
}
