//! Makes this node the only voter of a cluster whose majority is gone for ever.
//!
//! Promise: the disk has either the cluster of before, or, in one write, the new epoch with this node as the only
//! member; everything that was in this node's log stays, agreed on or not. Raft stops for it and starts again; the
//! state that others read never goes back. No connection of before is served after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use tokio::sync::oneshot;
use vineyard_env::{Batch, Env, Faults};
use vineyard_wire::NodeId;

use super::{Desk, Driver, Ground, Kept, start};
use crate::command::{Command, Entry, VERSION};
use crate::error::Error;
use crate::log::Log;
use crate::machine::Machine;
use crate::meta::{Member, Permit};
use crate::published::Published;
use crate::state::State;
use crate::types::{Address, Members, Payload, runtime};

/// A recovery that was asked for.
pub(crate) struct Asked {
    /// Of the cluster from then on.
    pub(crate) epoch: u64,
    /// Becomes durable with it, or not at all.
    pub(crate) also: Batch,
    pub(crate) reply: oneshot::Sender<Result<Survey, Error>>,
    pub(crate) permit: Permit,
}

/// What a recovery from this node starts from.
#[derive(Clone)]
pub struct Survey {
    /// With every entry of the log applied.
    pub state: Arc<State>,
    /// The last entry of the log.
    pub last_index: u64,
    /// The last entry that a majority is known to have agreed on.
    pub agreed_index: u64,
    /// When the last command was proposed that is still in the log.
    pub written_unix_ms: Option<u64>,
}

impl Driver {
    /// What a recovery would start from; an error if there is nothing to be recovered.
    pub(super) fn survey(&self) -> Result<Survey, Error> {
        if let Some(error) = self.dead() {
            return Err(error);
        }
        if self.shared.status().has_quorum {
            return Err(refused(
                "a majority of the voters answers: nothing is to be recovered",
            ));
        }
        let state = State::clone(&self.shared.state.load());
        survey(state, &self.log, self.me, self.env.faults.as_ref())
    }
}

fn refused(reason: &'static str) -> Error {
    Error::NotRecoverable { reason }
}

fn survey(mut state: State, log: &Log, me: NodeId, faults: &dyn Faults) -> Result<Survey, Error> {
    let agreed_index = state.applied();
    for entry in log.after(agreed_index) {
        let index = entry.index();
        match entry.payload {
            EntryPayload::Normal(entry) if entry.version > VERSION => {
                return Err(Error::Newer {
                    version: entry.version,
                    understood: VERSION,
                });
            }
            EntryPayload::Normal(entry) => drop(state.apply(index, &entry, faults)),
            EntryPayload::Membership(_) | EntryPayload::Blank => state.advance(index),
        }
    }
    if state.node(me).is_none() || state.cluster().is_none() {
        return Err(refused(
            "this node has not got the cluster's metadata yet; take another one",
        ));
    }
    if state.is_removed(me) {
        return Err(refused("this node was removed; take another one"));
    }
    Ok(Survey {
        last_index: state.applied(),
        state: Arc::new(state),
        agreed_index,
        written_unix_ms: log.written_unix_ms(),
    })
}

/// Ends this life of raft and begins the next, as another cluster if all goes well. `None` if raft cannot go on.
pub(super) async fn recover(
    desk: Desk,
    ground: &Ground,
    shared: &Arc<Published>,
    asked: Asked,
) -> Option<Desk> {
    let Asked {
        epoch,
        also,
        reply,
        permit,
    } = asked;
    let machine = match taken_over(&desk.driver).await {
        Ok(machine) => machine,
        Err(error) => {
            // The caller may have given up, here and below.
            drop(reply.send(Err(error)));
            return Some(desk);
        }
    };
    let log = desk.driver.log.clone();
    desk.close().await;
    let written = write(&ground.env, &ground.member, &log, &machine, also).await;
    if written.is_ok() {
        ground.member.epoch.set(epoch);
        tracing::warn!(
            epoch,
            "recovered: this node is the only member of its cluster"
        );
    }
    let mut desk = match start(ground, shared, Some(Kept { log, machine })).await {
        Ok(driver) => Desk::open(driver),
        Err(error) => {
            tracing::error!(%error, "this node takes no further part in the metadata group");
            // A second reason does not replace the first.
            drop(shared.ended.set(error.clone()));
            drop(reply.send(Err(error)));
            return None;
        }
    };
    let shared = shared.clone();
    runtime::spawn_into(&mut desk.tasks, async move {
        let outcome = match written {
            Ok((survey, last)) => shared.applied(last).await.map(|()| survey),
            Err(error) => Err(error),
        };
        drop(reply.send(outcome));
        drop(permit);
    });
    Some(desk)
}

/// The machine for the next life of raft. The present one applies nothing any more.
async fn taken_over(driver: &Driver) -> Result<Machine, Error> {
    driver.survey()?;
    let taking = driver.raft.with_state_machine(|machine: &mut Machine| {
        let next = machine.hand_over();
        Box::pin(async move { next })
    });
    taking.await.map_err(|fatal| super::failure_of(&fatal))
}

/// Writes what makes the log that of a cluster of one. Returns what it was made from, and the last index.
async fn write(
    env: &Env,
    member: &Member,
    log: &Log,
    machine: &Machine,
    also: Batch,
) -> Result<(Survey, u64), Error> {
    let me = member.node;
    let survey = survey(machine.state(), log, me, env.faults.as_ref())?;
    let address = Address {
        endpoint: member.endpoint.clone(),
    };
    let alone = Members::new(vec![BTreeSet::from([me])], BTreeMap::from([(me, address)]));
    let alone = alone.expect("the only voter is a member");
    let mut payloads = vec![EntryPayload::Membership(alone)];
    let now_unix_ms = env.clock.unix_ms();
    let commands = commands(&survey.state, me).into_iter();
    payloads.extend(commands.map(|command| payload(command, now_unix_ms)));
    let appended = log.append_as_leader(me, payloads, also).await;
    let last = appended.map_err(|error| Error::Disk(error.to_string()))?;
    Ok((survey, last.index))
}

/// Takes out every other node, and lets this one stay if it was about to leave.
fn commands(state: &State, me: NodeId) -> Vec<Command> {
    let stay = state.cordon_of(me).map(|_| Command::Cordon {
        node: me,
        cordon: None,
    });
    let others = state.nodes().map(|node| node.id);
    let others = others.filter(|node| *node != me && !state.is_removed(*node));
    let removes = others.map(|node| Command::Remove { node });
    stay.into_iter().chain(removes).collect()
}

fn payload(command: Command, at_unix_ms: u64) -> Payload {
    EntryPayload::Normal(Arc::new(Entry {
        version: command.version(),
        request: None,
        at_unix_ms,
        command,
    }))
}
