//! The identity of this node: kept on its disk, and the same after a restart.
//!
//! The instance id that clients see is `node + boot * 65536`. The boot is counted here and made durable before it is
//! used, so no two processes of a node have the same instance id.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use vineyard_env::{Change, Disk, Env, Random};
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_raft::{Epoch, Founding, Member};
use vineyard_wire::peer::Candidate;
use vineyard_wire::{InstanceId, NodeId};

use crate::boot::secrets::{Secret, Secrets};
use crate::boot::token::{SECRET_BYTES, Token};
use crate::config::Join;
use crate::context::NodeContext;
use crate::peer::handshake::Credentials;

/// Longer than a disk with room takes.
const SAVED_WITHIN: Duration = Duration::from_secs(60);

/// The only key on the disk that does not belong to the raft group.
const KEY: &[u8] = b"\x00identity";
/// The first byte of the record, before the JSON of `Identity`. It is independent of the version of the peer protocol.
const VERSION: u8 = 1;
/// An object id has 15 bits for the boot: a node that was started this often has no object ids left.
pub(crate) const BOOTS_MAX: u64 = 1 << 15;
/// Lives kept in the record. A member that missed this many starts of a node would take the node for a copy.
pub(crate) const LIVES_MAX: usize = 1 << 12;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Random, made once per data directory.
    pub(crate) key: u128,
    /// Absent until the cluster has admitted this node.
    pub(crate) node: Option<NodeId>,
    pub(crate) cluster: String,
    pub(crate) secret: [u8; SECRET_BYTES],
    pub(crate) epoch: u64,
    /// Whether this node founded the cluster.
    pub(crate) founder: bool,
    /// Starts of this node so far, this one included.
    pub(crate) boots: u64,
    /// One random number for each process that has run from this data directory, the last `LIVES_MAX` of them. By these
    /// the cluster, and members that are far behind, recognise the disk as the one that they have seen last.
    #[serde(default)]
    pub(crate) lives: Vec<u128>,
    /// The nodes with which this one has agreed to form a cluster, in the order of their keys; empty if it has not, or
    /// is a member. It forms no cluster with others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) agreed: Vec<Candidate>,
    /// Hashes of the secrets that rotations of the token have replaced: a token with one of them is an old one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaced: Vec<String>,
    /// Every member of the cluster knew TLS once: nodes that call in plain are refused since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) encrypts: bool,
    /// Why the cluster has refused a life of this node. The next life would have an id that is new to the cluster, but
    /// this disk lacks what the node's other process acknowledged, so it must not start either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// The refusal was that the cluster has taken this node out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) removed: bool,
}

impl Identity {
    /// The identity on the disk; `None` if there is none.
    pub(crate) fn load(disk: &dyn Disk) -> io::Result<Option<Self>> {
        let Some(bytes) = disk.get(KEY)? else {
            return Ok(None);
        };
        let damaged = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
        match bytes.split_first() {
            Some((&VERSION, record)) => serde_json::from_slice(record)
                .map(Some)
                .map_err(|error| damaged(format!("the record of this node's identity: {error}"))),
            Some((version, _)) => Err(damaged(format!(
                "the record of this node's identity has version {version}; this program reads {VERSION}"
            ))),
            None => Err(damaged(
                "the record of this node's identity is empty".to_owned(),
            )),
        }
    }

    /// The first node of the cluster of `token`.
    pub(crate) fn found(env: &Env, token: Token) -> Self {
        let Token { cluster, secret } = token;
        Self {
            key: random_key(env.random.as_ref()),
            node: Some(NodeId(0)),
            cluster,
            secret,
            epoch: 1,
            founder: true,
            boots: 0,
            lives: Vec::new(),
            agreed: Vec::new(),
            replaced: Vec::new(),
            encrypts: false,
            refused: None,
            removed: false,
        }
    }

    /// A node that asks to be admitted.
    pub(crate) fn join(env: &Env, token: &Token) -> Self {
        let Token { cluster, secret } = token.clone();
        Self {
            key: random_key(env.random.as_ref()),
            node: None,
            cluster,
            secret,
            epoch: 1,
            founder: false,
            boots: 0,
            lives: Vec::new(),
            agreed: Vec::new(),
            replaced: Vec::new(),
            encrypts: false,
            refused: None,
            removed: false,
        }
    }

    /// This node founds the cluster that it was about to join.
    pub(crate) fn founds(&mut self) {
        self.founder = true;
        self.is_admitted(NodeId(0), 1);
    }

    /// A cluster has admitted this node.
    pub(crate) fn is_admitted(&mut self, node: NodeId, epoch: u64) {
        self.node = Some(node);
        self.epoch = epoch;
        self.agreed = Vec::new();
    }

    /// The token was rotated: `before` are the secrets that are valid no more, or not for long.
    pub(crate) fn has_rotated(&mut self, current: Secret, before: &[Secret]) {
        self.secret = current;
        for secret in before {
            let hash = hash(secret);
            if !self.replaced.contains(&hash) {
                self.replaced.push(hash);
            }
        }
    }

    /// Whether `token` is an old one of this node's cluster.
    pub(crate) fn has_replaced(&self, token: &Token) -> bool {
        self.replaced.contains(&hash(&token.secret))
    }

    /// The same node with another join token; for a node that no cluster has admitted yet.
    pub(crate) fn invited_by(self, token: Token) -> Self {
        let Token { cluster, secret } = token;
        Self {
            cluster,
            secret,
            ..self
        }
    }

    /// A token of the same cluster that this member was given and does not know: a rotation may have made it while the
    /// node was away.
    pub(crate) fn other_token(&self, join: Option<&Join>) -> Option<Token> {
        let token: Token = join?.token.parse().ok()?;
        let is_other = token.cluster == self.cluster && token.secret != self.secret;
        (is_other && !self.has_replaced(&token)).then_some(token)
    }

    /// As `save`, but for a limited time: a process that starts or ends must not wait for room for ever.
    pub(crate) async fn save_or_give_up(&self, disk: &dyn Disk) -> io::Result<()> {
        let saved = tokio::time::timeout(SAVED_WITHIN, self.save(disk)).await;
        saved.unwrap_or_else(|_| {
            let reason = format!(
                "the node's identity was not written within {} s; look whether the file system of the data directory \
                 has room",
                SAVED_WITHIN.as_secs()
            );
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        })
    }

    /// Returns once the record is durable.
    pub(crate) async fn save(&self, disk: &dyn Disk) -> io::Result<()> {
        let (done, saved) = oneshot::channel();
        let put = self.put();
        // The receiver is dropped only when this future is.
        disk.commit(vec![put], Box::new(move |result| drop(done.send(result))));
        saved
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the disk stopped")))
    }

    /// The change by which the disk has this record.
    pub(crate) fn put(&self) -> Change {
        Change::Put(KEY.to_vec(), self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, self).expect("plain fields always have a JSON form");
        bytes
    }

    /// Adds this life; `None` if the node has used all its boots. The caller must save the result before using it.
    pub(crate) fn reborn(mut self, random: &dyn Random) -> Option<Self> {
        self.boots += 1;
        self.lives.push(random_key(random));
        let forgotten = self.lives.len().saturating_sub(LIVES_MAX);
        self.lives.drain(..forgotten);
        (self.boots <= BOOTS_MAX).then_some(self)
    }

    pub(crate) fn token(&self) -> Token {
        Token {
            cluster: self.cluster.clone(),
            secret: self.secret,
        }
    }

    /// What this process proves to other nodes. The process has one, whose clones share the epoch.
    pub(crate) fn credentials(&self, env: &Env) -> Credentials {
        let Self {
            cluster,
            secret,
            epoch,
            node,
            ..
        } = self.clone();
        Credentials {
            cluster,
            secrets: Secrets::new(secret, env.clock.clone()),
            epoch: Epoch::new(epoch),
            node,
        }
    }

    /// This node as a part of the metadata group. A recovery raises the epoch of `credentials`.
    pub(crate) fn member(&self, node: NodeId, endpoint: &str, credentials: &Credentials) -> Member {
        Member {
            node,
            endpoint: endpoint.to_owned(),
            epoch: credentials.epoch.clone(),
            found: self.founder.then(|| Founding {
                cluster: self.cluster.clone(),
                key: self.key,
            }),
        }
    }

    /// The record of this boot for the cluster.
    pub(crate) fn instance_record(&self, node: &NodeContext) -> Instance {
        Instance {
            id: node.instance,
            hostid: self.key as u64 & (u64::MAX >> 1),
            hostname: node.hostname.clone(),
            ipc_socket: node.config.ipc_socket.clone(),
            endpoint: node.endpoint.clone(),
            liveness: Liveness::Up,
            since_unix_ms: node.started_unix_ms,
        }
    }

    /// The node and its cluster as text for people; `None` before a cluster has admitted it.
    pub(crate) fn name(&self) -> Option<String> {
        let node = self.node?;
        Some(format!("{node} of cluster {}", self.cluster))
    }

    /// This boot's instance id.
    pub(crate) fn instance(&self, node: NodeId) -> InstanceId {
        InstanceId::new(node, self.boots - 1)
    }
}

/// A secret is random, so its hash tells nothing of it.
fn hash(secret: &Secret) -> String {
    blake3::hash(secret).to_hex().to_string()
}

fn random_key(random: &dyn Random) -> u128 {
    u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())
}

#[cfg(test)]
mod tests;
