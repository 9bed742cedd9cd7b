//! Slices of an arena that own their borrow: they may be sent, kept and dropped anywhere.
//!
//! Promise: the bytes stay mapped and their range stays borrowed until the last slice of it is gone.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use crate::arena::Mapped;

/// Bytes of an arena, shared and read-only. Cloning is cheap.
#[derive(Clone)]
pub struct Slice {
    borrow: Arc<ReadBorrow>,
    range: Range<usize>,
}

impl Slice {
    /// `range` is inside the region and was added to the borrows, unless it is empty.
    pub(crate) fn new(mapped: Arc<Mapped>, range: Range<usize>) -> Self {
        Self {
            borrow: Arc::new(ReadBorrow {
                mapped,
                range: range.clone(),
            }),
            range,
        }
    }

    /// Where the bytes begin in the arena.
    pub fn offset(&self) -> u64 {
        self.range.start as u64
    }

    /// A part of this slice, relative to its start; `None` if it is not inside.
    pub fn part(&self, part: Range<usize>) -> Option<Self> {
        (part.start <= part.end && part.end <= self.range.len()).then(|| {
            let range = self.range.start + part.start..self.range.start + part.end;
            Self {
                borrow: self.borrow.clone(),
                range,
            }
        })
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.borrow.mapped.at(self.range.start);
        // SAFETY: the range is inside the region, which the borrow keeps mapped; the table of borrows admits no writer
        // in this arena while the borrow lives, and other processes keep to the rule in `arena`.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.range.len()) }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({:?})", self.range)
    }
}

struct ReadBorrow {
    mapped: Arc<Mapped>,
    range: Range<usize>,
}

impl Drop for ReadBorrow {
    fn drop(&mut self) {
        if !self.range.is_empty() {
            self.mapped.borrows().remove_reader(&self.range);
        }
    }
}

/// Bytes of an arena that nobody else in this arena can see.
pub struct SliceMut {
    /// `None` once the borrow went on to a `Slice` or to two halves.
    mapped: Option<Arc<Mapped>>,
    range: Range<usize>,
}

impl SliceMut {
    /// `range` is inside a writable region and was added to the borrows as a writer, unless it is empty.
    pub(crate) fn new(mapped: Arc<Mapped>, range: Range<usize>) -> Self {
        Self {
            mapped: Some(mapped),
            range,
        }
    }

    /// Where the bytes begin in the arena.
    pub fn offset(&self) -> u64 {
        self.range.start as u64
    }

    /// Ends writing: the same bytes, shared and read-only.
    pub fn freeze(mut self) -> Slice {
        let mapped = self.take();
        if !self.range.is_empty() {
            mapped.borrows().writer_to_reader(&self.range);
        }
        Slice::new(mapped, self.range.clone())
    }

    /// Two writers of the bytes before and after `middle`, for threads that fill them side by side. Panics if `middle`
    /// is past the end, as `split_at_mut` does.
    pub fn split_at(mut self, middle: usize) -> (Self, Self) {
        assert!(
            middle <= self.range.len(),
            "{middle} is past the end of {:?}",
            self.range
        );
        let middle = self.range.start + middle;
        let mapped = self.take();
        if self.range.start < middle && middle < self.range.end {
            mapped.borrows().split_writer(middle);
        }
        let left = Self::new(mapped.clone(), self.range.start..middle);
        (left, Self::new(mapped, middle..self.range.end))
    }

    fn take(&mut self) -> Arc<Mapped> {
        self.mapped
            .take()
            .expect("the borrow is taken once, by what consumes self")
    }

    fn mapped(&self) -> &Mapped {
        self.mapped
            .as_ref()
            .expect("the borrow is taken only by what consumes self")
    }
}

impl Deref for SliceMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.mapped().at(self.range.start);
        // SAFETY: the range is inside the region, which `mapped` keeps mapped, and is borrowed by this slice alone.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.range.len()) }
    }
}

impl DerefMut for SliceMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.mapped().at(self.range.start);
        // SAFETY: as above; the region is writable, because `Arena::slice_mut` refuses read-only ones; `&mut self` is
        // the only way to these bytes in this arena, and other processes keep to the rule in `arena`.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.range.len()) }
    }
}

impl AsRef<[u8]> for SliceMut {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for SliceMut {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for SliceMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SliceMut({:?})", self.range)
    }
}

impl Drop for SliceMut {
    fn drop(&mut self) {
        if let Some(mapped) = self.mapped.take().filter(|_| !self.range.is_empty()) {
            mapped.borrows().remove_writer(&self.range);
        }
    }
}
