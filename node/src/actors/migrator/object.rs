//! The copy of one plain object: its blobs, then its records under fresh ids in one entry of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use vineyard_raft::state::State;
use vineyard_raft::state::objects::{BlobRow, Link, Lost, Record};
use vineyard_wire::{InstanceId, ObjectId, Status};

use super::transfer::{self, Fetched, Ids};
use crate::actors::migrator::plan::CopyPlan;
use crate::context::NodeContext;
use crate::context::proposal::{PendingProposal, known_outcome};
use crate::failure;
use crate::local::{Copied, Local, Proposal};

/// Copies the object `id` and everything below it. Returns the copy's id.
pub(super) async fn copy(
    node: &Rc<NodeContext>,
    id: ObjectId,
    plan: CopyPlan,
) -> Result<ObjectId, Status> {
    let CopyPlan { records, blobs } = plan;
    let fetched = transfer::fetch_blobs(node, blobs, Ids::Fresh).await?;
    let rows = fetched
        .iter()
        .flat_map(|(source, copy)| rows(*source, copy, node.instance));
    let rows = rows.collect();
    let fetched: BTreeMap<_, _> = fetched
        .into_iter()
        .map(|(source, copy)| (source, copy.id))
        .collect();
    let held = fetched.values().copied().collect();
    let objects: Vec<_> = records.iter().map(|record| record.id).collect();
    let begin = move |local: &mut Local, state: &State| local.begin_copy(state, &objects, held);
    let Copied { blobs: held, fresh } = node.local.ask(begin).await??;
    let records = records
        .into_iter()
        .map(|record| localize(record, node, &fresh, &fetched));
    let proposal = Proposal {
        records: records.collect(),
        blobs: rows,
    };
    commit(node, PendingProposal::begin(node, proposal, None), held).await?;
    Ok(fresh[&id])
}

/// The rows for a blob's copy. With a checksum there is a row for the source as well: if the cluster knows another
/// checksum of the source, the bytes are wrong, and it refuses the copy.
fn rows(source: ObjectId, copy: &Fetched, me: InstanceId) -> impl Iterator<Item = BlobRow> {
    let Fetched { id, size, checksum } = *copy;
    let row = move |id, locations| BlobRow {
        id,
        size,
        checksum,
        locations,
        lost: Lost::No,
    };
    let known = checksum.map(|_| row(source, BTreeSet::new()));
    [row(id, [me].into())].into_iter().chain(known)
}

/// Persists the copy's metadata.
pub(super) async fn commit(
    node: &Rc<NodeContext>,
    proposal: PendingProposal,
    held: Vec<ObjectId>,
) -> Result<(), Status> {
    let submitted = proposal.submit().await;
    match known_outcome(submitted.clone()) {
        Some(outcome) => end(node, held, outcome.is_ok()).await?,
        None => drop(tokio::task::spawn_local(end_once_known(
            node.clone(),
            proposal,
            held,
        ))),
    }
    submitted.map(drop).map_err(failure::from_raft)
}

/// Ends the copy once the outcome of its persist is known. If the node stops first, the bytes are freed with the
/// process.
async fn end_once_known(node: Rc<NodeContext>, proposal: PendingProposal, held: Vec<ObjectId>) {
    if let Some(outcome) = proposal.keep_asking().await
        && let Err(status) = end(&node, held, outcome.is_ok()).await
    {
        tracing::debug!(%status, "the node stopped before the outcome of a copy was known");
    }
}

async fn end(node: &NodeContext, held: Vec<ObjectId>, applied: bool) -> Result<(), Status> {
    let end = move |local: &mut Local, state: &State| local.end_copy(state, &held, applied);
    node.local.ask(end).await
}

/// The record of the copy: fresh ids, this instance, the same signature.
fn localize(
    mut record: Record,
    node: &NodeContext,
    objects: &BTreeMap<ObjectId, ObjectId>,
    blobs: &BTreeMap<ObjectId, ObjectId>,
) -> Record {
    let me = node.instance;
    record.id = objects[&record.id];
    record.instance = me;
    for link in record.members.values_mut() {
        *link = match *link {
            Link::Object { id, signature } => Link::Object {
                id: objects.get(&id).copied().unwrap_or(id),
                signature,
            },
            Link::Blob { id, .. } => Link::Blob {
                id: blobs.get(&id).copied().unwrap_or(id),
                instance: me,
            },
        };
    }
    record
}
