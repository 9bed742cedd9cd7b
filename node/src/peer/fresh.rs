//! A node that no cluster has admitted yet, as other such nodes reach it.
//!
//! Promise: it says to no one that it has agreed to a set of nodes before its disk has it. It serves nothing else: it
//! has no id in the cluster.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use tokio::sync::Mutex;
use vineyard_env::{Env, Fault, Stream};
use vineyard_wire::peer::{Answer, Ask, Candidate, Purpose};
use vineyard_wire::{Code, NodeId, Status};

use super::encryption::{self, Side};
use super::{frames, handshake};
use crate::boot::formation::Formation;
use crate::boot::identity::Identity;

/// What such a node calls itself in the handshake; no member has this id.
const NOBODY: NodeId = NodeId(u64::MAX);

/// The identity of a node that asks to be admitted, and what it knows of a cluster that is to form.
pub(crate) struct Applicant {
    env: Env,
    /// Locked while a change of it is being written.
    identity: Mutex<Identity>,
    /// `None` for a node that only joins.
    formation: Option<RefCell<Formation>>,
}

impl Applicant {
    /// `endpoint` is where others dial this node.
    pub(crate) fn new(env: &Env, identity: Identity, endpoint: &str, expect: Option<u8>) -> Self {
        let formation = expect.map(|expect| {
            let me = Candidate {
                key: identity.key,
                endpoint: endpoint.to_owned(),
            };
            let process = env.random.next_u64();
            RefCell::new(Formation::new(me, process, expect, identity.agreed.clone()))
        });
        Self {
            env: env.clone(),
            identity: Mutex::new(identity),
            formation,
        }
    }

    pub(crate) fn formation(&self) -> Option<&RefCell<Formation>> {
        self.formation.as_ref()
    }

    pub(crate) async fn identity(&self) -> Identity {
        self.identity.lock().await.clone()
    }

    /// Changes the identity. It is on the disk when this returns.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut Identity)) -> io::Result<()> {
        let mut identity = self.identity.lock().await;
        let mut changed = identity.clone();
        change(&mut changed);
        changed.save(self.env.disk.as_ref()).await?;
        *identity = changed;
        Ok(())
    }

    /// Agrees to form a cluster with `set`. It is on the disk when this returns.
    pub(crate) async fn agree(&self, set: Vec<Candidate>) -> Result<(), Status> {
        let refused = |reason: String| Status::new(Code::Invalid, reason);
        let formation = self
            .formation()
            .ok_or_else(|| refused("it only joins".to_owned()))?;
        let mut identity = self.identity.lock().await;
        if identity.node.is_some() {
            return Err(refused("it is a member of a cluster".to_owned()));
        }
        formation.borrow().may_agree(&set).map_err(refused)?;
        let changed = Identity {
            agreed: set.clone(),
            ..identity.clone()
        };
        if !self.env.faults.has(Fault::AgreementIsForgotten) {
            let saved = changed.save(self.env.disk.as_ref()).await;
            saved.map_err(|error| Status::new(Code::IoError, error.to_string()))?;
        }
        *identity = changed;
        formation.borrow_mut().agreed(set);
        Ok(())
    }

    /// Serves a connection whose `MAGIC` has been read. A caller that is `refused` is told
    /// so. `within` is the time for the handshake, and between questions.
    pub(crate) async fn serve(
        &self,
        stream: &mut dyn Stream,
        refused: Option<&'static str>,
        within: Duration,
    ) -> io::Result<()> {
        let Some(formation) = self.formation() else {
            return Ok(());
        };
        let credentials = self.identity().await.credentials(&self.env);
        let (random, faults) = (self.env.random.as_ref(), self.env.faults.as_ref());
        let serves = |purpose| match (purpose, refused) {
            (_, Some(reason)) => Err(reason),
            (Purpose::Node, None) => Ok(()),
            _ => Err("this node waits for its cluster to form"),
        };
        let shaken = handshake::accept(stream, &credentials, NOBODY, random, faults, serves);
        let shaken = tokio::time::timeout(within, shaken).await?;
        let hello = shaken.map_err(|error| encryption::explained(error, Side::Listener))?;
        if hello.from.is_some() {
            // A member looks for another one here. It tries again later.
            return Ok(());
        }
        loop {
            let asked = frames::read(stream, frames::MESSAGE_BYTES_MAX);
            let answer = match tokio::time::timeout(within, asked).await?? {
                Ask::Join(_) | Ask::JoinAt { .. } => Answer::Fresh(formation.borrow().fresh()),
                Ask::Form { set } => match self.agree(set).await {
                    Ok(()) => Answer::Agreed,
                    Err(status) => Answer::Refused(status),
                },
                _ => return Ok(()),
            };
            frames::write(stream, &answer).await?;
        }
    }
}
