//! The listeners of a node that no cluster has admitted yet: every client is told what the node waits for.
//!
//! Promise: a joining node answers all who connect, and serves nothing: it has no id yet, so it has no objects and
//! no sessions. A node that calls is not answered, and tries again.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use vineyard_env::{Listener, LocalListener, Stream};
use vineyard_wire::peer::MAGIC;
use vineyard_wire::{Code, Status};

use crate::config::Limits;
use crate::session::frame_reader::FrameReader;
use crate::session::writer;

/// What a joining node waits for, as text for people; clones share it.
#[derive(Clone, Default)]
pub(crate) struct WaitsFor(Rc<RefCell<String>>);

impl WaitsFor {
    pub(crate) fn set(&self, what: String) {
        *self.0.borrow_mut() = what;
    }

    fn refusal(&self) -> Status {
        let waits_for = self.0.borrow();
        let what = match waits_for.is_empty() {
            true => "asking to be admitted",
            false => waits_for.as_str(),
        };
        Status::new(Code::ConnectionFailed, format!("joining: {what}"))
    }
}

/// Answers until it is dropped.
pub(crate) async fn keep(
    network: &mut dyn Listener,
    local: &mut dyn LocalListener,
    limits: &Limits,
    waits_for: &WaitsFor,
) -> Infallible {
    let mut answers = JoinSet::new();
    let deadline = limits.register_deadline;
    loop {
        // Both streams are refused alike; a handle to memory is never passed here.
        let accepted = tokio::select! {
            biased;
            accepted = network.accept() => accepted.map(Caller::Tcp),
            accepted = local.accept() => accepted.map(Caller::Unix),
        };
        while answers.try_join_next().is_some() {}
        match accepted {
            Ok(_) if answers.len() >= limits.refusals_max => {}
            Ok(caller) => {
                let (waits_for, bytes_max) =
                    (waits_for.clone(), limits.unregistered_frame_bytes_max);
                let parting = limits.parting_deadline;
                answers.spawn_local(async move {
                    let answered = caller.answer(&waits_for, bytes_max, parting);
                    // A caller that leaves, or says nothing, is owed nothing.
                    tokio::time::timeout(deadline, answered).await.ok();
                });
            }
            Err(error) => {
                tracing::debug!(%error, "could not accept a connection");
                tokio::time::sleep(limits.accept_pause).await;
            }
        }
    }
}

enum Caller {
    Tcp(Box<dyn Stream>),
    Unix(Box<dyn vineyard_env::LocalStream>),
}

impl Caller {
    async fn answer(
        self,
        waits_for: &WaitsFor,
        bytes_max: usize,
        parting: Duration,
    ) -> io::Result<()> {
        match self {
            Self::Unix(mut stream) => {
                let reader = FrameReader::default();
                refuse(&mut *stream, reader, waits_for, bytes_max, parting).await
            }
            Self::Tcp(mut stream) => {
                let mut first = [0; MAGIC.len()];
                stream.read_exact(&mut first).await?;
                if first == MAGIC || first[4..] != [0; 4] {
                    return Ok(());
                }
                let reader = FrameReader::new(first.to_vec());
                refuse(&mut *stream, reader, waits_for, bytes_max, parting).await
            }
        }
    }
}

/// Answers the first request, and gives the client time to read the answer.
async fn refuse<S>(
    stream: &mut S,
    mut reader: FrameReader,
    waits_for: &WaitsFor,
    bytes_max: usize,
    parting: Duration,
) -> io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + ?Sized,
{
    // A request that stops half way is given no longer than the parting.
    if matches!(reader.frame(stream, bytes_max, parting).await, Ok(None)) {
        return Ok(());
    }
    writer::write(stream, &Err(waits_for.refusal())).await?;
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    let read = async { while stream.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {} };
    tokio::time::timeout(parting, read).await.ok();
    Ok(())
}
