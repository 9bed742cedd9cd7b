//! Linearizable reads: asks the leader for the index a read must wait for, then waits until it is applied here.
//!
//! Confirms that arrive while one is being asked share the next one; a confirm never shares one that began before it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use crate::error::Error;
use crate::options::{READ_INDEX_WITHIN, RETRY_PAUSE};
use crate::peers::message::{Answer, Question};
use crate::runtime;

/// Who waits for the next round.
#[derive(Default)]
pub(super) struct Confirms {
    waiting: RefCell<Vec<(Instant, oneshot::Sender<Result<(), Error>>)>>,
    running: Cell<bool>,
}

impl Driver {
    pub(super) async fn confirm(
        self: Rc<Self>,
        until: Instant,
        reply: oneshot::Sender<Result<(), Error>>,
    ) {
        if self.options.mutations.confirm_without_quorum {
            drop(reply.send(Ok(())));
            return;
        }
        self.confirms.waiting.borrow_mut().push((until, reply));
        if !self.confirms.running.replace(true) {
            runtime::spawn(self.clone().confirm_rounds());
        }
    }

    async fn confirm_rounds(self: Rc<Self>) {
        loop {
            let round = self.confirms.waiting.take();
            if round.is_empty() {
                self.confirms.running.set(false);
                return;
            }
            let until = round
                .iter()
                .map(|(until, _)| *until)
                .max()
                .unwrap_or_else(Instant::now);
            let outcome = self.read_barrier(until).await;
            for (_, reply) in round {
                drop(reply.send(outcome.clone()));
            }
        }
    }

    /// Returns when the local state holds everything acknowledged before the call.
    async fn read_barrier(&self, until: Instant) -> Result<(), Error> {
        let began = Instant::now();
        let mut waited_for = "a leader".to_owned();
        let trying = async {
            let mut leader = self.shared.status().leader;
            loop {
                let answer = match leader {
                    None => Answer::NotLeader(None),
                    Some(node) if node == self.me => self.read_index_here().await,
                    Some(node) => {
                        let asked = self
                            .links
                            .ask(node, &Question::ReadIndex, READ_INDEX_WITHIN)
                            .await;
                        asked.unwrap_or_else(|error| Answer::Failed(error.to_string()))
                    }
                };
                match answer {
                    Answer::ReadIndex(index) => {
                        waited_for = format!("this node to apply entry {index}");
                        let reached = self.shared.progress.reached(index).await;
                        return if reached { Ok(()) } else { Err(Error::Stopped) };
                    }
                    Answer::NotLeader(Some(node)) if leader != Some(node) => {
                        leader = Some(node);
                        continue;
                    }
                    Answer::Failed(reason) => {
                        waited_for = format!("the quorum to confirm a read ({reason})");
                    }
                    _ => "a leader".clone_into(&mut waited_for),
                }
                tokio::time::sleep(RETRY_PAUSE).await;
                leader = self.find_leader().await;
            }
        };
        match tokio::time::timeout_at(until, trying).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Deadline {
                waited_for,
                after: until.duration_since(began),
            }),
        }
    }

    /// The index a read that begins now must wait for, confirmed by a quorum, if this node leads.
    pub(crate) async fn read_index_here(&self) -> Answer {
        let asked = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(READ_INDEX_WITHIN, asked).await {
            Ok(Ok(linearizer)) => Answer::ReadIndex(linearizer.read_log_id().index()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Answer::NotLeader(forward.leader_id.filter(|leader| *leader != self.me))
            }
            Ok(Err(error)) => Answer::Failed(error.to_string()),
            Err(_) => Answer::Failed("no quorum answered".to_owned()),
        }
    }
}
