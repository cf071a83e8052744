//! Finds the command lines in Markdown and in help texts.

/// A fenced block of a page.
#[derive(Debug)]
pub(crate) struct Block {
    /// `README.md:45`.
    pub(crate) place: String,
    pub(crate) language: Language,
    pub(crate) text: String,
    /// Why it is not run, if it says that it is not to be.
    pub(crate) no_run: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// `sh`, `bash`: one script.
    Script,
    /// `console`: lines behind `$`, and what they print.
    Console,
}

/// The blocks of `text` that hold command lines.
pub(crate) fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, &str, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => open = Some((index + 1, info.trim(), String::new())),
            (None, None) => {}
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (Some(_), Some(_)) => {
                blocks.extend(open.take().and_then(|(line, info, text)| block(page, line, info, text)))
            }
        }
    }
    assert!(open.is_none(), "{page}: a block is not closed");
    blocks
}

fn block(page: &str, line: usize, info: &str, text: String) -> Option<Block> {
    let mut words = info.split([' ', ',']);
    let language = match words.next()? {
        "sh" | "bash" | "shell" => Language::Script,
        "console" => Language::Console,
        _ => return None,
    };
    let mut no_run = None;
    for word in words {
        match word.split_once('=') {
            Some(("no-run", reason)) => no_run = Some(reason.to_owned()),
            _ => panic!("{page}:{line}: what does `{word}` mean?"),
        }
    }
    Some(Block { place: format!("{page}:{line}"), language, text, no_run })
}

/// What is typed in a `console` block.
pub(crate) fn console_lines(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix("$ ")).map(str::to_owned).collect()
}

/// The examples of a help text: what is indented below a line `Examples:`.
pub(crate) fn examples(help: &str) -> Vec<String> {
    let mut lines = help.lines().skip_while(|line| !line.to_lowercase().trim().starts_with("example"));
    let _heading = lines.next();
    let indented = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let lines = indented.map(|line| line.trim().trim_start_matches("$ "));
    lines.filter(|line| line.starts_with("mpsr ") || line.contains("| mpsr ")).map(str::to_owned).collect()
}

/// The names of the commands that a help text lists.
pub(crate) fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let names = lines.take_while(|line| !line.trim().is_empty()).filter(|line| line.starts_with("  "));
    names
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_language_line_and_reason() {
        let page =
            "# A\n\n```sh\none\n  two\n```\n\n```rust\nfn a() {}\n```\n```console no-run=service\n$ three\nfour\n```\n";
        let blocks = blocks("a.md", page);
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].place.as_str(), blocks[0].text.as_str()), ("a.md:3", "one\n  two\n"));
        assert_eq!((blocks[1].language, blocks[1].no_run.as_deref()), (Language::Console, Some("service")));
        assert_eq!(console_lines(&blocks[1].text), ["three"]);
    }

    #[test]
    fn examples_and_commands_of_a_help_text_are_found() {
        let help = "Sends.\n\nUsage: mpsr send\n\nExamples:\n  mpsr send a b\n  $ cat x | mpsr send a\n\n  Words.\nSee also: b\n  mpsr no\n";
        assert_eq!(examples(help), ["mpsr send a b", "cat x | mpsr send a"]);
        assert_eq!(examples("Usage: mpsr send\n"), [""; 0]);
        let help = "Tool.\n\nCommands:\n  listen  Receives\n          more of it\n  help    Prints\n\nOptions:\n  -h\n";
        assert_eq!(commands(help), ["listen", "help"]);
    }
}
