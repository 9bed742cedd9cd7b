//! Takes the jobs that other threads hand over. How many there are at once is the handles' business (`Meta::ask`), but
//! for peer connections.

use std::io;
use std::rc::Rc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use vineyard_env::Detached;

use super::recover::Asked;
use super::{Driver, Job, compact, follow_metrics, group, remember_pace, room, standing};
use crate::options::SERVED_MAX;
use crate::peers::{MayAsk, serve};
use crate::types::runtime;

/// The tasks of one life of raft, and its jobs.
pub(super) struct Desk {
    pub(super) driver: Rc<Driver>,
    pub(super) tasks: JoinSet<()>,
    served: JoinSet<()>,
}

/// A job that ends a life of raft.
pub(super) enum Ending {
    Stop(oneshot::Sender<()>),
    Recover(Asked),
}

impl Desk {
    pub(super) fn open(driver: Driver) -> Self {
        let driver = Rc::new(driver);
        let mut tasks = JoinSet::new();
        runtime::spawn_into(&mut tasks, follow_metrics(driver.clone()));
        runtime::spawn_into(&mut tasks, group::keep(driver.clone()));
        runtime::spawn_into(&mut tasks, compact::keep(driver.clone()));
        runtime::spawn_into(&mut tasks, standing::keep(driver.clone()));
        runtime::spawn_into(&mut tasks, room::keep(driver.clone()));
        runtime::spawn_into(&mut tasks, remember_pace(driver.clone()));
        Self {
            driver,
            tasks,
            served: JoinSet::new(),
        }
    }

    /// Runs until a job ends this life of raft, until `until` ends, or until every handle is dropped.
    pub(super) async fn work(
        &mut self,
        queue: &mut mpsc::Receiver<Job>,
        until: impl Future<Output = ()>,
    ) -> Option<Ending> {
        let mut until = std::pin::pin!(until);
        loop {
            let job = tokio::select! {
                biased;
                () = &mut until => return None,
                job = queue.recv() => job?,
            };
            while self.tasks.try_join_next().is_some() {}
            while self.served.try_join_next().is_some() {}
            let driver = self.driver.clone();
            match job {
                Job::Stop { reply } => return Some(Ending::Stop(reply)),
                Job::Recover(asked) => return Some(Ending::Recover(asked)),
                Job::Serve { epoch, .. } if epoch != driver.epoch.get() => {
                    tracing::debug!("a connection from before the recovery was dropped");
                }
                Job::Serve { .. } if self.served.len() >= SERVED_MAX => {
                    tracing::warn!(
                        "a peer connection was dropped: {SERVED_MAX} are served already"
                    );
                }
                Job::Serve {
                    connection,
                    may_ask,
                    ..
                } => {
                    runtime::spawn_into(&mut self.served, accept(driver, connection, may_ask));
                }
                job => runtime::spawn_into(&mut self.tasks, answer(driver, job)),
            }
        }
    }

    /// Ends this life of raft. Jobs in flight are dropped.
    pub(super) async fn close(mut self) {
        self.tasks.shutdown().await;
        self.served.shutdown().await;
        if let Err(error) = self.driver.raft.shutdown().await {
            tracing::warn!(%error, "raft did not shut down cleanly");
        }
    }
}

/// Does what another thread asked for; it may have given up by then.
async fn answer(driver: Rc<Driver>, job: Job) {
    match job {
        Job::Submit {
            key,
            command,
            trace,
            until,
            reply,
            permit: _permit,
        } => {
            let submitted = driver.submit(key, command, trace, until).await;
            drop(reply.send(submitted));
        }
        Job::Confirm {
            until,
            reply,
            permit: _permit,
        } => drop(reply.send(driver.confirm(until).await)),
        Job::Admit {
            key,
            endpoint,
            level,
            until,
            reply,
            permit: _permit,
        } => {
            drop(reply.send(driver.admit(key, endpoint, level, until).await));
        }
        Job::Survey {
            reply,
            permit: _permit,
        } => drop(reply.send(driver.survey())),
        Job::Serve { .. } | Job::Stop { .. } | Job::Recover(_) => {
            unreachable!("the desk takes these itself")
        }
    }
}

async fn accept(driver: Rc<Driver>, connection: Box<dyn Detached>, may_ask: MayAsk) {
    let served = match connection.attach() {
        Ok(stream) => serve::serve(driver.clone(), stream, may_ask).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        let unreadable = error.kind() == io::ErrorKind::InvalidData;
        if unreadable && !driver.met_unreadable.replace(true) {
            tracing::warn!(
                %error,
                "a member said what this node cannot read; if that is a newer build, upgrade this node"
            );
        } else {
            tracing::debug!(%error, "a member's connection ended");
        }
    }
}
