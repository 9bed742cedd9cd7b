//! Checks passwords: the hashes are computed on a thread of their own.
//!
//! Promise: password guesses take the time of one thread and delay no other request. Logins are checked one by one,
//! those over the Unix socket before those over TCP. It must never know what a connection is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use vineyard_env::{LocalBoxFuture, Threads};
use vineyard_wire::{Code, Status};

use crate::config::Passwords;
use crate::context::call;
use crate::session::Kind;

/// Capacity of each queue in front of the hashing thread. Further logins wait in their order and may time out.
const QUEUE: usize = 1;

/// A name and a password, and the channel for the answer.
struct Login {
    name: String,
    password: String,
    answer: oneshot::Sender<bool>,
}

/// The handle of the thread.
pub(crate) struct Logins {
    ipc: mpsc::Sender<Login>,
    rpc: mpsc::Sender<Login>,
    /// How long a login may wait for its answer.
    deadline: Duration,
}

impl Logins {
    pub(crate) fn start(
        threads: &dyn Threads,
        passwords: Arc<Passwords>,
        deadline: Duration,
    ) -> Self {
        let (ipc, ipc_logins) = mpsc::channel(QUEUE);
        let (rpc, rpc_logins) = mpsc::channel(QUEUE);
        let main = move || -> LocalBoxFuture<'static, ()> {
            Box::pin(check(passwords, ipc_logins, rpc_logins))
        };
        threads.start("logins", Box::new(main));
        Self { ipc, rpc, deadline }
    }

    /// Whether `name` is a user with `password`, asked over a connection of `kind`.
    pub(crate) async fn admits(
        &self,
        kind: Kind,
        name: String,
        password: String,
    ) -> Result<bool, Status> {
        let queue = match kind {
            Kind::Ipc => &self.ipc,
            Kind::Rpc => &self.rpc,
        };
        let (answer, answered) = oneshot::channel();
        let login = Login {
            name,
            password,
            answer,
        };
        let asked = async {
            let stopped = || not_ready("the thread that checks passwords has stopped");
            queue.send(login).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())
        };
        let late = |_| not_ready("too many logins wait; this one was not checked in time");
        let checked = timeout(self.deadline, asked);
        call::waiting_for("its password to be checked", checked)
            .await
            .map_err(late)?
    }
}

/// Answers logins until all senders are dropped.
async fn check(
    passwords: Arc<Passwords>,
    mut ipc: mpsc::Receiver<Login>,
    mut rpc: mpsc::Receiver<Login>,
) {
    loop {
        let login = tokio::select! {
            biased;
            Some(login) = ipc.recv() => login,
            Some(login) = rpc.recv() => login,
            else => return,
        };
        // The caller timed out: skip the hash.
        if !login.answer.is_closed() {
            let is_right = passwords.admits(&login.name, &login.password);
            login.answer.send(is_right).ok();
        }
    }
}

fn not_ready(message: &str) -> Status {
    Status::new(Code::VineyardServerNotReady, message)
}

#[cfg(test)]
mod tests;
