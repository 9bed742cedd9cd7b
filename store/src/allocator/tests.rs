//! The allocator against one flag per unit of the arena.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const UNITS: usize = 1024;
const ARENA_BYTES: u64 = UNITS as u64 * ALIGNMENT_BYTES;

/// Every unit of an arena, and every page that was touched and not discarded.
struct Model {
    used: Vec<bool>,
    resident: BTreeSet<u64>,
}

impl Model {
    fn units(start: u64, end: u64) -> Range<usize> {
        (start / ALIGNMENT_BYTES) as usize..(end / ALIGNMENT_BYTES) as usize
    }

    fn take(&mut self, start: u64, len: u64) {
        for unit in Self::units(start, start + len) {
            assert!(!self.used[unit], "two extents share unit {unit}");
            self.used[unit] = true;
        }
        self.resident
            .extend((start / PAGE)..=((start + len - 1) / PAGE));
    }

    fn give(&mut self, start: u64, len: u64) {
        self.used[Self::units(start, start + len)].fill(false);
    }

    fn discard(&mut self, pages: &Range<u64>) {
        assert!(pages.start.is_multiple_of(PAGE) && pages.end.is_multiple_of(PAGE));
        if pages.is_empty() {
            return;
        }
        let reserved = Self::units(0, RESERVED_BYTES).len();
        let mut units = Self::units(pages.start, pages.end);
        units.start = units.start.max(reserved);
        assert!(
            !self.used[units].contains(&true),
            "discarding {pages:?} would lose bytes"
        );
        self.resident.retain(|page| !pages.contains(&(page * PAGE)));
    }

    fn free_runs(&self) -> BTreeMap<u64, u64> {
        let mut runs = BTreeMap::new();
        let mut start = None;
        for (unit, used) in self.used.iter().chain([&true]).enumerate() {
            match (start, used) {
                (None, false) => start = Some(unit),
                (Some(first), true) => {
                    let len = (unit - first) as u64 * ALIGNMENT_BYTES;
                    runs.insert(first as u64 * ALIGNMENT_BYTES, len);
                    start = None;
                }
                _ => {}
            }
        }
        runs
    }
}

fn check(allocator: &Allocator, model: &Model) {
    assert_eq!(allocator.runs, model.free_runs());
    let by_size: BTreeSet<_> = allocator
        .runs
        .iter()
        .map(|(start, len)| (*len, *start))
        .collect();
    assert_eq!(allocator.runs_by_size, by_size);
    let mut tiles = BTreeMap::new();
    let mut last: Option<(u64, Piece)> = None;
    for (start, piece) in &allocator.pieces {
        match last {
            Some((at, before)) if at + before.len == *start => {
                assert_ne!(
                    before.heat, piece.heat,
                    "neighbours of one heat are one piece"
                );
                *tiles.values_mut().next_back().expect("a piece came before") += piece.len;
            }
            _ => _ = tiles.insert(*start, piece.len),
        }
        last = Some((*start, *piece));
    }
    assert_eq!(tiles, allocator.runs, "pieces tile the runs");
    let warm = allocator
        .pieces
        .iter()
        .filter(|(_, piece)| piece.heat != Heat::Cold);
    let warm: BTreeSet<_> = warm.map(|(start, piece)| (piece.len, *start)).collect();
    assert_eq!(allocator.warm_by_size, warm);
    assert_eq!(allocator.warm_by_age.len(), warm.len());
}

fn cool(allocator: &mut Allocator, model: &mut Model, starts: Vec<u64>) {
    for start in starts {
        model.discard(&allocator.pages(start));
        allocator.cool(start);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Allocate(u64),
    Free(usize),
    Reclaim(usize),
    Age,
    Trim,
    TrimAt(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop_oneof![1..300u64, 1..20_000u64].prop_map(Step::Allocate),
        8 => any::<usize>().prop_map(Step::Free),
        1 => any::<usize>().prop_map(Step::Reclaim),
        1 => Just(Step::Age),
        1 => Just(Step::Trim),
        1 => (0..ARENA_BYTES).prop_map(Step::TrimAt),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn extents_never_overlap_and_free_bytes_coalesce_exactly(steps in prop::collection::vec(step(), 0..200)) {
        let mut allocator = Allocator::new(ARENA_BYTES);
        let mut model = Model { used: vec![false; UNITS], resident: BTreeSet::new() };
        model.used[0] = true;
        let mut live: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Allocate(size) => {
                    let longest = model.free_runs().into_values().max().unwrap_or(0);
                    let start = allocator.allocate(size);
                    prop_assert_eq!(start.is_some(), extent_bytes(size) <= longest);
                    if let Some(start) = start {
                        model.take(start, extent_bytes(size));
                        live.push((start, size));
                    }
                }
                Step::Free(index) if !live.is_empty() => {
                    let (start, size) = live.swap_remove(index % live.len());
                    allocator.free(start, size);
                    model.give(start, extent_bytes(size));
                }
                Step::Reclaim(index) if !live.is_empty() => {
                    let (start, size) = live[index % live.len()];
                    allocator.free(start, size);
                    allocator.claim(start, size);
                }
                Step::Age => {
                    let old = allocator.age();
                    cool(&mut allocator, &mut model, old);
                }
                Step::Trim => {
                    let warm = allocator.warm();
                    cool(&mut allocator, &mut model, warm);
                }
                Step::TrimAt(offset) => {
                    let piece = allocator.warm_at(offset).into_iter().collect();
                    cool(&mut allocator, &mut model, piece);
                }
                _ => {}
            }
            check(&allocator, &model);
        }
        for (start, size) in live {
            allocator.free(start, size);
            model.give(start, extent_bytes(size));
        }
        let whole = BTreeMap::from([(RESERVED_BYTES, ARENA_BYTES - RESERVED_BYTES)]);
        prop_assert_eq!(&allocator.runs, &whole);
        let warm = allocator.warm();
        cool(&mut allocator, &mut model, warm);
        check(&allocator, &model);
        prop_assert!(model.resident.is_empty(), "pages stay behind: {:?}", model.resident);
        prop_assert_eq!(allocator.pieces.len(), 1);
    }
}

#[test]
fn a_freed_extent_is_used_before_a_cold_one() {
    let mut allocator = Allocator::new(ARENA_BYTES);
    let first = allocator.allocate(4096).unwrap();
    let _between = allocator.allocate(64).unwrap();
    let large = allocator.allocate(10_000).unwrap();
    let _last = allocator.allocate(64).unwrap();
    allocator.free(large, 10_000);
    assert_eq!(allocator.allocate(64), Some(large));
    allocator.free(first, 4096);
    assert_eq!(allocator.allocate(4096), Some(first));
}

#[test]
fn an_extent_cools_at_the_second_ageing_after_it_was_freed() {
    let mut allocator = Allocator::new(ARENA_BYTES);
    let start = allocator.allocate(10_000).unwrap();
    assert!(allocator.age().is_empty());
    allocator.free(start, 10_000);
    assert!(allocator.age().is_empty());
    assert_eq!(allocator.age(), [start]);
    assert_eq!(allocator.pages(start), 0..3 * PAGE);
}

#[test]
fn the_first_extent_lies_at_offset_64() {
    assert_eq!(Allocator::new(ARENA_BYTES).allocate(100), Some(64));
}
