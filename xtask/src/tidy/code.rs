//! Rust source with everything blanked that is not code of the plain build: comments, texts, and
//! items behind `#[cfg(feature ...)]` or `#[cfg(test)]`.
//!
//! Blanking keeps line breaks, so that what is found still has its line number.

/// Items start with one of these; after any other word a comma ends what an attribute stands on.
const ITEM_WORDS: &[&str] = &[
    "pub",
    "fn",
    "impl",
    "mod",
    "use",
    "struct",
    "enum",
    "union",
    "type",
    "const",
    "static",
    "async",
    "trait",
    "unsafe",
    "extern",
    "macro_rules",
];

/// The code that is compiled with no feature and outside tests.
pub(super) fn plain(source: &str) -> String {
    let mut code = without_words(source);
    if gated_whole(&code, source) {
        return blank(source);
    }
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(") {
        let start = from + found;
        let Some(end) = bracket_end(&code, start + 1) else { break };
        from = end;
        // The texts in the attribute are blanked in `code`; the words that decide are not texts.
        if is_gate(&source[start..end]) {
            let item_end = item_end(&code, end);
            let blanked = blank(&code[start..item_end]);
            code.replace_range(start..item_end, &blanked);
            from = item_end;
        }
    }
    code
}

/// The modules that `code` declares in other files: `mod name;`.
pub(super) fn modules(code: &str) -> Vec<&str> {
    let words: Vec<&str> =
        code.split(|c: char| c.is_whitespace()).flat_map(|word| word.split_inclusive([';', '{', '}'])).collect();
    words.windows(2).filter(|pair| pair[0] == "mod").filter_map(|pair| pair[1].strip_suffix(';')).collect()
}

/// `code`, which opens with a brace or bracket, up to the one that closes it.
pub(super) fn group(code: &str) -> &str {
    &code[..bracket_end(code, 0).unwrap_or(code.len())]
}

fn is_gate(attribute: &str) -> bool {
    let names = |word| attribute.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word);
    (names("feature") || names("test")) && !names("not")
}

/// `#![cfg(feature ...)]` at the top makes the whole file an item behind the gate.
fn gated_whole(code: &str, source: &str) -> bool {
    code.find("#![cfg(")
        .is_some_and(|start| bracket_end(code, start + 2).is_some_and(|end| is_gate(&source[start..end])))
}

/// Where the bracket that opens at or after `open` is closed: the position after it.
fn bracket_end(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where the item after an attribute ends: at its body's brace, a semicolon, or — for a field, an
/// arm, a variant — a comma or the end of what it stands in.
fn item_end(code: &str, attribute_end: usize) -> usize {
    let mut at = attribute_end;
    // Further attributes belong to the same item.
    while code[at..].trim_start().starts_with("#[") {
        let next = at + (code[at..].len() - code[at..].trim_start().len());
        match bracket_end(code, next + 1) {
            Some(end) => at = end,
            None => return code.len(),
        }
    }
    let first = code[at..].trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next();
    let is_item = first.is_some_and(|word| ITEM_WORDS.contains(&word));
    let is_use = code[at..].trim_start().trim_start_matches("pub ").starts_with("use ");
    let mut depth = 0usize;
    for (position, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => {
                if depth == 0 {
                    return position;
                }
                depth -= 1;
                if depth == 0 && byte == b'}' && !is_use {
                    return position + 1;
                }
            }
            b';' if depth == 0 => return position + 1,
            b',' if depth == 0 && !is_item => return position + 1,
            _ => {}
        }
    }
    code.len()
}

fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// `source` with comments, strings and character literals blanked, byte for byte.
fn without_words(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let len = wordy_len(&source[at..], at.checked_sub(1).map(|before| bytes[before]));
        if len > 0 {
            code.push_str(&blank(&source[at..at + len]));
            at += len;
        } else {
            let c = source[at..].chars().next().expect("`at` is before the end");
            if c.is_ascii() {
                code.push(c);
            } else {
                // As many blanks as bytes, so that positions agree.
                code.push_str(&blank(&source[at..at + c.len_utf8()]));
            }
            at += c.len_utf8();
        }
    }
    code
}

/// How many bytes at the start of `rest` are a comment or a literal; 0 if neither starts here.
fn wordy_len(rest: &str, before: Option<u8>) -> usize {
    let bytes = rest.as_bytes();
    match bytes[0] {
        b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with("/*") => block_comment_len(rest),
        b'"' => string_len(rest),
        b'r' if !before.is_some_and(|b| b.is_ascii_alphanumeric() && b != b'b' || b == b'_') => raw_string_len(rest),
        b'\'' => char_len(rest),
        _ => 0,
    }
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        let pair = rest.as_bytes().get(at..at + 2);
        if pair == Some(b"/*") {
            depth += 1;
            at += 2;
        } else if pair == Some(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"..."`, `r#"..."#`; 0 for a word that starts with `r` and for `r#word`.
fn raw_string_len(rest: &str) -> usize {
    let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
    let Some(body) = rest[1 + hashes..].strip_prefix('"') else { return 0 };
    let close = format!("\"{}", "#".repeat(hashes));
    body.find(&close).map_or(rest.len(), |end| 1 + hashes + 1 + end + close.len())
}

/// `'x'`, `'\n'`; 0 for a lifetime.
fn char_len(rest: &str) -> usize {
    let mut inside = rest[1..].char_indices();
    match inside.next() {
        Some((_, '\\')) => rest[3.min(rest.len())..].find('\'').map_or(0, |end| 3 + end + 1),
        Some(_) => match inside.next() {
            Some((at, '\'')) => 1 + at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_lines_are_kept() {
        let source = "//! ä\nfn a() { \"é\\\"\"; 'x'; '\\''; r#\"\"\"#; }\n/* a /* b */\n */ fn b<'a>() {}\n";
        let code = plain(source);
        assert_eq!(code.len(), source.len());
        assert_eq!(code.lines().count(), source.lines().count());
        assert!(code.contains("fn a() {") && code.contains("fn b<'a>() {}"));
    }

    #[test]
    fn words_in_comments_and_texts_are_not_code() {
        for source in [
            "// tokio\n",
            "/// tokio\n",
            "/* tokio /* */ tokio */",
            "let a = \"tokio\";",
            "let a = \"\\\"tokio\";",
            "let a = r#\"\"tokio\"#;",
            "let a = br\"tokio\";",
            "let a = ('\"', \"tokio\", '\"');",
        ] {
            assert!(!plain(source).contains("tokio"), "{source}");
        }
        for source in ["tokio::spawn", "fn a<'a>(x: &'a tokio::X<'a>)", "let a = ('\"', tokio);", "for tokio in r {}"] {
            assert!(plain(source).contains("tokio"), "{source}");
        }
    }

    #[test]
    fn items_behind_a_gate_are_not_plain_code() {
        for source in [
            "#[cfg(feature = \"tokio\")]\nmod tokio;\nKEEP",
            "#[cfg(feature = \"tokio\")]\npub use tokio::{A, B};\nKEEP",
            "#[cfg(test)]\n#[expect(dead_code)]\nmod tests { use tokio; fn a() {} } KEEP",
            "#[cfg(all(test, feature = \"tokio\"))] fn a<A, B>(b: B) { tokio } KEEP",
            "struct A { #[cfg(feature = \"tokio\")] a: tokio::A, KEEP: u8 }",
            "match a { #[cfg(feature = \"tokio\")] tokio => {} KEEP }",
            "enum A { #[cfg(feature = \"tokio\")] A(tokio) } KEEP",
        ] {
            let code = plain(source);
            assert!(!code.contains("tokio") && code.contains("KEEP"), "{source}\n{code}");
        }
        assert!(!plain("//! A\n#![cfg(feature = \"tokio\")]\nuse tokio;").contains("tokio"));
    }

    #[test]
    fn the_other_side_of_a_gate_is_plain_code() {
        for source in [
            "#[cfg(not(feature = \"tokio\"))] use tokio;",
            "#[cfg(unix)] use tokio;",
            "#[cfg_attr(docsrs, doc(cfg(feature = \"x\")))] use tokio;",
            "#[cfg(test)] mod tests; use tokio;",
        ] {
            assert!(plain(source).contains("tokio"), "{source}");
        }
    }

    #[test]
    fn declared_modules_are_found() {
        assert_eq!(modules("mod a; pub mod b;\npub(crate) mod c;mod d { mod e; }"), ["a", "b", "c", "e"]);
    }
}
