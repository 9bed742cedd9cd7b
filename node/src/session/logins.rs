//! Whose password is right: hashes, made on a thread of their own.
//!
//! Promise: guesses cost the node one thread and nobody else's time: they are looked at one by one, and whoever is on
//! this machine goes before those who come over TCP. It must never know what a connection is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use vineyard_env::{LocalBoxFuture, Threads};
use vineyard_wire::{Code, Status};

use crate::config::Passwords;
use crate::context::call;
use crate::session::Kind;

/// Logins that wait at the thread's door. The others wait in front of it, in their order, and may give up.
const QUEUE: usize = 1;

/// A name and a password, and where to say whether they are right.
struct Login {
    name: String,
    password: String,
    answer: oneshot::Sender<bool>,
}

/// The way to the thread.
pub(crate) struct Logins {
    ipc: mpsc::Sender<Login>,
    rpc: mpsc::Sender<Login>,
    /// How long one may wait for its answer.
    deadline: Duration,
}

impl Logins {
    pub(crate) fn start(
        threads: &dyn Threads,
        passwords: Arc<Passwords>,
        deadline: Duration,
    ) -> Self {
        let (ipc, near) = mpsc::channel(QUEUE);
        let (rpc, far) = mpsc::channel(QUEUE);
        let main = move || -> LocalBoxFuture<'static, ()> { Box::pin(check(passwords, near, far)) };
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
        let door = match kind {
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
            let stopped = || not_ready("the thread that looks at passwords has stopped");
            door.send(login).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())
        };
        let late = |_| not_ready("too many logins wait; nobody looked at this one in time");
        let checked = timeout(self.deadline, asked);
        call::waiting_for("its password to be checked", checked)
            .await
            .map_err(late)?
    }
}

/// Answers logins until nobody can ask.
async fn check(
    passwords: Arc<Passwords>,
    mut near: mpsc::Receiver<Login>,
    mut far: mpsc::Receiver<Login>,
) {
    loop {
        let login = tokio::select! {
            biased;
            Some(login) = near.recv() => login,
            Some(login) = far.recv() => login,
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
