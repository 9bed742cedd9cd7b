//! How commands get into the log: proposed here if this node leads, else handed to the one that does.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use vineyard_wire::{NodeId, Trace};

use super::Driver;
use crate::command::{Applied, Command, Entry, RequestKey};
use crate::error::Error;
use crate::features;
use crate::format::entry::command_bytes;
use crate::options::{FORWARD_WITHIN, RETRY_PAUSE, WHO_LEADS_TIMEOUT};
use crate::peers::message::{Answer, Question};
use crate::types::Address;
use crate::types::runtime;

/// What became of one try.
enum Tried {
    Done(u64, crate::command::Outcome),
    /// Perhaps somebody else leads.
    Elsewhere(Option<NodeId>),
    /// It was not proposed, and will not be as long as the members are what they are.
    TooNew(Error),
    /// It was not proposed, and will not be before there is room.
    NoRoom(Error),
    /// It may or may not have happened; try again under the same key.
    Unknown(String),
}

impl Driver {
    /// Tries until `until`; the local state shows the effect when this returns.
    pub(super) async fn submit(
        &self,
        key: Option<RequestKey>,
        command: Arc<Command>,
        trace: Option<Trace>,
        until: Instant,
    ) -> Result<Applied, Error> {
        self.check_level(&command)?;
        let began = Instant::now();
        let mut waited_for = "a leader".to_owned();
        let trying = async {
            let mut leader = self.shared.status().leader;
            // An earlier try may have got into the log.
            let mut may_be_proposed = false;
            loop {
                if let Some(error) = self.dead() {
                    return Err(error);
                }
                waited_for = self.whom_a_command_waits_for(leader);
                match self.try_once(leader, key, &command, trace).await {
                    Tried::Done(index, outcome) => {
                        waited_for = format!("this node to apply entry {index}");
                        self.shared.applied(index).await?;
                        return outcome.map_err(Error::Refused);
                    }
                    // A leader that has not applied what raised the level will.
                    Tried::TooNew(error)
                        if !may_be_proposed && self.check_level(&command).is_err() =>
                    {
                        return Err(error);
                    }
                    Tried::NoRoom(error) if !may_be_proposed => return Err(error),
                    Tried::Elsewhere(Some(node)) if leader != Some(node) => leader = Some(node),
                    Tried::Elsewhere(_) | Tried::TooNew(_) | Tried::NoRoom(_) => {
                        self.pause().await;
                        leader = self.find_leader(leader).await;
                    }
                    Tried::Unknown(reason) => {
                        tracing::debug!(reason, "a command is tried again");
                        may_be_proposed = true;
                        self.pause().await;
                        leader = self.find_leader(leader).await;
                    }
                }
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

    /// Before another try. Drawn anew each time, so that callers that began together do not stay in step.
    async fn pause(&self) {
        let spread_ms = RETRY_PAUSE.as_millis() as u64;
        let extra_ms = self.env.random.next_u64() % spread_ms;
        let pause = RETRY_PAUSE / 2 + Duration::from_millis(extra_ms);
        tokio::time::sleep(pause).await;
    }

    fn whom_a_command_waits_for(&self, leader: Option<NodeId>) -> String {
        match leader {
            None => "a leader".to_owned(),
            Some(node) if node == self.me => "a majority to store the entry".to_owned(),
            Some(node) => format!(
                "the leader {} and a majority to store the entry",
                self.shared.called(node)
            ),
        }
    }

    async fn try_once(
        &self,
        leader: Option<NodeId>,
        key: Option<RequestKey>,
        command: &Arc<Command>,
        trace: Option<Trace>,
    ) -> Tried {
        let answer = match leader {
            None => return Tried::Elsewhere(None),
            Some(node) if node == self.me => self.propose(key, command, trace).await,
            Some(node) => {
                let question = self.forward(key, command.clone(), trace);
                tracing::debug!(
                    trace = trace.map(tracing::field::display),
                    command = command.name(),
                    leader = %node,
                    "forwarded"
                );
                let _permit = self.forwards.acquire().await;
                let asked = self
                    .links
                    .ask(node, &question, self.stretch(FORWARD_WITHIN));
                let answered = tokio::select! {
                    biased;
                    answered = asked => answered,
                    other = self.another_leads(node) => return Tried::Elsewhere(Some(other)),
                };
                match answered {
                    Ok(answer) => answer,
                    Err(error) => return Tried::Unknown(error.to_string()),
                }
            }
        };
        match answer {
            Answer::Forwarded { log_id, outcome } => Tried::Done(log_id.index, outcome),
            Answer::NotLeader(other) => Tried::Elsewhere(other),
            Answer::TooNew { needed, level } => {
                Tried::TooNew(Error::FeatureLevel { needed, level })
            }
            Answer::NoRoom(shortage) => Tried::NoRoom(Error::NoRoom {
                node: leader.unwrap_or(self.me),
                shortage,
            }),
            Answer::Failed(reason) => Tried::Unknown(reason),
            _ => Tried::Unknown("an answer to another question".to_owned()),
        }
    }

    fn forward(
        &self,
        key: Option<RequestKey>,
        command: Arc<Command>,
        trace: Option<Trace>,
    ) -> Question {
        let is_known = self.feature_level() >= features::PUBLISH;
        match trace.filter(|_| is_known) {
            Some(trace) => Question::ForwardTraced {
                trace,
                key,
                command,
            },
            None => Question::Forward { key, command },
        }
    }

    /// What every member is known to understand, and this node is allowed to.
    pub(crate) fn feature_level(&self) -> u8 {
        let state = self.shared.state.load();
        state.feature_level().min(self.options.feature_level)
    }

    /// No command gets past this that some member does not understand. Asked before a command is handed to the
    /// leader, which may be such a member, and again where it is proposed.
    fn check_level(&self, command: &Command) -> Result<(), Error> {
        let (needed, level) = (features::needed_by(command), self.feature_level());
        match needed > level {
            true => Err(Error::FeatureLevel { needed, level }),
            false => Ok(()),
        }
    }

    /// Puts the command into the log, if this node leads.
    pub(crate) async fn propose(
        &self,
        key: Option<RequestKey>,
        command: &Command,
        trace: Option<Trace>,
    ) -> Answer {
        let permit = tokio::select! {
            biased;
            permit = self.proposed_bytes.acquire(command_bytes(command)) => permit,
            other = self.another_leads(self.me) => return Answer::NotLeader(Some(other)),
        };
        if let Err(Error::FeatureLevel { needed, level }) = self.check_level(command) {
            return Answer::TooNew { needed, level };
        }
        if let Some(shortage) = self.shortage_for(command) {
            return Answer::NoRoom(shortage);
        }
        let at_unix_ms = self.env.clock.unix_ms();
        let name = command.name();
        let entry = Entry {
            version: command.version(),
            request: key,
            at_unix_ms,
            command: Command::clone(command),
        };
        let (reply, written) = oneshot::channel();
        let (raft, log) = (self.raft.clone(), self.log.clone());
        // Not part of the question: the caller may give up, and the entry is in the log all the same.
        runtime::spawn(async move {
            let written = raft.client_write(Arc::new(entry)).await;
            let index = written.as_ref().ok().map(|written| written.log_id.index);
            drop(reply.send(written));
            if let Some(index) = index {
                // A majority may have it while this disk does not.
                log.synced(index).await;
            }
            drop(permit);
        });
        let Ok(written) = written.await else {
            return Answer::Failed("raft has stopped".to_owned());
        };
        match written {
            Ok(written) => {
                tracing::debug!(
                    trace = trace.map(tracing::field::display),
                    command = name,
                    index = written.log_id.index,
                    "agreed"
                );
                Answer::Forwarded {
                    log_id: written.log_id,
                    outcome: written.data,
                }
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Answer::NotLeader(forward.leader_id.filter(|leader| *leader != self.me))
            }
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    /// Whom this node believes to lead, or else whom another member does. A node that `failed` to answer is not taken
    /// at once: a member that nobody reaches may believe in a leader of long ago.
    pub(super) async fn find_leader(&self, failed: Option<NodeId>) -> Option<NodeId> {
        let status = self.shared.status();
        if status.leader.is_some() && status.leader != failed {
            return status.leader;
        }
        for member in status.voters.iter().chain(&status.learners) {
            if *member == self.me || Some(*member) == failed {
                continue;
            }
            let asked = self
                .links
                .ask(
                    *member,
                    &Question::WhoLeads,
                    self.stretch(WHO_LEADS_TIMEOUT),
                )
                .await;
            if let Ok(Answer::Leads(Some((leader, endpoint)))) = asked {
                self.shared.places.hear(leader, endpoint);
                return Some(leader);
            }
        }
        status.leader
    }

    /// Admits through the leader.
    pub(super) async fn admit(
        &self,
        key: u128,
        endpoint: String,
        level: u8,
        until: Instant,
    ) -> Result<(NodeId, String), Error> {
        let began = Instant::now();
        let mut waited_for = "a leader".to_owned();
        let trying = async {
            let mut failed = None;
            loop {
                if let Some(error) = self.dead() {
                    return Err(error);
                }
                let leader = self.find_leader(failed).await;
                failed = leader;
                let answer = match leader {
                    Some(node) if node == self.me => {
                        self.admit_here(key, endpoint.clone(), level).await
                    }
                    Some(node) => {
                        let question = self.question_to_admit(key, &endpoint, level);
                        let asked = self
                            .links
                            .ask(node, &question, self.stretch(FORWARD_WITHIN))
                            .await;
                        asked.unwrap_or_else(|error| Answer::Failed(error.to_string()))
                    }
                    None => Answer::NotLeader(None),
                };
                waited_for = match answer {
                    Answer::Admitted { node, cluster } => return Ok((node, cluster)),
                    Answer::TooOld { cluster, node } => {
                        return Err(Error::TooOld { cluster, node });
                    }
                    Answer::Failed(reason) => format!("the leader to admit a node ({reason})"),
                    _ => "a leader".to_owned(),
                };
                self.pause().await;
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

    /// A leader of before does not know the question that says the level.
    fn question_to_admit(&self, key: u128, endpoint: &str, level: u8) -> Question {
        let endpoint = endpoint.to_owned();
        match self.feature_level() >= features::PUBLISH {
            true => Question::AdmitAt {
                key,
                endpoint,
                level,
            },
            false => Question::Admit { key, endpoint },
        }
    }

    /// Gives the node an id and adds it to the group, if this node leads. One after the other: openraft makes one
    /// change of the members at a time, and a crowd whose tries failed and began anew would keep each other from
    /// succeeding.
    pub(crate) async fn admit_here(&self, key: u128, endpoint: String, level: u8) -> Answer {
        let _permit = self.admissions.acquire().await;
        let (node, cluster) = match self.id_of(key, &endpoint, level).await {
            Ok(admitted) => admitted,
            Err(answer) => return answer,
        };
        let status = self.shared.status();
        let known = status.voters.contains(&node) || status.learners.contains(&node);
        if !known {
            if let Err(error) = self
                .raft
                .add_learner(node, Address { endpoint }, false)
                .await
            {
                return Answer::Failed(error.to_string());
            }
            self.group_changed.notify_one();
        }
        Answer::Admitted { node, cluster }
    }

    /// The id of a data directory and of the cluster; an entry of the log if it is new or listens elsewhere now.
    async fn id_of(
        &self,
        key: u128,
        endpoint: &str,
        level: u8,
    ) -> Result<(NodeId, String), Answer> {
        let state = self.shared.state.load_full();
        let cluster = self.feature_level();
        if cluster > level {
            return Err(Answer::TooOld {
                cluster,
                node: level,
            });
        }
        let known = state
            .node_of_key(key)
            .filter(|node| node.endpoint == endpoint);
        if let (Some(node), Some(cluster)) = (known, state.cluster()) {
            return Ok((node.id, cluster.to_owned()));
        }
        let endpoint = endpoint.to_owned();
        let command = match cluster >= features::PUBLISH {
            true => Command::AdmitAt {
                key,
                endpoint,
                level,
            },
            false => Command::Admit { key, endpoint },
        };
        match self.propose(None, &command, None).await {
            Answer::Forwarded {
                outcome: Ok(Applied::Admitted { node, cluster }),
                ..
            } => Ok((node, cluster)),
            Answer::Forwarded {
                outcome: Err(refusal),
                ..
            } => Err(Answer::Failed(refusal.to_string())),
            other => Err(other),
        }
    }
}
