//! What a migration must fetch and from which instance. Pure, so that it can be tested without a network.

use std::collections::{BTreeMap, BTreeSet};

use vineyard_raft::state::State;
use vineyard_raft::state::objects::{Link, Record};
use vineyard_wire::peer::Range;
use vineyard_wire::{InstanceId, ObjectId, Signature, Status};

use crate::failure;
use crate::local::catalog::{copy_here, is_up, unknown_subtree};

/// A blob to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) blob: ObjectId,
    pub(crate) size: u64,
    pub(crate) source: InstanceId,
}

/// One object to copy: every record below it in an order in which members come first, and the blobs that are not here.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CopyPlan {
    pub(crate) records: Vec<Record>,
    pub(crate) blobs: Vec<Wanted>,
}

/// The plan for a migration of `id` to `me`.
#[derive(Debug, PartialEq)]
pub(crate) enum Plan {
    /// Nothing to do: this object, the original or a copy, is here.
    Here(ObjectId),
    /// Copy one plain object.
    One(CopyPlan),
    /// A global object keeps its id; these members are copied.
    Members(Vec<ObjectId>),
}

/// Makes the plan from the replicated state alone.
pub(crate) fn plan(state: &State, id: ObjectId, me: InstanceId) -> Result<Plan, Status> {
    let record = state.object(id).ok_or_else(|| unknown_subtree(id))?;
    if record.global {
        let members = record.members.values().map(|link| match *link {
            Link::Object { id, signature } => nearest(state, id, signature, me),
            Link::Blob { .. } => Ok(None),
        });
        let members = members.collect::<Result<Vec<_>, _>>()?;
        return Ok(Plan::Members(members.into_iter().flatten().collect()));
    }
    if let Some(here) = copy_here(state, record, me) {
        return Ok(Plan::Here(here));
    }
    let mut copy = CopyPlan::default();
    let (mut seen, mut wanted) = (BTreeSet::new(), BTreeMap::new());
    collect(state, id, &mut seen, &mut copy.records, &mut wanted)?;
    for (blob, holder) in wanted {
        copy.blobs.extend(want(state, blob, holder, me)?);
    }
    Ok(Plan::One(copy))
}

/// The object to copy for a member of a global object; `None` if the member is here. If the member's instance is
/// unreachable, another object with its signature is used.
fn nearest(
    state: &State,
    id: ObjectId,
    signature: Signature,
    me: InstanceId,
) -> Result<Option<ObjectId>, Status> {
    let linked = state.object(id).ok_or_else(|| unknown_subtree(id))?;
    if copy_here(state, linked, me).is_some() {
        return Ok(None);
    }
    if is_up(state, linked.instance) {
        return Ok(Some(id));
    }
    let other = state.by_signature(signature, me).unwrap_or(id);
    let here = state
        .object(other)
        .is_some_and(|other| other.instance == me);
    Ok((!here).then_some(other))
}

/// The source of a blob; `None` for the empty blob.
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
        return Err(Status::not_exists(format!(
            "the cluster does not know the blob {blob}"
        )));
    };
    if let Some(instance) = failure::lost_with(row, me) {
        return Err(failure::lost(state, blob, instance));
    }
    let source = match row.locations.contains(&me) {
        true => me,
        false => state.best_place(row, holder).unwrap_or(holder),
    };
    Ok(Some(Wanted {
        blob,
        size: row.size,
        source,
    }))
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
            ask.push(Range {
                blob: wanted.blob,
                offset,
                len,
            });
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

/// Most ranges in one ask; keeps the message small.
const RANGES_MAX: usize = 4096;

#[cfg(test)]
mod tests;
