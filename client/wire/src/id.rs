//! Identifiers. Each is its own type and prints alike in logs, tests and scripts.
//!
//! An object or blob id is `bit 63: blob | 16 bits node | 15 bits boot | 32 bits counter`: unique in the cluster by
//! construction, with no clock in it. The counter of each process begins at random, so that an id of one cluster is
//! hardly ever an id of another. Clients rely on bit 63 only.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const BLOB_BIT: u64 = 1 << 63;
/// Counters are 1 to this: `EMPTY_BLOB` has 0, and `INVALID` the one above.
const COUNTER_MAX: u32 = u32::MAX - 1;

/// An object or a blob. Prints as `o` and 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(pub u64);

impl ObjectId {
    /// The blob of size 0: it exists on every instance and is never stored.
    pub const EMPTY_BLOB: Self = Self(BLOB_BIT);
    /// "No object"; also the placeholder blob that stands for the whole arena.
    pub const INVALID: Self = Self(u64::MAX);

    /// Whether bit 63 is set.
    pub fn is_blob(self) -> bool {
        self.0 & BLOB_BIT != 0
    }

    /// The instance that made it, by the id's own bits. An instance of a later build of boots has the same id.
    pub fn made_by(self) -> InstanceId {
        let (node, boot) = ((self.0 >> 47) & 0xffff, (self.0 >> 32) & 0x7fff);
        InstanceId::new(NodeId(node), boot)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "o{:016x}", self.0)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {0:?}")]
pub struct ParseIdError(pub String);

impl FromStr for ObjectId {
    type Err = ParseIdError;

    /// Reads `o` and 1 to 16 hex digits.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text
            .strip_prefix('o')
            .filter(|d| !d.is_empty() && d.len() <= 16);
        digits
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u64::from_str_radix(d, 16).ok())
            .map(Self)
            .ok_or_else(|| ParseIdError(text.to_owned()))
    }
}

/// What objects of equal content lineage share: a migrated copy keeps its source's signature. Prints as `s` and 16 hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub u64);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{:016x}", self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A node of the cluster: stable per data directory, below 65,536. Prints as `n` and the number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl From<u64> for NodeId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One life of a node's process, as clients see it: `node + boot * 65536`, never reused. Prints as `i` and the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub u64);

impl InstanceId {
    /// Of an object whose members live on several instances.
    pub const UNSPECIFIED: Self = Self(u64::MAX);

    /// The life `boot` of a node.
    pub fn new(node: NodeId, boot: u64) -> Self {
        Self(node.0 + (boot << 16))
    }

    /// Whose life it is.
    pub fn node(self) -> NodeId {
        NodeId(self.0 & 0xffff)
    }

    /// How many lives the node had before.
    pub fn boot(self) -> u64 {
        self.0 >> 16
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InstanceId {
    type Err = ParseIdError;

    /// Reads `i` and a decimal number.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text
            .strip_prefix('i')
            .filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        digits
            .and_then(|d| d.parse().ok())
            .map(Self)
            .ok_or_else(|| ParseIdError(text.to_owned()))
    }
}

/// Makes ids for one instance. Deterministic: the same instance and the same first counter make the same ids in the
/// same order.
#[derive(Debug)]
pub struct IdMaker {
    prefix: u64,
    next: u32,
    left: u32,
}

impl IdMaker {
    /// `instance` must have a boot below 32,768; a node restarted more often than that gets a new node id.
    /// The counter begins at `first` and goes round once.
    pub fn new(instance: InstanceId, first: u32) -> Self {
        let prefix = (instance.node().0 << 47) | ((instance.boot() & 0x7fff) << 32);
        Self {
            prefix,
            next: first,
            left: COUNTER_MAX,
        }
    }

    /// A fresh object id.
    pub fn object(&mut self) -> ObjectId {
        ObjectId(self.step())
    }

    /// A fresh blob id.
    pub fn blob(&mut self) -> ObjectId {
        ObjectId(self.step() | BLOB_BIT)
    }

    /// A fresh signature.
    pub fn signature(&mut self) -> Signature {
        Signature(self.step())
    }

    fn step(&mut self) -> u64 {
        assert!(self.left > 0, "this instance has used all its ids");
        self.left -= 1;
        if !(1..=COUNTER_MAX).contains(&self.next) {
            self.next = 1;
        }
        let id = self.prefix | u64::from(self.next);
        self.next += 1;
        id
    }
}

/// What the log lines of one request have in common, on every node that has a part in it. Random enough that no two
/// requests of a cluster share one. Prints as `t` and 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trace(pub u64);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:016x}", self.0)
    }
}
