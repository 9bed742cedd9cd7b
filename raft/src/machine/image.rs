//! A snapshot's bytes.

use std::io;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;
use crate::format::{Malformed, snapshot};
use crate::state::State;

const CHECKSUM_BYTES: usize = 8;

/// An encoded state (`format::snapshot`) and the xxh3 of it (u64 LE). Clones share the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image(pub(crate) Arc<Vec<u8>>);

impl Image {
    pub(crate) fn encode(state: &State) -> Self {
        let mut bytes = snapshot::encode(state);
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        Self(Arc::new(bytes))
    }

    /// xxh3 of all bytes.
    pub(super) fn checksum(&self) -> u64 {
        xxh3_64(&self.0)
    }

    /// The state again; damage is an error, never data, and is found before anything is allocated for it.
    pub(crate) fn decode(&self) -> io::Result<State> {
        let damaged = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        let split = self.0.len().checked_sub(CHECKSUM_BYTES);
        let (body, checksum) = self
            .0
            .split_at(split.ok_or_else(|| damaged("a snapshot was cut short".into()))?);
        if xxh3_64(body).to_le_bytes() != checksum {
            return Err(damaged("a snapshot does not match its checksum".into()));
        }
        snapshot::decode(body).map_err(|error| match error {
            Malformed::Newer { found, understood } => {
                let newer = Error::Newer {
                    version: found,
                    understood,
                };
                io::Error::new(io::ErrorKind::InvalidData, newer)
            }
            error => damaged(format!("a snapshot: {error}")),
        })
    }
}

/// What `decode` says of a snapshot that a newer build encoded.
pub(super) fn newer(error: &io::Error) -> Option<Error> {
    error.get_ref()?.downcast_ref::<Error>().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_a_newer_build_is_refused_by_its_version() {
        let mut bytes = snapshot::encode(&State::default());
        bytes[0] = snapshot::VERSION + 1;
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        let error = Image(Arc::new(bytes)).decode().unwrap_err();
        let expected = Error::Newer {
            version: snapshot::VERSION + 1,
            understood: snapshot::VERSION,
        };
        assert_eq!(newer(&error), Some(expected));
        let damaged = Image(Arc::new(vec![0; 9])).decode().unwrap_err();
        assert_eq!(newer(&damaged), None);
    }
}
