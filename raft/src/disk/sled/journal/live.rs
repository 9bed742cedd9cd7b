//! The keys of the log: which there are, and where in the segments their values stand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use vineyard_env::{Batch, Change, Pair};

use super::{record, segment};

/// The keys that stay in the journal: from the first to before the second. sled never has them.
#[derive(Clone, Debug)]
pub(in crate::disk::sled) struct LogKeys {
    pub(in crate::disk::sled) from: Vec<u8>,
    pub(in crate::disk::sled) to: Vec<u8>,
}

impl LogKeys {
    pub(in crate::disk::sled) fn has(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && key < self.to.as_slice()
    }

    /// Whether a change is of these alone.
    pub(in crate::disk::sled) fn have(&self, change: &Change) -> bool {
        match change {
            Change::Put(key, _) | Change::Delete(key) => self.has(key),
            Change::DeleteRange(from, to) => {
                self.from.as_slice() <= from.as_slice() && to.as_slice() <= self.to.as_slice()
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Place {
    generation: u64,
    at: u64,
    bytes: usize,
}

/// See the module.
pub(in crate::disk::sled) struct Live {
    folder: PathBuf,
    keys: LogKeys,
    places: BTreeMap<Vec<u8>, Place>,
    /// How many of them each generation has; those with none are absent.
    counts: BTreeMap<u64, usize>,
}

impl Live {
    pub(super) fn new(folder: PathBuf, keys: LogKeys) -> Self {
        Self {
            folder,
            keys,
            places: BTreeMap::new(),
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
                Change::Put(key, value) if self.keys.has(key) => {
                    let bytes = value.len();
                    *self.counts.entry(generation).or_default() += 1;
                    let place = Place {
                        generation,
                        at,
                        bytes,
                    };
                    let old = self.places.insert(key.clone(), place);
                    self.left(old);
                }
                Change::Delete(key) => {
                    let old = self.places.remove(key);
                    self.left(old);
                }
                Change::DeleteRange(from, to) if from < to => {
                    let gone: Vec<_> = self.range(from, to).map(|(key, _)| key.clone()).collect();
                    for key in gone {
                        let old = self.places.remove(&key);
                        self.left(old);
                    }
                }
                Change::Put(..) | Change::DeleteRange(..) => {}
            }
        }
    }

    fn left(&mut self, old: Option<Place>) {
        let Some(Place { generation, .. }) = old else {
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
        let place = self.places.get(key);
        place
            .map(|place| Reader::new(self).value(*place))
            .transpose()
    }

    /// The pairs from `from` to before `to`, in their order.
    pub(in crate::disk::sled) fn scan(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<Pair>> {
        let mut reader = Reader::new(self);
        let pairs = self.range(from, to);
        let pairs = pairs.map(|(key, place)| Ok((key.clone(), reader.value(*place)?)));
        pairs.collect()
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Place)> {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        self.places.range::<[u8], _>(bounds)
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

    fn value(&mut self, place: Place) -> io::Result<Vec<u8>> {
        let file = match self.open.take() {
            Some((generation, file)) if generation == place.generation => file,
            _ => File::open(segment::path(&self.live.folder, place.generation))?,
        };
        let mut value = vec![0; place.bytes];
        file.read_exact_at(&mut value, place.at)?;
        self.open = Some((place.generation, file));
        Ok(value)
    }
}
