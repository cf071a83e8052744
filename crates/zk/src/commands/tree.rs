//! `tree` and `ls -R`: a node and all nodes below it.

use zk_client::Client;

use crate::{
    json::Object,
    notes::note,
    output::Output,
    shown,
    walk::{Visit, Walk},
};

/// Prints a tree.
pub(super) async fn tree(zk: &Client, out: &mut Output, path: &str, depth: Option<usize>) -> anyhow::Result<()> {
    show(zk, out, path, depth, |visit| {
        let mut line = String::new();
        if let Some((is_last, above)) = visit.is_last.split_last() {
            above.iter().for_each(|is_last| line.push_str(if *is_last { "    " } else { "│   " }));
            line.push_str(if *is_last { "└── " } else { "├── " });
        }
        // The name alone; at the top, the path as it was given.
        let name = if visit.depth == 0 { &visit.path } else { visit.path.rsplit('/').next().unwrap_or_default() };
        line.push_str(&shown::name(name));
        line
    })
    .await
}

/// Prints the paths.
pub(super) async fn paths(zk: &Client, out: &mut Output, path: &str) -> anyhow::Result<()> {
    show(zk, out, path, None, |visit| shown::name(&visit.path)).await
}

async fn show(
    zk: &Client,
    out: &mut Output,
    path: &str,
    depth: Option<usize>,
    line: impl Fn(&Visit) -> String,
) -> anyhow::Result<()> {
    let mut walk = Walk::new(zk, path, depth);
    let mut unlisted = 0_u64;
    let mut trouble = None;
    while let Some(visit) = walk.next().await? {
        if out.is_json() {
            out.object(&Object::Listed { path: &visit.path, depth: visit.depth, children: visit.children })?;
        } else {
            out.line(&line(&visit))?;
        }
        if let Some(error) = visit.trouble {
            unlisted += 1;
            let error = anyhow::Error::new(error);
            note(&format!("zk: {error:#}"));
            trouble = Some(error);
        }
    }
    match trouble {
        None => Ok(()),
        Some(error) => {
            out.flush()?;
            Err(error.context(format!("the tree is not complete: {unlisted} nodes could not be listed; the last one")))
        }
    }
}
