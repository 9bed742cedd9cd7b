//! What a migration must fetch and from whom: pure, so that it can be read and tested without a network.

use std::collections::{BTreeMap, BTreeSet};

use vineyard_raft::state::State;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::peer::Range;
use vineyard_wire::{InstanceId, ObjectId, Status};

use crate::catalog::unknown_subtree;
use crate::failure;

/// A blob to bring here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) blob: ObjectId,
    pub(crate) size: u64,
    pub(crate) source: InstanceId,
}

/// One object to copy: every record below it in an order in which members come first, and the blobs that are not here.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Copy {
    pub(crate) records: Vec<Record>,
    pub(crate) blobs: Vec<Wanted>,
}

/// How a migration of `id` to `me` goes.
#[derive(Debug, PartialEq)]
pub(crate) enum Plan {
    /// This object is the answer: it is here, or a copy of it is.
    Here(ObjectId),
    /// Copy this object.
    One(Copy),
    /// A global object keeps its id; these members are copied.
    Members(Vec<ObjectId>),
}

/// Decides from the replicated state alone.
pub(crate) fn plan(state: &State, id: ObjectId, me: InstanceId) -> Result<Plan, Status> {
    let record = state.object(id).ok_or_else(|| unknown_subtree(id))?;
    if record.global {
        let members = record.members.values().filter_map(|link| match *link {
            Link::Object { id, signature } => {
                let nearest = state.by_signature(signature, me).unwrap_or(id);
                let here = state.object(nearest).is_some_and(|member| member.instance == me);
                (!here).then_some(nearest)
            }
            Link::Blob { .. } => None,
        });
        return Ok(Plan::Members(members.collect()));
    }
    if let Some(copy) = state.by_signature(record.signature, me)
        && state.object(copy).is_some_and(|record| record.instance == me)
    {
        return Ok(Plan::Here(copy));
    }
    if record.instance == me {
        return Ok(Plan::Here(id));
    }
    let mut copy = Copy::default();
    let (mut seen, mut wanted) = (BTreeSet::new(), BTreeMap::new());
    collect(state, id, &mut seen, &mut copy.records, &mut wanted)?;
    for (blob, holder) in wanted {
        copy.blobs.extend(want(state, blob, holder, me)?);
    }
    Ok(Plan::One(copy))
}

/// Where to get a blob from; `None` for the empty blob.
pub(crate) fn want(
    state: &State,
    blob: ObjectId,
    holder: InstanceId,
    me: InstanceId,
) -> Result<Option<Wanted>, Status> {
    if blob == ObjectId::EMPTY_BLOB {
        return Ok(None);
    }
    let Some(row) = state.blob(blob) else {
        return Err(Status::not_exists(format!("the cluster does not know the blob {blob}")));
    };
    if let Some(instance) = row.lost_with {
        return Err(failure::lost(blob, instance));
    }
    let reachable = |id: &&InstanceId| {
        use vineyard_wire::reply::Liveness;
        state.instance(**id).is_some_and(|instance| instance.liveness == Liveness::Up)
    };
    let source = match row.locations.contains(&me) {
        true => me,
        false => row.locations.iter().find(reachable).copied().unwrap_or(holder),
    };
    Ok(Some(Wanted { blob, size: row.size, source }))
}

/// Depth first without recursion, members before the objects that refer to them.
fn collect(
    state: &State,
    root: ObjectId,
    seen: &mut BTreeSet<ObjectId>,
    records: &mut Vec<Record>,
    blobs: &mut BTreeMap<ObjectId, InstanceId>,
) -> Result<(), Status> {
    let mut left = vec![(root, false)];
    while let Some((id, expanded)) = left.pop() {
        let record = state.object(id).ok_or_else(|| unknown_subtree(id))?;
        if expanded {
            records.push(Record::clone(record));
            continue;
        }
        if !seen.insert(id) {
            continue;
        }
        left.push((id, true));
        for link in record.members.values() {
            match *link {
                Link::Object { id, .. } => left.push((id, false)),
                Link::Blob { id, instance } => {
                    blobs.insert(id, instance);
                }
            }
        }
    }
    Ok(())
}

/// Cuts blobs into asks of at most `bytes_max` bytes: many small blobs share one, a large blob is spread over several.
pub(crate) fn asks(blobs: &[Wanted], bytes_max: u64) -> Vec<Vec<Range>> {
    let mut asks = Vec::new();
    let (mut ask, mut bytes) = (Vec::new(), 0);
    for wanted in blobs {
        let mut offset = 0;
        while offset < wanted.size {
            let len = (wanted.size - offset).min(bytes_max - bytes);
            ask.push(Range { blob: wanted.blob, offset, len });
            offset += len;
            bytes += len;
            if bytes == bytes_max || ask.len() == RANGES_MAX {
                asks.push(std::mem::take(&mut ask));
                bytes = 0;
            }
        }
    }
    if !ask.is_empty() {
        asks.push(ask);
    }
    asks
}

/// Ranges in one ask; keeps the message small.
const RANGES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(blob: u64, size: u64) -> Wanted {
        Wanted { blob: ObjectId(blob), size, source: InstanceId(0) }
    }

    #[test]
    fn small_blobs_share_an_ask_and_a_large_one_is_spread() {
        let asks = asks(&[wanted(1, 3), wanted(2, 4), wanted(3, 25)], 10);
        let lens: Vec<Vec<_>> = asks
            .iter()
            .map(|ask| ask.iter().map(|range| (range.blob.0, range.offset, range.len)).collect())
            .collect();
        assert_eq!(
            lens,
            vec![
                vec![(1, 0, 3), (2, 0, 4), (3, 0, 3)],
                vec![(3, 3, 10)],
                vec![(3, 13, 10)],
                vec![(3, 23, 2)],
            ]
        );
    }

    #[test]
    fn nothing_to_fetch_asks_nothing() {
        assert!(asks(&[], 10).is_empty());
        assert!(asks(&[wanted(1, 0)], 10).is_empty());
    }
}
