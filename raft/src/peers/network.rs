//! openraft's network: each of its messages as a question on a link.

use std::io;
use std::time::Duration;

use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use vineyard_wire::NodeId;

use super::link::Links;
use super::message::{Answer, Chunk, Question};
use crate::machine::Image;
use crate::options::{APPEND_WITHIN, SLOWEST_BYTES_PER_SECOND, SNAPSHOT_CHUNK_BYTES};
use crate::types::{Address, Snapshot, TypeConfig, Vote};

/// Makes a client for each member.
pub(crate) struct Network(pub(crate) Links);

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, _: &Address) -> Peer {
        Peer {
            links: self.0.clone(),
            target,
        }
    }
}

/// One member as openraft talks to it. Heartbeats, entries and snapshots never share a connection while one is in use.
pub(crate) struct Peer {
    links: Links,
    target: NodeId,
}

impl Peer {
    /// `within` is openraft's, at the usual pace.
    async fn ask(
        &self,
        question: &Question,
        within: Duration,
    ) -> Result<Answer, RPCError<TypeConfig>> {
        let within = self.links.stretch(within);
        let answer = self.links.ask(self.target, question, within).await;
        answer.map_err(into_rpc)
    }
}

/// A member that cannot be reached is retried after a pause, any other trouble at once.
fn into_rpc(error: io::Error) -> RPCError<TypeConfig> {
    match error.kind() {
        io::ErrorKind::TimedOut => RPCError::Network(NetworkError::new(&error)),
        _ => RPCError::Unreachable(Unreachable::new(&error)),
    }
}

fn unexpected(answer: Answer) -> RPCError<TypeConfig> {
    let reason = match answer {
        Answer::Failed(reason) => reason,
        _ => "an answer to another question".to_owned(),
    };
    RPCError::Network(NetworkError::new(&AnyError::error(reason)))
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // openraft allows a heartbeat's interval; entries also have to reach the other's disk.
        let within = match rpc.entries.is_empty() {
            true => option.hard_ttl(),
            false => option.hard_ttl().max(APPEND_WITHIN),
        };
        match self.ask(&Question::Append(rpc), within).await? {
            Answer::Append(response) => Ok(response),
            other => Err(unexpected(other)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(&Question::Vote(rpc), option.hard_ttl()).await? {
            Answer::Vote(response) => Ok(response),
            other => Err(unexpected(other)),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(&Question::PreVote(rpc), option.hard_ttl()).await? {
            Answer::Vote(response) => Ok(response),
            other => Err(unexpected(other)),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self
            .ask(&Question::TakeOver(rpc), option.hard_ttl())
            .await?
        {
            Answer::TakenOver(response) => Ok(response),
            other => Err(unexpected(other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, snapshot, option) => sent,
        }
    }
}

impl Peer {
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let bytes = snapshot.snapshot.0;
        let total = bytes.len() as u64;
        let within = self.links.stretch(option.hard_ttl());
        let within = within + Duration::from_secs(total / SLOWEST_BYTES_PER_SECOND);
        let mut answered = vote;
        for (index, chunk) in bytes.chunks(SNAPSHOT_CHUNK_BYTES).enumerate() {
            let chunk = Chunk {
                vote,
                meta: snapshot.meta.clone(),
                total,
                offset: (index * SNAPSHOT_CHUNK_BYTES) as u64,
                bytes: chunk.to_vec(),
            };
            let question = Question::Snapshot(chunk);
            let answer = self.links.ask(self.target, &question, within).await;
            match answer.map_err(|error| StreamingError::Network(NetworkError::new(&error)))? {
                Answer::Snapshot(theirs) => answered = theirs,
                Answer::Failed(reason) => {
                    let error = NetworkError::new(&AnyError::error(reason));
                    return Err(StreamingError::Network(error));
                }
                _ => {
                    let error = AnyError::error("an answer to another question");
                    return Err(StreamingError::Network(NetworkError::new(&error)));
                }
            }
            if answered > vote {
                break;
            }
        }
        Ok(SnapshotResponse::new(answered))
    }
}
