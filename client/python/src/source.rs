//! What the blobs of a put are made of: a buffer, or a list of them.
//!
//! Promise: nothing is joined or copied here; the bytes stay where they are until they are written to the node's memory
//! or to the connection, with the interpreter free. It must never know what the bytes are.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use vineyard_client::{BlobSource, PutBlob};

use crate::buffer::{Borrowed, Strided};

pub(crate) enum Source {
    /// A contiguous buffer.
    Whole(Borrowed),
    /// Buffers of any strides, one after the other.
    Pieces(Pieces),
}

impl Source {
    /// The bytes of a buffer, or of a list of buffers.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match object.cast::<PyList>() {
            Ok(list) => Ok(Self::Pieces(Pieces::of(list)?)),
            Err(_) => Ok(Self::Whole(Borrowed::of(object)?)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(buffer) => buffer.len(),
            Self::Pieces(pieces) => pieces.size(),
        }
    }

    pub(crate) fn to_blob(&self) -> PutBlob<'_> {
        match self {
            Self::Whole(buffer) => PutBlob::Bytes(buffer.bytes()),
            Self::Pieces(pieces) => PutBlob::Source(pieces),
        }
    }
}

pub(crate) struct Pieces {
    /// With the offset behind each.
    pieces: Vec<(Strided, usize)>,
}

impl Pieces {
    fn of(list: &Bound<'_, PyList>) -> PyResult<Self> {
        let mut pieces = Vec::with_capacity(list.len());
        let mut end = 0_usize;
        for piece in list {
            let piece = Strided::of(&piece)?;
            end = end.checked_add(piece.len()).ok_or_else(|| {
                PyValueError::new_err("the pieces are more bytes than memory has")
            })?;
            pieces.push((piece, end));
        }
        Ok(Self { pieces })
    }
}

impl BlobSource for Pieces {
    fn size(&self) -> usize {
        self.pieces.last().map_or(0, |(_, end)| *end)
    }

    fn read_at(&self, offset: usize, target: &mut [u8]) {
        let first = self.pieces.partition_point(|(_, end)| *end <= offset);
        let (mut offset, mut rest) = (offset, target);
        for (piece, end) in &self.pieces[first..] {
            if rest.is_empty() {
                break;
            }
            let (part, after) = rest.split_at_mut((end - offset).min(rest.len()));
            piece.read_at(offset + piece.len() - end, part);
            offset = *end;
            rest = after;
        }
    }
}
