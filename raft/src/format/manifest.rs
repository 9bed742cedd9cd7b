//! Which snapshot is current, and where its bytes are.
//!
//! | version | fields |
//! |---|---|
//! | 1 | number, chunks, the xxh3 of all of them, position; the chunks are records (`keys::chunk`) |
//! | 2 | number, bytes, the xxh3 of them, position; they are in a file of their own |
//!
//! Version 1 is of earlier builds: it is read, and written no more.

use std::io;

use super::keys;
use super::raft::Position;

const VERSION: u8 = 2;

/// Where the bytes of a snapshot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// In so many records.
    Chunks(u32),
    /// In a file of so many bytes.
    File(u64),
}

pub(crate) struct Manifest {
    pub(crate) number: u64,
    pub(crate) held: Held,
    /// xxh3 of all bytes.
    pub(crate) checksum: u64,
    pub(crate) position: Position,
}

impl Manifest {
    /// A guarded record, of the version that says where the bytes are.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let Self {
            number,
            held,
            checksum,
            position,
        } = self;
        match held {
            Held::Chunks(chunks) => keys::seal_as(1, &(number, chunks, checksum, position)),
            Held::File(bytes) => keys::seal_as(VERSION, &(number, bytes, checksum, position)),
        }
    }

    pub(crate) fn open(bytes: &[u8]) -> io::Result<Self> {
        let ((number, size, checksum, position), version) = keys::open_as(bytes, VERSION)?;
        let held = match version {
            1 => Held::Chunks(u32::try_from(size).map_err(|_| too_many(size))?),
            _ => Held::File(size),
        };
        Ok(Self {
            number,
            held,
            checksum,
            position,
        })
    }
}

fn too_many(chunks: u64) -> io::Error {
    let reason = format!("a snapshot cannot have {chunks} chunks");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Membership;

    #[test]
    fn each_version_has_its_bytes_and_comes_back() {
        for (held, version, size) in [(Held::Chunks(3), 1, 3), (Held::File(5), 2, 5)] {
            let manifest = Manifest {
                number: 7,
                held,
                checksum: 9,
                position: Position::new(None, &Membership::default()),
            };
            let sealed = manifest.seal();
            assert_eq!(sealed[..8], [version, 7, size, 9, 0, 0, 0, 0]);
            let read = Manifest::open(&sealed).unwrap();
            assert_eq!((read.number, read.held, read.checksum), (7, held, 9));
        }
    }
}
