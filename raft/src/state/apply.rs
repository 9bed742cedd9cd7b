//! One arm per command: check, write, say what happened.

use std::collections::BTreeMap;

use vineyard_env::{Fault, Faults};
use vineyard_wire::{InstanceId, NodeId, ObjectId};

use super::instances::Instance;
use super::locks::Lock;
use super::objects::{BlobRow, Lost, Record};
use super::persist::Plan;
use super::{Event, Namespace, Rotation, State, delete};
use crate::command::{Applied, Command, Condition, Entry, Outcome, Refusal, RequestKey, VERSION};

impl State {
    /// Applies the entry at `index` of the log. Indexes ascend from call to call.
    pub fn apply(
        &mut self,
        index: u64,
        entry: &Entry,
        faults: &dyn Faults,
    ) -> (Outcome, Vec<Event>) {
        assert!(
            entry.version <= VERSION,
            "the machine stops before what a newer build wrote"
        );
        self.advance(index);
        let mut events = Vec::new();
        let outcome = match entry.request {
            None => self.run_within_quota(entry, faults, &mut events),
            Some(key) => self.run_once(key, entry, faults, &mut events),
        };
        (outcome, events)
    }

    /// Notes a log entry that carries no command: a new leader's, a change of voters.
    pub fn advance(&mut self, index: u64) {
        assert!(
            index >= self.applied,
            "entry {index} comes after {}",
            self.applied
        );
        self.applied = index;
    }

    fn run_once(
        &mut self,
        key: RequestKey,
        entry: &Entry,
        faults: &dyn Faults,
        events: &mut Vec<Event>,
    ) -> Outcome {
        if let Some(outcome) = self.dedup.answered(key)
            && !faults.has(Fault::RetryAppliesAgain)
        {
            return outcome;
        }
        // A boot may be announced on behalf of the one it replaces; `register` judges it by itself.
        let is_boot = matches!(
            entry.command,
            Command::Register { .. } | Command::Boot { .. }
        );
        if !is_boot {
            self.refuse_replaced(key.instance)?;
        }
        let outcome = self.run_within_quota(entry, faults, events);
        if !self.instances.is_replaced(key.instance) {
            self.dedup.record(key, &outcome);
        }
        outcome
    }

    fn refuse_replaced(&self, instance: InstanceId) -> Result<(), Refusal> {
        if self.instances.is_replaced(instance) {
            return Err(Refusal::Stale { instance });
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each command")]
    pub(super) fn run(
        &mut self,
        entry: &Entry,
        faults: &dyn Faults,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let now_unix_ms = entry.at_unix_ms;
        match &entry.command {
            Command::Found { cluster } => self.found(cluster),
            Command::Admit { key, endpoint } => self.admit(*key, endpoint),
            Command::Register { instance } => self.register_unknown_life(instance, events),
            Command::Watch {
                instance,
                reachable,
            } => self.watch(*instance, *reachable, events),
            Command::Persist { records, blobs } => self.persist(records, blobs, faults, events),
            Command::Delete { ids, force, deep } => self.delete(ids, *force, *deep, events),
            Command::SetAttributes { id, attributes } => {
                self.set_attributes(*id, attributes, events)
            }
            Command::Label { id, labels } => self.label(*id, labels, events),
            Command::PutName {
                name,
                id,
                condition,
            } => self.put_name(name, *id, checked(*condition, faults), events),
            Command::DropName { name } => self.drop_name(name, events),
            Command::AcquireLock {
                name,
                owner,
                lease_ms,
            } => {
                let until_unix_ms = now_unix_ms.saturating_add(*lease_ms);
                let lock = Lock {
                    owner: *owner,
                    token: self.applied,
                    until_unix_ms,
                };
                self.acquire_lock(name, lock, now_unix_ms, events)
            }
            Command::ReleaseLock { name, token } => self.release_lock(name, *token, events),
            Command::DropLocations { instance, blobs } => {
                self.drop_locations(*instance, blobs, events)
            }
            Command::FoundBy {
                cluster,
                key,
                endpoint,
            } => self.found_by(cluster, *key, endpoint),
            Command::Boot {
                instance,
                life,
                before,
            } => self.boot(instance, *life, before, events),
            Command::Publish {
                records,
                blobs,
                name,
                id,
                condition,
            } => {
                let condition = checked(*condition, faults);
                self.publish(records, blobs, (name, *id, condition), events)
            }
            Command::AdmitAt {
                key,
                endpoint,
                level,
            } => self.admit_at(*key, endpoint, *level),
            Command::Stopped { instance } => self.stop(*instance, events),
            Command::Remove { node } => self.remove(*node, events),
            Command::Cordon { node, cordon } => self.cordon(*node, *cordon, events),
            Command::Leave { node, discard } => self.leave(*node, *discard, events),
            Command::RotateToken {
                hidden,
                after_unix_ms,
                grace_ms,
            } => {
                let rotation = Rotation {
                    hidden: *hidden,
                    until_unix_ms: now_unix_ms.saturating_add(*grace_ms),
                };
                self.rotate_token(rotation, *after_unix_ms, now_unix_ms, events)
            }
            Command::Configure { settings, if_unset } => {
                self.configure(*settings, *if_unset, events)
            }
        }
    }

    fn found(&mut self, cluster: &str) -> Outcome {
        let founded = self.cluster.get_or_insert_with(|| cluster.to_owned());
        if founded != cluster {
            return Err(Refusal::Founded {
                cluster: founded.clone(),
            });
        }
        Ok(Applied::Done)
    }

    fn found_by(&mut self, cluster: &str, key: u128, endpoint: &str) -> Outcome {
        let known = self.cluster.as_deref().filter(|known| *known != cluster);
        if let Some(cluster) = known {
            return Err(Refusal::Founded {
                cluster: cluster.to_owned(),
            });
        }
        let node = NodeId(0);
        if self.nodes.get(node).is_some_and(|first| first.key != key) {
            return Err(Refusal::NodeTaken { node });
        }
        self.found(cluster)?;
        self.admit(key, endpoint)
    }

    fn admit(&mut self, key: u128, endpoint: &str) -> Outcome {
        let cluster = self.cluster.clone().ok_or(Refusal::NotFounded)?;
        let known = self.nodes.of_key(key).map(|node| node.id);
        if let Some(node) = known.filter(|node| self.instances.is_removed(*node)) {
            return Err(Refusal::Removed { node });
        }
        let node = self.nodes.admit(key, endpoint)?;
        Ok(Applied::Admitted { node, cluster })
    }

    fn admit_at(&mut self, key: u128, endpoint: &str, level: u8) -> Outcome {
        let outcome = self.admit(key, endpoint)?;
        if let Applied::Admitted { node, .. } = &outcome {
            self.levels.insert(*node, level);
        }
        Ok(outcome)
    }

    /// What is known of an earlier life of the node says nothing about this one.
    fn register_unknown_life(&mut self, instance: &Instance, events: &mut Vec<Event>) -> Outcome {
        let outcome = self.register(instance, events)?;
        self.lives.remove(&instance.id.node());
        Ok(outcome)
    }

    fn register(&mut self, instance: &Instance, events: &mut Vec<Event>) -> Outcome {
        let node = instance.id.node();
        if self.nodes.get(node).is_none() {
            return Err(Refusal::NoNode { node });
        }
        let replaced = self.instances.register(instance)?;
        events.push(Event::InstanceChanged(instance.id));
        if let Some(instance) = replaced {
            self.bury(instance, events);
        }
        Ok(Applied::Done)
    }

    fn boot(
        &mut self,
        instance: &Instance,
        life: u128,
        before: &[u128],
        events: &mut Vec<Event>,
    ) -> Outcome {
        let id = instance.id;
        if self.is_removed(id.node()) {
            return Err(Refusal::Removed { node: id.node() });
        }
        if self.instances.is_replaced(id) {
            return Err(Refusal::Stale { instance: id });
        }
        if self.is_outlived(id, life, before) {
            return Err(Refusal::BootSeen { instance: id });
        }
        let outcome = self.register(instance, events)?;
        self.lives.insert(id.node(), life);
        Ok(outcome)
    }

    /// Takes from an instance that is gone what only a living one can have.
    pub(super) fn bury(&mut self, instance: InstanceId, events: &mut Vec<Event>) {
        events.push(Event::InstanceChanged(instance));
        self.dedup.forget(instance);
        let space = self.root_mut();
        let blobs = space.objects.forget_holder(instance);
        if !blobs.is_empty() {
            events.push(Event::BlobsLost { instance, blobs });
        }
        let freed = space.locks.remove_all_of(instance);
        events.extend(freed.into_iter().map(|name| Event::LockFreed { name }));
    }

    fn watch(&mut self, instance: InstanceId, reachable: bool, events: &mut Vec<Event>) -> Outcome {
        if self.instances.watch(instance, reachable)? {
            events.push(Event::InstanceChanged(instance));
        }
        Ok(Applied::Done)
    }

    fn stop(&mut self, instance: InstanceId, events: &mut Vec<Event>) -> Outcome {
        if self.instances.stop(instance)? {
            events.push(Event::InstanceChanged(instance));
        }
        Ok(Applied::Done)
    }

    fn persist(
        &mut self,
        records: &[Record],
        blobs: &[BlobRow],
        faults: &dyn Faults,
        events: &mut Vec<Event>,
    ) -> Outcome {
        if faults.has(Fault::PersistLosesAMember) {
            let mut halved = records.to_vec();
            for record in halved.iter_mut().filter(|record| record.members.len() > 1) {
                record.members.pop_last();
            }
            let plan = self.persist_plan(&halved, blobs)?;
            return Ok(self.write_plan(plan, events));
        }
        let plan = self.persist_plan(records, blobs)?;
        Ok(self.write_plan(plan, events))
    }

    fn persist_plan<'a>(
        &self,
        records: &'a [Record],
        blobs: &[BlobRow],
    ) -> Result<Plan<'a>, Refusal> {
        self.refuse_on_leaving(blobs)?;
        let is_edited = |id| self.edited.contains(&(Namespace::ROOT, id));
        Plan::new(&self.root().objects, records, blobs, is_edited)
    }

    fn write_plan(&mut self, plan: Plan, events: &mut Vec<Event>) -> Applied {
        let instances = self.instances.clone();
        let objects = &mut self.root_mut().objects;
        let fresh = plan.write(objects, |instance| instances.is_replaced(instance));
        if !fresh.is_empty() {
            events.push(Event::Persisted(fresh));
        }
        Applied::Done
    }

    fn publish(
        &mut self,
        records: &[Record],
        blobs: &[BlobRow],
        (name, id, condition): (&str, ObjectId, Option<Condition>),
        events: &mut Vec<Event>,
    ) -> Outcome {
        let plan = self.persist_plan(records, blobs)?;
        if !plan.makes(id) && !self.root().objects.contains(id) {
            return Err(Refusal::NoObject { id });
        }
        self.check_name(name, condition)?;
        let outcome = self.write_plan(plan, events);
        self.set_name(name, id, events);
        Ok(outcome)
    }

    fn drop_locations(
        &mut self,
        instance: InstanceId,
        blobs: &[ObjectId],
        events: &mut Vec<Event>,
    ) -> Outcome {
        self.refuse_replaced(instance)?;
        let objects = &mut self.root_mut().objects;
        let blobs = objects.forget_locations(instance, blobs, Lost::Deleted(instance));
        if !blobs.is_empty() {
            events.push(Event::BlobsLost { instance, blobs });
        }
        Ok(Applied::Done)
    }

    fn delete(
        &mut self,
        ids: &[ObjectId],
        force: bool,
        deep: bool,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let instances = self.instances.clone();
        let space = self.root_mut();
        let is_replaced = |instance| instances.is_replaced(instance);
        let deletion = delete::delete(&mut space.objects, ids, force, deep, is_replaced);
        for &id in &deletion.objects {
            let dropped = space.names.remove_all_of(id);
            events.extend(dropped.into_iter().map(|name| Event::NameDropped { name }));
        }
        // A parent relinked early in the request may have gone later in it.
        let changed = deletion.relinked.difference(&deletion.objects);
        events.extend(changed.map(|&id| Event::ObjectChanged(id)));
        let objects: Vec<ObjectId> = deletion.objects.into_iter().collect();
        for &id in &objects {
            self.edited.remove(&(Namespace::ROOT, id));
        }
        let blobs: Vec<ObjectId> = deletion.blobs.into_iter().collect();
        if !objects.is_empty() {
            events.push(Event::ObjectsDeleted(objects.clone()));
        }
        if !blobs.is_empty() {
            events.push(Event::BlobsReleased(blobs.clone()));
        }
        Ok(Applied::Deleted { objects, blobs })
    }

    fn set_attributes(
        &mut self,
        id: ObjectId,
        attributes: &BTreeMap<String, String>,
        events: &mut Vec<Event>,
    ) -> Outcome {
        if let Some(key) = attributes
            .keys()
            .find(|key| super::objects::is_reserved(key))
        {
            return Err(Refusal::ReservedKey {
                id,
                key: key.clone(),
            });
        }
        let outcome = self.edit(id, events, |record| {
            record.attributes.extend(attributes.clone())
        })?;
        self.edited.insert((Namespace::ROOT, id));
        Ok(outcome)
    }

    fn label(
        &mut self,
        id: ObjectId,
        labels: &BTreeMap<String, String>,
        events: &mut Vec<Event>,
    ) -> Outcome {
        self.edit(id, events, |record| record.labels.extend(labels.clone()))
    }

    fn edit(
        &mut self,
        id: ObjectId,
        events: &mut Vec<Event>,
        change: impl FnOnce(&mut Record),
    ) -> Outcome {
        if !self.root_mut().objects.edit(id, change) {
            return Err(Refusal::NoObject { id });
        }
        events.push(Event::ObjectChanged(id));
        Ok(Applied::Done)
    }

    fn put_name(
        &mut self,
        name: &str,
        id: ObjectId,
        condition: Option<Condition>,
        events: &mut Vec<Event>,
    ) -> Outcome {
        if !self.root().objects.contains(id) {
            return Err(Refusal::NoObject { id });
        }
        self.check_name(name, condition)?;
        self.set_name(name, id, events);
        Ok(Applied::Done)
    }

    /// `None` is met by every name.
    fn check_name(&self, name: &str, condition: Option<Condition>) -> Result<(), Refusal> {
        let Some(condition) = condition else {
            return Ok(());
        };
        self.root().names.check(name, condition)
    }

    fn set_name(&mut self, name: &str, id: ObjectId, events: &mut Vec<Event>) {
        let index = self.applied;
        self.root_mut().names.set(index, name, id);
        events.push(Event::NameSet {
            name: name.to_owned(),
            id,
        });
    }

    fn drop_name(&mut self, name: &str, events: &mut Vec<Event>) -> Outcome {
        let name = name.to_owned();
        if !self.root_mut().names.remove(&name) {
            return Err(Refusal::NoName { name });
        }
        events.push(Event::NameDropped { name });
        Ok(Applied::Done)
    }

    fn acquire_lock(
        &mut self,
        name: &str,
        lock: Lock,
        now_unix_ms: u64,
        events: &mut Vec<Event>,
    ) -> Outcome {
        self.refuse_replaced(lock.owner)?;
        let token = lock.token;
        let locks = &mut self.root_mut().locks;
        let freed = locks.expire(now_unix_ms);
        let acquired = locks.acquire(name, lock);
        let freed = freed.into_iter().filter(|freed| freed != name);
        events.extend(freed.map(|name| Event::LockFreed { name }));
        acquired.map(|()| Applied::Locked { token })
    }

    fn release_lock(&mut self, name: &str, token: u64, events: &mut Vec<Event>) -> Outcome {
        self.root_mut().locks.release(name, token)?;
        events.push(Event::LockFreed {
            name: name.to_owned(),
        });
        Ok(Applied::Done)
    }
}

/// The condition, unless the fault is to have none.
fn checked(condition: Condition, faults: &dyn Faults) -> Option<Condition> {
    let checks = !faults.has(Fault::PutNameIgnoresCondition);
    checks.then_some(condition)
}
