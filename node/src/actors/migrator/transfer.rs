//! The transfer of a copy's bytes: allocates them here, fetches them over one or several connections to each source,
//! and seals or frees them.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use futures::future::try_join_all;
use vineyard_env::Fault;
use vineyard_raft::features;
use vineyard_raft::state::State;
use vineyard_shm::SliceMut;
use vineyard_wire::peer::Range;
use vineyard_wire::{Code, InstanceId, ObjectId, Status};

use crate::actors::migrator::plan::{self, Wanted};
use crate::context::{NodeContext, call};
use crate::local::Local;
use crate::peer::fetch::{self, Piece, Source};

/// The copy of a blob.
pub(super) struct Fetched {
    pub(super) id: ObjectId,
    pub(super) size: u64,
    /// The xxh3 of the bytes, if they came in one range. The ranges of a large blob come over several connections, and
    /// each is checked by itself.
    pub(super) checksum: Option<u64>,
}

/// The ids of copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    Fresh,
    /// Those of their sources.
    Same,
}

/// Copies `blobs` to this node, sealed and held by the node itself. Returns the copies by the id of their source. All
/// or nothing.
pub(super) async fn fetch_blobs(
    node: &Rc<NodeContext>,
    mut blobs: Vec<Wanted>,
    ids: Ids,
) -> Result<BTreeMap<ObjectId, Fetched>, Status> {
    blobs.retain(|wanted| wanted.source != node.instance);
    if blobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let permit = node.migrator.permits.acquire();
    let _permit = permit.await.expect("the semaphore is never closed");
    let holder = node.own_holder;
    let wanted: Vec<_> = blobs.iter().map(|one| (one.blob, one.size)).collect();
    let allocate = move |local: &mut Local, _: &State| {
        let store = &mut local.store;
        let made = match ids {
            Ids::Same => store.adopt_many(holder, &wanted)?,
            Ids::Fresh => {
                let sizes: Vec<_> = wanted.iter().map(|(_, size)| *size).collect();
                store.create_many(holder, &sizes)?
            }
        };
        let writers = made.iter().map(|blob| store.writer(blob.id));
        match writers.collect::<Result<Vec<_>, _>>() {
            Ok(writers) => Ok((made, writers)),
            Err(error) => {
                for blob in made {
                    store.delete(holder, blob.id, false);
                }
                Err(Status::from(error))
            }
        }
    };
    let (made, writers) = node.local.ask(allocate).await??;
    let targets = blobs
        .iter()
        .map(|wanted| wanted.blob)
        .zip(writers)
        .collect();
    let here: Vec<_> = made.iter().map(|blob| blob.id).collect();
    let mut fetched = match node.env.faults.has(Fault::BytesNotFetched) {
        false => fetch_all(node, &blobs, targets).await,
        true => Ok(Vec::new()),
    };
    if fetched.is_ok() {
        let ids = here.clone();
        let seal = move |local: &mut Local, _: &State| {
            ids.iter().try_for_each(|id| local.seal(holder, *id))
        };
        let sealed = node.local.ask(seal).await?.map_err(Status::from);
        fetched = sealed.and(fetched);
    }
    match fetched {
        Ok(checksums) => Ok(copies(&blobs, here, &checksums)),
        Err(status) => {
            node.local.ask(move |local, _| local.discard(&here)).await?;
            Err(status)
        }
    }
}

fn copies(
    blobs: &[Wanted],
    here: Vec<ObjectId>,
    checksums: &[(Range, u64)],
) -> BTreeMap<ObjectId, Fetched> {
    let by_blob: BTreeMap<_, _> = checksums
        .iter()
        .map(|(range, checksum)| (range.blob, (range.len, *checksum)))
        .collect();
    let copy = |(wanted, id): (&Wanted, ObjectId)| {
        let size = wanted.size;
        let in_one = by_blob.get(&wanted.blob).filter(|(len, _)| *len == size);
        let checksum = in_one.map(|(_, checksum)| *checksum);
        (wanted.blob, Fetched { id, size, checksum })
    };
    blobs.iter().zip(here).map(copy).collect()
}

/// Fetches from all sources concurrently. Returns the xxh3 of each range.
async fn fetch_all(
    node: &Rc<NodeContext>,
    blobs: &[Wanted],
    mut targets: BTreeMap<ObjectId, SliceMut>,
) -> Result<Vec<(Range, u64)>, Status> {
    let mut by_source = BTreeMap::<InstanceId, Vec<Wanted>>::new();
    for wanted in blobs {
        by_source.entry(wanted.source).or_default().push(*wanted);
    }
    let mut fetches = Vec::new();
    for (source, blobs) in by_source {
        let pieces = cut(node, &blobs, &mut targets);
        fetches.push(fetch_from(node, source, pieces));
    }
    Ok(try_join_all(fetches).await?.concat())
}

/// The asks for `blobs`, each with the part of the arena that it fills.
fn cut(
    node: &NodeContext,
    blobs: &[Wanted],
    targets: &mut BTreeMap<ObjectId, SliceMut>,
) -> Vec<Piece> {
    let asks = plan::asks(blobs, node.config.limits.bulk_range_bytes);
    let mut piece = |ranges: Vec<Range>| {
        let take = |range: &Range| {
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
    node: &Rc<NodeContext>,
    source: InstanceId,
    pieces: Vec<Piece>,
) -> Result<Vec<(Range, u64)>, Status> {
    if pieces.is_empty() {
        return Ok(Vec::new());
    }
    let state = node.meta.state();
    let instance = state.instance(source).ok_or_else(|| {
        Status::not_exists(format!("the cluster does not know the instance {source}"))
    })?;
    let endpoint = instance.endpoint.clone();
    let knows_traces = node.meta.feature_level() >= features::PUBLISH;
    let from = Source {
        endpoint: endpoint.clone(),
        trace: call::trace().filter(|_| knows_traces),
    };
    let limits = &node.config.limits;
    let bytes: u64 = pieces
        .iter()
        .flat_map(|piece| &piece.ranges)
        .map(|range| range.len)
        .sum();
    let failed = |error: io::Error| {
        let (node, message) = (source.node(), error.to_string());
        Status::new(
            Code::IoError,
            format!(
                "fetching {bytes} bytes from node {node} (instance {source}) at {endpoint}: {message}"
            ),
        )
    };
    let deadline = limits.transfer_deadline(bytes);
    if bytes < limits.bulk_bytes_min {
        let fetched = fetch::fetch(node.dialer.clone(), from, pieces, deadline).await;
        return fetched.map_err(failed);
    }
    let lanes = limits.bulk_connections.min(pieces.len());
    let mut shares: Vec<Vec<Piece>> = (0..lanes).map(|_| Vec::new()).collect();
    for (index, piece) in pieces.into_iter().enumerate() {
        shares[index % lanes].push(piece);
    }
    let fetch = |share: Vec<Piece>| {
        let (dialer, from) = (node.dialer.clone(), from.clone());
        node.bulk
            .run(move || Box::pin(fetch::fetch(dialer, from, share, deadline)))
    };
    let mut checksums = Vec::new();
    for fetched in try_join_all(shares.into_iter().map(fetch)).await? {
        checksums.extend(fetched.map_err(failed)?);
    }
    Ok(checksums)
}
