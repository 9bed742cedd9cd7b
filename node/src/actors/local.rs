//! The owner of what is local. It runs one turn after the other, each with the current replicated state.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use vineyard_raft::Reader;
use vineyard_raft::state::State;
use vineyard_wire::Status;

use super::owner::Handle;
use crate::context::call;
use crate::local::Local;

/// The handle of the owner.
pub(crate) struct LocalHandle {
    owner: Handle<Local>,
    state: Arc<Reader>,
    turns: Cell<u64>,
}

impl LocalHandle {
    /// Starts the owner of `local`. Every `decay_every` it returns unused pages to the system.
    pub(crate) fn start(
        local: Local,
        state: Reader,
        mailbox: usize,
        decay_every: Duration,
    ) -> Self {
        let owner = Handle::start("local", mailbox, local);
        tokio::task::spawn_local(decay(owner.clone(), decay_every));
        Self {
            owner,
            state: Arc::new(state),
            turns: Cell::new(0),
        }
    }

    /// Runs `turn` on the owner.
    pub(crate) async fn ask<R: Send + 'static>(
        &self,
        turn: impl FnOnce(&mut Local, &State) -> R + Send + 'static,
    ) -> Result<R, Status> {
        let asked = self.owner.ask(self.turn(turn));
        call::waiting_for("its turn", asked).await
    }

    /// As `ask`, without its result: returns before `turn` has run, and what is asked later has its turn later.
    pub(crate) async fn tell(
        &self,
        turn: impl FnOnce(&mut Local, &State) + Send + 'static,
    ) -> Result<(), Status> {
        self.owner.tell(self.turn(turn)).await
    }

    fn turn<R>(
        &self,
        turn: impl FnOnce(&mut Local, &State) -> R + Send + 'static,
    ) -> impl FnOnce(&mut Local) -> R + Send + 'static {
        self.turns.set(self.turns.get() + 1);
        let state = self.state.clone();
        move |local| {
            let result = turn(local, &state.state());
            local.end_turn();
            result
        }
    }

    /// Number of turns that this handle has asked for.
    #[cfg(test)]
    pub(crate) fn turns(&self) -> u64 {
        self.turns.get()
    }
}

async fn decay(owner: Handle<Local>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match owner.ask(|local| local.store.decay()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not give free memory back"),
            Err(_) => return,
        }
    }
}
