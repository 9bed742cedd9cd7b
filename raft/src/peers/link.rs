//! Connections to one member, kept between questions.
//!
//! Each connection carries one question at a time, so one that was given up halfway is closed, never used again; as
//! many are open as there are questions at once. That a member no longer answers, or answers again, is logged once.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::Instant;
use vineyard_env::Stream;
use vineyard_wire::frame::{self, HEADER_BYTES};
use vineyard_wire::limits::PEER_FRAME_BYTES_MAX;
use vineyard_wire::{NodeId, peer};

use super::Dial;
use super::absences::Absences;
use super::message::{Answer, Question};
use crate::options::{AWAY_AFTER, DIAL_TIMEOUT, LINKS_IDLE_MAX, SLOWEST_BYTES_PER_SECOND};
use crate::published::Published;
use crate::types::runtime;

/// All links of one member of the group. Clones share them.
#[derive(Clone)]
pub(crate) struct Links {
    dial: Arc<dyn Dial>,
    shared: Arc<Published>,
    idle: Arc<Mutex<Idle>>,
    /// One that was idle for longer is about to be closed by the other side; at the usual pace.
    idle_max: Duration,
    absences: Arc<Mutex<Absences>>,
}

/// Each with when it was used last, ascending.
type Idle = BTreeMap<NodeId, Vec<(Instant, Box<dyn Stream>)>>;

impl Links {
    pub(crate) fn new(dial: Arc<dyn Dial>, shared: Arc<Published>, idle_max: Duration) -> Self {
        Self {
            dial,
            shared,
            idle: Arc::default(),
            idle_max,
            absences: Arc::default(),
        }
    }

    /// How long the group takes for `time` at its present pace.
    pub(crate) fn stretch(&self, time: Duration) -> Duration {
        self.shared.pace.stretch(time)
    }

    /// Asks `node`, on a kept connection if there is one. A kept connection may have died since; then a new one is
    /// tried. The bytes of the question get time on top of `within`.
    pub(crate) async fn ask(
        &self,
        node: NodeId,
        question: &Question,
        within: Duration,
    ) -> io::Result<Answer> {
        let frame = frame::with_header(&peer::encode(question));
        let within = within + transfer_time(frame.len());
        let asking = async {
            let kept = self.kept(node);
            if let Some(mut stream) = kept {
                if let Ok(answer) = exchange(stream.as_mut(), &frame).await {
                    self.keep(node, stream);
                    return Ok(answer);
                }
                // The others are as old as this one.
                self.lock().remove(&node);
            }
            let mut stream = self.dial(node).await?;
            let answer = exchange(stream.as_mut(), &frame).await?;
            self.keep(node, stream);
            Ok(answer)
        };
        let answer = match tokio::time::timeout(within, asking).await {
            Ok(answer) => answer,
            Err(_) => {
                // The kept ones lead to the same silence: the next question finds out by dialling.
                self.lock().remove(&node);
                let (called, waited) = (self.shared.called(node), within.as_millis());
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{called} did not answer within {waited} ms"),
                ))
            }
        };
        self.note(node, answer.as_ref().err());
        answer
    }

    /// Logs when `node` has begun or ceased to be away.
    fn note(&self, node: NodeId, error: Option<&io::Error>) {
        let absences = || self.absences.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = || self.shared.endpoint_of(node).unwrap_or_default();
        let called = || self.shared.called(node);
        match error {
            Some(error) if absences().fails(node, Instant::now(), self.stretch(AWAY_AFTER)) => {
                tracing::warn!(node = %called(), endpoint = endpoint(), %error, "a node does not answer");
            }
            Some(_) => {}
            None => {
                if let Some(away) = absences().answers(node, Instant::now()) {
                    let away_ms = away.as_millis();
                    tracing::info!(node = %called(), endpoint = endpoint(), away_ms, "a node answers again");
                }
            }
        }
    }

    /// Dials where this node knows that `node` listens, or has listened.
    async fn dial(&self, node: NodeId) -> io::Result<Box<dyn Stream>> {
        let nowhere = format!("nobody knows where {} is", self.shared.called(node));
        let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, nowhere));
        for endpoint in self.shared.endpoints_of(node) {
            outcome = self.dial_at(node, endpoint).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn dial_at(&self, node: NodeId, endpoint: String) -> io::Result<Box<dyn Stream>> {
        let (links, dialling) = (self.clone(), self.dial.dial(node, endpoint));
        let (opened, stream) = oneshot::channel();
        let within = self.stretch(DIAL_TIMEOUT);
        // Not part of the question: one that has no time left leaves the connection to the next.
        runtime::spawn(async move {
            let dialled = tokio::time::timeout(within, dialling).await;
            let dialled = dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            if let Err(Ok(unclaimed)) = opened.send(dialled) {
                links.keep(node, unclaimed);
            }
        });
        stream
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
    }

    /// The connection that was used last, unless all have been idle for too long.
    fn kept(&self, node: NodeId) -> Option<Box<dyn Stream>> {
        let mut idle = self.lock();
        let kept = idle.get_mut(&node)?;
        self.drop_old(kept);
        kept.pop().map(|(_, stream)| stream)
    }

    fn keep(&self, node: NodeId, stream: Box<dyn Stream>) {
        let mut idle = self.lock();
        let kept = idle.entry(node).or_default();
        self.drop_old(kept);
        if kept.len() < LINKS_IDLE_MAX {
            kept.push((Instant::now(), stream));
        }
    }

    /// Drops what was idle for too long, and what is not to be used any more.
    fn drop_old(&self, kept: &mut Vec<(Instant, Box<dyn Stream>)>) {
        let idle_max = self.stretch(self.idle_max);
        kept.retain(|(used, stream)| {
            used.elapsed() < idle_max && self.dial.may_keep(stream.as_ref())
        });
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn exchange(stream: &mut dyn Stream, frame: &[u8]) -> io::Result<Answer> {
    stream.write_all(frame).await?;
    stream.flush().await?;
    let len = read_length(stream).await?;
    read_body(stream, len).await
}

/// What a slow network and a slow disk take for this many bytes, and their way on to a majority.
pub(super) fn transfer_time(bytes: usize) -> Duration {
    Duration::from_millis(2 * 1000 * bytes as u64 / SLOWEST_BYTES_PER_SECOND)
}

pub(super) async fn write<T: Serialize>(stream: &mut dyn Stream, message: &T) -> io::Result<()> {
    stream
        .write_all(&frame::with_header(&peer::encode(message)))
        .await?;
    stream.flush().await
}

/// The length of the body that follows.
pub(super) async fn read_length(stream: &mut dyn Stream) -> io::Result<usize> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    frame::body_bytes(header, PEER_FRAME_BYTES_MAX)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

pub(super) async fn read_body<T: DeserializeOwned>(
    stream: &mut dyn Stream,
    len: usize,
) -> io::Result<T> {
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    peer::decode(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
