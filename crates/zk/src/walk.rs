//! A tree of nodes, parents before children, in the order of the names.

use std::collections::VecDeque;

use zk_client::{Client, Error, ErrorCode, Names, Pending};

/// Lists that are asked for ahead of what is shown, at each level.
const WINDOW: usize = 64;

/// A node of the tree.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) path: String,
    /// Levels below the node at the top.
    pub(crate) depth: usize,
    /// How many children it has; `None` if that was not asked, because they are too deep.
    pub(crate) children: Option<usize>,
    /// Why they cannot be listed.
    pub(crate) trouble: Option<Error>,
    /// Of this node and of those above it, whether it is the last child of its parent. The node at the top is left out.
    pub(crate) is_last: Vec<bool>,
}

/// The children of one node that are still to be visited.
#[derive(Debug)]
struct Level {
    parent: String,
    /// In descending order: the next one is the last.
    names: Vec<String>,
    /// The next ones, whose own children have been asked for.
    asked: VecDeque<(String, Option<Pending<Names>>)>,
    is_last: bool,
}

/// A walk over a tree. Nodes that are deleted meanwhile are left out.
#[derive(Debug)]
pub(crate) struct Walk {
    client: Client,
    max_depth: usize,
    top: Option<String>,
    levels: Vec<Level>,
}

impl Walk {
    /// A walk from this node, at most `max_depth` levels below it.
    pub(crate) fn new(client: &Client, path: &str, max_depth: Option<usize>) -> Self {
        let max_depth = max_depth.unwrap_or(usize::MAX);
        Self { client: client.clone(), max_depth, top: Some(path.to_owned()), levels: Vec::new() }
    }

    /// The next node; `None` at the end.
    ///
    /// # Errors
    ///
    /// Why a list of children cannot be had, if it is that of the node at the top, or the reason concerns all nodes.
    pub(crate) async fn next(&mut self) -> Result<Option<Visit>, Error> {
        if let Some(path) = self.top.take() {
            let names = self.client.children(&path).await?;
            let children = Some(names.len());
            if self.max_depth > 0 {
                self.descend(&path, &names, true);
            }
            return Ok(Some(Visit { path, depth: 0, children, trouble: None, is_last: Vec::new() }));
        }
        loop {
            self.ask_ahead();
            let depth = self.levels.len();
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some((path, reply)) = level.asked.pop_front() else {
                self.levels.pop();
                continue;
            };
            level.is_last = level.asked.is_empty() && level.names.is_empty();
            let is_last = self.levels.iter().map(|level| level.is_last).collect();
            let mut visit = Visit { path, depth, children: None, trouble: None, is_last };
            match reply {
                None => {}
                Some(reply) => match reply.await {
                    Ok(names) => {
                        visit.children = Some(names.len());
                        self.descend(&visit.path, &names, false);
                    }
                    Err(error) if error.code() == Some(ErrorCode::NoNode) => continue,
                    // One node's ACL, or a name that no server should have, says nothing of the others.
                    Err(error @ Error::Invalid(_)) => visit.trouble = Some(error),
                    Err(error) if error.code() == Some(ErrorCode::NoAuth) => visit.trouble = Some(error),
                    Err(error) => return Err(error),
                },
            }
            return Ok(Some(visit));
        }
    }

    fn descend(&mut self, parent: &str, names: &Names, is_last: bool) {
        let mut names: Vec<String> = names.sorted().into_iter().map(str::to_owned).collect();
        names.reverse();
        self.levels.push(Level { parent: parent.to_owned(), names, asked: VecDeque::new(), is_last });
    }

    /// Asks for the children of the next nodes, so that each of them does not cost a round trip.
    fn ask_ahead(&mut self) {
        let is_deep = self.levels.len() >= self.max_depth;
        let Some(level) = self.levels.last_mut() else { return };
        while level.asked.len() < WINDOW
            && let Some(name) = level.names.pop()
        {
            let path = format!("{}/{name}", level.parent.trim_end_matches('/'));
            let reply = (!is_deep).then(|| self.client.children(&path));
            level.asked.push_back((path, reply));
        }
    }
}
