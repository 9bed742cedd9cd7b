//! Names: each points to one persistent object; an object may have several.
//!
//! Promise: a name never outlives its object (`delete` drops the names in the same entry).

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use vineyard_wire::ObjectId;

use super::cost;
use crate::command::{Condition, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) id: ObjectId,
    /// Log index of the entry that set it: an object shows its latest name.
    pub(crate) set_at: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Names {
    pub(crate) targets: OrdMap<Arc<str>, Target>,
    pub(crate) by_object: OrdMap<ObjectId, OrdSet<Arc<str>>>,
    /// What the names count for.
    pub(crate) bytes: u64,
}

impl Names {
    pub(super) fn get(&self, name: &str) -> Option<ObjectId> {
        self.targets.get(name).map(|target| target.id)
    }

    /// In ascending order of names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, ObjectId)> {
        self.targets
            .iter()
            .map(|(name, target)| (name.as_ref(), target.id))
    }

    pub(super) fn of(&self, id: ObjectId) -> impl Iterator<Item = &str> {
        self.by_object
            .get(&id)
            .into_iter()
            .flatten()
            .map(Arc::as_ref)
    }

    pub(super) fn latest_of(&self, id: ObjectId) -> Option<&str> {
        self.of(id)
            .max_by_key(|&name| self.targets.get(name).map(|target| target.set_at))
    }

    /// Whether `condition` allows `name` to be set now.
    pub(super) fn check(&self, name: &str, condition: Condition) -> Result<(), Refusal> {
        match (condition, self.get(name)) {
            (Condition::Always, _) | (Condition::IfAbsent, None) => Ok(()),
            (Condition::IfAbsent, Some(id)) => Err(Refusal::NameTaken {
                name: name.to_owned(),
                id,
            }),
            (Condition::IfEquals(expected), now) if now == Some(expected) => Ok(()),
            (Condition::IfEquals(expected), _) => Err(Refusal::NameElsewhere {
                name: name.to_owned(),
                expected,
            }),
        }
    }

    pub(super) fn set(&mut self, index: u64, name: &str, id: ObjectId) {
        self.remove(name);
        self.bytes += cost::of_name(name);
        let name: Arc<str> = name.into();
        self.by_object.entry(id).or_default().insert(name.clone());
        self.targets.insert(name, Target { id, set_at: index });
    }

    /// True if the name was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(target) = self.targets.remove(name) else {
            return false;
        };
        self.bytes -= cost::of_name(name);
        if let Some(names) = self.by_object.get_mut(&target.id) {
            names.remove(name);
            if names.is_empty() {
                self.by_object.remove(&target.id);
            }
        }
        true
    }

    /// Drops all names of `id` and returns them.
    pub(super) fn remove_all_of(&mut self, id: ObjectId) -> Vec<String> {
        let names = self.by_object.remove(&id).unwrap_or_default();
        for name in &names {
            self.bytes -= cost::of_name(name);
            self.targets.remove(name);
        }
        names.iter().map(|name| name.to_string()).collect()
    }

    /// What the rows count for.
    pub(crate) fn count(&self) -> u64 {
        self.targets.keys().map(|name| cost::of_name(name)).sum()
    }

    /// Panics unless every name points to an object that `exists` and both tables agree.
    pub(super) fn assert_exact(&self, exists: impl Fn(ObjectId) -> bool) {
        assert_eq!(self.bytes, self.count(), "each name is counted once");
        for (name, target) in &self.targets {
            assert!(
                exists(target.id),
                "{name:?} points to {}, which is missing",
                target.id
            );
            let listed = self
                .by_object
                .get(&target.id)
                .is_some_and(|names| names.contains(name));
            assert!(listed, "{name:?} is listed with its object");
        }
        let listed: usize = self.by_object.values().map(OrdSet::len).sum();
        assert_eq!(
            listed,
            self.targets.len(),
            "objects list their names and no others"
        );
    }
}
