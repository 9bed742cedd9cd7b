//! This boot of the node, and whether the cluster has taken note of it.
//!
//! Promise: nothing is submitted in the name of a boot before the cluster has registered it. A process whose data directory
//! is a copy, or older than what the cluster has seen, has the instance id and the request keys of another process: it is
//! refused, and none of its commands is taken for one of the other's.

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

use crate::boot::identity::Identity;
use crate::config::Limits;
use crate::context::{NodeContext, call};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Unregistered,
    Registered,
    /// Why the cluster refuses this boot for ever.
    Refused(RaftError),
}

/// May be used from any thread: the raft thread introduces this boot to other members.
pub(crate) struct Boot {
    life: Life,
    stage: watch::Sender<Stage>,
    /// What the cluster has registered, as far as it is known here; set once it can be read.
    known: OnceLock<Reader>,
    /// The highest feature level that this node says to know.
    level_max: u8,
}

impl Boot {
    /// `lives` are those of the node's identity, this one the last.
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

    /// From now on this node judges other processes by what `reader` shows.
    pub(crate) fn judge_by(&self, reader: Reader) {
        // It is set once, by the start of the node.
        let _set_before = self.known.set(reader);
    }

    /// Whether this node has seen a later boot than `theirs`, or another process of the same.
    pub(crate) fn knows_better(&self, theirs: &Life) -> bool {
        let known = self.known.get().map(Reader::state);
        known.is_some_and(|state| state.is_outlived(theirs.instance, theirs.key, &theirs.before))
    }

    /// Whether raft's messages are exchanged with processes that do not introduce themselves: as long as some member may be
    /// of a build that cannot.
    pub(crate) fn takes_strangers(&self) -> bool {
        let known = self.known.get().map(Reader::state);
        // One that has just been admitted knows no member yet.
        let known = known.filter(|state| state.nodes().next().is_some());
        let level = known.map_or(features::BASE, |state| state.feature_level());
        level.min(self.level_max) < features::LIVES
    }

    /// Whether this node introduces itself and expects others to.
    pub(crate) fn introduces(&self) -> bool {
        self.level_max >= features::LIVES
    }

    /// Whether `node` is known to be of a build that cannot introduce itself.
    pub(crate) fn is_stranger(&self, node: NodeId) -> bool {
        let known = self.known.get().map(Reader::state);
        known.is_some_and(|state| {
            state.node(node).is_some() && state.level_of(node) < features::LIVES
        })
    }

    /// Another member has seen a later boot of this node, or another process of this boot.
    pub(crate) fn is_outlived(&self) {
        let instance = self.life.instance;
        self.refuse(Refusal::BootSeen { instance }.into());
    }

    /// Returns when the cluster has registered this boot.
    ///
    /// # Errors
    /// `Deadline` if it does not within `deadline`; the refusal, if it has refused it.
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

    /// What is left of the time for a command, once the cluster has registered this boot; errors as of `registered`.
    pub(crate) async fn left_of(&self, limits: &Limits) -> Result<Duration, RaftError> {
        let until = Instant::now() + limits.metadata_deadline;
        self.registered(limits.metadata_deadline).await?;
        Ok(until.saturating_duration_since(Instant::now()))
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

    /// A refusal is the last word.
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

/// Tells the cluster of this boot, again and again until it answers, and once more with its life when all members know
/// what a life is.
pub(crate) async fn register(node: Rc<NodeContext>) {
    let limits = &node.config.limits;
    loop {
        let instance = node.identity.instance_record(&node);
        let Life { key, before, .. } = node.boot.life.clone();
        let registering = node
            .meta
            .boot(instance, key, before, limits.metadata_deadline);
        match registering.await {
            Ok(Registered::WithLife) => {
                let level = node.meta.feature_level();
                tracing::info!(
                    level,
                    "registered; all nodes of the cluster know this feature level"
                );
                return node.boot.advance(Stage::Registered);
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

/// Looks whether a later boot of this node has registered: a copy of its data directory runs somewhere else.
pub(crate) fn heed_successor(node: &NodeContext) {
    let state = node.meta.state();
    let current = state.current_instance_of(node.instance.node());
    if current.is_some_and(|current| current.id.boot() > node.instance.boot()) {
        let instance = node.instance;
        node.boot.refuse(Refusal::Stale { instance }.into());
    }
}

/// Returns when the cluster refuses this boot, with the reason, and once the disk remembers it: no later start from this
/// data directory goes on.
pub(crate) async fn ended(node: &NodeContext) -> RaftError {
    let error = node.boot.refused().await;
    let refused = Identity {
        refused: Some(error.to_string()),
        ..node.identity.clone()
    };
    if let Err(error) = refused.save(node.env.disk.as_ref()).await {
        tracing::error!(%error, "the disk does not remember that the cluster refused this node");
    }
    error
}

/// Asks the cluster to agree on `command` in the name of this boot; this node has applied it when the answer comes.
pub(crate) async fn submit(node: &NodeContext, command: Command) -> Result<Applied, RaftError> {
    let left = node.boot.left_of(&node.config.limits).await?;
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
