//! What is durable in the journal and waits for room before sled is given it. Readers see it all the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vineyard_env::{Batch, Change};

/// Oldest first.
#[derive(Default)]
pub(super) struct Later(Vec<Batch>);

impl Later {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, batch: Batch) {
        self.0.push(batch);
    }

    pub(super) fn batches(&self) -> &[Batch] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What it says of a key, if anything: its value, or that it is gone.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let newest_first = self.0.iter().rev().flat_map(|batch| batch.iter().rev());
        let mut said = newest_first.filter_map(|change| match change {
            Change::Put(put, value) if put == key => Some(Some(value.clone())),
            Change::Delete(gone) if gone == key => Some(None),
            Change::DeleteRange(from, to) if from.as_slice() <= key && key < to.as_slice() => {
                Some(None)
            }
            _ => None,
        });
        said.next()
    }

    /// Changes the pairs that sled has from `from` to before `to`.
    pub(super) fn change(&self, pairs: &mut BTreeMap<Vec<u8>, Vec<u8>>, from: &[u8], to: &[u8]) {
        for change in self.0.iter().flatten() {
            match change {
                Change::Put(key, value) if from <= key.as_slice() && key.as_slice() < to => {
                    pairs.insert(key.clone(), value.clone());
                }
                Change::Put(..) => {}
                Change::Delete(key) => drop(pairs.remove(key)),
                Change::DeleteRange(first, end) => {
                    pairs.retain(|key, _| !(first <= key && key < end));
                }
            }
        }
    }
}

pub(super) fn lock(later: &Mutex<Later>) -> MutexGuard<'_, Later> {
    later.lock().unwrap_or_else(PoisonError::into_inner)
}
