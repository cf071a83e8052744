//! Rust source without comments and literals, and without the items that some builds leave out.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Items begin with one of these words. After any other word, a comma ends what an attribute applies to.
const ITEM_WORDS: &str =
    " pub fn impl mod use struct enum union type const static async trait unsafe extern macro_rules ";

/// The code of `source`, each word in its line, with a space between two words. Items behind a `#[cfg(...)]` with one of
/// `gates` in it are left out.
pub(super) fn text(source: &str, gates: &[impl AsRef<str>]) -> Result<String> {
    let gates: Vec<&str> = gates.iter().map(AsRef::as_ref).collect();
    let code: TokenStream = source.parse().map_err(|error| anyhow!("not Rust: {error}"))?;
    let (mut text, mut line) = (String::new(), 1);
    write(code, &gates, &mut text, &mut line);
    Ok(text)
}

fn write(code: TokenStream, gates: &[&str], text: &mut String, line: &mut usize) {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    let mut rest = tokens.as_slice();
    while let Some((first, after)) = rest.split_first() {
        if let Some((group, after)) = attribute(rest)
            && is_gate(group, gates)
        {
            rest = after_item(after);
            continue;
        }
        let here = first.span().start().line;
        while *line < here {
            text.push('\n');
            *line += 1;
        }
        match first {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), gates, text, line);
                text.push_str(close);
            }
            TokenTree::Literal(_) => text.push(' '),
            TokenTree::Punct(punct) => text.push(punct.as_char()),
            TokenTree::Ident(word) => {
                if text.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    text.push(' ');
                }
                text.push_str(&word.to_string());
            }
        }
        rest = after;
    }
}

/// The attribute at the start: its brackets, and what follows.
fn attribute(tokens: &[TokenTree]) -> Option<(&Group, &[TokenTree])> {
    match tokens {
        [TokenTree::Punct(punct), TokenTree::Group(group), after @ ..]
            if punct.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some((group, after))
        }
        _ => None,
    }
}

fn is_gate(attribute: &Group, gates: &[&str]) -> bool {
    let (mut text, mut line) = (String::new(), usize::MAX);
    write(attribute.stream(), &[], &mut text, &mut line);
    let names = |name: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
    text.starts_with("cfg(") && gates.iter().any(|gate| names(gate)) && !names("not")
}

/// What follows the item at the start. An item ends with its body, a semicolon or, for a field, an arm or a variant, a
/// comma.
fn after_item(mut tokens: &[TokenTree]) -> &[TokenTree] {
    while let Some((_, after)) = attribute(tokens) {
        tokens = after;
    }
    let is_word = |token: &TokenTree, among: &str| matches!(token, TokenTree::Ident(word) if among.contains(&format!(" {word} ")));
    let is_item = tokens.first().is_some_and(|first| is_word(first, ITEM_WORDS));
    let is_use = tokens.iter().take(3).any(|token| is_word(token, " use "));
    let end = tokens.iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use,
        TokenTree::Punct(punct) => punct.as_char() == ';' || punct.as_char() == ',' && !is_item,
        _ => false,
    });
    end.map_or(&[], |end| &tokens[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(source: &str) -> String {
        text(source, &["feature", "test"]).unwrap()
    }

    #[test]
    fn words_keep_their_lines() {
        let source = "//! ä\nfn a() { \"é\\\"\n\"; 'x'; r#\"\"\"#; }\n/* a /* b */\n */ pub fn b<'a>() {}\n";
        let code = plain(source);
        let lines: Vec<_> = code.lines().collect();
        assert!(lines.len() == 5 && lines[1].starts_with("fn a(){") && lines[4] == "pub fn b<'a>(){}", "{lines:?}");
    }

    #[test]
    fn words_in_comments_and_texts_are_not_code() {
        for source in ["// tokio\n", "/// tokio\nfn a() {}", "/* tokio /* */ tokio */", "let a = br\"tokio\";"] {
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
            assert!(!plain(source).contains("tokio") && plain(source).contains("KEEP"), "{source}");
        }
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
}
