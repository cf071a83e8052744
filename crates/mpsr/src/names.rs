//! Names of users and groups, and their numbers.
//!
//! We read `/etc/passwd` and `/etc/group` first. If they do not have the name, we ask `getent`, which knows directories
//! on the network. We look up only options, at the start, and never the names of peers.

use std::{
    collections::HashMap,
    fs,
    process::{Command, Stdio},
};

/// A user's number, by name or as a number.
pub(crate) fn user(text: &str) -> Result<u32, String> {
    number(text, "user", "passwd")
}

/// A group's number, by name or as a number.
pub(crate) fn group(text: &str) -> Result<u32, String> {
    number(text, "group", "group")
}

fn number(text: &str, what: &str, database: &str) -> Result<u32, String> {
    match text.parse() {
        // (uid_t) -1 means "no change" to every system call that takes one.
        Ok(u32::MAX) => Err(format!("{text} is not the number of a {what}")),
        Ok(number) => Ok(number),
        Err(_) => {
            let found = find(&table(database), text).or_else(|| find(&getent(database, text), text));
            found.ok_or_else(|| format!("there is no {what} {text:?} here; a number needs no entry"))
        }
    }
}

/// The file in `/etc`; empty if there is none. A comment in it may be in any encoding.
fn table(database: &str) -> String {
    decoded(&fs::read(format!("/etc/{database}")).unwrap_or_default())
}

fn decoded(table: &[u8]) -> String {
    String::from_utf8_lossy(table).into_owned()
}

/// The third field of the line that begins with this name (`passwd(5)`, `group(5)`).
fn find(table: &str, name: &str) -> Option<u32> {
    let mut lines = table.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None })
}

/// The names of users by number, as far as `/etc/passwd` has them. Other sources could take too long.
pub(crate) fn users() -> HashMap<u32, String> {
    by_number(&table("passwd"))
}

/// The first name for each number counts.
fn by_number(table: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in table.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(number))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// The output of `getent(1)`; empty if there is none.
fn getent(database: &str, name: &str) -> String {
    let mut command = Command::new("getent");
    command.args([database, "--", name]).stdin(Stdio::null()).stderr(Stdio::null());
    command.output().map(|output| decoded(&output.stdout)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nodd:x:many:0\nworker:x:1000:1000::/:/bin/sh\n";

    #[test]
    fn a_name_is_found_in_its_table() {
        for (name, number) in
            [("root", Some(0)), ("worker", Some(1000)), ("odd", None), ("broken", None), ("x", None), ("work", None)]
        {
            assert_eq!(find(TABLE, name), number, "{name}");
        }
    }

    #[test]
    fn a_comment_in_another_encoding_hides_no_name() {
        let table =
            decoded(b"m\xfcller:x:1001:1001:J\xf6rg M\xfcller,,,:/home/jm:/bin/sh\nworker:x:1000:1000::/:/bin/sh\n");
        assert_eq!(find(&table, "worker"), Some(1000));
        assert_eq!(by_number(&table).get(&1000).map(String::as_str), Some("worker"));
    }

    #[test]
    fn a_number_has_its_first_name() {
        let names = by_number(&format!("{TABLE}toor:x:0:0::/:/bin/sh\n"));
        assert_eq!(names.get(&0).map(String::as_str), Some("root"));
        assert_eq!(names.get(&1000).map(String::as_str), Some("worker"));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_number_needs_no_entry_and_an_unknown_name_is_an_error() {
        assert_eq!(user("4294967294"), Ok(4_294_967_294));
        assert_eq!(user("root"), Ok(0));
        assert_eq!(group("root"), Ok(0));
        for text in ["4294967295", "-1", "no such user", ""] {
            assert!(user(text).is_err() && group(text).is_err(), "{text:?}");
        }
    }
}
