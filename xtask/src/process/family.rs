//! All processes that belong to one command, found in `/proc` (proc(5)).
//!
//! Where there is no `/proc` only the command itself is known.

use std::{collections::BTreeMap, fs, process};

/// The processes that descend from `ancestor` or carry the variable `mark`.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) ancestor: u32,
    pub(super) mark: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Terminate,
    Kill,
}

struct Entry {
    parent: u32,
    state: char,
    marked: bool,
}

impl Family {
    /// Who is alive, in order of process id; zombies are not.
    pub(super) fn members(&self) -> Vec<u32> {
        let everyone = self.everyone();
        everyone
            .iter()
            .filter(|(_, entry)| entry.state != 'Z')
            .filter(|&(&pid, entry)| entry.marked || self.descends(pid, &everyone))
            .map(|(&pid, _)| pid)
            .collect()
    }

    /// One line for each: process id, state, what it waits for in the kernel, command line.
    pub(super) fn describe(&self) -> Vec<String> {
        self.members()
            .into_iter()
            .map(|pid| {
                let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                let state = stat(pid).map_or('?', |(_, state)| state);
                let waits_in = String::from_utf8_lossy(&read("wchan")).into_owned();
                let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
                let line: String = line.trim().chars().take(160).collect();
                format!("{pid} {state} {waits_in} {line}")
            })
            .collect()
    }

    /// Signals all members and says how many there were.
    pub(super) fn signal(&self, signal: Signal) -> usize {
        let members = self.members();
        if !members.is_empty() {
            let signal = match signal {
                Signal::Terminate => "-TERM",
                Signal::Kill => "-KILL",
            };
            // The shell's own `kill`: a program of that name is not on every machine.
            let _ = process::Command::new("sh")
                .args(["-c", "kill \"$@\" 2>/dev/null", "sh", signal])
                .args(members.iter().map(u32::to_string))
                .status();
        }
        members.len()
    }

    fn everyone(&self) -> BTreeMap<u32, Entry> {
        let mark = format!("{}=1", self.mark);
        let Ok(listing) = fs::read_dir("/proc") else { return BTreeMap::new() };
        listing
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| {
                let (parent, state) = stat(pid)?;
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let marked = environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes());
                Some((pid, Entry { parent, state, marked }))
            })
            .collect()
    }

    fn descends(&self, mut pid: u32, everyone: &BTreeMap<u32, Entry>) -> bool {
        // A process is younger than its parent, but ids wrap: the count keeps a torn snapshot from
        // leading us round in a circle.
        for _ in 0..everyone.len() {
            if pid == self.ancestor {
                return true;
            }
            match everyone.get(&pid) {
                Some(entry) => pid = entry.parent,
                None => return false,
            }
        }
        false
    }
}

/// Parent and state. The name in parentheses may itself hold parentheses and spaces.
fn stat(pid: u32) -> Option<(u32, char)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}
