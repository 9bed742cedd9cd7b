//! Refusals of the store, with the codes and texts that clients know.

use vineyard_wire::{Code, ObjectId, Status};

use crate::{HolderId, Shortage};

/// Why the store refused. [`Error::status`] is what travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no room, or not in one piece.
    #[error("{}", short_of(_0))]
    OutOfMemory(Shortage),
    /// `act` is what was asked of the blob that is not here.
    #[error("{act}: id = {id}")]
    NotFound { act: &'static str, id: ObjectId },
    #[error("Failed to get blob with id {id}")]
    NotSealed { id: ObjectId },
    #[error("{act}: {id} is sealed and cannot change")]
    Sealed { act: &'static str, id: ObjectId },
    #[error("cannot shrink {id} of {size} bytes to {wanted}")]
    Grows {
        id: ObjectId,
        size: u64,
        wanted: u64,
    },
    /// Another one writes it.
    #[error("{id} can only be shrunk by the connection that created it")]
    NotCreator { id: ObjectId },
    #[error("DependencyTracker: failed to find object during remove dependency: {id}")]
    NotHeld { id: ObjectId },
    #[error("DependencyTracker: connection not exist.")]
    HoldsNothing,
    /// The node itself is filling the blob, or reading it.
    #[error("{id} is being read or filled by the node")]
    Borrowed { id: ObjectId },
    /// A blob of this id is here, or was deleted and somebody still reads it.
    #[error("{id} is here already, or was deleted and is still read")]
    Exists { id: ObjectId },
    /// The request outlived the session that asked.
    #[error("{holder} is closed")]
    HolderClosed { holder: HolderId },
}

/// The beginning is the released server's text.
fn short_of(shortage: &Shortage) -> String {
    let Shortage {
        wanted,
        limit,
        in_use,
        deleted,
        largest_free,
    } = *shortage;
    let mut text = format!(
        "Failed to allocate memory of size {wanted}, total available memory size are {limit}, and {in_use} are already \
         in use; the largest free piece has {largest_free} bytes"
    );
    if deleted > 0 {
        text += &format!(
            ", and readers of deleted objects still hold {deleted}, which are free when they drop those values"
        );
    }
    if wanted <= limit.saturating_sub(in_use) {
        text +=
            "; enough is free, but not in one piece: deleting objects joins the pieces beside them";
    }
    text
}

impl Error {
    pub fn code(&self) -> Code {
        match self {
            Self::OutOfMemory { .. } => Code::NotEnoughMemory,
            Self::NotFound { .. } | Self::NotHeld { .. } => Code::ObjectNotExists,
            Self::NotSealed { .. } => Code::ObjectNotSealed,
            Self::Sealed { .. } => Code::ObjectSealed,
            Self::Grows { .. } | Self::NotCreator { .. } | Self::Borrowed { .. } => Code::Invalid,
            Self::Exists { .. } => Code::ObjectExists,
            Self::HoldsNothing => Code::KeyError,
            Self::HolderClosed { .. } => Code::ConnectionError,
        }
    }

    pub fn status(&self) -> Status {
        Status::new(self.code(), self.to_string())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.status()
    }
}
