//! The code on a crate's front pages: a program that new users copy must not need more crates than it says.

/// The code of a page, without the lines that rustdoc hides.
fn code(page: &str) -> Vec<&str> {
    let lines = page.lines().map(|line| line.strip_prefix("//!").unwrap_or(line).trim());
    // Whether the line is within a block, and then whether that is Rust.
    let mut block = None;
    let mut code = Vec::new();
    for line in lines {
        match (line.strip_prefix("```"), block) {
            (Some(kind), None) => block = Some(kind.is_empty() || kind.starts_with("rust")),
            (Some(_), Some(_)) => block = None,
            (None, Some(true)) if !line.starts_with("# ") => code.push(line),
            (None, _) => {}
        }
    }
    code
}

/// That the code of this page, a README or the head of a `lib.rs`, uses the crate, the standard library and tokio alone.
///
/// # Panics
///
/// It uses one of `others`, or has no code to copy.
pub fn assert_one_crate(name: &str, page: &str, others: &[&str]) {
    let front = page.split("#![forbid(unsafe_code)]").next().unwrap_or(page);
    let code = code(front);
    assert!(code.iter().any(|line| line.starts_with(&format!("use {name}::"))), "there is code to copy: {front}");
    for line in code {
        for other in others {
            assert!(!line.contains(&format!("{other}::")), "`{line}` needs {other} in Cargo.toml");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "```\nuse ours::It;\n# let hidden = other::it();\nlet it = It::new();\n```\nother::it() in prose\n";

    #[test]
    fn what_is_hidden_or_prose_is_not_copied() {
        assert_one_crate("ours", PAGE, &["other"]);
    }

    #[test]
    #[should_panic(expected = "`let seen = other::it();` needs other")]
    fn what_needs_another_crate_is_found() {
        assert_one_crate("ours", &PAGE.replace("# let hidden", "let seen"), &["other"]);
    }
}
