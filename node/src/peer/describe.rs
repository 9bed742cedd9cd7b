//! What a node says of itself to those who look after it, and to other nodes for their clients.
//!
//! Promise: no secret is in it; no turn of the store looks at more than a bounded number of blobs, and no description
//! is longer than a message between nodes.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::rc::Rc;

use vineyard_env::User;
use vineyard_raft::features;
use vineyard_store::{Blob, HolderId};
use vineyard_wire::describe::{DescribeNode, NodeDescription, SessionHolds, SettingShown};
use vineyard_wire::json::{decode_reply, encode_reply};
use vineyard_wire::peer::{Answer, Ask};
use vineyard_wire::{Code, NodeId, ObjectId, Reply, Status};

use super::frames::MESSAGE_BYTES_MAX;
use super::view;
use crate::context::NodeContext;
use crate::context::clients::Client;

/// Blobs that one turn looks at.
const TURN_BLOBS_MAX: usize = 4096;
/// Sessions and blobs that are listed.
const SESSIONS_MAX: usize = 1024;
const HELD_MAX: usize = 32_768;
/// The frame around the text.
const FRAME_BYTES: usize = 64;

/// Of this node, or of another one that is asked.
pub(crate) async fn answer(node: &Rc<NodeContext>, request: DescribeNode) -> Result<Reply, Status> {
    let DescribeNode {
        node: wanted,
        held_by,
    } = request;
    match wanted.filter(|wanted| *wanted != node.instance.node()) {
        None => described(node, held_by).await,
        Some(other) => ask(node, other, held_by).await,
    }
}

/// The answer to a node, for a client of its.
pub(super) async fn for_a_peer(
    node: &Rc<NodeContext>,
    held_by: Option<u64>,
) -> Result<Answer, Status> {
    let reply = described(node, held_by).await?;
    let text = String::from_utf8(encode_reply(&reply)).expect("JSON is UTF-8");
    if text.len() + FRAME_BYTES > MESSAGE_BYTES_MAX {
        let reason = format!(
            "its description has {} bytes and does not fit into a message: ask it itself",
            text.len()
        );
        return Err(Status::invalid(reason));
    }
    Ok(Answer::Described(text))
}

async fn ask(node: &Rc<NodeContext>, other: NodeId, held_by: Option<u64>) -> Result<Reply, Status> {
    let state = node.meta.state();
    if state.node(other).is_none() || state.is_removed(other) {
        return Err(Status::invalid(format!("the cluster has no node {other}")));
    }
    if state.level_of(other) < features::MEMBERS {
        let reason = format!("{other} runs a build that does not describe itself to others");
        return Err(Status::new(Code::NotImplemented, reason));
    }
    let unreached = |reason: String| Status::new(Code::IoError, format!("{other}: {reason}"));
    let current = state.current_instance_of(other);
    let endpoint = current.map(|instance| instance.endpoint.clone());
    let endpoint = endpoint.ok_or_else(|| unreached("it has not registered".to_owned()))?;
    // It asks others as well, for its own view of the cluster.
    let deadline = 2 * node.config.limits.stats_deadline;
    let question = Ask::Describe { held_by };
    let asked = tokio::time::timeout(deadline, node.dialer.ask(&endpoint, &question)).await;
    let late = |_| unreached(format!("{endpoint} did not answer within {deadline:?}"));
    match asked.map_err(late)? {
        Ok((answerer, Answer::Described(text))) if answerer == other => {
            decode_reply(text.as_bytes()).map_err(|fault| unreached(fault.to_string()))?
        }
        Ok((_, Answer::Refused(status))) => Err(status),
        Ok(_) => Err(unreached(format!("another node answers at {endpoint}"))),
        Err(error) => Err(unreached(format!("{endpoint}: {error}"))),
    }
}

async fn described(node: &Rc<NodeContext>, held_by: Option<u64>) -> Result<Reply, Status> {
    let mut description = NodeDescription {
        instance_id: node.instance,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status: None,
        events: None,
        settings: Vec::new(),
        sessions: Vec::new(),
        sessions_left_out: 0,
        held: Vec::new(),
    };
    match held_by {
        Some(number) => {
            let client = node.counters.clients.get(number).ok_or_else(|| {
                Status::not_exists(format!(
                    "the node has no session {number}; it may have ended"
                ))
            })?;
            let held = held(node, client.holder, HELD_MAX).await?;
            description.held = held.into_iter().map(|(blob, _)| blob.id).collect();
        }
        None => {
            description.status = Some(view::of_cluster(node).await);
            description.events = Some(node.history.after(0, u64::MAX));
            let shown = node.config.shown.iter().map(|one| SettingShown {
                name: one.name.to_owned(),
                value: one.value.clone(),
                origin: one.origin.to_string(),
            });
            description.settings = shown.collect();
            let mut sessions = sessions(node).await?;
            description.sessions_left_out = sessions.len().saturating_sub(SESSIONS_MAX) as u64;
            sessions.truncate(SESSIONS_MAX);
            description.sessions = sessions;
        }
    }
    Ok(Reply::DescribeNode(Box::new(description)))
}

/// The sessions that hold anything, the largest first.
async fn sessions(node: &NodeContext) -> Result<Vec<SessionHolds>, Status> {
    let mut counted = BTreeSet::new();
    let mut sessions = Vec::new();
    for (session, client) in node.counters.clients.all() {
        let held = held(node, client.holder, usize::MAX).await?;
        if held.is_empty() {
            continue;
        }
        let mut holds = nothing(session, client);
        for (blob, is_deleted) in held {
            if counted.insert(blob.id) {
                count(&mut holds, &blob, is_deleted);
            }
        }
        sessions.push(holds);
    }
    sessions.sort_by_key(|holds| Reverse(holds.bytes));
    Ok(sessions)
}

fn nothing(session: u64, client: Client) -> SessionHolds {
    SessionHolds {
        session,
        caller: client.caller,
        user: match client.user {
            Some(User::Known(user)) => Some(user),
            Some(User::Unmapped) | None => None,
        },
        blobs: 0,
        bytes: 0,
        deleted_blobs: 0,
        deleted_bytes: 0,
    }
}

fn count(holds: &mut SessionHolds, blob: &Blob, is_deleted: bool) {
    holds.blobs += 1;
    holds.bytes += blob.size;
    holds.deleted_blobs += u64::from(is_deleted);
    holds.deleted_bytes += if is_deleted { blob.size } else { 0 };
}

/// At most `max` of the blobs that a session holds, in several turns, each with whether it was deleted.
async fn held(
    node: &NodeContext,
    holder: HolderId,
    max: usize,
) -> Result<Vec<(Blob, bool)>, Status> {
    let mut all: Vec<(Blob, bool)> = Vec::new();
    loop {
        let after = all.last().map_or(ObjectId(0), |(blob, _)| blob.id);
        let turn = TURN_BLOBS_MAX.min(max - all.len());
        let some = node
            .local
            .ask(move |local, _| local.store.held_by(holder, after, turn));
        let some = some.await?;
        let is_last = some.len() < TURN_BLOBS_MAX;
        all.extend(some);
        if is_last || all.len() >= max {
            return Ok(all);
        }
    }
}
