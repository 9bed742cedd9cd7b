//! A disk that forgets when it is dropped. It keeps the order and atomicity of a real one, so that what is written
//! against it is right on the real one too.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vineyard_env::{Batch, Change, Disk, Done, Files, Pair};

#[derive(Default)]
pub struct MemoryDisk {
    pairs: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    files: Mutex<BTreeMap<u64, Arc<Vec<u8>>>>,
}

impl MemoryDisk {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_files(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Vec<u8>>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.lock().get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let pairs = self.lock();
        let range = pairs.range::<[u8], _>((
            std::ops::Bound::Included(from),
            std::ops::Bound::Excluded(to),
        ));
        Ok(range
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn commit(&self, batch: Batch, done: Done) {
        let mut pairs = self.lock();
        for change in batch {
            match change {
                Change::Put(key, value) => {
                    pairs.insert(key, value);
                }
                Change::Delete(key) => {
                    pairs.remove(&key);
                }
                Change::DeleteRange(from, to) => pairs.retain(|key, _| *key < from || *key >= to),
            }
        }
        drop(pairs);
        done(Ok(()));
    }

    fn files(&self) -> &dyn Files {
        self
    }
}

impl Files for MemoryDisk {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.lock_files().keys().copied().collect())
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        let files = self.lock_files();
        let bytes = files.get(&number).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.to_vec())
    }

    fn write(&self, number: u64, bytes: Arc<Vec<u8>>, done: Done) {
        self.lock_files().insert(number, bytes);
        done(Ok(()));
    }

    fn remove(&self, number: u64) {
        self.lock_files().remove(&number);
    }

    fn name(&self, number: u64) -> String {
        format!("file {number}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn memory_is_a_disk() {
        super::super::conformance::check(|| Arc::new(MemoryDisk::default()));
    }
}
