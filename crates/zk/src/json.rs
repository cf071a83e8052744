//! The objects of `--json`. Their field names are documented in the README and are kept.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use zk_client::{Change, NodeEvent};

/// A node's data: Base64, or null; and the text, where it is UTF-8.
#[derive(Debug, Serialize)]
pub(crate) struct Data<'a> {
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<'a> Data<'a> {
    pub(crate) fn new(data: Option<&'a [u8]>) -> Self {
        let text = data.and_then(|bytes| std::str::from_utf8(bytes).ok());
        Self { data: data.map(|bytes| BASE64_STANDARD.encode(bytes)), text }
    }
}

/// A node's history. Transactions and times are numbers, the session is in the words of other tools.
#[derive(Debug, Serialize)]
pub(crate) struct Stat {
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    /// Milliseconds since 1970.
    ctime: i64,
    mtime: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    /// Null unless the node is ephemeral. Text, because many readers of JSON cannot represent its number.
    ephemeral_owner: Option<String>,
    data_length: i32,
    num_children: i32,
}

impl From<&zk_client::Stat> for Stat {
    fn from(stat: &zk_client::Stat) -> Self {
        let owner = Some(stat.ephemeral_owner).filter(|owner| *owner != zk_client::SessionId::NONE);
        Self {
            czxid: stat.czxid.0,
            mzxid: stat.mzxid.0,
            pzxid: stat.pzxid.0,
            ctime: stat.ctime,
            mtime: stat.mtime,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            ephemeral_owner: owner.map(|owner| owner.to_string()),
            data_length: stat.data_length,
            num_children: stat.num_children,
        }
    }
}

/// What the commands print.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Object<'a> {
    Node {
        path: &'a str,
        #[serde(flatten)]
        data: Data<'a>,
        stat: Stat,
    },
    Stat {
        path: &'a str,
        stat: Stat,
    },
    Children {
        path: &'a str,
        children: Vec<&'a str>,
        stat: Stat,
    },
    Created {
        path: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<i32>,
        stat: Option<Stat>,
    },
    Path {
        path: &'a str,
    },
    /// A node of a tree; no children are given where they were not asked for, or may not be listed.
    Listed {
        path: &'a str,
        depth: usize,
        children: Option<usize>,
    },
    Identity {
        scheme: &'a str,
        user: &'a str,
    },
    Answer {
        server: &'a str,
        word: &'a str,
        answer: String,
    },
    Event {
        event: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        zxid: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<i32>,
    },
}

impl Object<'_> {
    /// An event that is about no node.
    pub(crate) const fn event(event: &'static str) -> Self {
        Self::Event { event, path: None, zxid: None, number: None }
    }
}

impl<'a> From<&'a NodeEvent> for Object<'a> {
    fn from(event: &'a NodeEvent) -> Self {
        let (name, number) = change(event.change);
        Self::Event { event: name, path: Some(&event.path), zxid: event.zxid.map(|zxid| zxid.0), number }
    }
}

/// The word for a change; its number where there is no other word.
pub(crate) const fn change(change: Change) -> (&'static str, Option<i32>) {
    match change {
        Change::Created => ("created", None),
        Change::Deleted => ("deleted", None),
        Change::Data => ("data", None),
        Change::Children => ("children", None),
        Change::Unknown(number) => ("unknown", Some(number)),
        _ => ("unknown", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_and_text_are_told_apart() {
        let json = |data| serde_json::to_string(&Data::new(data)).unwrap();
        assert_eq!(json(None), r#"{"data":null}"#);
        assert_eq!(json(Some(b"")), r#"{"data":"","text":""}"#);
        assert_eq!(json(Some(b"a\"")), r#"{"data":"YSI=","text":"a\""}"#);
        assert_eq!(json(Some(b"\xff")), r#"{"data":"/w=="}"#);
    }

    #[test]
    fn a_session_is_text_and_no_session_is_null() {
        let mut stat = zk_client::Stat::default();
        assert_eq!(serde_json::to_value(Stat::from(&stat)).unwrap()["ephemeral_owner"], serde_json::Value::Null);
        stat.ephemeral_owner = zk_client::SessionId(i64::MAX);
        assert_eq!(serde_json::to_value(Stat::from(&stat)).unwrap()["ephemeral_owner"], "0x7fffffffffffffff");
    }
}
