//! Metadata trees as clients send and receive them.
//!
//! A value that is a JSON object is a member (an object or a blob); every other value is a plain attribute. There is no
//! other nesting. Keys are sorted; integers are exact up to `u64`; integer and float stay apart (`42` and `42.0`).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// One node of a metadata tree.
pub type Tree = serde_json::Map<String, serde_json::Value>;

/// A tree as its JSON text, an object, to pass on, or to parse in another way. It was not parsed yet: what
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

    /// The text, a JSON object.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tree that the text says.
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
    /// The object's or blob's id, printed.
    pub const ID: &str = "id";
    /// What an object and its migrated copies share.
    pub const SIGNATURE: &str = "signature";
    /// The instance that it is on.
    pub const INSTANCE_ID: &str = "instance_id";
    /// What readers choose a resolver by.
    pub const TYPENAME: &str = "typename";
    /// How large the object is, in bytes, as its writer says.
    pub const NBYTES: &str = "nbytes";
    /// How many bytes a blob has.
    pub const LENGTH: &str = "length";
    /// Whether it is known to its instance alone.
    pub const TRANSIENT: &str = "transient";
    /// Whether its members may be on any instances.
    pub const GLOBAL: &str = "global";
    /// When it was made, ms since 1970.
    pub const TIMESTAMP: &str = "__timestamp";
    /// The name that was put last.
    pub const NAME: &str = "__name";
    /// A JSON object, as text.
    pub const LABELS: &str = "__labels";
    /// Ours: in a `PutObject`, which of the blobs that came along a member is.
    pub const INLINE: &str = "inline";
}
