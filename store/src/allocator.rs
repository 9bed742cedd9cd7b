//! Which bytes of the arena are free, and which of those are worth using first.
//!
//! Best fit with exact coalescing; nothing is written into the arena, so no client can damage it. Free bytes are seen
//! twice: as maximal *runs*, which decide what fits, and as *pieces* that tile the runs and remember when they were
//! freed. A warm piece has pages; a cold one gave them back, or never had any, and costs ten times as much to fill.
//!
//! Promise: extents never overlap, and every operation but `warm` takes logarithmic time.
//! It must never know blobs or holders, nor touch the arena: it says which pages to discard.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use vineyard_shm::PAGE_BYTES;

/// Extents start and end at multiples of this: zero-copy consumers want it.
pub(crate) const ALIGNMENT_BYTES: u64 = 64;
/// No extent starts at offset 0, which stands for the empty blob. These bytes are never touched.
pub(crate) const RESERVED_BYTES: u64 = ALIGNMENT_BYTES;
const PAGE: u64 = PAGE_BYTES as u64;

#[derive(Debug)]
pub(crate) struct Allocator {
    /// Maximal free runs: start to length.
    runs: BTreeMap<u64, u64>,
    /// The runs as (length, start).
    runs_by_size: BTreeSet<(u64, u64)>,
    /// Pieces by start. Neighbours of equal heat are one piece.
    pieces: BTreeMap<u64, Piece>,
    /// The warm pieces as (length, start).
    warm_by_size: BTreeSet<(u64, u64)>,
    /// The warm pieces as (generation, start).
    warm_by_age: BTreeSet<(u64, u64)>,
    /// Counts the calls of `age`.
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    len: u64,
    heat: Heat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heat {
    Cold,
    /// Freed in this generation.
    Warm(u64),
}

impl Allocator {
    /// All of an arena of `arena_bytes` (whole pages) is free and cold.
    pub(crate) fn new(arena_bytes: u64) -> Self {
        let mut allocator = Self {
            runs: BTreeMap::new(),
            runs_by_size: BTreeSet::new(),
            pieces: BTreeMap::new(),
            warm_by_size: BTreeSet::new(),
            warm_by_age: BTreeSet::new(),
            generation: 0,
        };
        let len = arena_bytes - RESERVED_BYTES;
        allocator.insert_run(RESERVED_BYTES, len);
        allocator.insert_piece(
            RESERVED_BYTES,
            Piece {
                len,
                heat: Heat::Cold,
            },
        );
        allocator
    }

    /// The offset of an extent that holds `size` bytes, below 2^63; `None` if no run is long enough.
    pub(crate) fn allocate(&mut self, size: u64) -> Option<u64> {
        let len = extent_bytes(size);
        let fit = |sizes: &BTreeSet<(u64, u64)>| sizes.range((len, 0)..).next().copied();
        let (_, start) = fit(&self.warm_by_size).or_else(|| fit(&self.runs_by_size))?;
        self.claim(start, size);
        Some(start)
    }

    /// The bytes of the longest run: no larger extent can be allocated.
    pub(crate) fn largest_free(&self) -> u64 {
        self.runs_by_size.last().map_or(0, |(len, _)| *len)
    }

    /// The maximal free runs, as start and length.
    pub(crate) fn runs(&self) -> Vec<(u64, u64)> {
        self.runs
            .iter()
            .map(|(start, len)| (*start, *len))
            .collect()
    }

    /// Takes exactly the extent of `size` bytes at `start`, which must be free.
    pub(crate) fn claim(&mut self, start: u64, size: u64) {
        let end = start + extent_bytes(size);
        let run = self.run_at(start).expect("what is claimed is free");
        assert!(end <= run.end, "what is claimed is free to its end");
        self.remove_run(run.start);
        self.insert_run(run.start, start - run.start);
        self.insert_run(end, run.end - end);
        while let Some((at, piece)) = self.piece_before(end).filter(|(at, p)| at + p.len > start) {
            self.remove_piece(at);
            let head = start.saturating_sub(at);
            let tail = (at + piece.len).saturating_sub(end);
            self.insert_piece(at, Piece { len: head, ..piece });
            self.insert_piece(end, Piece { len: tail, ..piece });
        }
    }

    /// Frees the extent of `size` bytes at `start`, whose pages are warm.
    pub(crate) fn free(&mut self, start: u64, size: u64) {
        let len = extent_bytes(size);
        let (mut first, mut end) = (start, start + len);
        if let Some((before, before_len)) = self.runs.range(..=start).next_back() {
            let before_end = before + before_len;
            assert!(before_end <= start, "an extent is freed once");
            if before_end == start {
                first = *before;
            }
        }
        if let Some(after_len) = self.runs.get(&end) {
            end += after_len;
            self.remove_run(start + len);
        }
        if first < start {
            self.remove_run(first);
        }
        self.insert_run(first, end - first);
        self.insert_merged(start, len, Heat::Warm(self.generation));
    }

    /// Starts a new generation, and names the warm pieces that were freed before the previous one began.
    pub(crate) fn age(&mut self) -> Vec<u64> {
        self.generation += 1;
        let old = self.warm_by_age.range(..(self.generation - 1, 0));
        old.map(|(_, start)| *start).collect()
    }

    /// The starts of all warm pieces.
    pub(crate) fn warm(&self) -> Vec<u64> {
        self.warm_by_age.iter().map(|(_, start)| *start).collect()
    }

    /// The start of the warm piece that covers `offset`.
    pub(crate) fn warm_at(&self, offset: u64) -> Option<u64> {
        let (start, piece) = self.piece_before(offset + 1)?;
        (start + piece.len > offset && piece.heat != Heat::Cold).then_some(start)
    }

    /// The pages that hold bytes of the piece at `start` and nothing but free bytes.
    pub(crate) fn pages(&self, start: u64) -> Range<u64> {
        let piece = self
            .pieces
            .get(&start)
            .expect("the caller was given this piece");
        let run = self.run_at(start).expect("a piece lies in a run");
        // The reserved bytes count as free here, or the first page would never go back.
        let run_start = if run.start == RESERVED_BYTES {
            0
        } else {
            run.start
        };
        let first = (start - start % PAGE).max(run_start.next_multiple_of(PAGE));
        let last = (start + piece.len)
            .next_multiple_of(PAGE)
            .min(run.end - run.end % PAGE);
        first..last.max(first)
    }

    /// The pages of the warm piece at `start` are gone.
    pub(crate) fn cool(&mut self, start: u64) {
        let piece = self.remove_piece(start);
        self.insert_merged(start, piece.len, Heat::Cold);
    }

    fn insert_merged(&mut self, start: u64, len: u64, heat: Heat) {
        let (mut first, mut end) = (start, start + len);
        let after = self.pieces.get(&end).filter(|after| after.heat == heat);
        if let Some(after_len) = after.map(|after| after.len) {
            self.remove_piece(end);
            end += after_len;
        }
        let before = self
            .piece_before(start)
            .filter(|(at, before)| at + before.len == start);
        if let Some((at, _)) = before.filter(|(_, before)| before.heat == heat) {
            self.remove_piece(at);
            first = at;
        }
        self.insert_piece(
            first,
            Piece {
                len: end - first,
                heat,
            },
        );
    }

    /// The run that covers `offset`.
    fn run_at(&self, offset: u64) -> Option<Range<u64>> {
        let (start, len) = self.runs.range(..=offset).next_back()?;
        (start + len > offset).then_some(*start..start + len)
    }

    /// The last piece that starts before `offset`.
    fn piece_before(&self, offset: u64) -> Option<(u64, Piece)> {
        self.pieces
            .range(..offset)
            .next_back()
            .map(|(start, piece)| (*start, *piece))
    }

    fn insert_run(&mut self, start: u64, len: u64) {
        if len > 0 {
            self.runs.insert(start, len);
            self.runs_by_size.insert((len, start));
        }
    }

    fn remove_run(&mut self, start: u64) {
        let len = self.runs.remove(&start).expect("the caller saw this run");
        self.runs_by_size.remove(&(len, start));
    }

    fn insert_piece(&mut self, start: u64, piece: Piece) {
        if piece.len == 0 {
            return;
        }
        self.pieces.insert(start, piece);
        if let Heat::Warm(generation) = piece.heat {
            self.warm_by_size.insert((piece.len, start));
            self.warm_by_age.insert((generation, start));
        }
    }

    fn remove_piece(&mut self, start: u64) -> Piece {
        let piece = self
            .pieces
            .remove(&start)
            .expect("the caller saw this piece");
        if let Heat::Warm(generation) = piece.heat {
            self.warm_by_size.remove(&(piece.len, start));
            self.warm_by_age.remove(&(generation, start));
        }
        piece
    }
}

#[cfg(test)]
impl Allocator {
    /// Whether nothing of an arena of `arena_bytes` is allocated.
    pub(crate) fn is_all_free(&self, arena_bytes: u64) -> bool {
        self.runs == BTreeMap::from([(RESERVED_BYTES, arena_bytes - RESERVED_BYTES)])
    }
}

/// What an extent for `size` bytes takes.
pub(crate) fn extent_bytes(size: u64) -> u64 {
    size.max(1).next_multiple_of(ALIGNMENT_BYTES)
}

#[cfg(test)]
mod tests;
