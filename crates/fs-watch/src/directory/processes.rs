//! Which processes hold which of the kernel's sockets, as far as `/proc` shows.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process that has a socket open.
///
/// It had the socket when it was examined. The pid is for people to read: it may belong to another process by now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its pid, in our pid namespace.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its name, of at most 15 bytes: `/proc/PID/comm`. The process chooses the bytes, so escape them.
    pub name: OsString,
    /// Its arguments, beginning with the program: `/proc/PID/cmdline`. The process chooses their number and bytes.
    /// Empty for a process without arguments.
    pub command: Vec<OsString>,
}

/// Which process holds which socket.
#[derive(Debug, Default)]
pub(super) struct Holders {
    pub(super) by_socket: HashMap<u32, Vec<Process>>,
    /// How many processes hide their descriptors from us, or `None` if `/proc` shows nothing at all.
    pub(super) hidden: Option<usize>,
}

/// Searches the descriptors of all processes for these sockets.
pub(super) fn find(sockets: &HashSet<u32>) -> Holders {
    let mut holders = Holders { by_socket: HashMap::new(), hidden: Some(0) };
    if sockets.is_empty() {
        return holders;
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Holders { hidden: None, ..holders } };
    let mut seen = 0_usize;
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        seen += 1;
        let place = entry.path();
        match sockets_of(&place) {
            Ok(held) => {
                for socket in held.intersection(sockets) {
                    if let Some(process) = describe(pid, &place) {
                        holders.by_socket.entry(*socket).or_default().push(process);
                    }
                }
            }
            // The process has ended.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => holders.hidden = holders.hidden.map(|hidden| hidden + 1),
        }
    }
    if seen == 0 {
        holders.hidden = None;
    }
    holders.by_socket.values_mut().for_each(|processes| processes.sort_by_key(|process| process.pid));
    holders
}

fn sockets_of(process: &Path) -> std::io::Result<HashSet<u32>> {
    let mut sockets = HashSet::new();
    for descriptor in fs::read_dir(process.join("fd"))? {
        // It may be closed by now.
        if let Ok(target) = descriptor.and_then(|descriptor| fs::read_link(descriptor.path())) {
            sockets.extend(socket_number(target.as_os_str().as_bytes()));
        }
    }
    Ok(sockets)
}

/// `socket:[123]`
fn socket_number(target: &[u8]) -> Option<u32> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn describe(pid: u32, process: &Path) -> Option<Process> {
    let uid =
        effective_uid(&fs::read(process.join("status")).ok()?).or_else(|| Some(fs::metadata(process).ok()?.uid()));
    let mut name = fs::read(process.join("comm")).ok()?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    let arguments = line.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec()));
    let command = if line.is_empty() { Vec::new() } else { arguments.collect() };
    Some(Process { pid, uid: uid?, name: OsString::from_vec(name), command })
}

/// The second number of the line `Uid:` of `/proc/PID/status` (`proc_pid_status(5)`).
fn effective_uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_descriptors_are_read() {
        assert_eq!(socket_number(b"socket:[123]"), Some(123));
        for other in [&b"pipe:[123]"[..], b"socket:[]", b"socket:[12", b"socket:[x]", b"/tmp/socket:[1]", b""] {
            assert_eq!(socket_number(other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn the_effective_user_is_the_second() {
        assert_eq!(effective_uid(b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"), Some(2));
        // A process may put a newline in its name, and the kernel writes it as \n.
        assert_eq!(effective_uid(b"Name:\t\\nUid:\nUid:\t1\t2\t3\t4\n"), Some(2));
        assert_eq!(effective_uid(b"Uid:"), None);
        assert_eq!(effective_uid(b""), None);
    }

    #[test]
    fn this_process_is_found_by_its_socket() {
        use std::os::fd::AsRawFd;
        let (mine, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", mine.as_raw_fd())).unwrap();
        let number = socket_number(link.as_os_str().as_bytes()).unwrap();
        let holders = find(&HashSet::from([number]));
        let process = holders.by_socket[&number].iter().find(|process| process.pid == std::process::id()).unwrap();
        assert_eq!(process.uid, rustix::process::geteuid().as_raw());
        assert_eq!(process.command[0], std::env::args_os().next().unwrap());
    }
}
