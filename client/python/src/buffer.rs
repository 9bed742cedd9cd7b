//! The buffer protocol: Python reads and writes memory of the node in place. All `unsafe` of this crate is here.
//!
//! Promise: memory that Python can see stays mapped and in place until the last view of it is gone. It must never know
//! what the bytes are. `docs/decisions/0009-unsafe-for-the-buffer-protocol.md` says why safe code cannot do it.
#![allow(unsafe_code, reason = "Python takes pointers; see the decision above")]
#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "the calls are in what pyo3 makes of the slots below"
)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::thread;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::blob::PyBlob;
use crate::blob_builder::PyBlobBuilder;
use crate::errors::wrong_type;
use crate::remote_blob::{PyRemoteBlob, PyRemoteBlobBuilder};

/// Below this, starting a thread costs more than it saves.
const PIECE_BYTES_MIN: usize = 4 << 20;

/// Memory that a Python object lends. It stays where it is while the object has `exports`.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) address: usize,
    pub(crate) len: usize,
    pub(crate) writable: bool,
}

/// A Python object that lends memory.
pub(crate) trait Lends {
    /// Refused if there is nothing to lend (any more).
    fn region(&self, py: Python<'_>) -> PyResult<Region>;
    /// One view more. Until `returned`, the region must neither move nor be unmapped.
    fn lent(&self) {}
    fn returned(&self) {}
}

/// Lends the region of `object`, whose reference the view keeps.
fn fill(
    object: &Bound<'_, PyAny>,
    region: Region,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("no view to fill"));
    }
    let readonly = c_int::from(!region.writable);
    // SAFETY: `view` is the interpreter's, not null. `object` is borrowed and alive; FillInfo takes a reference of its
    // own and puts it into the view, so the object, which keeps the region in place, outlives the view. It refuses a
    // writable view of a read-only region itself.
    let filled = unsafe {
        ffi::PyBuffer_FillInfo(
            view,
            object.as_ptr(),
            region.address as *mut c_void,
            region.len as ffi::Py_ssize_t,
            readonly,
            flags,
        )
    };
    if filled != 0 {
        return Err(PyErr::fetch(object.py()));
    }
    // SAFETY: FillInfo succeeded, so the view is initialized and ours to change until we return. The text is static and
    // nobody writes to it. Signed bytes, as the released package has them.
    unsafe {
        if !(*view).format.is_null() {
            (*view).format = c"b".as_ptr().cast_mut();
        }
    }
    Ok(())
}

macro_rules! lends {
    ($($class:ident)*) => {$(
        #[pymethods]
        impl $class {
            unsafe fn __getbuffer__(
                slf: Bound<'_, Self>,
                view: *mut ffi::Py_buffer,
                flags: c_int,
            ) -> PyResult<()> {
                let region = slf.get().region(slf.py())?;
                fill(slf.as_any(), region, view, flags)?;
                slf.get().lent();
                Ok(())
            }

            unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
                self.returned();
            }
        }
    )*};
}

lends!(PyBlob PyBlobBuilder PyRemoteBlob PyRemoteBlobBuilder);

/// Memory that a caller lends us: a contiguous buffer object, or an address that the caller vouches for.
pub(crate) struct Borrowed {
    address: usize,
    len: usize,
    writable: bool,
    /// Keeps the object, and with it the memory. `None` for an address.
    _buffer: Option<PyUntypedBuffer>,
}

impl Borrowed {
    /// The memory of `object`; TypeError if it has none, BufferError if it is not in one piece.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = untyped(object)?;
        if !buffer.is_c_contiguous() && !buffer.is_fortran_contiguous() {
            return Err(PyBufferError::new_err(
                "the buffer is not in one piece: make it contiguous first, as numpy.ascontiguousarray does",
            ));
        }
        Ok(Self {
            address: buffer.buf_ptr() as usize,
            len: buffer.len_bytes(),
            writable: !buffer.readonly(),
            _buffer: Some(buffer),
        })
    }

    /// `len` bytes at `address`. As with `ctypes`, the caller answers for them.
    pub(crate) fn at(address: usize, len: usize) -> PyResult<Self> {
        if address == 0 && len > 0 {
            return Err(PyValueError::new_err("the address is null"));
        }
        Ok(Self {
            address,
            len,
            writable: true,
            _buffer: None,
        })
    }

    /// The first `len` bytes, if there are as many.
    pub(crate) fn first(self, len: usize) -> Self {
        Self {
            len: len.min(self.len),
            ..self
        }
    }

    pub(crate) fn region(&self) -> Region {
        Region {
            address: self.address,
            len: self.len,
            writable: self.writable,
        }
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// The bytes, for a socket to read while the interpreter is free.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: not null (an object's buffer has an address when it has bytes; `at` checks), `len` bytes long, and
        // kept by `_buffer` or vouched for by the caller. A thread that writes to the memory meanwhile causes a
        // mixture of old and new bytes into the blob, as with any write that is not synchronised.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.len) }
    }
}

/// Memory that a caller lends us in any layout: it is read in C order, as one run of bytes.
pub(crate) struct Strided {
    /// Of the first item.
    address: usize,
    /// Bytes that lie together.
    run_bytes: usize,
    /// How many runs there are in each dimension, and how far they are apart; the last dimension varies fastest.
    dimensions: Vec<(usize, isize)>,
    len: usize,
    /// Keeps the object, and with it the memory.
    _buffer: PyUntypedBuffer,
}

impl Strided {
    /// The memory of `object`; TypeError if it has none, BufferError if it is not what strides can say.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = untyped(object)?;
        if buffer.suboffsets().is_some() {
            return Err(PyBufferError::new_err("the buffer is made of pointers"));
        }
        let mut run_bytes = buffer.item_size();
        let mut dimensions: Vec<(usize, isize)> = Vec::new();
        let pairs = buffer.shape().iter().zip(buffer.strides());
        for (&size, &stride) in pairs.filter(|(size, _)| **size != 1) {
            match dimensions.last_mut() {
                // Both are one dimension with more items.
                Some(outer) if outer.1 == stride.wrapping_mul(size as isize) => {
                    *outer = (outer.0 * size, stride);
                }
                _ => dimensions.push((size, stride)),
            }
        }
        if let Some((size, _)) = dimensions.pop_if(|last| last.1 == run_bytes as isize) {
            run_bytes *= size;
        }
        Ok(Self {
            address: buffer.buf_ptr() as usize,
            run_bytes,
            dimensions,
            len: buffer.len_bytes(),
            _buffer: buffer,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Fills `target` with the bytes from `offset` on.
    pub(crate) fn read_at(&self, offset: usize, mut target: &mut [u8]) {
        let end = offset.checked_add(target.len());
        assert!(
            end.is_some_and(|end| end <= self.len),
            "the caller knows the length"
        );
        let mut offset = offset;
        while !target.is_empty() {
            let (address, stride, left) = self.row_at(offset / self.run_bytes);
            let inside = offset % self.run_bytes;
            let taken = match left.min(target.len() / self.run_bytes) {
                runs if inside == 0 && runs > 0 => {
                    let bytes = runs * self.run_bytes;
                    copy_runs(address, stride, self.run_bytes, &mut target[..bytes]);
                    bytes
                }
                _ => {
                    let bytes = target.len().min(self.run_bytes - inside);
                    copy_runs(address + inside, 0, bytes, &mut target[..bytes]);
                    bytes
                }
            };
            offset += taken;
            target = &mut target[taken..];
        }
    }

    /// Where run `at` is, how far the next is from it, and how many there are up to the end of its row.
    fn row_at(&self, at: usize) -> (usize, isize, usize) {
        let mut address = self.address;
        let mut rest = at;
        for (size, stride) in self.dimensions.iter().rev() {
            address = address.wrapping_add_signed(stride.wrapping_mul((rest % size) as isize));
            rest /= size;
        }
        match self.dimensions.last() {
            Some((size, stride)) => (address, *stride, size - at % size),
            None => (address, 0, 1),
        }
    }
}

/// Fills `target` with runs of `run_bytes` that are `stride` apart. They lie inside memory that `Strided` keeps.
fn copy_runs(address: usize, stride: isize, run_bytes: usize, target: &mut [u8]) {
    match run_bytes {
        1 => copy_fixed::<1>(address, stride, target),
        2 => copy_fixed::<2>(address, stride, target),
        4 => copy_fixed::<4>(address, stride, target),
        8 => copy_fixed::<8>(address, stride, target),
        16 => copy_fixed::<16>(address, stride, target),
        _ => {
            let mut from = address;
            for run in target.chunks_exact_mut(run_bytes) {
                // SAFETY: the shape and the strides are the exporter's, which vouches that each run is inside its
                // memory; `Strided` keeps that. The target is ours. As in `bytes`, another thread that writes to the
                // source causes a mixture of old and new bytes.
                unsafe { ptr::copy(from as *const u8, run.as_mut_ptr(), run_bytes) };
                from = from.wrapping_add_signed(stride);
            }
        }
    }
}

fn copy_fixed<const RUN_BYTES: usize>(address: usize, stride: isize, target: &mut [u8]) {
    let mut from = address;
    for run in target.as_chunks_mut::<RUN_BYTES>().0 {
        // SAFETY: as in `copy_runs`. An array of bytes has no alignment.
        *run = unsafe { ptr::read(from as *const [u8; RUN_BYTES]) };
        from = from.wrapping_add_signed(stride);
    }
}

/// The buffer of `object`; TypeError if it has none.
fn untyped(object: &Bound<'_, PyAny>) -> PyResult<PyUntypedBuffer> {
    PyUntypedBuffer::get(object).map_err(|error| {
        match error.is_instance_of::<PyBufferError>(object.py()) {
            true => error,
            false => wrong_type("an object with a buffer, such as bytes or an array", object),
        }
    })
}

/// Copies `source` to `to`, on up to `concurrency` threads. The regions may overlap only if one thread does it.
///
/// `to` must be writable, `source.len()` bytes long at least, and stay in place until the copy is done.
pub(crate) fn copy(source: &Borrowed, to: Region, concurrency: usize) {
    let address = to.address;
    assert!(source.len <= to.len, "the caller compared the sizes");
    let most = thread::available_parallelism().map_or(1, usize::from);
    let pieces = (source.len / PIECE_BYTES_MIN).clamp(1, concurrency.clamp(1, most));
    let piece = source.len.div_ceil(pieces);
    let part = |at: usize| {
        let (begin, end) = (at * piece, source.len.min((at + 1) * piece));
        // SAFETY: both ranges lie inside their regions (asserted above), which stay mapped: the source by `Borrowed`,
        // the target by what the caller holds. `ptr::copy` allows overlap. Pieces do not overlap each other.
        unsafe {
            let from = (source.address as *const u8).wrapping_add(begin);
            let to = (address as *mut u8).wrapping_add(begin);
            ptr::copy(from, to, end - begin);
        }
    };
    if source.len == 0 {
        return;
    }
    let part = &part;
    thread::scope(|scope| {
        for at in 1..pieces {
            scope.spawn(move || part(at));
        }
        part(0);
    });
}

/// The byte at `index` of a region that the caller keeps.
pub(crate) fn read(region: Region, index: usize) -> i8 {
    assert!(index < region.len, "the caller checked the length");
    // SAFETY: inside the region, which stays mapped while the caller holds the object that lends it.
    unsafe { *(region.address as *const i8).wrapping_add(index) }
}

/// Sets the byte at `index` of a writable region that the caller keeps.
pub(crate) fn write(region: Region, index: usize, value: i8) {
    assert!(
        index < region.len && region.writable,
        "the caller checked the length and the access"
    );
    // SAFETY: as in `read`, and writable.
    unsafe { *(region.address as *mut i8).wrapping_add(index) = value }
}
