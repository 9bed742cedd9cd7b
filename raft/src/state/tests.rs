//! The state's semantics, one file per topic, and one that throws random commands at two replicas.

use std::collections::BTreeMap;

use vineyard_env::NoFaults;
use vineyard_wire::{InstanceId, NodeId, ObjectId, Signature};

use super::instances::{Instance, Liveness};
use super::objects::{BlobRow, Link, Lost, Record};
use super::{Event, State};
use crate::command::{Applied, Command, Condition, Entry, Outcome, RequestKey, VERSION};

mod deletes;
mod dropping;
mod leaving;
mod levels;
mod locking;
mod membership;
mod naming;
mod persisting;
mod publishing;
mod quota;
mod random;
mod retries;
mod rotating;
mod setting;

const BLOB_BIT: u64 = 1 << 63;

fn o(id: u64) -> ObjectId {
    ObjectId(id)
}

fn b(id: u64) -> ObjectId {
    ObjectId(id | BLOB_BIT)
}

/// Boot 0 of a node.
fn i(node: u64) -> InstanceId {
    InstanceId::new(NodeId(node), 0)
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

/// An object on instance 0 whose signature is its id plus 1000; members are named by their position.
fn record(id: u64, members: &[ObjectId]) -> Record {
    let link = |&member: &ObjectId| match member.is_blob() {
        true => Link::Blob {
            id: member,
            instance: i(0),
        },
        false => Link::Object {
            id: member,
            signature: Signature(member.0 + 1000),
        },
    };
    Record {
        id: o(id),
        signature: Signature(id + 1000),
        instance: i(0),
        typename: "vineyard::Thing".to_owned(),
        global: false,
        timestamp_ms: 7,
        attributes: BTreeMap::from([("nbytes".to_owned(), "8".to_owned())]),
        members: members
            .iter()
            .map(link)
            .enumerate()
            .map(|(n, l)| (format!("m{n}"), l))
            .collect(),
        labels: BTreeMap::new(),
    }
}

fn global(id: u64, members: &[ObjectId]) -> Record {
    Record {
        global: true,
        instance: InstanceId::UNSPECIFIED,
        ..record(id, members)
    }
}

fn row(blob: ObjectId, size: u64, locations: &[InstanceId]) -> BlobRow {
    let locations = locations.iter().copied().collect();
    BlobRow {
        id: blob,
        size,
        checksum: None,
        locations,
        lost: Lost::No,
    }
}

fn instance(id: InstanceId) -> Instance {
    Instance {
        id,
        hostid: 1,
        hostname: "host".to_owned(),
        ipc_socket: "/vineyard.sock".to_owned(),
        endpoint: format!("127.0.0.1:{}", 9600 + id.0 % 100),
        liveness: Liveness::Up,
        since_unix_ms: id.boot(),
    }
}

fn persist(records: &[Record]) -> Command {
    Command::Persist {
        records: records.to_vec(),
        blobs: Vec::new(),
    }
}

fn delete(ids: &[ObjectId], force: bool, deep: bool) -> Command {
    Command::Delete {
        ids: ids.to_vec(),
        force,
        deep,
    }
}

fn drop_locations(instance: InstanceId, blobs: &[ObjectId]) -> Command {
    Command::DropLocations {
        instance,
        blobs: blobs.to_vec(),
    }
}

fn put_name(name: &str, id: ObjectId, condition: Condition) -> Command {
    Command::PutName {
        name: name.to_owned(),
        id,
        condition,
    }
}

fn key(instance: InstanceId, sequence: u64, answered_below: u64) -> RequestKey {
    RequestKey {
        instance,
        sequence,
        answered_below,
    }
}

/// A replica that numbers its entries.
#[derive(Clone)]
struct Replica {
    state: State,
    now_unix_ms: u64,
}

impl Replica {
    /// A founded cluster with nodes 0, 1 and 2, their first boots registered.
    fn of_three() -> Self {
        let mut replica = Self {
            state: State::default(),
            now_unix_ms: 1_000,
        };
        replica.done(Command::Found {
            cluster: "c".to_owned(),
        });
        for node in 0..3u64 {
            let endpoint = format!("127.0.0.1:{node}");
            replica
                .run(Command::Admit {
                    key: u128::from(node) + 100,
                    endpoint,
                })
                .0
                .expect("admits");
            replica.register(i(node));
        }
        replica
    }

    fn entry(&mut self, request: Option<RequestKey>, command: Command) -> (Outcome, Vec<Event>) {
        let entry = Entry {
            version: VERSION,
            request,
            at_unix_ms: self.now_unix_ms,
            command,
        };
        let result = self
            .state
            .apply(self.state.applied() + 1, &entry, &NoFaults);
        self.state.assert_invariants();
        result
    }

    fn run(&mut self, command: Command) -> (Outcome, Vec<Event>) {
        self.entry(None, command)
    }

    /// Runs a command that must be done, and returns its events.
    fn done(&mut self, command: Command) -> Vec<Event> {
        let (outcome, events) = self.run(command);
        assert_eq!(outcome, Ok(Applied::Done));
        events
    }

    fn register(&mut self, id: InstanceId) -> Vec<Event> {
        self.done(Command::Register {
            instance: instance(id),
        })
    }

    /// Deletes and returns what went.
    fn delete(
        &mut self,
        ids: &[ObjectId],
        force: bool,
        deep: bool,
    ) -> (Vec<ObjectId>, Vec<ObjectId>) {
        match self.run(delete(ids, force, deep)).0 {
            Ok(Applied::Deleted { objects, blobs }) => (objects, blobs),
            other => panic!("a delete is never refused: {other:?}"),
        }
    }

    fn ids(&self) -> Vec<ObjectId> {
        self.state.objects().map(|record| record.id).collect()
    }
}
