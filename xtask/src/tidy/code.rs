//! Rust source without comments and texts, and without the items that some builds leave out.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Items begin with one of these words. After any other word, a comma ends what an attribute applies to.
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

/// The tokens of `source`, nested by their brackets.
pub(super) fn parse(source: &str) -> Result<TokenStream> {
    source.parse().map_err(|error| anyhow!("not Rust: {error}"))
}

/// The code that is compiled with no feature and outside tests.
pub(super) fn plain(code: TokenStream) -> TokenStream {
    without(code, &["feature", "test"])
}

/// The code that is compiled outside tests, with any features.
pub(super) fn without_tests(code: TokenStream) -> TokenStream {
    without(code, &["test"])
}

/// Leaves out the items behind `#[cfg(...)]` with one of `gates` in it.
fn without(code: TokenStream, gates: &[&str]) -> TokenStream {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    let mut kept = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((first, after)) = rest.split_first() {
        match attribute(rest) {
            // `#![cfg(feature ...)]` puts everything around it behind the gate.
            Some((true, group, _)) if is_gate(group, gates) => return TokenStream::new(),
            Some((false, group, after)) if is_gate(group, gates) => rest = after_item(after),
            _ => {
                kept.push(match first {
                    TokenTree::Group(group) => Group::new(group.delimiter(), without(group.stream(), gates)).into(),
                    other => other.clone(),
                });
                rest = after;
            }
        }
    }
    kept.into_iter().collect()
}

/// All tokens in order, without brackets, each with its line.
pub(super) fn flat(code: &TokenStream) -> Vec<(String, usize)> {
    let mut words = Vec::new();
    for token in code.clone() {
        match &token {
            TokenTree::Group(group) => words.extend(flat(&group.stream())),
            TokenTree::Literal(_) => {}
            other => words.push((other.to_string(), other.span().start().line)),
        }
    }
    words
}

/// The modules that `code` declares in other files: `mod name;`.
pub(super) fn modules(code: &TokenStream) -> Vec<String> {
    let words = flat(code);
    let declared = words.windows(3).filter(|three| three[0].0 == "mod" && three[2].0 == ";");
    declared.map(|three| three[1].0.clone()).collect()
}

/// The attribute at the start: whether it is an inner one, its brackets, and what follows.
fn attribute(tokens: &[TokenTree]) -> Option<(bool, &Group, &[TokenTree])> {
    let is = |token: Option<&TokenTree>, c| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == c);
    if !is(tokens.first(), '#') {
        return None;
    }
    let is_inner = is(tokens.get(1), '!');
    let at = 1 + usize::from(is_inner);
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            Some((is_inner, group, &tokens[at + 1..]))
        }
        _ => None,
    }
}

fn is_gate(attribute: &Group, gates: &[&str]) -> bool {
    let words = flat(&attribute.stream());
    let names = |name: &str| words.iter().any(|(word, _)| word == name);
    words.first().is_some_and(|(word, _)| word == "cfg") && gates.iter().any(|gate| names(gate)) && !names("not")
}

/// What follows the item at the start. An item ends with its body, a semicolon or, for a field, an arm or a variant, a
/// comma.
fn after_item(mut tokens: &[TokenTree]) -> &[TokenTree] {
    while let Some((_, _, after)) = attribute(tokens) {
        tokens = after;
    }
    let is_item = matches!(tokens.first(), Some(TokenTree::Ident(word)) if ITEM_WORDS.contains(&&*word.to_string()));
    let is_use = tokens.iter().take(3).any(|token| matches!(token, TokenTree::Ident(word) if word == "use"));
    for (at, token) in tokens.iter().enumerate() {
        let ends = match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use,
            TokenTree::Punct(punct) => punct.as_char() == ';' || punct.as_char() == ',' && !is_item,
            _ => false,
        };
        if ends {
            return &tokens[at + 1..];
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        flat(&plain(parse(source).unwrap())).into_iter().map(|(word, _)| word).collect()
    }

    fn has(source: &str, word: &str) -> bool {
        words(source).iter().any(|other| other == word)
    }

    #[test]
    fn words_keep_their_lines() {
        let code = parse("//! ä\nfn a() { \"é\\\"\"; 'x'; r#\"\"\"#; }\n/* a /* b */\n */ fn b<'a>() {}\n").unwrap();
        let places: Vec<_> = flat(&plain(code)).into_iter().filter(|(word, _)| word == "fn").collect();
        assert_eq!(places, [("fn".to_owned(), 2), ("fn".to_owned(), 4)]);
    }

    #[test]
    fn words_in_comments_and_texts_are_not_code() {
        for source in ["// tokio\n", "/// tokio\nfn a() {}", "/* tokio /* */ tokio */", "let a = br\"tokio\";"] {
            assert!(!has(source, "tokio"), "{source}");
        }
        for source in ["tokio::spawn", "fn a<'a>(x: &'a tokio::X<'a>)", "let a = ('\"', tokio);", "for tokio in r {}"] {
            assert!(has(source, "tokio"), "{source}");
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
            assert!(!has(source, "tokio") && has(source, "KEEP"), "{source}");
        }
        assert!(!has("//! A\n#![cfg(feature = \"tokio\")]\nuse tokio;", "tokio"));
    }

    #[test]
    fn the_other_side_of_a_gate_is_plain_code() {
        for source in [
            "#[cfg(not(feature = \"tokio\"))] use tokio;",
            "#[cfg(unix)] use tokio;",
            "#[cfg_attr(docsrs, doc(cfg(feature = \"x\")))] use tokio;",
            "#[cfg(test)] mod tests; use tokio;",
        ] {
            assert!(has(source, "tokio"), "{source}");
        }
    }

    #[test]
    fn declared_modules_are_found() {
        let code = parse("mod a; pub mod b;\npub(crate) mod c;mod d { mod e; }").unwrap();
        assert_eq!(modules(&code), ["a", "b", "c", "e"]);
    }
}
