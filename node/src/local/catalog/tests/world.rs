//! One node's catalog and a replicated state to which the test applies commands.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vineyard_raft::command::{Applied, Command, Condition, Entry, VERSION};
use vineyard_raft::state::State;
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_raft::state::objects::{BlobRow, Link, Lost, Record};
use vineyard_wire::id::IdMaker;
use vineyard_wire::{InstanceId, ObjectId, Signature, Status, Tree, TreeText};

use crate::local::catalog::{Catalog, DeletePlan, LostBlobs};
use crate::local::pending::Pending;

/// The instance whose catalog it is.
pub(crate) const A: InstanceId = InstanceId(0);
pub(crate) const B: InstanceId = InstanceId(1);
pub(crate) const C: InstanceId = InstanceId(2);

/// When every object of these tests was created.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) catalog: Catalog,
    pending: Pending,
    index: u64,
}

impl World {
    /// Three nodes that are up; nothing is stored.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            catalog: Catalog::new(A, IdMaker::new(A, 1), u64::MAX),
            pending: Pending::default(),
            index: 0,
        };
        world.run(Command::Found {
            cluster: "c".to_owned(),
        });
        for node in [A, B, C] {
            let endpoint = format!("127.0.0.1:{}", 9600 + node.0);
            world.run(Command::Admit {
                key: u128::from(node.0) + 1,
                endpoint,
            });
            world.boot(node);
        }
        world
    }

    pub(crate) fn run(&mut self, command: Command) -> Applied {
        self.index += 1;
        let entry = Entry {
            version: VERSION,
            request: None,
            at_unix_ms: self.index,
            command,
        };
        let (outcome, _) = self
            .state
            .apply(self.index, &entry, &vineyard_env::NoFaults);
        self.state.assert_invariants();
        outcome.expect("the state agrees")
    }

    /// Registers an instance; what an earlier boot of its node held is lost.
    pub(crate) fn boot(&mut self, id: InstanceId) {
        let instance = Instance {
            id,
            hostid: 1,
            hostname: "host".to_owned(),
            ipc_socket: "v.sock".to_owned(),
            endpoint: format!("127.0.0.1:{}", 9600 + id.node().0),
            liveness: Liveness::Up,
            since_unix_ms: 1,
        };
        self.run(Command::Register { instance });
    }

    /// The next boot of the instance's node: the instance and all it held are gone.
    pub(crate) fn reboot(&mut self, id: InstanceId) {
        self.boot(InstanceId::new(id.node(), id.boot() + 1));
    }

    pub(crate) fn silence(&mut self, instance: InstanceId) {
        self.run(Command::Watch {
            instance,
            reachable: false,
        });
    }

    pub(crate) fn create(&mut self, tree: &Tree) -> ObjectId {
        self.try_create(tree).expect("the tree is sound").id
    }

    pub(crate) fn try_create(
        &mut self,
        tree: &Tree,
    ) -> Result<crate::local::catalog::absorb::Created, Status> {
        self.catalog
            .create(&self.pending, &self.state, tree, NOW_MS)
    }

    /// What a client on this node reads; fails the test when the object cannot be read.
    pub(crate) fn tree(&self, id: ObjectId) -> Tree {
        self.expand(id).expect("not too big").expect("readable")
    }

    /// The same, or its error. Checks that the text is that of a tree with sorted keys, and that the measured size
    /// fits.
    pub(crate) fn expand(&self, id: ObjectId) -> Result<Option<Tree>, Status> {
        let texts = self.catalog.expand(&self.state, &[id], LostBlobs::Here)?;
        texts.assert_measured();
        let text = texts.trees.get(&id);
        Ok(text.map(|text| {
            let tree = text.read().expect("it is JSON");
            assert_eq!(*text, TreeText::of(&tree));
            tree
        }))
    }

    /// Makes transient objects persistent, as the persist handler does.
    pub(crate) fn persist(&mut self, id: ObjectId) {
        for id in self.persist_but_remember(id) {
            self.catalog.remove(id);
        }
    }

    /// The moment after the log applied a persist and before the catalog forgot the transient copies.
    pub(crate) fn persist_but_remember(&mut self, id: ObjectId) -> Vec<ObjectId> {
        let plan = self
            .catalog
            .persist_plan(&self.state, &[id])
            .expect("known");
        let rows = plan
            .blobs
            .into_iter()
            .map(|(id, holders)| row(id, 8, holders));
        let blobs = rows.collect();
        let ids = plan.records.iter().map(|record| record.id).collect();
        self.run(Command::Persist {
            records: plan.records,
            blobs,
        });
        ids
    }

    /// An object that another node persisted.
    pub(crate) fn persisted(&mut self, record: Record) -> ObjectId {
        let id = record.id;
        let blobs = record.members.values().filter_map(|link| match *link {
            Link::Blob { id, instance } if id != ObjectId::EMPTY_BLOB => {
                Some(row(id, 8, [instance].into()))
            }
            _ => None,
        });
        let blobs = blobs.collect();
        self.run(Command::Persist {
            records: vec![record],
            blobs,
        });
        id
    }

    pub(crate) fn name(&mut self, name: &str, id: ObjectId) {
        self.run(Command::PutName {
            name: name.to_owned(),
            id,
            condition: Condition::Always,
        });
    }

    pub(crate) fn delete_plan(&self, ids: &[ObjectId], force: bool, deep: bool) -> DeletePlan {
        self.catalog.delete_plan(&self.state, ids, force, deep)
    }
}

pub(crate) fn o(id: u64) -> ObjectId {
    ObjectId(id)
}

pub(crate) fn b(id: u64) -> ObjectId {
    ObjectId(id | 1 << 63)
}

pub(crate) fn row(id: ObjectId, size: u64, locations: BTreeSet<InstanceId>) -> BlobRow {
    BlobRow {
        id,
        size,
        checksum: None,
        locations,
        lost: Lost::No,
    }
}

/// A record on `instance` whose signature is its id plus 1000; members are named by their position.
pub(crate) fn record(id: u64, instance: InstanceId, members: &[ObjectId]) -> Record {
    let link = |member: &ObjectId| match member.is_blob() {
        true => Link::Blob {
            id: *member,
            instance,
        },
        false => Link::Object {
            id: *member,
            signature: Signature(member.0 + 1000),
        },
    };
    let named = members.iter().enumerate();
    Record {
        id: o(id),
        signature: Signature(id + 1000),
        instance,
        typename: "vineyard::Thing".to_owned(),
        global: false,
        timestamp_ms: NOW_MS,
        attributes: BTreeMap::from([("nbytes".to_owned(), "8".to_owned())]),
        members: named
            .map(|(n, member)| (format!("m{n}"), link(member)))
            .collect(),
        labels: BTreeMap::new(),
    }
}

pub(crate) fn global(id: u64, members: &[ObjectId]) -> Record {
    Record {
        global: true,
        ..record(id, InstanceId::UNSPECIFIED, members)
    }
}

/// The least tree a client can create.
pub(crate) fn thing(instance: InstanceId) -> Tree {
    object(json!({ "typename": "vineyard::Thing", "instance_id": instance.0, "nbytes": 0 }))
}

pub(crate) fn object(value: Value) -> Tree {
    value.as_object().expect("a JSON object").clone()
}

/// A blob's node as a client sends it.
pub(crate) fn blob(id: ObjectId, instance: InstanceId) -> Value {
    json!({
        "id": id.to_string(), "typename": "vineyard::Blob", "instance_id": instance.0,
        "length": 8, "nbytes": 8, "transient": true,
    })
}

/// A new object's node as a client sends it inside another.
pub(crate) fn node(id: ObjectId, instance: InstanceId) -> Tree {
    object(json!({
        "id": id.to_string(), "typename": "vineyard::Part", "instance_id": instance.0,
        "signature": id.0 + 1000, "nbytes": 0,
    }))
}

/// The id of a tree's node.
pub(crate) fn id_of(node: &Value) -> ObjectId {
    node["id"]
        .as_str()
        .expect("a node has an id")
        .parse()
        .expect("and it reads")
}
