//! Turns of what is local: the rules of the ledger, and the state after a turn.

mod races;
mod relays;
mod rules;

use std::sync::Arc;

use serde_json::{Value, json};
use vineyard_raft::command::{Applied, Command};
use vineyard_shm::HeapMemory;
use vineyard_store::{HolderId, Store};
use vineyard_wire::id::IdMaker;
use vineyard_wire::{ObjectId, Tree};

use super::catalog::Catalog;
use super::catalog::tests::world::{A, NOW_MS, World, blob, object};
use super::delete::{Deleted, Deletion, PendingDelete};
use super::persist::Persisting;
use super::{Attempt, Local};

/// One node's local part and a replicated state to which the test applies commands.
struct Node {
    world: World,
    local: Local,
    holder: HolderId,
}

impl Node {
    fn new() -> Self {
        let store = Store::new(&HeapMemory, 1 << 20, IdMaker::new(A, 1)).expect("a small arena");
        let mut local = Local::new(store, Catalog::new(A, IdMaker::new(A, 1), u64::MAX), 80);
        Self {
            world: World::new(),
            holder: local.store.open_holder(true),
            local,
        }
    }

    /// A sealed blob without references.
    fn blob(&mut self) -> ObjectId {
        let made = self.local.store.create(self.holder, 8).expect("it fits");
        let sealed = self.local.seal_and_release(self.holder, &[made.id]);
        sealed.expect("it was just made");
        made.id
    }

    fn create(&mut self, tree: Tree) -> Attempt<Result<ObjectId, vineyard_wire::Status>> {
        let trees: Arc<[Tree]> = vec![tree].into();
        let made = self.local.create(&self.world.state, &trees, NOW_MS)?;
        Ok(made.map(|made| made[0].id))
    }

    /// A transient object over `member`.
    fn over(&mut self, member: ObjectId) -> ObjectId {
        let made = self.create(over(member));
        made.ok().expect("nothing is under way").expect("sound")
    }

    fn begin_persist(&mut self, id: ObjectId) -> Persisting {
        let begun = self.local.begin_persist(&self.world.state, &[id]);
        begun.ok().expect("nothing is under way").expect("known")
    }

    /// The replicated state applies what `persisting` carries.
    fn apply(&mut self, persisting: &mut Persisting) -> Applied {
        let proposal = std::mem::take(&mut persisting.proposal);
        self.world.run(Command::Persist {
            records: proposal.records,
            blobs: proposal.blobs,
        })
    }

    fn end_persist(&mut self, persisting: &Persisting, applied: bool) {
        let carried = &persisting.carried;
        self.local.end_persist(&self.world.state, carried, applied);
    }

    /// A persistent object over `blob`.
    fn persistent(&mut self, blob: ObjectId) -> ObjectId {
        let id = self.over(blob);
        let mut persisting = self.begin_persist(id);
        self.apply(&mut persisting);
        self.end_persist(&persisting, true);
        id
    }

    fn begin_delete(&mut self, deletion: &Deletion) -> PendingDelete {
        match self.local.delete(&self.world.state, deletion, true) {
            Ok(Deleted::Pending(pending)) => pending,
            _ => panic!("the cluster has a part in it"),
        }
    }
}

fn over(member: ObjectId) -> Tree {
    let node = match member.is_blob() {
        true => blob(member, A),
        false => json!({ "id": member.to_string() }),
    };
    tree(json!({ "typename": "vineyard::Thing", "instance_id": A.0, "member": node }))
}

fn tree(value: Value) -> Tree {
    object(value)
}

fn deletion(ids: &[ObjectId]) -> Deletion {
    Deletion {
        by: HolderId::NOBODY,
        ids: ids.to_vec(),
        named: ids.iter().copied().filter(|id| id.is_blob()).collect(),
        force: false,
        deep: true,
        trim: false,
    }
}
