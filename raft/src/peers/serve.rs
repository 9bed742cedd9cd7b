//! The answering side: questions of other members on accepted connections.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use openraft::raft::AppendEntriesResponse;
use openraft::storage::Snapshot;
use tokio::time::{Instant, timeout};
use vineyard_env::Stream;

use super::MayAsk;
use super::link;
use super::message::{Answer, Chunk, Question};
use crate::features;
use crate::machine::Image;
use crate::meta::driver::Driver;
use crate::options::{SERVE_WITHIN, SERVED_IDLE_HEARTBEATS, SNAPSHOT_BYTES_MAX};

/// Snapshots that are arriving, by their vote and place. One sender has at most one.
#[derive(Default)]
pub(crate) struct Arriving(BTreeMap<(String, u64), Vec<u8>>);

/// Answers until the other side leaves, or asks nothing for so long that it must have: a machine that lost its power
/// closes nothing.
pub(crate) async fn serve(
    driver: Rc<Driver>,
    mut stream: Box<dyn Stream>,
    may_ask: MayAsk,
) -> io::Result<()> {
    let patience = Duration::from_millis(driver.options.heartbeat_ms) * SERVED_IDLE_HEARTBEATS;
    loop {
        let patience = driver.stretch(patience);
        let len = match timeout(patience, link::read_length(stream.as_mut())).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(len) => len?,
            Err(_) => return Ok(()),
        };
        let within = patience + link::transfer_time(len);
        let question = timeout(within, link::read_body(stream.as_mut(), len)).await??;
        may_ask().map_err(io::Error::other)?;
        let answer = answer(&driver, question).await;
        timeout(patience, link::write(stream.as_mut(), &answer)).await??;
    }
}

async fn answer(driver: &Rc<Driver>, question: Question) -> Answer {
    let failed = |error: &dyn std::fmt::Display| Answer::Failed(error.to_string());
    match question {
        Question::Append(rpc) => {
            let leader = rpc.vote.leader_id().voted_for;
            match driver.raft.append_entries(rpc).await {
                Ok(answer) => {
                    if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                        driver.shared.contact.hear(leader, Instant::now());
                    }
                    Answer::Append(answer)
                }
                Err(error) => failed(&error),
            }
        }
        Question::Vote(rpc) => driver
            .raft
            .vote(rpc)
            .await
            .map_or_else(|e| failed(&e), Answer::Vote),
        Question::PreVote(rpc) => driver
            .raft
            .pre_vote(rpc)
            .await
            .map_or_else(|e| failed(&e), Answer::Vote),
        Question::Snapshot(chunk) => receive(driver, chunk).await,
        Question::Forward { key, command } => {
            let proposed = driver.propose(key, &command, None);
            known(driver, within(driver, proposed).await)
        }
        Question::ForwardTraced {
            trace,
            key,
            command,
        } => {
            let proposed = driver.propose(key, &command, Some(trace));
            known(driver, within(driver, proposed).await)
        }
        Question::ReadIndex => driver.read_index_here().await,
        Question::Admit { key, endpoint } => {
            within(driver, driver.admit_here(key, endpoint, features::BASE)).await
        }
        Question::AdmitAt {
            key,
            endpoint,
            level,
        } => within(driver, driver.admit_here(key, endpoint, level)).await,
        Question::WhoLeads => Answer::Leads(driver.shared.leader()),
        Question::TakeOver(rpc) => driver
            .raft
            .handle_transfer_leader(rpc)
            .await
            .map_or_else(|e| failed(&e), Answer::TakenOver),
        Question::Standing => driver.standing_here(),
    }
}

/// The caller gave up long before: without a majority a command could wait for ever.
async fn within(driver: &Driver, answering: impl Future<Output = Answer>) -> Answer {
    let late = |_| Answer::Failed("no majority stored it in time".to_owned());
    timeout(driver.stretch(SERVE_WITHIN), answering)
        .await
        .unwrap_or_else(late)
}

/// An answer that a member of before knows as well, while there may be one: it would hang up on another.
fn known(driver: &Driver, answer: Answer) -> Answer {
    match answer {
        Answer::NoRoom(shortage) if driver.feature_level() < features::MEMBERS => {
            Answer::Failed(shortage.to_string())
        }
        answer => answer,
    }
}

/// Collects pieces; the last one installs the snapshot.
async fn receive(driver: &Rc<Driver>, chunk: Chunk) -> Answer {
    let (vote, meta) = (chunk.vote, chunk.meta.clone());
    let whole = match driver.arriving.borrow_mut().add(chunk) {
        Ok(Some(whole)) => whole,
        Ok(None) => return Answer::Snapshot(vote),
        Err(reason) => return Answer::Failed(reason.to_owned()),
    };
    let snapshot = Snapshot {
        meta,
        snapshot: Image(whole.into()),
    };
    match driver.raft.install_full_snapshot(vote, snapshot).await {
        Ok(response) => Answer::Snapshot(response.vote),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

impl Arriving {
    /// The whole snapshot if this was its last piece.
    fn add(&mut self, chunk: Chunk) -> Result<Option<Vec<u8>>, &'static str> {
        let Chunk {
            vote,
            meta,
            total,
            offset,
            bytes,
        } = chunk;
        if total > SNAPSHOT_BYTES_MAX {
            return Err("the snapshot is larger than this node accepts");
        }
        if offset == 0 {
            // A new attempt replaces whatever came before it.
            self.0.clear();
        }
        let key = (
            vote.to_string(),
            meta.last_log_id.map_or(0, |last| last.index),
        );
        let buffer = self.0.entry(key.clone()).or_default();
        if buffer.len() as u64 != offset || offset + bytes.len() as u64 > total {
            return Err("a piece of the snapshot is out of order");
        }
        buffer.extend(bytes);
        if (buffer.len() as u64) < total {
            return Ok(None);
        }
        Ok(self.0.remove(&key))
    }
}
