//! What the tests do over and over.

use std::collections::BTreeMap;

use tokio::task::LocalSet;
use vineyard_raft::command::{Applied, Command, Condition};
use vineyard_raft::state::objects::Record;
use vineyard_raft::{Error, Meta, Options};
use vineyard_wire::{InstanceId, ObjectId, Signature};

use crate::world::{WAIT, World, until};

pub(crate) const OBJECT: ObjectId = ObjectId(1);

/// Runs a test with the clock stopped.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// The boot that speaks: the one that registered last, if any did.
pub(crate) fn instance(meta: &Meta) -> InstanceId {
    let me = meta.status().me;
    meta.state()
        .current_instance_of(me)
        .map_or(InstanceId::new(me, 0), |boot| boot.id)
}

pub(crate) fn object(attributes: BTreeMap<String, String>) -> Command {
    let record = Record {
        id: OBJECT,
        signature: Signature(1),
        instance: InstanceId(0),
        typename: "test".to_owned(),
        global: false,
        timestamp_ms: 0,
        attributes,
        members: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    Command::Persist {
        records: vec![record],
        blobs: Vec::new(),
    }
}

pub(crate) fn name_once(name: &str) -> Command {
    Command::PutName {
        name: name.to_owned(),
        id: OBJECT,
        condition: Condition::IfAbsent,
    }
}

pub(crate) async fn put(meta: &Meta, name: &str) -> Result<Applied, Error> {
    meta.submit(instance(meta), name_once(name), WAIT).await
}

/// Three voters, one object.
pub(crate) async fn three(world: &World, options: &Options) -> [Meta; 3] {
    let first = world.found(options).await;
    first
        .submit(instance(&first), object(BTreeMap::new()), WAIT)
        .await
        .unwrap();
    let second = world.join(&first, options).await;
    let third = world.join(&second, options).await;
    let nodes = [first, second, third];
    until("three voters everywhere", || {
        nodes.iter().all(|n| n.status().voters.len() == 3)
    })
    .await;
    nodes
}

pub(crate) fn leader_of(nodes: &[Meta]) -> usize {
    nodes
        .iter()
        .position(|node| node.status().is_leader)
        .expect("somebody leads")
}
