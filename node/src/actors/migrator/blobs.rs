//! Copies of blobs under their own ids, for a node that is drained: objects and names go on to mean the same bytes.
//!
//! All or nothing: the bytes are here before the cluster knows of them, and nothing is left behind if it never does. It
//! must never know why a node is drained, or which blobs are worth moving.

use std::rc::Rc;

use vineyard_raft::state::State;
use vineyard_raft::state::objects::{BlobRow, Lost};
use vineyard_wire::{InstanceId, ObjectId, Status};

use super::object;
use super::plan::{self, Wanted};
use super::transfer::{self, Fetched, Ids};
use crate::context::NodeContext;
use crate::context::proposal::PendingProposal;
use crate::failure;
use crate::local::{Copied, Local, Proposal};

pub(super) async fn take(node: &Rc<NodeContext>, blobs: Vec<ObjectId>) -> Result<(), Status> {
    super::refuse_cordoned(node)?;
    // The caller may have applied more than this node.
    let confirmed = node
        .meta
        .confirm(node.stretch(node.config.limits.metadata_deadline));
    confirmed.await.map_err(failure::from_raft)?;
    let state = node.meta.state();
    let wanted = blobs.into_iter();
    let wanted: Vec<_> = wanted
        .filter_map(|blob| wanted_of(&state, blob, node.instance))
        .collect();
    let fetched = transfer::fetch_blobs(node, wanted, Ids::Same).await?;
    if fetched.is_empty() {
        return Ok(());
    }
    let rows = fetched
        .values()
        .map(|copy| row(copy, node.instance))
        .collect();
    let held = fetched.values().map(|copy| copy.id).collect();
    let begin = move |local: &mut Local, state: &State| local.begin_copy(state, &[], held);
    let Copied { blobs: held, .. } = node.local.ask(begin).await??;
    let proposal = Proposal {
        records: Vec::new(),
        blobs: rows,
    };
    object::commit(node, PendingProposal::begin(node, proposal, None), held).await
}

/// `None` for what was deleted or lost meanwhile, and for what is here.
fn wanted_of(state: &State, blob: ObjectId, me: InstanceId) -> Option<Wanted> {
    let wanted = plan::want(state, blob, InstanceId::UNSPECIFIED, me).ok()??;
    (wanted.source != me).then_some(wanted)
}

fn row(copy: &Fetched, me: InstanceId) -> BlobRow {
    let Fetched { id, size, checksum } = *copy;
    BlobRow {
        id,
        size,
        checksum,
        locations: [me].into(),
        lost: Lost::No,
    }
}
