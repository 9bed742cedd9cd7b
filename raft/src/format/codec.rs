//! How values become bytes: bincode, numbers as short as they are, one value after the other.
//!
//! Checksums are compared before anything is decoded here, so lengths are believed.

use bincode::config::{Configuration, standard};
use serde::Serialize;
use serde::de::DeserializeOwned;

const CONFIG: Configuration = standard();

/// Bytes that are not what they should be, although their checksum was right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("version {found}; this build reads up to {understood}")]
    Newer { found: u8, understood: u8 },
    #[error("it cannot be decoded: {0}")]
    Undecodable(String),
    #[error("{0} bytes are left over")]
    Trailing(usize),
}

/// Writes values one after the other.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Bytes that begin with `version`.
    pub(super) fn new(version: u8) -> Self {
        Self(vec![version])
    }

    pub(super) fn put(&mut self, value: &impl Serialize) {
        bincode::serde::encode_into_std_write(value, &mut self.0, CONFIG)
            .expect("lengths are known, and memory takes every write");
    }

    /// `len` rows, as a sequence or a map has them.
    pub(super) fn rows<T: Serialize>(&mut self, len: usize, rows: impl Iterator<Item = T>) {
        self.put(&(len as u64));
        rows.for_each(|row| self.put(&row));
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.0
    }
}

/// Reads them back.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// What follows the version byte, which is `understood` or lower, and that byte.
    pub(super) fn new(bytes: &'a [u8], understood: u8) -> Result<(u8, Self), Malformed> {
        let (&found, rest) = bytes
            .split_first()
            .ok_or_else(|| Malformed::Undecodable("nothing is there".to_owned()))?;
        match found {
            0 => Err(Malformed::Undecodable("there is no version 0".to_owned())),
            _ if found > understood => Err(Malformed::Newer { found, understood }),
            _ => Ok((found, Self(rest))),
        }
    }

    pub(super) fn take<T: DeserializeOwned>(&mut self) -> Result<T, Malformed> {
        let (value, read) = bincode::serde::decode_from_slice(self.0, CONFIG)
            .map_err(|error| Malformed::Undecodable(error.to_string()))?;
        self.0 = &self.0[read..];
        Ok(value)
    }

    pub(super) fn rows<T, U, C>(&mut self, row: impl Fn(T) -> U) -> Result<C, Malformed>
    where
        T: DeserializeOwned,
        C: FromIterator<U>,
    {
        let len: u64 = self.take()?;
        (0..len).map(|_| self.take().map(&row)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(Malformed::Trailing(left)),
        }
    }
}
