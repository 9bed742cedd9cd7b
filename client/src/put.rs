//! What a put says, a whole tree and its bytes, and how objects are got.

use std::fmt;
use std::time::Duration;

use vineyard_wire::Tree;

use crate::source::BlobBytes;
use crate::{BlobSource, BlobWriter};

/// An object to put in as few messages as the node allows: one, or two if its bytes are many.
#[derive(Debug, Default)]
pub struct PutObject<'a> {
    /// The object's tree, as it goes over the wire. A member without an `id` is made along with it, a member that is
    /// only `{"id": …}` links an object that exists, and `{"typename": "vineyard::Blob", "inline": n}` stands for the
    /// nth of `blobs`. What the tree does not say of instance, `nbytes` and the like is filled in.
    pub content: Tree,
    /// Stored along with it.
    pub blobs: Vec<PutBlob<'a>>,
    /// Makes the object and its members known to the whole cluster, durably.
    pub persist: bool,
    /// Points this name to the object, whatever it pointed to before. Refused (code `Invalid`) without `persist`.
    pub name: Option<String>,
}

/// A blob of a put.
pub enum PutBlob<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The bytes of this source: copied once, to the node's memory or to the connection.
    Source(&'a dyn BlobSource),
    /// A blob that was filled in place. Over the Unix socket nothing is copied. It is sealed, or gone if the put fails.
    Filled(BlobWriter),
}

impl<'a> PutBlob<'a> {
    /// The bytes that are still to be sent.
    pub(crate) fn bytes(&self) -> Option<BlobBytes<'a>> {
        match self {
            Self::Bytes(bytes) => Some(BlobBytes::Slice(bytes)),
            Self::Source(source) => Some(BlobBytes::Source(*source)),
            Self::Filled(_) => None,
        }
    }
}

impl fmt::Debug for PutBlob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.bytes()) {
            (Self::Filled(writer), _) => writer.fmt(f),
            (_, bytes) => write!(f, "PutBlob({} bytes)", bytes.map_or(0, |bytes| bytes.len())),
        }
    }
}

/// How objects are got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetOptions {
    /// A node of the released vineyard first catches up with its cluster. Ours asks the cluster whenever it knows no
    /// such object, whatever this says.
    pub sync_remote: bool,
    /// Wait so long for what does not exist yet. `None`: it is an error at once.
    pub wait: Option<Duration>,
    /// Copy an object of another instance to this node first, to stay, and get the copy: what is got has the copy's id.
    /// One request on a second connection, which is kept; a node that does not offer that takes several.
    pub fetch: bool,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self {
            sync_remote: true,
            wait: None,
            fetch: false,
        }
    }
}

/// How bytes of other instances are read.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct ReadOptions<'a> {
    /// Whether their owners compress them; `None`: as [`Options::compression`](crate::Options::compression) says.
    pub compression: Option<bool>,
    /// Is told how many bytes came, after each batch.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl fmt::Debug for ReadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = self.progress.is_some();
        write!(
            f,
            "ReadOptions(compression {:?}, watched {watched})",
            self.compression
        )
    }
}
