//! Metadata trees as clients send and receive them.
//!
//! A value that is a JSON object is a member (an object or a blob); every other value is a plain attribute. There is no
//! other nesting. Keys are sorted; integers are exact up to `u64`; integer and float stay apart (`42` and `42.0`).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// One node of a metadata tree.
pub type Tree = serde_json::Map<String, serde_json::Value>;

/// A tree as its JSON text, an object, for whoever passes it on or reads it another way. Nobody has looked into it: what
/// is below may still turn out to be no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeText(String);

impl TreeText {
    /// The text of `tree`, which writes itself as a tree does.
    pub fn of(tree: &impl Serialize) -> Self {
        Self(serde_json::to_string(tree).expect("trees are always JSON"))
    }

    /// What its writer knows to be the text of a tree. It is passed on as it is.
    pub fn written(text: String) -> Self {
        debug_assert!(text.starts_with('{'), "a metadata tree is an object");
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn read(&self) -> serde_json::Result<Tree> {
        serde_json::from_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TreeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        match text.get().starts_with('{') {
            true => Ok(Self(Box::<str>::from(text).into_string())),
            false => Err(D::Error::custom("a metadata tree is an object")),
        }
    }
}

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
