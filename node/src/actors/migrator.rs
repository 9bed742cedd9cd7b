//! Owns the copies in flight: each object is fetched once however many ask for it.
//!
//! The destination migrates. Bytes go straight from the source's arena to a socket to this node's arena, checksummed,
//! large ones over several connections; then the copy's metadata is persisted in one entry. A copy that fails half way
//! leaves nothing behind.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::{LocalBoxFuture, try_join_all};
use tokio::sync::oneshot;
use vineyard_raft::state::objects::{BlobRow, Link, Record};
use vineyard_store::Store;
use vineyard_wire::{Code, InstanceId, ObjectId, Status};

use super::owner::Asker;
use crate::failure;
use crate::peer::fetch::{self, Piece};
use crate::plan::{self, Copy, Plan, Wanted};
use crate::shared::Shared;

/// Who else waits for a copy that is on its way.
#[derive(Default)]
pub(crate) struct Flights(BTreeMap<ObjectId, Vec<oneshot::Sender<Result<ObjectId, Status>>>>);

pub(crate) type Migrator = Asker<Flights>;

pub(crate) fn start(mailbox: usize) -> Migrator {
    Asker::start("migrator", mailbox, Flights::default())
}

/// Brings `id` here and returns the id under which it is read here. A copy that has begun goes on when its asker leaves.
pub(crate) fn migrate(
    node: &Rc<Shared>,
    id: ObjectId,
) -> LocalBoxFuture<'static, Result<ObjectId, Status>> {
    let node = node.clone();
    Box::pin(async move {
        let (done, landed) = oneshot::channel();
        let board = move |flights: &mut Flights| {
            let waiters = flights.0.entry(id).or_default();
            waiters.push(done);
            waiters.len() == 1
        };
        if node.migrator.ask(board).await? {
            tokio::task::spawn_local(fly(node, id));
        }
        let stopped = || Status::new(Code::VineyardServerNotReady, "the migration was abandoned");
        landed.await.map_err(|_| stopped())?
    })
}

async fn fly(node: Rc<Shared>, id: ObjectId) {
    let outcome = bring(&node, id).await;
    let land = move |flights: &mut Flights| flights.0.remove(&id).unwrap_or_default();
    // A stopped migrator has dropped its waiters, who are told so.
    for waiter in node.migrator.ask(land).await.unwrap_or_default() {
        drop(waiter.send(outcome.clone()));
    }
}

async fn bring(node: &Rc<Shared>, id: ObjectId) -> Result<ObjectId, Status> {
    let state = node.meta.state();
    if id.is_blob() {
        return bring_blob(node, id).await;
    }
    match plan::plan(&state, id, node.instance)? {
        Plan::Here(id) => Ok(id),
        Plan::One(copy) => bring_object(node, id, copy).await,
        Plan::Members(members) => {
            try_join_all(members.into_iter().map(|member| migrate(node, member))).await?;
            Ok(id)
        }
    }
}

async fn bring_blob(node: &Rc<Shared>, id: ObjectId) -> Result<ObjectId, Status> {
    let state = node.meta.state();
    let wanted = plan::want(&state, id, InstanceId::UNSPECIFIED, node.instance)?;
    let fetched = fetch_blobs(node, wanted.into_iter().collect()).await?;
    let copy = fetched.get(&id).copied().unwrap_or(id);
    release(node, vec![copy]).await?;
    Ok(copy)
}

async fn bring_object(node: &Rc<Shared>, id: ObjectId, copy: Copy) -> Result<ObjectId, Status> {
    let Copy { records, blobs } = copy;
    let sizes: BTreeMap<_, _> = blobs
        .iter()
        .map(|wanted| (wanted.blob, wanted.size))
        .collect();
    let fetched = fetch_blobs(node, blobs).await?;
    let rows = fetched.iter().map(|(source, here)| BlobRow {
        id: *here,
        size: sizes[source],
        checksum: None,
        locations: [node.instance].into(),
        lost_with: None,
    });
    let rows: Vec<_> = rows.collect();
    let fresh = rename(node, &records).await?;
    let records = records
        .into_iter()
        .map(|record| localize(record, node, &fresh, &fetched));
    let records: Vec<_> = records.collect();
    let held: Vec<_> = fetched.values().copied().collect();
    node.persisted_blobs.borrow_mut().extend(&held);
    let command = vineyard_raft::command::Command::Persist {
        records,
        blobs: rows,
    };
    let deadline = node.config.limits.metadata_deadline;
    match node.meta.submit(node.instance, command, deadline).await {
        Ok(_) => {
            release(node, held).await?;
            node.changed.notify_waiters();
            Ok(fresh[&id])
        }
        Err(error) => {
            discard(node, held).await?;
            Err(failure::from_raft(error))
        }
    }
}

/// A fresh id for each record.
async fn rename(node: &Shared, records: &[Record]) -> Result<BTreeMap<ObjectId, ObjectId>, Status> {
    let ids: Vec<_> = records.iter().map(|record| record.id).collect();
    node.catalog
        .ask(move |catalog| {
            ids.into_iter()
                .map(|id| (id, catalog.ids().object()))
                .collect()
        })
        .await
}

/// The record as it stands here: fresh ids, this instance, the signature kept.
fn localize(
    mut record: Record,
    node: &Shared,
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

/// Copies of `blobs` here, sealed and held by this node, by their source's id. All or nothing.
async fn fetch_blobs(
    node: &Rc<Shared>,
    mut blobs: Vec<Wanted>,
) -> Result<BTreeMap<ObjectId, ObjectId>, Status> {
    blobs.retain(|wanted| wanted.source != node.instance);
    if blobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let total = blobs.iter().map(|wanted| wanted.size).sum();
    let holder = node.own_holder;
    let sizes: Vec<_> = blobs.iter().map(|wanted| wanted.size).collect();
    let allocate = move |store: &mut Store| {
        let made = store.create_many(holder, &sizes)?;
        let writers = made
            .iter()
            .map(|blob| store.writer(blob.id))
            .collect::<Result<Vec<_>, _>>();
        Ok::<_, Status>((made, writers?))
    };
    let (made, writers) = node.blobs.ask(allocate).await??;
    let copies: BTreeMap<_, _> = blobs
        .iter()
        .zip(&made)
        .map(|(wanted, blob)| (wanted.blob, blob.id))
        .collect();
    let targets = blobs
        .iter()
        .map(|wanted| wanted.blob)
        .zip(writers)
        .collect();
    let deadline = node.config.limits.transfer_deadline(total);
    let fetched = tokio::time::timeout(deadline, fetch_all(node, &blobs, targets)).await;
    let here: Vec<_> = copies.values().copied().collect();
    match fetched {
        Ok(Ok(())) => {
            node.blobs
                .ask(move |store| seal(store, holder, &here))
                .await??;
            Ok(copies)
        }
        Ok(Err(status)) => {
            discard(node, here).await?;
            Err(status)
        }
        Err(_) => {
            discard(node, here).await?;
            Err(failure::deadline(
                &format!("{total} bytes from other nodes"),
                deadline,
            ))
        }
    }
}

fn seal(
    store: &mut Store,
    holder: vineyard_store::HolderId,
    ids: &[ObjectId],
) -> Result<(), Status> {
    ids.iter().try_for_each(|id| store.seal(holder, *id))?;
    Ok(())
}

/// From every source at once.
async fn fetch_all(
    node: &Rc<Shared>,
    blobs: &[Wanted],
    mut targets: BTreeMap<ObjectId, vineyard_shm::SliceMut>,
) -> Result<(), Status> {
    let mut by_source = BTreeMap::<InstanceId, Vec<Wanted>>::new();
    for wanted in blobs {
        by_source.entry(wanted.source).or_default().push(*wanted);
    }
    let mut fetches = Vec::new();
    for (source, blobs) in by_source {
        let pieces = cut(node, &blobs, &mut targets);
        fetches.push(fetch_from(node, source, pieces));
    }
    try_join_all(fetches).await?;
    Ok(())
}

/// The asks for `blobs`, each with the part of the arena that it fills.
fn cut(
    node: &Shared,
    blobs: &[Wanted],
    targets: &mut BTreeMap<ObjectId, vineyard_shm::SliceMut>,
) -> Vec<Piece> {
    let asks = plan::asks(blobs, node.config.limits.bulk_range_bytes);
    let mut piece = |ranges: Vec<vineyard_wire::peer::Range>| {
        let take = |range: &vineyard_wire::peer::Range| {
            let whole = targets
                .remove(&range.blob)
                .expect("every wanted blob has a target");
            let (part, rest) = whole.split_at(range.len as usize);
            targets.insert(range.blob, rest);
            part
        };
        let targets = ranges.iter().map(take).collect();
        Piece { ranges, targets }
    };
    asks.into_iter().map(&mut piece).collect()
}

async fn fetch_from(
    node: &Rc<Shared>,
    source: InstanceId,
    pieces: Vec<Piece>,
) -> Result<(), Status> {
    if pieces.is_empty() {
        return Ok(());
    }
    let state = node.meta.state();
    let instance = state.instance(source).ok_or_else(|| {
        Status::not_exists(format!("the cluster does not know the instance {source}"))
    })?;
    let endpoint = instance.endpoint.clone();
    let limits = &node.config.limits;
    let bytes: u64 = pieces
        .iter()
        .flat_map(|piece| &piece.ranges)
        .map(|range| range.len)
        .sum();
    let failed = |error: std::io::Error| {
        let message = format!("fetching {bytes} bytes from {source} at {endpoint}: {error}");
        Status::new(Code::IoError, message)
    };
    if bytes < limits.bulk_bytes_min {
        let fetched = fetch::fetch(node.dialer.clone(), endpoint.clone(), pieces).await;
        return fetched.map_err(failed);
    }
    let lanes = limits.bulk_connections.min(pieces.len());
    let mut shares: Vec<Vec<Piece>> = (0..lanes).map(|_| Vec::new()).collect();
    for (index, piece) in pieces.into_iter().enumerate() {
        shares[index % lanes].push(piece);
    }
    let fetch = |share: Vec<Piece>| {
        let (dialer, endpoint) = (node.dialer.clone(), endpoint.clone());
        node.bulk
            .run(move || Box::pin(fetch::fetch(dialer, endpoint, share)))
    };
    for fetched in try_join_all(shares.into_iter().map(fetch)).await? {
        fetched.map_err(failed)?;
    }
    Ok(())
}

/// The copies are the metadata's now; this node itself reads them no more.
async fn release(node: &Shared, held: Vec<ObjectId>) -> Result<(), Status> {
    let holder = node.own_holder;
    let release = move |store: &mut Store| {
        for id in held {
            // Somebody may have deleted the copy meanwhile, which released it.
            let _ = store.release(holder, id);
        }
    };
    node.blobs.ask(release).await
}

async fn discard(node: &Shared, copies: Vec<ObjectId>) -> Result<(), Status> {
    let holder = node.own_holder;
    let discard = move |store: &mut Store| {
        for id in copies {
            store.delete(holder, id, false);
        }
    };
    node.blobs.ask(discard).await
}
