//! Linearizable reads: asks the leader for the index a read must wait for, then waits until it is applied here.
//!
//! Confirms that arrive while one is being asked share the next one; a confirm never shares one that began before it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use vineyard_wire::NodeId;

use super::Driver;
use crate::error::Error;
use crate::options::{READ_INDEX_WITHIN, RETRY_PAUSE};
use crate::peers::message::{Answer, Question};
use crate::types::runtime;

/// Who waits for the next round, and what the round waits for.
#[derive(Default)]
pub(super) struct Confirms {
    waiting: RefCell<Vec<oneshot::Sender<Result<(), Error>>>>,
    running: Cell<bool>,
    waited_for: RefCell<String>,
}

impl Driver {
    /// Returns once the local state holds everything acknowledged before the call.
    pub(super) async fn confirm(self: Rc<Self>, until: Instant) -> Result<(), Error> {
        let began = Instant::now();
        let (reply, answer) = oneshot::channel();
        self.confirms.waiting.borrow_mut().push(reply);
        if !self.confirms.running.replace(true) {
            runtime::spawn(self.clone().confirm_rounds());
        }
        match tokio::time::timeout_at(until, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Error::Stopped)),
            Err(_) => Err(Error::Deadline {
                waited_for: self.confirms.waited_for.borrow().clone(),
                after: until.duration_since(began),
            }),
        }
    }

    async fn confirm_rounds(self: Rc<Self>) {
        loop {
            let mut round = self.confirms.waiting.take();
            round.retain(|waiter| !waiter.is_closed());
            if round.is_empty() {
                self.confirms.running.set(false);
                return;
            }
            if let Some(outcome) = self.read_barrier(&round).await {
                for waiter in round {
                    drop(waiter.send(outcome.clone()));
                }
            }
        }
    }

    /// Returns when the local state holds everything acknowledged before the call, or `None` when nobody of the round
    /// waits any more.
    async fn read_barrier(
        &self,
        round: &[oneshot::Sender<Result<(), Error>>],
    ) -> Option<Result<(), Error>> {
        let waits_for = |what: String| self.confirms.waited_for.replace(what);
        let mut leader = self.shared.status().leader;
        while round.iter().any(|waiter| !waiter.is_closed()) {
            if let Some(error) = self.dead() {
                return Some(Err(error));
            }
            waits_for(match leader {
                Some(leader) => format!(
                    "a majority to confirm to {} that it leads",
                    self.shared.called(leader)
                ),
                None => "a leader".to_owned(),
            });
            match self.read_index_of(leader).await {
                Answer::ReadIndex(index) => {
                    waits_for(format!("this node to apply entry {index}"));
                    return Some(self.shared.applied(index).await);
                }
                Answer::NotLeader(Some(node)) if leader != Some(node) => {
                    leader = Some(node);
                    continue;
                }
                Answer::Failed(reason) => tracing::debug!(reason, "a read could not be confirmed"),
                _ => {}
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            leader = self.find_leader(leader).await;
        }
        None
    }

    async fn read_index_of(&self, leader: Option<NodeId>) -> Answer {
        match leader {
            None => Answer::NotLeader(None),
            Some(node) if node == self.me => self.read_index_here().await,
            Some(node) => {
                let asked =
                    self.links
                        .ask(node, &Question::ReadIndex, self.stretch(READ_INDEX_WITHIN));
                tokio::select! {
                    biased;
                    answer = asked => answer.unwrap_or_else(|error| Answer::Failed(error.to_string())),
                    other = self.another_leads(node) => Answer::NotLeader(Some(other)),
                }
            }
        }
    }

    /// The index a read that begins now must wait for, confirmed by a quorum, if this node leads.
    pub(crate) async fn read_index_here(&self) -> Answer {
        let asked = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(self.stretch(READ_INDEX_WITHIN), asked).await {
            Ok(Ok(linearizer)) => Answer::ReadIndex(linearizer.read_log_id().index()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Answer::NotLeader(forward.leader_id.filter(|leader| *leader != self.me))
            }
            Ok(Err(error)) => Answer::Failed(error.to_string()),
            Err(_) => Answer::Failed("no quorum answered".to_owned()),
        }
    }
}
