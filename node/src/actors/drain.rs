//! Empties this node: moves the blobs that only it has to nodes that stay, while it goes on to serve its clients.
//!
//! Promise: a drain that does not fit changes nothing. One that has begun cordons the node first, goes on when the
//! callers leave, and ends with all moved that was persisted before it, however much clients persist meanwhile. There
//! is one at a time; to ask again is to ask how far it is. What is moved keeps its ids: `migrator` has the taking side.
//!
//! | file | what |
//! |---|---|
//! | `plan` | which node takes which blobs |
//! | `transients` | making transient objects persistent, so that they can be moved |

mod plan;
mod transients;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use futures::future::join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use vineyard_env::Fault;
use vineyard_raft::command::{Command, Cordon};
use vineyard_raft::features;
use vineyard_raft::state::State;
use vineyard_raft::state::instances::Instance;
use vineyard_wire::peer::{Answer, Ask};
use vineyard_wire::reply::DrainProgress;
use vineyard_wire::{Code, InstanceId, Status};

use self::plan::{Batch, Moving, Target};
use crate::boot::registration;
use crate::context::NodeContext;
use crate::failure;
use crate::local::Local;
use crate::peer::stats;

/// How often it looks for what was persisted meanwhile.
const LOOKS: u32 = 8;

/// See the module.
#[derive(Default)]
pub(crate) struct Drain {
    stage: RefCell<Stage>,
    /// Whether the drain that runs is to move transient objects too.
    all: Cell<bool>,
    ended: Notify,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    Running(DrainProgress),
    Ended {
        at: Instant,
        outcome: Result<DrainProgress, Status>,
    },
}

impl Drain {
    /// Begins a drain unless one runs. Waits a moment for its end, and says how far it is, or why it could not go on.
    /// How one ended that is over is told for a while to a caller who may have followed it, so not to one that begins.
    pub(crate) async fn step(
        &self,
        node: &Rc<NodeContext>,
        all: bool,
        begin: bool,
    ) -> Result<DrainProgress, Status> {
        let limits = &node.config.limits;
        let ended = self.ended.notified();
        let begins = match &*self.stage.borrow() {
            Stage::Idle => true,
            Stage::Running(_) => false,
            Stage::Ended { at, .. } => {
                begin || at.elapsed() > limits.drain_outcome_kept || (all && !self.all.get())
            }
        };
        self.all.set(all || (!begins && self.all.get()));
        if begins {
            *self.stage.borrow_mut() = Stage::Running(DrainProgress::default());
            tokio::task::spawn_local(see_through(node.clone()));
        }
        if matches!(*self.stage.borrow(), Stage::Running(_)) {
            // How far it is then is the answer, too.
            let _either = timeout(limits.drain_step, ended).await;
        }
        let mut stage = self.stage.borrow_mut();
        match &*stage {
            Stage::Running(progress) => Ok(*progress),
            Stage::Ended { outcome, .. } => {
                let outcome = outcome.clone();
                *stage = Stage::Idle;
                outcome
            }
            // Another caller was told how it ended. Who asks again is told what a new look finds.
            Stage::Idle => Ok(DrainProgress::default()),
        }
    }

    fn report(&self, progress: DrainProgress) {
        *self.stage.borrow_mut() = Stage::Running(progress);
    }
}

async fn see_through(node: Rc<NodeContext>) {
    let outcome = run(&node).await;
    match &outcome {
        Ok(done) => tracing::info!(
            blobs = done.blobs_moved,
            bytes = done.bytes_moved,
            objects_persisted = done.objects_persisted,
            objects_kept = done.objects_kept,
            loose_blobs = done.loose_blobs,
            loose_bytes = done.loose_bytes,
            "drained: others have what was persisted here"
        ),
        Err(status) => tracing::warn!(%status, "this node could not be drained"),
    }
    let at = Instant::now();
    *node.drain.stage.borrow_mut() = Stage::Ended { at, outcome };
    node.drain.ended.notify_waiters();
}

async fn run(node: &Rc<NodeContext>) -> Result<DrainProgress, Status> {
    if node.meta.feature_level() < features::MEMBERS {
        let reason =
            "a node is drained once every node of the cluster runs a build that knows how to";
        return Err(Status::invalid(reason));
    }
    confirm(node).await?;
    let whole = whole(node).await?;
    let targets = targets(node, &BTreeSet::new()).await;
    plan::place(whole, targets.clone()).all_fit(node.instance.node(), &targets)?;
    cordon(node).await?;
    let mut progress = DrainProgress::default();
    let mut failed = BTreeSet::new();
    let mut first = None;
    let mut looks = 0;
    loop {
        let persisted = match node.drain.all.get() {
            true => transients::persist(node).await?,
            false => 0,
        };
        progress.objects_persisted += persisted;
        confirm(node).await?;
        let mut left = only_copies(&node.meta.state(), node.instance);
        if node.env.faults.has(Fault::DrainGivesUpEarly) && !left.is_empty() {
            left.remove(0);
        }
        progress.blobs_left = left.len() as u64;
        progress.bytes_left = left.iter().map(|moving| moving.bytes).sum();
        node.drain.report(progress);
        if left.is_empty() && persisted == 0 {
            break;
        }
        looks += 1;
        let ids = || left.iter().map(|moving| moving.blob);
        let first = first.get_or_insert_with(|| ids().collect::<BTreeSet<_>>());
        if looks > LOOKS && !ids().any(|blob| first.contains(&blob)) {
            break;
        }
        move_all(node, left, &mut progress, &mut failed).await?;
    }
    let (objects_kept, loose_blobs, loose_bytes) = stays(node).await?;
    Ok(DrainProgress {
        done: true,
        objects_kept,
        loose_blobs,
        loose_bytes,
        ..progress
    })
}

async fn confirm(node: &NodeContext) -> Result<(), Status> {
    let confirmed = node
        .meta
        .confirm(node.stretch(node.config.limits.metadata_deadline));
    confirmed.await.map_err(failure::from_raft)
}

/// What will be moved, as far as it is known before the drain begins.
async fn whole(node: &Rc<NodeContext>) -> Result<Vec<Moving>, Status> {
    let mut whole = only_copies(&node.meta.state(), node.instance);
    if node.drain.all.get() {
        whole.extend(transients::blobs(node).await?);
    }
    Ok(whole)
}

fn only_copies(state: &State, me: InstanceId) -> Vec<Moving> {
    let rows = state.only_copies_on(me.node());
    rows.map(|row| Moving {
        blob: row.id,
        bytes: row.size,
    })
    .collect()
}

async fn cordon(node: &Rc<NodeContext>) -> Result<(), Status> {
    let me = node.instance.node();
    if node.meta.state().cordon_of(me).is_some() {
        return Ok(());
    }
    let cordon = Command::Cordon {
        node: me,
        cordon: Some(Cordon::Drains),
    };
    let submitted = registration::submit(node, cordon).await;
    submitted.map(drop).map_err(failure::from_raft)
}

/// The nodes that stay, without those in `failed`, and how much they have room for.
async fn targets(node: &Rc<NodeContext>, failed: &BTreeSet<InstanceId>) -> Vec<Target> {
    let state = node.meta.state();
    let others = state
        .nodes()
        .filter(|other| other.id != node.instance.node());
    let others = others.filter_map(|other| state.current_instance_of(other.id));
    let others: Vec<Instance> = others
        .filter(|other| state.is_to_stay(other.id) && !failed.contains(&other.id))
        .cloned()
        .collect();
    let asked = others.into_iter().map(|other| async move {
        let told = stats::of(node, &other).await?;
        let (stats, pieces) = (told.stats?, told.pieces?);
        Some(Target {
            instance: other.id,
            endpoint: other.endpoint,
            free_bytes: stats.memory_limit.saturating_sub(stats.memory_usage),
            largest_bytes: pieces.largest_free_bytes,
        })
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Moves what it can. An error if nothing could be moved, or the cordon was ended meanwhile.
async fn move_all(
    node: &Rc<NodeContext>,
    left: Vec<Moving>,
    progress: &mut DrainProgress,
    failed: &mut BTreeSet<InstanceId>,
) -> Result<(), Status> {
    let me = node.instance.node();
    let targets = targets(node, failed).await;
    let placed = plan::place(left, targets.clone());
    if placed.batches.is_empty() {
        return placed.all_fit(me, &targets);
    }
    let mut refused = None;
    let before = progress.blobs_moved;
    for batch in placed.batches {
        if node.meta.state().cordon_of(me).is_none() {
            let reason = format!("the cordon of {me} was ended, and its drain with it");
            return Err(Status::invalid(reason));
        }
        if failed.contains(&batch.target) {
            continue;
        }
        let (blobs, bytes) = (batch.blobs.len() as u64, batch.bytes);
        match hand_over(node, batch).await {
            Ok(()) => {
                progress.blobs_moved += blobs;
                progress.bytes_moved += bytes;
                progress.blobs_left = progress.blobs_left.saturating_sub(blobs);
                progress.bytes_left = progress.bytes_left.saturating_sub(bytes);
                node.drain.report(*progress);
            }
            Err((target, status)) => {
                let called = node.meta.state().called(target.node());
                tracing::warn!(node = %called, %status, "a node did not take what this one has; trying others");
                failed.insert(target);
                refused = Some(status);
            }
        }
    }
    match refused {
        Some(status) if progress.blobs_moved == before => Err(status),
        _ => Ok(()),
    }
}

async fn hand_over(node: &Rc<NodeContext>, batch: Batch) -> Result<(), (InstanceId, Status)> {
    let Batch {
        target,
        endpoint,
        blobs,
        bytes,
    } = batch;
    let limits = &node.config.limits;
    // The other side waits for the log, moves the bytes, and waits for the log again.
    let within = limits.transfer_deadline(bytes) + 2 * node.stretch(limits.metadata_deadline);
    let ask = Ask::TakeCopies { blobs };
    let status = match timeout(within, node.dialer.ask(&endpoint, &ask)).await {
        Ok(Ok((answerer, Answer::CopiesTaken))) if answerer == target.node() => return Ok(()),
        Ok(Ok((_, Answer::Refused(status)))) => status,
        Ok(Ok((answerer, _))) => Status::new(
            Code::IoError,
            format!("{endpoint}, where node {answerer} is, did not answer what was asked"),
        ),
        Ok(Err(error)) => Status::new(Code::IoError, format!("{endpoint}: {error}")),
        Err(_) => failure::deadline(&format!("{endpoint} to take {bytes} bytes"), within),
    };
    Err((target, status))
}

/// What ends with the process: transient objects, and blobs of no object with their bytes.
async fn stays(node: &Rc<NodeContext>) -> Result<(u64, u64, u64), Status> {
    let count = |local: &mut Local, state: &State| {
        let of_streams = local.streams.everything();
        let is_loose = |id| {
            state.blob(id).is_none()
                && !local.catalog.is_referred_to(id)
                && !of_streams.contains(&id)
        };
        let loose = local.store.list_sealed().into_iter();
        let loose = loose.filter(|blob| is_loose(blob.id));
        let (blobs, bytes) = loose.fold((0, 0), |(blobs, bytes), blob| {
            (blobs + 1, bytes + blob.size)
        });
        (local.catalog.len() as u64, blobs, bytes)
    };
    node.local.ask(count).await
}

#[cfg(test)]
mod tests;
