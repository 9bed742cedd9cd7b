//! Metadata trees as clients send and receive them.
//!
//! A value that is a JSON object is a member (an object or a blob); every other value is a plain attribute. There is no
//! other nesting. Keys are sorted; integers are exact up to `u64`; integer and float stay apart (`42` and `42.0`).

/// One node of a metadata tree.
pub type Tree = serde_json::Map<String, serde_json::Value>;

/// The type name of every blob node.
pub const BLOB_TYPENAME: &str = "vineyard::Blob";

/// Keys whose meaning the protocol fixes.
pub mod key {
    pub const ID: &str = "id";
    pub const SIGNATURE: &str = "signature";
    pub const INSTANCE_ID: &str = "instance_id";
    pub const TYPENAME: &str = "typename";
    pub const NBYTES: &str = "nbytes";
    pub const LENGTH: &str = "length";
    pub const TRANSIENT: &str = "transient";
    pub const GLOBAL: &str = "global";
    pub const TIMESTAMP: &str = "__timestamp";
    pub const NAME: &str = "__name";
    pub const LABELS: &str = "__labels";
    /// Ours: in a `PutObject`, which of the blobs that came along a member is.
    pub const INLINE: &str = "inline";
}
