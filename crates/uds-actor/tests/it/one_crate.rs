//! A program needs this crate and tokio: the code that new users copy names no other.

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

#[test]
fn the_front_pages_use_one_crate_and_tokio() {
    for (name, page) in
        [("README.md", include_str!("../../README.md")), ("src/lib.rs", include_str!("../../src/lib.rs"))]
    {
        let front = page.split("#![forbid(unsafe_code)]").next().unwrap_or(page);
        let code = code(front);
        assert!(code.iter().any(|line| line.starts_with("use uds_actor::")), "{name} has code to copy");
        for line in code {
            for other in ["frame_codec", "uds_socket", "bytes", "futures_core", "futures_util", "tempfile"] {
                assert!(!line.contains(&format!("{other}::")), "{name}: `{line}` needs {other} in Cargo.toml");
            }
        }
    }
}
