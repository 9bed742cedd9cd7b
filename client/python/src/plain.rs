//! A look at the items of a sequence.
//!
//! Promise: it calls no code of Python's, so that a look at ten items costs less than one call. It must never know how
//! a sequence is stored.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyString, PyTuple};

/// Whether each item of a list or tuple is None, or exactly an int, float, str or bool.
#[pyfunction]
pub(crate) fn _are_plain(items: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(match items.cast::<PyList>() {
        Ok(list) => list.iter().all(|item| is_plain(&item)),
        Err(_) => items.cast::<PyTuple>()?.iter().all(|item| is_plain(&item)),
    })
}

fn is_plain(item: &Bound<'_, PyAny>) -> bool {
    item.is_exact_instance_of::<PyInt>()
        || item.is_exact_instance_of::<PyFloat>()
        || item.is_exact_instance_of::<PyString>()
        || item.is_none()
        || item.is_exact_instance_of::<PyBool>()
}
