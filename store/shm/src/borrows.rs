//! Which bytes of an arena are borrowed by slices of this process, and how.
//!
//! Promise: a range that is written is covered by one writer and nothing else. It must never know what the bytes are.

use std::collections::BTreeMap;
use std::ops::Range;

/// Disjoint segments by start. A segment exists only while something borrows it.
#[derive(Debug, Default)]
pub(crate) struct Borrows {
    segments: BTreeMap<usize, Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    end: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Readers(u32),
    Writer,
}

impl Borrows {
    pub(crate) fn is_borrowed(&self, range: &Range<usize>) -> bool {
        self.overlapping(range).next().is_some()
    }

    /// Adds one writer; `false` if anything borrows a byte of `range`.
    pub(crate) fn add_writer(&mut self, range: Range<usize>) -> bool {
        if self.is_borrowed(&range) {
            return false;
        }
        self.segments.insert(
            range.start,
            Segment {
                end: range.end,
                kind: Kind::Writer,
            },
        );
        true
    }

    /// Adds one reader; `false` if a writer borrows a byte of `range`.
    pub(crate) fn add_reader(&mut self, range: Range<usize>) -> bool {
        if self
            .overlapping(&range)
            .any(|(_, segment)| segment.kind == Kind::Writer)
        {
            return false;
        }
        self.split(range.start);
        self.split(range.end);
        let mut at = range.start;
        while at < range.end {
            let next = self
                .segments
                .range(at..range.end)
                .next()
                .map(|(start, _)| *start);
            match next {
                Some(start) if start == at => {
                    let segment = self
                        .segments
                        .get_mut(&at)
                        .expect("its start was just found");
                    if let Kind::Readers(count) = &mut segment.kind {
                        *count += 1;
                    }
                    at = segment.end;
                }
                gap => {
                    let end = gap.unwrap_or(range.end);
                    self.segments.insert(
                        at,
                        Segment {
                            end,
                            kind: Kind::Readers(1),
                        },
                    );
                    at = end;
                }
            }
        }
        true
    }

    pub(crate) fn remove_writer(&mut self, range: &Range<usize>) {
        let removed = self.segments.remove(&range.start);
        debug_assert_eq!(
            removed,
            Some(Segment {
                end: range.end,
                kind: Kind::Writer
            })
        );
    }

    /// Removes one reader that was added with exactly this range.
    pub(crate) fn remove_reader(&mut self, range: &Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let segment = self
                .segments
                .get_mut(&at)
                .expect("a reader covers its whole range");
            let end = segment.end;
            match &mut segment.kind {
                Kind::Readers(count) if *count > 1 => *count -= 1,
                _ => _ = self.segments.remove(&at),
            }
            at = end;
        }
    }

    /// A writer that is done becomes a reader.
    pub(crate) fn writer_to_reader(&mut self, range: &Range<usize>) {
        let segment = self
            .segments
            .get_mut(&range.start)
            .expect("a writer covers its range");
        segment.kind = Kind::Readers(1);
    }

    /// One writer becomes two that meet at `middle`, which lies strictly inside.
    pub(crate) fn split_writer(&mut self, middle: usize) {
        self.split(middle);
    }

    /// Makes `at` a boundary between segments.
    fn split(&mut self, at: usize) {
        let before = self.segments.range_mut(..at).next_back();
        if let Some((_, segment)) = before.filter(|(_, segment)| segment.end > at) {
            let tail = *segment;
            segment.end = at;
            self.segments.insert(at, tail);
        }
    }

    fn overlapping(&self, range: &Range<usize>) -> impl Iterator<Item = (&usize, &Segment)> {
        let start = range.start;
        self.segments
            .range(..range.end)
            .rev()
            .take_while(move |(_, segment)| segment.end > start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Steps: (is it a writer, start, length), or the removal of the borrow at that index.
        #[test]
        fn borrows_agree_with_a_count_per_byte(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0..40usize, 1..12usize), 0..60)
        ) {
            let mut borrows = Borrows::default();
            let mut live: Vec<(bool, Range<usize>)> = Vec::new();
            for (remove, writer, start, len) in steps {
                if remove && !live.is_empty() {
                    let (writer, range) = live.swap_remove(start % live.len());
                    if writer { borrows.remove_writer(&range) } else { borrows.remove_reader(&range) }
                    continue;
                }
                let range = start..start + len;
                let overlaps = |other: &Range<usize>| other.start < range.end && range.start < other.end;
                let clash = live.iter().any(|(other, r)| overlaps(r) && (*other || writer));
                prop_assert_eq!(borrows.is_borrowed(&range), live.iter().any(|(_, r)| overlaps(r)));
                let added =
                    if writer { borrows.add_writer(range.clone()) } else { borrows.add_reader(range.clone()) };
                prop_assert_eq!(added, !clash);
                if added {
                    live.push((writer, range));
                }
            }
            for (writer, range) in live {
                if writer { borrows.remove_writer(&range) } else { borrows.remove_reader(&range) }
            }
            prop_assert!(borrows.segments.is_empty());
        }
    }
}
