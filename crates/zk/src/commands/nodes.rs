//! The commands about one node.

use std::io::{self, Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zk_client::{Client, Error, ErrorCode, Payload, Version};

use crate::{
    args,
    failure::Wrong,
    json::{Data, Object},
    notes::note,
    output::Output,
    shown,
};

pub(super) async fn get(
    zk: &Client,
    out: &mut Output,
    path: &str,
    stat: bool,
    base64: bool,
    hex: bool,
) -> anyhow::Result<()> {
    let node = zk.get(path).await?;
    if out.is_json() {
        let (data, stat) = (Data::new(node.data.as_deref()), (&node.stat).into());
        return out.object(&Object::Node { path, data, stat });
    }
    if base64 {
        out.line(&BASE64_STANDARD.encode(node.bytes()))?;
    } else if hex {
        out.line(&node.bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())?;
    } else if node.data.is_none() && out.is_terminal() {
        note("zk: the node holds null");
    } else {
        out.bytes(node.bytes())?;
    }
    if stat {
        out.flush()?;
        // If standard error cannot be written, there is no place left to say so.
        let _ = writeln!(io::stderr(), "{}", shown::stat(&node.stat));
    }
    Ok(())
}

pub(super) async fn set(
    zk: &Client,
    out: &mut Output,
    path: &str,
    payload: args::Payload,
    version: Option<Version>,
    stat: bool,
) -> anyhow::Result<()> {
    let is_null = payload.null;
    let data = payload.read()?;
    if data.is_none() && !is_null {
        return Err(Wrong("there is no data: give it as an argument, by --file, or as --null".to_owned()).into());
    }
    let written = zk.set(path, Payload::from(data.as_deref()), version.unwrap_or(Version::Any)).await?;
    if out.is_json() {
        out.object(&Object::Stat { path, stat: (&written).into() })
    } else if stat {
        out.line(&shown::stat(&written))
    } else {
        Ok(())
    }
}

pub(super) async fn delete(
    zk: &Client,
    out: &mut Output,
    path: &str,
    version: Option<Version>,
    recursive: bool,
) -> anyhow::Result<()> {
    if recursive {
        zk.delete_recursive(path).await?;
    } else {
        zk.delete(path, version.unwrap_or(Version::Any)).await?;
    }
    if out.is_json() { out.object(&Object::Path { path }) } else { Ok(()) }
}

pub(super) async fn ls(zk: &Client, out: &mut Output, path: &str, stat: bool) -> anyhow::Result<()> {
    let (names, history) = zk.children_with_stat(path).await?;
    if out.is_json() {
        return out.object(&Object::Children { path, children: names.sorted(), stat: (&history).into() });
    }
    for name in names.sorted() {
        out.line(&shown::name(name))?;
    }
    if stat { out.line(&shown::stat(&history)) } else { Ok(()) }
}

pub(super) async fn stat(zk: &Client, out: &mut Output, path: &str) -> anyhow::Result<()> {
    let stat = zk.exists(path).await?.ok_or_else(|| missing(path))?;
    if out.is_json() { out.object(&Object::Stat { path, stat: (&stat).into() }) } else { out.line(&shown::stat(&stat)) }
}

pub(super) async fn sync(zk: &Client, out: &mut Output, path: &str) -> anyhow::Result<()> {
    zk.sync(path).await?;
    if out.is_json() { out.object(&Object::Path { path }) } else { Ok(()) }
}

pub(super) async fn whoami(zk: &Client, out: &mut Output) -> anyhow::Result<()> {
    for who in zk.who_am_i().await? {
        if out.is_json() {
            out.object(&Object::Identity { scheme: &who.scheme, user: &who.user })?;
        } else {
            out.line(&format!("{}  {}", shown::name(&who.scheme), shown::name(&who.user)))?;
        }
    }
    Ok(())
}

/// That a node does not exist, as an error.
fn missing(path: &str) -> Error {
    Error::Rejected { operation: "stat", path: path.into(), code: ErrorCode::NoNode }
}
