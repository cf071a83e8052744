//! `create`: a new node of any kind; an ephemeral one is held.

use zk_client::{Acl, Client, CreateMode, Payload};

use crate::{acl, args, failure::Wrong, json::Object, notes::note, output::Output, signals::Interrupts};

pub(super) async fn run(
    zk: &Client,
    out: &mut Output,
    create: args::Create,
    mut interrupts: Interrupts,
) -> anyhow::Result<()> {
    let mode = mode(&create)?;
    let acl = create.acl.as_deref().map(acl::parse).transpose()?;
    let acl = acl.as_deref().unwrap_or(Acl::OPEN);
    let data = create.payload.read()?;
    let data = Payload::from(data.as_deref());
    let is_json = out.is_json();
    let created = async {
        if create.parents
            && let Some((parent, _)) = create.path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty())
        {
            zk.ensure_path(parent, acl).await?;
        }
        // Only a server from 3.5 on gives the history, so it is asked for only where it is printed.
        if is_json {
            zk.create_with_stat(&create.path, data, mode, acl).await
        } else {
            zk.create(&create.path, data, mode, acl).await
        }
    };
    let created = tokio::select! {
        biased;
        interrupted = interrupts.next() => return Err(interrupted.leaving(true)),
        created = created => created?,
    };
    if out.is_json() {
        let sequence = created.sequence.map(|sequence| sequence.0);
        out.object(&Object::Created { path: &created.path, sequence, stat: created.stat.as_ref().map(Into::into) })?;
    } else {
        out.line(&crate::shown::name(&created.path))?;
    }
    out.flush()?;
    if !matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential) {
        return Ok(());
    }
    note("zk: the node ends with this program: interrupt it to delete the node");
    tokio::select! {
        biased;
        _ = interrupts.next() => Ok(()),
        report = zk.closed() => Err(anyhow::anyhow!("{}", report.ending)),
    }
}

fn mode(create: &args::Create) -> Result<CreateMode, Wrong> {
    Ok(match (create.ephemeral, create.sequential, create.container, create.ttl) {
        (false, false, false, None) => CreateMode::Persistent,
        (false, true, false, None) => CreateMode::PersistentSequential,
        (true, false, false, None) => CreateMode::Ephemeral,
        (true, true, false, None) => CreateMode::EphemeralSequential,
        (false, false, true, None) => CreateMode::Container,
        (false, false, false, Some(ttl)) => CreateMode::Ttl(ttl),
        (false, true, false, Some(ttl)) => CreateMode::SequentialTtl(ttl),
        _ => {
            return Err(Wrong(
                "a node is of one kind: -e, -c and -t exclude each other, and -s excludes -c".to_owned(),
            ));
        }
    })
}
