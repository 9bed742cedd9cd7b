//! Operations on plain objects: put, persist, read, delete, migrate.

use std::collections::BTreeSet;

use serde_json::Value;
use vineyard_client::{Client, DeleteOptions, GetOptions, PutBlob, PutObject};
use vineyard_wire::meta::key;
use vineyard_wire::{InstanceId, ObjectId, Tree};

use super::{End, Worker, ending};
use crate::content;
use crate::history::Told;
use crate::invariants::nothing_acknowledged_is_lost::Certainty;
use crate::oracle::Known;

/// Objects in one `persist_many`.
const BATCH_MAX: usize = 4;

impl Worker {
    pub(super) async fn put(&mut self, client: &Client) -> End {
        let draft = content::draw(&mut self.chance);
        let content = content::of_draft(&draft);
        let result = client.put(draft).await;
        self.note(format_args!("put {content:016x}"), &result);
        match result {
            Ok(created) => {
                let known = Known::new(&created, content);
                self.oracle.borrow_mut().made(&self.name, created.id, known);
                self.fresh.push(created.id);
                End::Told
            }
            Err(error) => ending(&error),
        }
    }

    /// Made, persisted and, half the time, named in one message.
    pub(super) async fn put_object(&mut self, client: &Client) -> End {
        let draft = content::draw(&mut self.chance);
        let (content, mark) = (content::of_draft(&draft), content::mark(&draft.attributes));
        let (tree, blobs) = content::tree_of(draft);
        let name = self.chance.happens(500).then(|| self.draw_name());
        if let Some(name) = &name {
            let mut oracle = self.oracle.borrow_mut();
            oracle.publish(self.number, name, mark, content);
        }
        let put = PutObject {
            content: tree,
            blobs: blobs.iter().map(|blob| PutBlob::Bytes(blob)).collect(),
            persist: true,
            name: name.clone(),
        };
        let result = client.put_object(put).await;
        let what = name.as_deref().unwrap_or("no name");
        self.note(format_args!("put_object {content:016x}, {what}"), &result);
        let mut oracle = self.oracle.borrow_mut();
        match result {
            Ok(created) => {
                let known = Known::new(&created, content);
                oracle.made(&self.name, created.id, known);
                oracle.persist(&[created.id], Certainty::Yes);
                oracle.published_as(mark, created.id);
                oracle.publish_told(mark, Told::Done);
                End::Told
            }
            Err(error) => {
                let end = ending(&error);
                if matches!(end, End::Told) {
                    oracle.publish_told(mark, Told::Refused);
                }
                end
            }
        }
    }

    pub(super) async fn persist(&mut self, client: &Client) -> End {
        let Some(id) = self.fresh_of(client.instance_id()).pop() else {
            return End::Skipped;
        };
        self.fresh.retain(|other| *other != id);
        self.oracle.borrow_mut().persist(&[id], Certainty::Maybe);
        let result = client.persist(id).await;
        self.note(format_args!("persist {id}"), &result);
        match result {
            Ok(()) => {
                self.oracle.borrow_mut().persist(&[id], Certainty::Yes);
                End::Told
            }
            Err(error) => self.left_undecided(&[id], &error),
        }
    }

    pub(super) async fn persist_many(&mut self, client: &Client) -> End {
        let mut ids = self.fresh_of(client.instance_id());
        ids.truncate(BATCH_MAX);
        if ids.is_empty() {
            return End::Skipped;
        }
        self.fresh.retain(|other| !ids.contains(other));
        self.oracle.borrow_mut().persist(&ids, Certainty::Maybe);
        let result = client.persist_many(&ids).await;
        self.note(format_args!("persist_many {ids:?}"), &result);
        match result {
            Ok(()) => {
                self.oracle.borrow_mut().persist(&ids, Certainty::Yes);
                End::Told
            }
            Err(error) => self.left_undecided(&ids, &error),
        }
    }

    /// Half of what gets no answer is given up next.
    fn left_undecided(&mut self, ids: &[ObjectId], error: &vineyard_client::Error) -> End {
        let end = ending(error);
        if matches!(end, End::Unknown) && self.chance.happens(500) {
            self.undecided.extend(ids);
        }
        end
    }

    /// What this client made and did not persist, on the instance it is connected to.
    fn fresh_of(&self, here: InstanceId) -> Vec<ObjectId> {
        let oracle = self.oracle.borrow();
        let here = |id: &&ObjectId| {
            oracle
                .objects
                .get(id)
                .is_some_and(|known| known.home == here)
        };
        self.fresh.iter().filter(here).copied().collect()
    }

    /// The metadata of a persistent object, then its bytes from wherever they are.
    pub(super) async fn get(&mut self, client: &Client) -> End {
        let safe = self.oracle.borrow().safe();
        let Some(&id) = self.chance.pick(&safe) else {
            return End::Skipped;
        };
        let result = client.get_metadata(id).await;
        self.note(format_args!("get_metadata {id}"), &result);
        match result {
            Ok(_) => {}
            Err(error) => {
                if error.is_not_exists() {
                    let (yes, no) = (Certainty::Yes, Certainty::No);
                    self.oracle
                        .borrow_mut()
                        .seen(&self.name, id, yes, no, false);
                }
                return ending(&error);
            }
        }
        let result = client.get(id).await;
        self.note(format_args!("get {id}"), &result);
        match result {
            Ok(object) => {
                let content = content::of_object(&object);
                self.oracle.borrow_mut().read(&self.name, id, content);
                self.maybe_release(client, object).await;
                End::Told
            }
            Err(error) => ending(&error),
        }
    }

    /// Several persistent objects at once, each with those of its bytes that are on the node; whole ones are compared.
    pub(super) async fn get_objects(&mut self, client: &Client) -> End {
        let mut ids = self.oracle.borrow().safe();
        let here = client.instance_id();
        ids.retain(|id| self.oracle.borrow().objects[id].home == here);
        ids.truncate(BATCH_MAX);
        if ids.is_empty() {
            return End::Skipped;
        }
        let result = client.get_objects(&ids, &GetOptions::default()).await;
        self.note(format_args!("get_objects {ids:?}"), &result);
        match result {
            Ok(objects) => {
                for object in &objects {
                    let content = content::of_object(object);
                    self.oracle
                        .borrow_mut()
                        .read(&self.name, object.id, content);
                }
                End::Told
            }
            Err(error) => ending(&error),
        }
    }

    /// Gives some blobs back by hand; the others go with the connection.
    async fn maybe_release(&mut self, client: &Client, object: vineyard_client::Object) {
        let ids: Vec<ObjectId> = object.blobs.keys().copied().collect();
        drop(object);
        if client.is_ipc() && self.chance.happens(300) {
            for id in ids {
                // A blob of another node is not held here; the refusal changes nothing.
                let _ = client.release(id).await;
            }
        }
    }

    pub(super) async fn exists(&mut self, client: &Client) -> End {
        let ids: Vec<ObjectId> = {
            let oracle = self.oracle.borrow();
            let asked = oracle
                .objects
                .iter()
                .filter(|(_, k)| k.persisted.max(k.deleted) == Certainty::Yes);
            asked.map(|(id, _)| *id).collect()
        };
        let Some(&id) = self.chance.pick(&ids) else {
            return End::Skipped;
        };
        let (persisted, deleted) = {
            let oracle = self.oracle.borrow();
            (oracle.persisted(id), oracle.deleted(id))
        };
        let result = client.exists(id).await;
        self.note(format_args!("exists {id}"), &result);
        match result {
            Ok(there) => {
                self.oracle
                    .borrow_mut()
                    .seen(&self.name, id, persisted, deleted, there);
                End::Told
            }
            Err(error) => ending(&error),
        }
    }

    pub(super) async fn delete(&mut self, client: &Client) -> End {
        let id = {
            let oracle = self.oracle.borrow();
            let mut ids = oracle.safe();
            ids.retain(|id| !oracle.objects[id].kept);
            let Some(&id) = self.chance.pick(&ids) else {
                return End::Skipped;
            };
            id
        };
        self.delete_one(client, id).await
    }

    async fn delete_one(&mut self, client: &Client, id: ObjectId) -> End {
        self.oracle.borrow_mut().delete(id, Certainty::Maybe);
        let result = client.delete(&[id], DeleteOptions::default()).await;
        self.note(format_args!("delete {id}"), &result);
        match result {
            Ok(()) => {
                self.oracle.borrow_mut().delete(id, Certainty::Yes);
                End::Told
            }
            Err(error) => ending(&error),
        }
    }

    /// Gives up what it wanted persisted and got no answer for, where it was made: elsewhere nobody knows yet whether
    /// there is anything to delete.
    pub(super) async fn delete_undecided(&mut self, client: &Client) -> End {
        let Some(id) = self.undecided.pop() else {
            return End::Skipped;
        };
        let here = client.instance_id();
        if self.oracle.borrow().objects[&id].home != here {
            return End::Skipped;
        }
        self.delete_one(client, id).await
    }

    /// Brings an object of another instance here and compares the copy.
    pub(super) async fn migrate(&mut self, client: &Client) -> End {
        let Some((id, known)) = self.draw_remote(client.instance_id()) else {
            return End::Skipped;
        };
        let result = client.migrate(id).await;
        self.note(format_args!("migrate {id}"), &result);
        let copy = match result {
            Ok(copy) => copy,
            Err(error) => return ending(&error),
        };
        if copy != id {
            let known = known.copied_to(client.instance_id());
            let mut oracle = self.oracle.borrow_mut();
            oracle.migrations += 1;
            oracle.made(&self.name, copy, known);
        }
        let result = client.get(copy).await;
        self.note(format_args!("get the copy {copy}"), &result);
        if let Ok(object) = result {
            self.oracle
                .borrow_mut()
                .read(&self.name, copy, content::of_object(&object));
        }
        End::Told
    }

    /// Copies an object of another instance here and gets the copy, in one call.
    pub(super) async fn fetch(&mut self, client: &Client) -> End {
        let Some((id, known)) = self.draw_remote(client.instance_id()) else {
            return End::Skipped;
        };
        let mut options = GetOptions::default();
        options.fetch = true;
        let result = client.get_objects(&[id], &options).await;
        self.note(format_args!("fetch {id}"), &result);
        match result {
            Ok(objects) => {
                let mut oracle = self.oracle.borrow_mut();
                for object in &objects {
                    if object.id != id {
                        let known = known.clone().copied_to(client.instance_id());
                        oracle.migrations += 1;
                        oracle.made(&self.name, object.id, known);
                    }
                    oracle.read(&self.name, object.id, content::of_object(object));
                }
                End::Told
            }
            Err(error) => ending(&error),
        }
    }

    /// A persistent object of another instance that is likely to live.
    fn draw_remote(&mut self, here: InstanceId) -> Option<(ObjectId, Known)> {
        let alive = self.cluster.instances();
        let oracle = self.oracle.borrow();
        let mut ids = oracle.safe();
        ids.retain(|id| {
            let home = oracle.objects[id].home;
            home != here && alive.contains(&home)
        });
        let id = *self.chance.pick(&ids)?;
        Some((id, oracle.objects[&id].clone()))
    }
}

/// Who has the bytes below a tree, as it says.
pub(crate) fn places(tree: &Tree) -> BTreeSet<InstanceId> {
    let nodes = tree.values().filter_map(Value::as_object);
    let blobs = nodes.filter(|node| {
        let number = |name: &str| node.get(name).and_then(Value::as_u64);
        number(key::LENGTH).is_some_and(|length| length > 0)
    });
    let place = |blob: &Tree| blob.get(key::INSTANCE_ID)?.as_u64().map(InstanceId);
    blobs.filter_map(place).collect()
}
