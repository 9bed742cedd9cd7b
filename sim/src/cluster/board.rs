//! What a node's process shows to the checks, which take it from its board.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;
use vineyard_node::Node;
use vineyard_raft::Whereabouts;
use vineyard_wire::{InstanceId, NodeId};

use super::Cluster;
use crate::invariants::status_tells_the_truth::Says;

/// How often a board is brought up to date.
const LOOK: Duration = Duration::from_millis(100);

/// What a node's process shows to the checks.
#[derive(Debug, Default)]
pub struct Board {
    /// It has started and serves.
    pub serves: bool,
    pub instance: Option<InstanceId>,
    pub leads: bool,
    pub term: u64,
    /// Who votes, as far as it knows.
    pub voters: Vec<NodeId>,
    /// Which of the clusters of one id it is of.
    pub epoch: u64,
    /// What every member understands, as far as it knows.
    pub feature_level: u8,
    /// What it says of its group, and when.
    pub says: Option<(u64, Says)>,
    /// Entries applied, and the digest of the state after them.
    pub digest: Option<(u64, u64)>,
    /// Digests since the checks last looked, each with the epoch of the cluster.
    pub digests: Vec<(u64, (u64, u64))>,
    /// Where it dials the other nodes.
    pub places: Vec<Whereabouts>,
    /// Why it did not start.
    pub failure: Option<String>,
}

/// Keeps the board up to date for as long as the process lives.
pub(super) async fn show(node: &Node, board: &RefCell<Board>, cluster: &Cluster) {
    let instance = node.instance_id();
    {
        let mut board = board.borrow_mut();
        board.serves = true;
        board.instance = Some(instance);
    }
    for slot in cluster.slots.borrow_mut().values_mut() {
        if slot.board.as_ptr() == board.as_ptr() {
            slot.node = Some(instance.node());
        }
    }
    loop {
        let says = cluster.in_numbers(node);
        let status = node.group();
        let digest = node.state_digest();
        {
            let mut board = board.borrow_mut();
            board.leads = status.is_leader;
            board.term = status.term;
            board.voters.clone_from(&status.voters);
            board.epoch = node.epoch();
            board.feature_level = node.feature_level();
            board.says = says.map(|says| (cluster.world.now_ms(), says));
            board.places = node.places();
            if board.digest != Some(digest) {
                board.digest = Some(digest);
                let epoch = board.epoch;
                board.digests.push((epoch, digest));
            }
        }
        sleep(LOOK).await;
    }
}
