//! As much of TOML as manifests are written in: sections, and keys with the text after `=`.
//!
//! Only the first line of a value is kept, which is where `workspace = true` stands.

/// One `key = value` with the section it stands in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) section: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    /// Counted from one.
    pub(super) line: usize,
}

/// All entries, in order.
pub(super) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = name.trim_start_matches('[').trim();
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim();
            // Lines inside a value that spans several start with quotes, braces or brackets.
            let is_key = key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if !key.is_empty() && is_key {
                found.push(Entry { section, key, value: value.trim(), line: index + 1 });
            }
        }
    }
    found
}

/// The value of `key` in `section`.
pub(super) fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    entries(text).iter().find(|entry| entry.section == section && entry.key == key).map(|entry| entry.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_keys_are_read() {
        let text = "[package]\nname = \"a\"\nversion.workspace = true\n\n[dependencies]\n# b = 1\n\
            c = { workspace = true, features = [\n    \"x=y\",\n] }\n[[bin]]\nname = \"d\"\n";
        assert_eq!(value(text, "package", "name"), Some("\"a\""));
        assert_eq!(value(text, "package", "version.workspace"), Some("true"));
        assert_eq!(value(text, "dependencies", "c"), Some("{ workspace = true, features = ["));
        assert_eq!(value(text, "bin", "name"), Some("\"d\""));
        assert_eq!(entries(text).len(), 4);
        assert_eq!(entries(text)[2].line, 7);
    }
}
