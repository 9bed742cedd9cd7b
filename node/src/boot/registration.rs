//! This boot of the node, and whether the cluster has registered it.
//!
//! Promise: no command is submitted for a boot before the cluster has registered the boot. A process whose data
//! directory is a copy, or an older state than the cluster has seen, has the instance id and the request keys of
//! another process. The cluster refuses it, so its commands are never taken for commands of the other process.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use vineyard_raft::command::{Applied, Command, Refusal};
use vineyard_raft::{Error as RaftError, Reader, Registered, features};

use vineyard_wire::peer::Life;
use vineyard_wire::{InstanceId, NodeId};

use crate::boot::founding;
use crate::boot::identity::Identity;
use crate::context::{NodeContext, call};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Unregistered,
    Registered,
    /// Why the cluster refuses this boot; the refusal is final.
    Refused(RaftError),
}

/// `Sync`, because the raft thread introduces this boot to other members.
pub(crate) struct Boot {
    life: Life,
    stage: watch::Sender<Stage>,
    /// Reads the registered instances from the replicated state; set once the state can be read.
    known: OnceLock<Reader>,
    /// The highest feature level that this node announces.
    level_max: u8,
}

impl Boot {
    /// `lives` are the lives in the node's identity; the last one is this process.
    pub(crate) fn new(instance: InstanceId, lives: &[u128], level_max: u8) -> Self {
        let (key, before) = lives.split_last().expect("a boot is a life");
        Self {
            life: Life {
                instance,
                key: *key,
                before: before.to_vec(),
            },
            stage: watch::Sender::new(Stage::Unregistered),
            known: OnceLock::new(),
            level_max,
        }
    }

    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    /// From now on this node compares other processes with the state that `reader` shows.
    pub(crate) fn judge_by(&self, reader: Reader) {
        // The start of the node sets it, once.
        let _set_before = self.known.set(reader);
    }

    /// Whether this node has seen a later boot than `theirs`, or another process of the same boot.
    pub(crate) fn knows_better(&self, theirs: &Life) -> bool {
        let known = self.known.get().map(Reader::state);
        known.is_some_and(|state| state.is_outlived(theirs.instance, theirs.key, &theirs.before))
    }

    /// Whether raft messages are exchanged with processes that do not introduce themselves. True while some member may
    /// run a build that cannot introduce itself.
    pub(crate) fn accepts_unintroduced(&self) -> bool {
        let known = self.known.get().map(Reader::state);
        // A node that was just admitted knows no members yet.
        let known = known.filter(|state| state.nodes().next().is_some());
        let level = known.map_or(features::BASE, |state| state.feature_level());
        level.min(self.level_max) < features::LIVES
    }

    /// Whether this node introduces itself and expects other nodes to do so.
    pub(crate) fn introduces(&self) -> bool {
        self.level_max >= features::LIVES
    }

    /// Whether `node` is known to run a build that cannot introduce itself.
    pub(crate) fn cannot_introduce_itself(&self, node: NodeId) -> bool {
        let known = self.known.get().map(Reader::state);
        known.is_some_and(|state| {
            state.node(node).is_some() && state.level_of(node) < features::LIVES
        })
    }

    /// Whether the cluster has taken `node` out, as far as this node knows.
    pub(crate) fn has_removed(&self, node: NodeId) -> bool {
        let known = self.known.get().map(Reader::state);
        known.is_some_and(|state| state.is_removed(node))
    }

    /// The cluster has taken this node out.
    pub(crate) fn is_removed(&self) {
        let node = self.life.instance.node();
        self.refuse(Refusal::Removed { node }.into());
    }

    /// Another member has seen a later boot of this node, or another process of this boot.
    pub(crate) fn is_outlived(&self) {
        let instance = self.life.instance;
        self.refuse(Refusal::BootSeen { instance }.into());
    }

    /// Returns when the cluster has registered this boot.
    ///
    /// # Errors
    /// `Deadline` if the cluster has not registered it within `deadline`; the refusal if the cluster refused it.
    pub(crate) async fn registered(&self, deadline: Duration) -> Result<(), RaftError> {
        let mut stages = self.stage.subscribe();
        let decided = stages.wait_for(|stage| *stage != Stage::Unregistered);
        match tokio::time::timeout(deadline, decided).await {
            Ok(Ok(stage)) => match &*stage {
                Stage::Refused(error) => Err(error.clone()),
                _ => Ok(()),
            },
            Ok(Err(_)) => Err(RaftError::Stopped),
            Err(_) => Err(RaftError::Deadline {
                waited_for: "a leader and a majority to register this start of the node".to_owned(),
                after: deadline,
            }),
        }
    }

    /// The time left for a command once the cluster has registered this boot. Fails as `registered` does.
    pub(crate) async fn left_of(&self, deadline: Duration) -> Result<Duration, RaftError> {
        let patience = call::patience(deadline);
        let until = Instant::now() + patience;
        self.registered(patience).await?;
        Ok(until.saturating_duration_since(Instant::now()))
    }

    /// Whether the cluster has registered this boot.
    pub(crate) fn is_registered(&self) -> bool {
        *self.stage.borrow() == Stage::Registered
    }

    /// Returns when the cluster refuses this boot, with the reason.
    pub(crate) async fn refused(&self) -> RaftError {
        let mut stages = self.stage.subscribe();
        let refused = stages.wait_for(|stage| matches!(stage, Stage::Refused(_)));
        match refused.await.as_deref() {
            Ok(Stage::Refused(error)) => error.clone(),
            _ => std::future::pending().await,
        }
    }

    fn refuse(&self, error: RaftError) {
        self.advance(Stage::Refused(error));
    }

    /// A refusal is final.
    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let is_over = matches!(stage, Stage::Refused(_));
            if !is_over {
                *stage = to;
            }
            !is_over
        });
    }
}

/// Registers this boot with the cluster and retries until the cluster answers. Registers once more, with the life, when
/// all members know lives.
pub(crate) async fn register(node: Rc<NodeContext>) {
    let limits = &node.config.limits;
    loop {
        let instance = node.identity.instance_record(&node);
        let Life { key, before, .. } = node.boot.life.clone();
        let registering = node.meta.boot(
            instance,
            key,
            before,
            node.stretch(limits.metadata_deadline),
        );
        match registering.await {
            Ok(Registered::WithLife) => {
                let level = node.meta.feature_level();
                tracing::info!(
                    level,
                    "registered; all nodes of the cluster know this feature level"
                );
                match founding::agree(&node).await {
                    Ok(()) => return node.boot.advance(Stage::Registered),
                    Err(RaftError::FeatureLevel { .. }) => {
                        // One that joins at this moment may not have said its level yet.
                        node.boot.advance(Stage::Registered);
                        node.meta.level_reached(features::SETTINGS).await;
                    }
                    Err(error) => tracing::warn!(%error, "the cluster is not set up yet"),
                }
            }
            Ok(Registered::WithoutLife) => {
                node.boot.advance(Stage::Registered);
                node.meta.level_reached(features::LIVES).await;
            }
            Err(RaftError::Stopped) => return,
            Err(error @ RaftError::Refused(_)) => return node.boot.refuse(error),
            Err(error) => {
                tracing::warn!(%error, "not known to the cluster yet");
                tokio::time::sleep(limits.join_retry).await;
            }
        }
    }
}

/// Checks whether a later boot of this node has registered, which means that a copy of its data directory runs
/// somewhere else, or whether the node was removed.
pub(crate) fn heed_successor(node: &NodeContext) {
    let state = node.meta.state();
    if state.is_removed(node.instance.node()) {
        node.boot.is_removed();
    }
    let current = state.current_instance_of(node.instance.node());
    if current.is_some_and(|current| current.id.boot() > node.instance.boot()) {
        let instance = node.instance;
        node.boot.refuse(Refusal::Stale { instance }.into());
    }
}

/// Returns the reason when the cluster refuses this boot, after the reason was written to the disk. Later starts from
/// this data directory read it and end.
pub(crate) async fn ended(node: &NodeContext) -> RaftError {
    let error = node.boot.refused().await;
    let reason = match node.leaves.get() {
        true => format!("node {} has left this cluster", node.instance.node()),
        false => error.to_string(),
    };
    let refused = Identity {
        refused: Some(reason),
        removed: matches!(error, RaftError::Refused(Refusal::Removed { .. })),
        ..node.identity_now()
    };
    // A disk that has no room must not keep the process from ending.
    if let Err(error) = refused.save_or_give_up(node.env.disk.as_ref()).await {
        tracing::error!(%error, "could not save that the cluster refused this node");
    }
    error
}

/// Submits `command` for this boot. When this returns, this node has applied the command.
pub(crate) async fn submit(node: &NodeContext, command: Command) -> Result<Applied, RaftError> {
    let left = node
        .boot
        .left_of(node.stretch(node.config.limits.metadata_deadline))
        .await?;
    let request = node.meta.request(node.instance).traced(call::trace());
    let submitted = node.meta.submit_as(&request, Arc::new(command), left);
    call::waiting_for("the cluster to agree", submitted).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_of_the_cluster_waits_for_the_registration() {
        let boot = Boot::new(InstanceId(7), &[1, 2], features::LATEST);
        let wait = Duration::from_secs(1);
        let late = boot.registered(wait).await.unwrap_err();
        assert!(late.to_string().contains("register this start"), "{late}");
        boot.advance(Stage::Registered);
        boot.registered(wait).await.unwrap();
        let seen = Refusal::BootSeen {
            instance: InstanceId(7),
        };
        boot.refuse(seen.clone().into());
        boot.advance(Stage::Registered);
        assert_eq!(boot.refused().await, seen.clone().into());
        assert_eq!(boot.registered(wait).await, Err(seen.into()));
    }
}
