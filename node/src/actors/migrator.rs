//! Owns the copies in flight: concurrent requests for one object share one copy.
//!
//! The destination migrates. Bytes go from the source's arena through a socket into this node's arena, checksummed,
//! large blobs over several connections; then the copy's metadata is persisted in one log entry. A copy that fails
//! leaves nothing behind, and each request that waits for it gets the error.

mod blobs;
mod object;
pub(crate) mod plan;
mod transfer;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{LocalBoxFuture, try_join_all};
use tokio::sync::{Semaphore, oneshot};
use tracing::{Instrument, Span};
use vineyard_wire::{InstanceId, ObjectId, Status};

use self::plan::Plan;
use self::transfer::Ids;
use super::owner::Handle;
use crate::context::{NodeContext, call};
use crate::failure;

/// The requests that wait for each copy in flight.
#[derive(Default)]
struct InFlight(BTreeMap<ObjectId, Vec<oneshot::Sender<Result<ObjectId, Status>>>>);

pub(crate) struct Migrator {
    in_flight: Handle<InFlight>,
    /// One permit for each copy that may move bytes at the same time; the others queue.
    permits: Semaphore,
}

impl Migrator {
    /// `mailbox`: requests that wait at most; `migrations_max`: copies that move bytes at the same time at most.
    pub(crate) fn start(mailbox: usize, migrations_max: usize) -> Self {
        Self {
            in_flight: Handle::start("migrator", mailbox, InFlight::default()),
            permits: Semaphore::new(migrations_max),
        }
    }

    /// Copies `id` to this node and returns the id under which it is read here. A copy that has begun goes on when its
    /// request is dropped.
    pub(crate) fn migrate(
        &self,
        node: &Rc<NodeContext>,
        id: ObjectId,
    ) -> LocalBoxFuture<'static, Result<ObjectId, Status>> {
        let node = node.clone();
        Box::pin(async move {
            let (done, ended) = oneshot::channel();
            let join = move |in_flight: &mut InFlight| {
                let waiters = in_flight.0.entry(id).or_default();
                waiters.push(done);
                waiters.len() == 1
            };
            if node.migrator.in_flight.ask(join).await? {
                let work = call::carried(run(node.clone(), id));
                tokio::task::spawn_local(work.instrument(Span::current()));
            }
            let deadline = node.migrator.deadline(&node);
            let ended = tokio::time::timeout(deadline, ended);
            match call::waiting_for("the bytes of another node", ended).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(abandoned(id)),
                Err(_) => Err(failure::deadline(
                    &format!("the migration of {id}"),
                    deadline,
                )),
            }
        })
    }

    /// Copies blobs of `source`, each with its size, and returns the copies, which the node itself holds. All or
    /// nothing.
    pub(crate) async fn copy_blobs(
        &self,
        node: &Rc<NodeContext>,
        blobs: BTreeMap<ObjectId, u64>,
        source: InstanceId,
    ) -> Result<BTreeMap<ObjectId, ObjectId>, Status> {
        let blobs = blobs.into_iter();
        let wanted = blobs.map(|(blob, size)| plan::Wanted { blob, size, source });
        let fetched = transfer::fetch_blobs(node, wanted.collect(), Ids::Fresh).await?;
        let copies = fetched.into_iter().map(|(blob, copy)| (blob, copy.id));
        Ok(copies.collect())
    }

    /// Copies `blobs` to this node under their own ids, and lets the cluster know, for a node that is drained. What has
    /// begun goes on when its caller leaves. What the cluster does not know, or has here, is left out.
    pub(crate) async fn take_copies(
        &self,
        node: &Rc<NodeContext>,
        blobs: Vec<ObjectId>,
    ) -> Result<(), Status> {
        let node = node.clone();
        let work = call::carried(async move { blobs::take(&node, blobs).await });
        let taken = tokio::task::spawn_local(work.instrument(Span::current())).await;
        taken.unwrap_or_else(|error| {
            tracing::error!(%error, "copying for a node that is drained ended without an outcome");
            Err(failure::abandoned("copying for a node that is drained"))
        })
    }

    /// The longest that a migration may take: no object is larger than the arena.
    pub(crate) fn deadline(&self, node: &NodeContext) -> Duration {
        let limits = &node.config.limits;
        limits.transfer_deadline(node.config.size_bytes) + node.stretch(limits.metadata_deadline)
    }
}

fn abandoned(id: ObjectId) -> Status {
    failure::abandoned(&format!("the migration of {id}"))
}

async fn run(node: Rc<NodeContext>, id: ObjectId) {
    let context = node.clone();
    // The copy is a task of its own, so that its waiters are told even if it panics.
    let work = call::carried(async move { fetch(&context, id).await });
    let outcome = tokio::task::spawn_local(work.instrument(Span::current())).await;
    let outcome = outcome.unwrap_or_else(|error| {
        tracing::error!(%id, %error, "a migration ended without an outcome");
        Err(abandoned(id))
    });
    let take_waiters = move |in_flight: &mut InFlight| in_flight.0.remove(&id).unwrap_or_default();
    // If the migrator has stopped, its waiters were dropped, which they see as an error.
    for waiter in node
        .migrator
        .in_flight
        .ask(take_waiters)
        .await
        .unwrap_or_default()
    {
        // The waiting request may have been dropped.
        drop(waiter.send(outcome.clone()));
    }
}

async fn fetch(node: &Rc<NodeContext>, id: ObjectId) -> Result<ObjectId, Status> {
    let state = node.meta.state();
    if id.is_blob() {
        return fetch_blob(node, id).await;
    }
    match plan::plan(&state, id, node.instance)? {
        Plan::Here(id) => Ok(id),
        Plan::One(plan) => {
            refuse_cordoned(node)?;
            object::copy(node, id, plan).await
        }
        Plan::Members(members) => {
            try_join_all(
                members
                    .into_iter()
                    .map(|member| node.migrator.migrate(node, member)),
            )
            .await?;
            Ok(id)
        }
    }
}

/// A node that is drained takes nothing that it would have to give away again.
fn refuse_cordoned(node: &NodeContext) -> Result<(), Status> {
    let me = node.instance.node();
    match node.meta.state().cordon_of(me) {
        None => Ok(()),
        Some(_) => Err(Status::invalid(format!(
            "{me} is cordoned and takes no copies: get the object without fetching it, ask another node, or end that with \
             `vineyardctl uncordon {me}`"
        ))),
    }
}

async fn fetch_blob(node: &Rc<NodeContext>, id: ObjectId) -> Result<ObjectId, Status> {
    let state = node.meta.state();
    let wanted = plan::want(&state, id, InstanceId::UNSPECIFIED, node.instance)?;
    if wanted.is_some_and(|wanted| wanted.source != node.instance) {
        refuse_cordoned(node)?;
    }
    let fetched = transfer::fetch_blobs(node, wanted.into_iter().collect(), Ids::Fresh).await?;
    let Some(copy) = fetched.get(&id).map(|copy| copy.id) else {
        // The blob is here, or it is the empty blob, which every node has.
        return Ok(id);
    };
    node.local
        .ask(move |local, _| local.release_own(&[copy]))
        .await?;
    Ok(copy)
}

#[cfg(test)]
mod tests;
