//! What stands on the disk and in snapshots: types and version bytes that belong to these formats alone.
//!
//! Promise: a change of a type of the state, of a message between members or of the client protocol changes no byte
//! here; a field that is added there does not compile until the conversion here says what becomes of it. Each format
//! is read back from its golden bytes. The conversions borrow what they write.
//!
//! | file | format | its version |
//! |---|---|---|
//! | `keys` | where each record stands, and the seal around it | first byte of each key; first byte of each value |
//! | `raft` | openraft's vote, log ids, memberships, and the frame of a log entry | of the seal |
//! | `entry` | a command in the log | `version` of the entry |
//! | `rows` | records, blobs, instances: the parts that entries and snapshots are made of | of what they stand in |
//! | `outcome` | what commands were answered, for retries | of the snapshot |
//! | `snapshot` | the whole state | first byte of the snapshot |
//! | `manifest` | which snapshot is current | first byte of the record |
//! | `codec` | how values become bytes | |

mod codec;
pub(crate) mod entry;
pub(crate) mod keys;
pub(crate) mod manifest;
mod outcome;
pub(crate) mod raft;
mod rows;
pub(crate) mod snapshot;

pub(crate) use codec::Malformed;
