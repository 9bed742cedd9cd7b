//! `ObjectID` and `ObjectName`: what objects are found by.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString, PyType};
use vineyard_wire::{Code, ObjectId};

use crate::errors::{refuse, wrong_type};

const SCHEME: &str = "vineyard://";

/// The id of an object or a blob: 64 bits, printed as `o` and 16 hex digits.
///
/// ObjectID() is the id of no object. ObjectID(value) takes an int from 0 to 2**64-1, an ObjectID, or a text: `o`
/// (which may be left out) and 1 to 16 hex digits, or what str(object_id) gives; white space around it is ignored. A
/// text that is no id is a ValueError, anything else a TypeError.
#[pyclass(name = "ObjectID", module = "vineyard._C", frozen, subclass)]
#[derive(Clone, Copy)]
pub(crate) struct PyObjectId(pub(crate) ObjectId);

#[pymethods]
impl PyObjectId {
    #[new]
    #[pyo3(signature = (value = None, /))]
    fn new(value: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(value) = value else {
            return Ok(Self(ObjectId::INVALID));
        };
        if let Ok(text) = value.cast::<PyString>() {
            return parse(&text.to_cow()?).map(Self);
        }
        if let Ok(id) = value.cast::<Self>() {
            return Ok(*id.get());
        }
        number(value).map(Self)
    }

    /// `vineyard://` and the id: a text that names the object where a path is expected.
    #[getter]
    fn uri(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// The id that `uri`, made by the property of that name, stands for. UserInputErrorException if it is none.
    #[staticmethod]
    fn from_uri(py: Python<'_>, uri: &str) -> PyResult<Self> {
        let id = uri.strip_prefix(SCHEME).and_then(|rest| parse(rest).ok());
        id.map(Self).ok_or_else(|| not_a_uri(py, "object ID", uri))
    }

    fn __int__(&self) -> u64 {
        self.0.0
    }

    fn __hash__(&self) -> u64 {
        self.0.0
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().0 == self.0)
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }

    fn __str__(&self) -> String {
        format!("ObjectID <\"{}\">", self.0)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, (u64,)) {
        (py.get_type::<Self>(), (self.0.0,))
    }
}

fn number(value: &Bound<'_, PyAny>) -> PyResult<ObjectId> {
    let refused = || wrong_type("an ObjectID, an int from 0 to 2**64-1 or a str", value);
    if value.is_instance_of::<PyFloat>() {
        return Err(refused());
    }
    let whole = value.call_method0("__int__").map_err(|_| refused())?;
    let number = whole.extract::<u64>().map_err(|_| {
        PyTypeError::new_err(format!("an ObjectID is from 0 to 2**64-1, not {whole}"))
    })?;
    Ok(ObjectId(number))
}

/// Reads an id: with its `o`, without, or as `str` prints it.
pub(crate) fn parse(text: &str) -> PyResult<ObjectId> {
    let id = text.trim();
    let printed = id
        .strip_prefix("ObjectID <\"")
        .and_then(|rest| rest.strip_suffix("\">"));
    let id = printed.unwrap_or(id);
    let digits = id.strip_prefix('o').unwrap_or(id);
    format!("o{digits}").parse().map_err(|_| {
        PyValueError::new_err(format!(
            "{text:?} is not an object id: write `o` and up to 16 hex digits, as in 'o000043c5c6d5e646'"
        ))
    })
}

fn not_a_uri(py: Python<'_>, what: &str, uri: &str) -> PyErr {
    let text = format!("Not a valid uri for vineyard {what}: {uri:?}, expected {SCHEME}...");
    refuse(py, Code::UserInputError, text)
}

/// A name of an object, where a str would do as well.
#[pyclass(name = "ObjectName", module = "vineyard._C", frozen)]
pub(crate) struct PyObjectName(String);

#[pymethods]
impl PyObjectName {
    #[new]
    #[pyo3(signature = (name, /))]
    fn new(name: String) -> Self {
        Self(name)
    }

    /// `vineyard://` and the name.
    #[getter]
    fn uri(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// The name that `uri`, made by the property of that name, stands for. UserInputErrorException if it is none.
    #[staticmethod]
    fn from_uri(py: Python<'_>, uri: &str) -> PyResult<Self> {
        let name = uri.strip_prefix(SCHEME).map(str::to_owned);
        name.map(Self)
            .ok_or_else(|| not_a_uri(py, "object name", uri))
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().0 == self.0)
    }

    fn __repr__(&self) -> String {
        format!("'{}'", self.0)
    }

    fn __str__(&self) -> String {
        self.0.clone()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, (String,)) {
        (py.get_type::<Self>(), (self.0.clone(),))
    }
}

/// The id in an argument that must be one.
pub(crate) fn id_of(value: &Bound<'_, PyAny>) -> PyResult<ObjectId> {
    match value.cast::<PyObjectId>() {
        Ok(id) => Ok(id.get().0),
        Err(_) => Err(wrong_type(
            "an ObjectID (ObjectID(value) makes one of an int or a str)",
            value,
        )),
    }
}

/// The ids in an argument that must be a list of them.
pub(crate) fn ids_of(values: &Bound<'_, PyAny>) -> PyResult<Vec<ObjectId>> {
    values.try_iter()?.map(|value| id_of(&value?)).collect()
}

/// The name in an argument: a str or an ObjectName.
pub(crate) fn name_of(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(name) = value.cast::<PyObjectName>() {
        return Ok(name.get().0.clone());
    }
    let Ok(name) = value.cast::<PyString>() else {
        return Err(wrong_type("a name, as a str or an ObjectName", value));
    };
    match name.to_cow() {
        Ok(name) => Ok(name.into_owned()),
        Err(_) => {
            let text = format!(
                "a name is text that UTF-8 can carry, and {} has a lone surrogate",
                name.repr()?
            );
            Err(PyValueError::new_err(text))
        }
    }
}
