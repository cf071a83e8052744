//! A reader for the JSON that cargo prints.
//!
//! `cargo metadata` is the one authority on packages, features and dependencies, and reading it
//! takes these lines; a general JSON crate would be most of this program's build time.

use std::{iter::Peekable, str::Chars};

use anyhow::{Context, Result, bail};

/// Nesting beyond this is refused; `cargo metadata` stays below ten.
const MAX_DEPTH: u32 = 64;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Value {
    /// The whole of `text` as one value.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader { rest: text.chars().peekable() };
        let value = reader.value(0)?;
        match reader.next_visible() {
            None => Ok(value),
            Some(extra) => bail!("JSON goes on after its end with {extra:?}"),
        }
    }

    /// The member called `key`; an object without it, and anything else, has `None`.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The member `key` as text.
    pub(crate) fn text(&self, key: &str) -> Result<&str> {
        match self.member(key) {
            Some(Self::Text(text)) => Ok(text),
            other => bail!("expected text at `{key}`, found {other:?}"),
        }
    }

    /// The member `key` as a list.
    pub(crate) fn list(&self, key: &str) -> Result<&[Self]> {
        match self.member(key) {
            Some(Self::List(items)) => Ok(items),
            other => bail!("expected a list at `{key}`, found {other:?}"),
        }
    }

    /// The member `key` as an object's members.
    pub(crate) fn object(&self, key: &str) -> Result<&[(String, Self)]> {
        match self.member(key) {
            Some(Self::Object(members)) => Ok(members),
            other => bail!("expected an object at `{key}`, found {other:?}"),
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn value(&mut self, depth: u32) -> Result<Value> {
        if depth > MAX_DEPTH {
            bail!("JSON is nested deeper than {MAX_DEPTH}");
        }
        match self.next_visible().context("JSON ends where a value should be")? {
            '{' => self.object(depth),
            '[' => self.list(depth),
            '"' => Ok(Value::Text(self.string()?)),
            first => self.word(first),
        }
    }

    fn object(&mut self, depth: u32) -> Result<Value> {
        let mut members = Vec::new();
        loop {
            match self.next_visible() {
                Some('}') if members.is_empty() => break,
                Some('"') => {
                    let key = self.string()?;
                    match self.next_visible() {
                        Some(':') => members.push((key, self.value(depth + 1)?)),
                        other => bail!("expected `:` after key {key:?}, found {other:?}"),
                    }
                }
                other => bail!("expected a key, found {other:?}"),
            }
            match self.next_visible() {
                Some(',') => {}
                Some('}') => break,
                other => bail!("expected `,` or `}}`, found {other:?}"),
            }
        }
        Ok(Value::Object(members))
    }

    fn list(&mut self, depth: u32) -> Result<Value> {
        let mut items = Vec::new();
        self.skip_space();
        if self.rest.next_if_eq(&']').is_some() {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.next_visible() {
                Some(',') => {}
                Some(']') => return Ok(Value::List(items)),
                other => bail!("expected `,` or `]`, found {other:?}"),
            }
        }
    }

    /// The rest of a string whose opening quote was read.
    fn string(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.rest.next().context("JSON ends inside a string")? {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                plain => text.push(plain),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        Ok(match self.rest.next().context("JSON ends inside an escape")? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let unit = self.four_hex_digits()?;
                // A pair of surrogates is one character; paths and descriptions hardly ever need it.
                if (0xD800..0xDC00).contains(&unit) {
                    if (self.rest.next(), self.rest.next()) != (Some('\\'), Some('u')) {
                        bail!("a surrogate stands alone");
                    }
                    let low = self.four_hex_digits()?;
                    if !(0xDC00..0xE000).contains(&low) {
                        bail!("a surrogate stands alone");
                    }
                    char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)).context("not a character")?
                } else {
                    char::from_u32(unit).context("a surrogate stands alone")?
                }
            }
            same @ ('"' | '\\' | '/') => same,
            other => bail!("unknown escape `\\{other}`"),
        })
    }

    fn four_hex_digits(&mut self) -> Result<u32> {
        (0..4).try_fold(0, |unit, _| {
            let digit = self.rest.next().and_then(|digit| digit.to_digit(16));
            Ok(unit * 16 + digit.context("expected four hexadecimal digits")?)
        })
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self, first: char) -> Result<Value> {
        let mut word = String::from(first);
        while let Some(next) = self.rest.next_if(|next| next.is_ascii_alphanumeric() || matches!(next, '+' | '-' | '.'))
        {
            word.push(next);
        }
        Ok(match word.as_str() {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => Value::Number(number.parse().with_context(|| format!("not JSON: {number:?}"))?),
        })
    }

    fn next_visible(&mut self) -> Option<char> {
        self.skip_space();
        self.rest.next()
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(|next| matches!(next, ' ' | '\n' | '\r' | '\t')).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_prints_is_read() {
        let text = r#"{"packages":[{"name":"a","features":{"default":[]},"publish":null,"n":-1.5e3}],"ok":true}"#;
        let value = Value::parse(text).unwrap();
        let package = &value.list("packages").unwrap()[0];
        assert_eq!(package.text("name").unwrap(), "a");
        assert_eq!(package.object("features").unwrap().len(), 1);
        assert_eq!(package.member("publish"), Some(&Value::Null));
        assert_eq!(package.member("n"), Some(&Value::Number(-1500.0)));
        assert_eq!(value.member("ok"), Some(&Value::Bool(true)));
    }

    #[test]
    fn escapes_become_characters() {
        let value = Value::parse(r#""a\n\"\\\u00e9\ud83d\ude00""#).unwrap();
        assert_eq!(value, Value::Text("a\n\"\\é😀".into()));
    }

    #[test]
    fn every_strict_prefix_is_refused() {
        let text = r#"{"a":[1,"b\u0041",null],"c":{"d":false}}"#;
        Value::parse(text).unwrap();
        for end in 0..text.len() {
            assert!(Value::parse(&text[..end]).is_err(), "accepted {:?}", &text[..end]);
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["[1,]", "{\"a\" 1}", "[1] 2", "{a:1}", "\"\\x\"", "\"\\ud800x\"", "nul", "{\"a\":1,}"] {
            assert!(Value::parse(text).is_err(), "accepted {text:?}");
        }
        assert!(Value::parse(&"[".repeat(100_000)).is_err());
    }
}
