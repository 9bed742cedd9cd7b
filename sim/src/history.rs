//! What clients asked and what they were told, in simulated time. An answer that never came stays unknown: it may have
//! happened, at any later moment, or never.

use vineyard_wire::ObjectId;

/// What one client asked of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Read,
    Put(ObjectId),
    PutIfAbsent(ObjectId),
    /// Put the second if the name points to the first.
    PutIfEquals(ObjectId, ObjectId),
    Drop,
}

/// What it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The name points to this, or to nothing.
    Found(Option<ObjectId>),
    Done,
    /// The condition did not hold.
    Refused,
    /// No answer that tells: it may have taken effect, or may yet.
    Unknown,
}

/// One operation on one name. Times are microseconds of simulated time; the order of equal times is that of `order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub client: usize,
    pub ask: Ask,
    pub told: Told,
    pub invoked: u64,
    /// `u64::MAX` while the outcome is unknown.
    pub returned: u64,
}

/// Numbers the moments of a history: each is later than every moment before it.
#[derive(Debug, Default)]
pub struct Moments {
    next: u64,
}

impl Moments {
    pub fn later(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
