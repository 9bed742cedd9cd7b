//! The copy of one plain object: its blobs, then its records under fresh ids in one entry of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use vineyard_raft::Error as RaftError;
use vineyard_raft::state::objects::{BlobRow, Link, Lost, Record};
use vineyard_wire::{InstanceId, ObjectId, Status};

use super::transfer::{self, Fetched};
use crate::actors::migrator::plan::Copy;
use crate::actors::proposal::{PendingProposal, decided};
use crate::context::NodeContext;
use crate::failure;
use crate::handlers::metadata::check_sealed;
use crate::local::catalog::Catalog;

/// Copies the object `id` and what it consists of; answers the copy's id.
pub(super) async fn bring(
    node: &Rc<NodeContext>,
    id: ObjectId,
    copy: Copy,
) -> Result<ObjectId, Status> {
    let Copy { records, blobs } = copy;
    let fetched = transfer::fetch_blobs(node, blobs).await?;
    let rows = fetched
        .iter()
        .flat_map(|(source, copy)| rows(*source, copy, node.instance));
    let rows = rows.collect();
    let fetched: BTreeMap<_, _> = fetched
        .into_iter()
        .map(|(source, copy)| (source, copy.id))
        .collect();
    let held: Vec<_> = fetched.values().copied().collect();
    let fresh = claim(node, &records, &held).await?;
    let copies = held.clone();
    // A client may have deleted a copy before it was claimed.
    let here = node.blobs.ask(move |store| check_sealed(store, &copies));
    if let Err(status) = here.await? {
        give_up(node, held).await?;
        return Err(status);
    }
    let records = records
        .into_iter()
        .map(|record| localize(record, node, &fresh, &fetched));
    let persist = PendingProposal::begin(node, records.collect(), rows);
    land(node, persist, held).await?;
    Ok(fresh[&id])
}

/// What the cluster is told of a blob's copy. A checksum is told of the source too: should it differ from the one that is
/// known of it, these are not its bytes, and the copy is refused.
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

/// Makes the copy's metadata the cluster's.
async fn land(
    node: &Rc<NodeContext>,
    persist: PendingProposal,
    held: Vec<ObjectId>,
) -> Result<(), Status> {
    let submitted = persist.submit().await;
    let Some(outcome) = decided(submitted.clone()) else {
        tokio::task::spawn_local(settle(node.clone(), persist, held));
        return submitted.map(drop).map_err(failure::from_raft);
    };
    finish(node, outcome, held).await
}

/// Keeps the copy until the cluster has decided about it. If the node stops first, the bytes go with the process.
async fn settle(node: Rc<NodeContext>, persist: PendingProposal, held: Vec<ObjectId>) {
    if let Some(outcome) = persist.keep_asking().await
        && let Err(status) = finish(&node, outcome, held).await
    {
        tracing::debug!(%status, "a copy whose outcome was unknown was not kept");
    }
}

async fn finish(
    node: &NodeContext,
    outcome: Result<(), RaftError>,
    held: Vec<ObjectId>,
) -> Result<(), Status> {
    match outcome {
        Ok(()) => {
            node.persisted_blobs.borrow_mut().extend(&held);
            let copies = held.clone();
            node.catalog
                .ask(move |catalog| catalog.disclaim(&copies))
                .await?;
            transfer::release(node, held).await?;
            node.changed.notify_waiters();
            Ok(())
        }
        Err(error) => {
            give_up(node, held).await?;
            Err(failure::from_raft(error))
        }
    }
}

async fn give_up(node: &NodeContext, held: Vec<ObjectId>) -> Result<(), Status> {
    let copies = held.clone();
    node.catalog
        .ask(move |catalog| catalog.disclaim(&copies))
        .await?;
    transfer::discard(node, held).await
}

/// A fresh id for each record. From now on whoever deletes one of the `copies` waits until the cluster has decided.
async fn claim(
    node: &NodeContext,
    records: &[Record],
    copies: &[ObjectId],
) -> Result<BTreeMap<ObjectId, ObjectId>, Status> {
    let ids: Vec<_> = records.iter().map(|record| record.id).collect();
    let (copies, state) = (copies.to_vec(), node.meta.state());
    let claim = move |catalog: &mut Catalog| {
        catalog.claim(&copies);
        let fresh = |id| (id, catalog.fresh_id(&state));
        ids.into_iter().map(fresh).collect()
    };
    node.catalog.ask(claim).await
}

/// The record as it stands here: fresh ids, this instance, the signature kept.
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
