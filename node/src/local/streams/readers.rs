//! The cursors of one stream: which chunk each gets next, and which it has got and not acknowledged.
//!
//! Promise: each cursor gets the chunks in order, each once, and none is skipped; of cursors that share, one gets it.
//! It must never know what a chunk is.

use std::collections::{BTreeMap, BTreeSet};

use vineyard_wire::Status;
use vineyard_wire::stream::ReadersKind;

use super::Who;
use super::stream::opened;

/// Most cursors of one stream.
const CURSORS_MAX: usize = 1024;
const CURSOR_NAME_BYTES_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Cursor {
    next: u64,
    /// Given out by the last pull.
    pub(super) in_flight: BTreeSet<u64>,
    pub(super) reader: Option<Who>,
    /// A connection opened it by name of the verb, and nobody else may.
    pub(super) is_open: bool,
    /// Its reader waits for a chunk.
    pub(super) waits: bool,
    /// Its reader was told that the stream has ended.
    pub(super) told_end: bool,
}

#[derive(Debug)]
pub(super) struct Readers {
    kind: ReadersKind,
    min: u64,
    pub(super) cursors: BTreeMap<String, Cursor>,
    /// Cursors that there ever were.
    opened: u64,
    /// Cursors that share have one position.
    shared_next: u64,
    /// Chunks of shared cursors that are gone, for the others.
    returned: BTreeSet<u64>,
}

impl Readers {
    /// The first chunk will have the number `first`.
    pub(super) fn new(kind: ReadersKind, min: u64, first: u64) -> Self {
        Self {
            kind,
            min: min.max(1),
            cursors: BTreeMap::new(),
            opened: 0,
            shared_next: first,
            returned: BTreeSet::new(),
        }
    }

    pub(super) fn kind(&self) -> ReadersKind {
        self.kind
    }

    /// Refuses a new cursor if there are enough: a stream for one reader has one, whatever its name.
    pub(super) fn check(&self, name: &str) -> Result<(), Status> {
        if self.cursors.contains_key(name) {
            return Ok(());
        }
        if name.len() > CURSOR_NAME_BYTES_MAX {
            let text = format!("the name of a cursor has at most {CURSOR_NAME_BYTES_MAX} bytes");
            return Err(Status::invalid(text));
        }
        match (self.kind, self.cursors.len()) {
            (_, 0) => Ok(()),
            (ReadersKind::One, _) => Err(opened("read")),
            (_, CURSORS_MAX..) => {
                let text = format!("a stream has at most {CURSORS_MAX} cursors");
                Err(Status::invalid(text))
            }
            _ => Ok(()),
        }
    }

    /// The cursor `name`, which begins at `first` if it is new.
    pub(super) fn cursor(&mut self, name: &str, first: u64) -> &mut Cursor {
        if !self.cursors.contains_key(name) {
            self.opened += 1;
            let cursor = Cursor {
                next: first,
                ..Cursor::default()
            };
            self.cursors.insert(name.to_owned(), cursor);
        }
        self.cursors.get_mut(name).expect("it was just made")
    }

    /// Moves a cursor. What it had got counts as not read.
    pub(super) fn seek(&mut self, name: &str, number: u64) {
        if let Some(cursor) = self.cursors.get_mut(name) {
            cursor.in_flight.clear();
            cursor.next = number;
        }
    }

    /// The cursor by which `who` reads.
    pub(super) fn name_of(&self, who: Who) -> Option<&str> {
        let mut cursors = self.cursors.iter();
        let found =
            cursors.find(|(_, cursor)| cursor.reader.is_some_and(|by| by.holder == who.holder));
        found.map(|(name, _)| name.as_str())
    }

    /// The next number that `name` gets.
    pub(super) fn next_number(&self, name: &str) -> u64 {
        match self.kind {
            ReadersKind::Share => self.returned.first().copied().unwrap_or(self.shared_next),
            _ => self.cursors.get(name).map_or(0, |cursor| cursor.next),
        }
    }

    /// The reader is done with what it got. Returns the numbers.
    pub(super) fn acknowledge(&mut self, name: &str) -> BTreeSet<u64> {
        let cursor = self.cursors.get_mut(name);
        cursor
            .map(|cursor| std::mem::take(&mut cursor.in_flight))
            .unwrap_or_default()
    }

    /// The reader is done with these of what it got.
    pub(super) fn acknowledge_some(&mut self, name: &str, numbers: &[u64]) {
        if let Some(cursor) = self.cursors.get_mut(name) {
            numbers.iter().for_each(|number| {
                cursor.in_flight.remove(number);
            });
        }
    }

    /// At most `max` numbers below `end` for `name`; they are in flight from now on.
    pub(super) fn take(&mut self, name: &str, max: u64, end: u64) -> Vec<u64> {
        let Some(cursor) = self.cursors.get_mut(name) else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        let next = match self.kind {
            ReadersKind::Share => &mut self.shared_next,
            _ => &mut cursor.next,
        };
        while (taken.len() as u64) < max {
            let number = match self.returned.pop_first() {
                Some(number) => number,
                None if *next < end => {
                    *next += 1;
                    *next - 1
                }
                None => break,
            };
            taken.push(number);
        }
        cursor.in_flight.extend(&taken);
        taken
    }

    /// The number below which all chunks were read by all; `None` without cursors.
    pub(super) fn needed(&self) -> Option<u64> {
        if self.opened < self.min {
            return None;
        }
        let in_flight = self
            .cursors
            .values()
            .filter_map(|cursor| cursor.in_flight.first());
        let waiting: Vec<_> = match self.kind {
            ReadersKind::Share => self
                .returned
                .first()
                .into_iter()
                .chain([&self.shared_next])
                .collect(),
            _ => self.cursors.values().map(|cursor| &cursor.next).collect(),
        };
        in_flight.chain(waiting).min().copied()
    }

    /// Chunks that some cursor has got and not acknowledged.
    pub(super) fn in_flight(&self) -> u64 {
        let numbers: BTreeSet<_> = self
            .cursors
            .values()
            .flat_map(|cursor| &cursor.in_flight)
            .collect();
        numbers.len() as u64
    }

    /// Whether chunks of another cursor than `name` may yet come back.
    pub(super) fn may_return(&self, name: &str) -> bool {
        let mut others = self
            .cursors
            .iter()
            .filter(|(other, _)| other.as_str() != name);
        self.kind == ReadersKind::Share && others.any(|(_, cursor)| !cursor.in_flight.is_empty())
    }

    /// What the cursor had got goes back, to be given out again.
    pub(super) fn give_back(&mut self, name: &str) {
        let Some(cursor) = self.cursors.get_mut(name) else {
            return;
        };
        let numbers = std::mem::take(&mut cursor.in_flight);
        match self.kind {
            ReadersKind::Share => self.returned.extend(numbers),
            _ => cursor.next = numbers.first().copied().unwrap_or(cursor.next),
        }
    }

    /// No chunk before `number` is there any more: all cursors go on from it.
    pub(super) fn skip_to(&mut self, number: u64) {
        self.shared_next = number;
        self.returned.clear();
        for cursor in self.cursors.values_mut() {
            cursor.in_flight.clear();
            cursor.next = number;
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.cursors.remove(name);
    }

    /// Whether there ever was a cursor.
    pub(super) fn were_opened(&self) -> bool {
        self.opened > 0
    }

    /// Whether a connection reads by any cursor.
    pub(super) fn are_attached(&self) -> bool {
        self.cursors.values().any(|cursor| cursor.reader.is_some())
    }
}
