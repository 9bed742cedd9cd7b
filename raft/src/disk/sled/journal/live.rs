//! The keys of the log: which there are, and where in the segments their values stand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::{Bound, Range};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use vineyard_env::{Batch, Change, Pair};

use super::{record, segment};

/// The keys that stay in the journal: sled never has them.
pub(in crate::disk::sled) type LogKeys = Range<Vec<u8>>;

/// Whether a key is one of them.
pub(in crate::disk::sled) fn is_of(keys: &LogKeys, key: &[u8]) -> bool {
    keys.start.as_slice() <= key && key < keys.end.as_slice()
}

/// Whether a change is of these alone.
pub(in crate::disk::sled) fn are_alone_in(keys: &LogKeys, change: &Change) -> bool {
    match change {
        Change::Put(key, _) | Change::Delete(key) => is_of(keys, key),
        Change::DeleteRange(from, to) => keys.start <= *from && *to <= keys.end,
    }
}

#[derive(Clone, Copy)]
struct Stored {
    generation: u64,
    at: u64,
    bytes: usize,
}

/// See the module.
pub(in crate::disk::sled) struct Live {
    folder: PathBuf,
    keys: LogKeys,
    stored: BTreeMap<Vec<u8>, Stored>,
    /// How many of them each generation has; those with none are absent.
    counts: BTreeMap<u64, usize>,
}

impl Live {
    pub(super) fn new(folder: PathBuf, keys: LogKeys) -> Self {
        Self {
            folder,
            keys,
            stored: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(in crate::disk::sled) fn keys(&self) -> &LogKeys {
        &self.keys
    }

    /// Takes what the record of a group says that begins at `at` in a segment.
    pub(super) fn take<'a>(
        &mut self,
        generation: u64,
        at: u64,
        group: impl Iterator<Item = &'a Batch>,
    ) {
        for (change, at) in record::located(at, group) {
            match change {
                Change::Put(key, value) if is_of(&self.keys, key) => {
                    let bytes = value.len();
                    *self.counts.entry(generation).or_default() += 1;
                    let stored = Stored {
                        generation,
                        at,
                        bytes,
                    };
                    let old = self.stored.insert(key.clone(), stored);
                    self.left(old);
                }
                Change::Delete(key) => {
                    let old = self.stored.remove(key);
                    self.left(old);
                }
                Change::DeleteRange(from, to) if from < to => {
                    let gone: Vec<_> = self.range(from, to).map(|(key, _)| key.clone()).collect();
                    for key in gone {
                        let old = self.stored.remove(&key);
                        self.left(old);
                    }
                }
                Change::Put(..) | Change::DeleteRange(..) => {}
            }
        }
    }

    fn left(&mut self, old: Option<Stored>) {
        let Some(Stored { generation, .. }) = old else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&generation) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&generation);
            }
        }
    }

    /// The oldest generation that holds one.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.counts.keys().next().copied()
    }

    pub(in crate::disk::sled) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let stored = self.stored.get(key);
        stored
            .map(|stored| Reader::new(self).value(*stored))
            .transpose()
    }

    /// The pairs from `from` to before `to`, in their order.
    pub(in crate::disk::sled) fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        let mut reader = Reader::new(self);
        let pairs = self.range(from, to);
        let pairs = pairs.map(|(key, stored)| Ok((key.clone(), reader.value(*stored)?)));
        pairs.collect()
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Stored)> {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        self.stored.range::<[u8], _>(bounds)
    }
}

/// Reads values, and keeps the file of the last one open.
struct Reader<'a> {
    live: &'a Live,
    open: Option<(u64, File)>,
}

impl<'a> Reader<'a> {
    fn new(live: &'a Live) -> Self {
        Self { live, open: None }
    }

    fn value(&mut self, stored: Stored) -> io::Result<Vec<u8>> {
        let file = match self.open.take() {
            Some((generation, file)) if generation == stored.generation => file,
            _ => File::open(segment::path(&self.live.folder, stored.generation))?,
        };
        let mut value = vec![0; stored.bytes];
        file.read_exact_at(&mut value, stored.at)?;
        self.open = Some((stored.generation, file));
        Ok(value)
    }
}
