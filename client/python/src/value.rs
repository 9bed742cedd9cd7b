//! Plain metadata values: Python's and the wire's.
//!
//! Promise: what goes in comes out equal and of the same type, or is refused with what to do instead. Text of lists and
//! dicts is theirs, as in the released package: `[1,2]` is kept as a str.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple};
use serde_json::{Number, Value};

use crate::errors::wrong_type;
use crate::tree::{Entry, Node};

/// A value as JSON has it. Lists, tuples and dicts stay lists and objects.
pub(crate) fn to_json(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(text.to_cow()?.into_owned()));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return whole(value);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return exact(number.value());
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        let text = std::str::from_utf8(bytes.as_bytes());
        let refused = |_| PyValueError::new_err("metadata holds text: these bytes are not UTF-8");
        return Ok(Value::String(text.map_err(refused)?.to_owned()));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let values = value.try_iter()?;
        return Ok(Value::Array(
            values
                .map(|value| to_json(&value?))
                .collect::<PyResult<_>>()?,
        ));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return object(dict);
    }
    of_another_library(value)
}

fn object(dict: &Bound<'_, PyDict>) -> PyResult<Value> {
    let mut members = serde_json::Map::new();
    for (key, value) in dict {
        let Ok(key) = key.cast::<PyString>() else {
            return Err(wrong_type("a str as key of metadata", &key));
        };
        members.insert(key.to_cow()?.into_owned(), to_json(&value)?);
    }
    Ok(Value::Object(members))
}

fn whole(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(number) = value.extract::<i64>() {
        return Ok(number.into());
    }
    let number = value.extract::<u64>().map_err(|_| {
        PyValueError::new_err(
            "metadata holds ints from -2**63 to 2**64-1: store a larger one as str(value), or put it as an object",
        )
    })?;
    Ok(number.into())
}

fn exact(number: f64) -> PyResult<Value> {
    let number = Number::from_f64(number).ok_or_else(|| {
        PyValueError::new_err(format!(
            "metadata is JSON, which has no {number}: store it as a str, or put it as an object"
        ))
    })?;
    Ok(Value::Number(number))
}

/// Scalars that are no Python numbers, such as numpy's, know how to become one.
fn of_another_library(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    let refused = || {
        wrong_type(
            "str, int, float, bool, None, list, tuple or dict as metadata",
            value,
        )
    };
    let scalar = value
        .getattr("ndim")
        .is_ok_and(|ndim| ndim.eq(0).unwrap_or(false));
    if !scalar {
        return Err(refused());
    }
    let plain = value.call_method0("item").map_err(|_| refused())?;
    let known = plain.is_none()
        || plain.is_instance_of::<PyString>()
        || plain.is_instance_of::<PyInt>()
        || plain.is_instance_of::<PyFloat>();
    if known {
        to_json(&plain)
    } else {
        Err(refused())
    }
}

/// A value as a metadata entry: what has parts becomes its JSON text.
pub(crate) fn to_plain(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    Ok(match to_json(value)? {
        parts @ (Value::Array(_) | Value::Object(_)) => Value::String(parts.to_string()),
        plain => plain,
    })
}

/// A value as Python has it.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => PyNone::get(py).to_owned().into_any(),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Number(number) => number_to_python(py, number)?,
        Value::Array(values) => {
            let values = values.iter().map(|value| to_python(py, value));
            PyList::new(py, values.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            for (key, value) in members {
                dict.set_item(key, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

fn number_to_python<'py>(py: Python<'py>, number: &Number) -> PyResult<Bound<'py, PyAny>> {
    Ok(match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(whole), _, _) => whole.into_pyobject(py)?.into_any(),
        (_, Some(whole), _) => whole.into_pyobject(py)?.into_any(),
        (_, _, Some(exact)) => PyFloat::new(py, exact).into_any(),
        _ => {
            return Err(PyTypeError::new_err(format!(
                "{number} is no number of JSON"
            )));
        }
    })
}

/// A whole tree as nested dicts.
pub(crate) fn to_dict<'py>(py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, entry) in &node.entries {
        match entry {
            Entry::Plain(value) => dict.set_item(key, to_python(py, value)?)?,
            Entry::Member(member) => dict.set_item(key, to_dict(py, member)?)?,
        }
    }
    Ok(dict)
}
