//! Copying between memory that Python names: `memory_copy`, and the `copy` of builders.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use vineyard_wire::Code;

use crate::buffer::{self, Borrowed, Region};
use crate::errors::refuse;

/// The memory in the arguments `(buffer)` or `(address, size)`.
pub(crate) fn source_of(pointer: &Bound<'_, PyAny>, size: Option<usize>) -> PyResult<Borrowed> {
    if !pointer.is_instance_of::<PyInt>() {
        let source = Borrowed::of(pointer)?;
        return match size {
            Some(size) if size > source.len() => Err(PyValueError::new_err(format!(
                "{size} bytes of a buffer of {}",
                source.len()
            ))),
            Some(size) => Ok(source.first(size)),
            None => Ok(source),
        };
    }
    let size = size.ok_or_else(|| {
        PyTypeError::new_err("an address needs a size: copy(offset, address, size)")
    })?;
    Borrowed::at(pointer.extract()?, size)
}

/// Refuses bytes that do not fit behind `offset`.
pub(crate) fn check_fits(
    py: Python<'_>,
    region: Region,
    offset: usize,
    len: usize,
) -> PyResult<()> {
    let room = region.len.checked_sub(offset);
    if room.is_some_and(|room| len <= room) {
        return Ok(());
    }
    let text = format!(
        "Expect a source buffer with size at most '{}', but the buffer size is '{len}'",
        room.unwrap_or(0)
    );
    Err(refuse(py, Code::AssertionFailed, text))
}

/// What lies behind `offset`, which is inside.
pub(crate) fn region_after(region: Region, offset: usize) -> Region {
    Region {
        address: region.address + offset,
        len: region.len - offset,
        writable: region.writable,
    }
}

/// Copies `src` to `dst`, `offset` bytes behind its start, with the interpreter free.
///
/// dst: a writable buffer, or an int address. src: a buffer, or an int address. With an address, its size in bytes
/// follows it: memory_copy(dst, dst_size, src, src_size), memory_copy(dst, dst_size, src), memory_copy(dst, src,
/// src_size), memory_copy(dst, src). concurrency: the most threads that copy.
///
/// AssertionFailedException if `src` does not fit, TypeError if `dst` is read-only.
#[pyfunction]
#[pyo3(signature = (
    *arguments, offset = None, concurrency = None, dst = None, src = None, dst_size = None,
    src_size = None
))]
#[expect(
    clippy::too_many_arguments,
    reason = "the released function's four forms, and their keywords"
)]
pub(crate) fn memory_copy(
    py: Python<'_>,
    arguments: &Bound<'_, pyo3::types::PyTuple>,
    offset: Option<usize>,
    concurrency: Option<usize>,
    dst: Option<Bound<'_, PyAny>>,
    src: Option<Bound<'_, PyAny>>,
    dst_size: Option<usize>,
    src_size: Option<usize>,
) -> PyResult<()> {
    let mut rest = arguments.iter();
    let missing =
        |what: &str| PyTypeError::new_err(format!("memory_copy(dst, src): {what} is missing"));
    let mut take = |given: Option<Bound<'_, PyAny>>, size: Option<usize>, what: &str| {
        let pointer = given.or_else(|| rest.next()).ok_or_else(|| missing(what))?;
        let size = match size {
            None if pointer.is_instance_of::<PyInt>() => {
                let size = rest
                    .next()
                    .ok_or_else(|| missing("the size of an address"))?;
                Some(size.extract()?)
            }
            size => size,
        };
        source_of(&pointer, size)
    };
    let target = take(dst, dst_size, "dst")?;
    let source = take(src, src_size, "src")?;
    let offset = match offset {
        Some(offset) => offset,
        None => rest.next().map_or(Ok(0), |value| value.extract())?,
    };
    let concurrency = match concurrency {
        Some(concurrency) => concurrency,
        None => rest.next().map_or(Ok(6), |value| value.extract())?,
    };
    if !target.is_writable() {
        return Err(PyTypeError::new_err("dst is read-only memory"));
    }
    let region = target.region();
    check_fits(py, region, offset, source.len())?;
    let to = region_after(region, offset);
    py.detach(|| buffer::copy(&source, to, concurrency));
    Ok(())
}
