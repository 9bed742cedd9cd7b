//! Locks with a lease and a fencing token.
//!
//! Promise: of two holders the later one has the greater token (the log index that gave it). Time is the time in the
//! entries alone, so a lease ends at the same entry on every replica.

use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use vineyard_wire::InstanceId;

use super::cost;
use crate::command::Refusal;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    pub owner: InstanceId,
    /// To be sent along with what the lock protects: greater means later.
    pub token: u64,
    /// When the lease ends, milliseconds since the Unix epoch by the leaders' clocks.
    pub until_unix_ms: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub(crate) struct Locks {
    pub(crate) rows: OrdMap<Arc<str>, Lock>,
    pub(crate) by_end: OrdSet<(u64, Arc<str>)>,
    /// What the locks count for.
    pub(crate) bytes: u64,
}

impl Locks {
    pub(super) fn get(&self, name: &str) -> Option<&Lock> {
        self.rows.get(name)
    }

    /// In ascending order of names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Lock)> {
        self.rows.iter().map(|(name, lock)| (name.as_ref(), lock))
    }

    /// Those whose names begin with `prefix`, in ascending order of names.
    pub(super) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &Lock)> {
        let locks = self
            .rows
            .range::<_, str>((Bound::Included(prefix), Bound::Unbounded));
        locks
            .map(|(name, lock)| (name.as_ref(), lock))
            .take_while(move |(name, _)| name.starts_with(prefix))
    }

    pub(super) fn acquire(&mut self, name: &str, lock: Lock) -> Result<(), Refusal> {
        if let Some(held) = self.get(name) {
            return Err(Refusal::Locked {
                name: name.to_owned(),
                token: held.token,
            });
        }
        self.bytes += cost::of_name(name);
        let name: Arc<str> = name.into();
        self.by_end.insert((lock.until_unix_ms, name.clone()));
        self.rows.insert(name, lock);
        Ok(())
    }

    pub(super) fn release(&mut self, name: &str, token: u64) -> Result<(), Refusal> {
        match self.get(name) {
            Some(held) if held.token == token => self.remove(name),
            _ => {
                return Err(Refusal::NotLocked {
                    name: name.to_owned(),
                    token,
                });
            }
        }
        Ok(())
    }

    /// Frees every lock whose lease has ended, so that names used once do not pile up. Returns their names.
    pub(super) fn expire(&mut self, now_unix_ms: u64) -> Vec<String> {
        let mut freed = Vec::new();
        while let Some((_, name)) = self.by_end.get_min().filter(|(end, _)| *end <= now_unix_ms) {
            let name = name.to_string();
            self.remove(&name);
            freed.push(name);
        }
        freed
    }

    /// Frees what `owner` holds, which can no longer release it. Returns the names.
    pub(super) fn remove_all_of(&mut self, owner: InstanceId) -> Vec<String> {
        let held = self.rows.iter().filter(|(_, lock)| lock.owner == owner);
        let names: Vec<String> = held.map(|(name, _)| name.to_string()).collect();
        for name in &names {
            self.remove(name);
        }
        names
    }

    fn remove(&mut self, name: &str) {
        if let Some((name, lock)) = self.rows.remove_with_key(name) {
            self.bytes -= cost::of_name(&name);
            self.by_end.remove(&(lock.until_unix_ms, name));
        }
    }

    /// What the rows count for.
    pub(crate) fn count(&self) -> u64 {
        self.rows.keys().map(|name| cost::of_name(name)).sum()
    }

    /// Panics unless both tables agree.
    pub(super) fn assert_exact(&self) {
        assert_eq!(self.rows.len(), self.by_end.len(), "each lock ends once");
        assert_eq!(self.bytes, self.count(), "each lock is counted once");
        for (name, lock) in &self.rows {
            assert!(
                self.by_end.contains(&(lock.until_unix_ms, name.clone())),
                "{name:?} ends"
            );
        }
    }
}
