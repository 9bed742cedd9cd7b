//! Arguments that stand for an object: its id, its metadata, or itself.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use vineyard_wire::ObjectId;

use crate::errors::wrong_type;
use crate::id::PyObjectId;
use crate::meta::PyMeta;
use crate::object::PyVineyardObject;

/// The id of an ObjectID, ObjectMeta or Object.
pub(super) fn target_id(object: &Bound<'_, PyAny>) -> PyResult<ObjectId> {
    if let Ok(id) = object.cast::<PyObjectId>() {
        return Ok(id.get().0);
    }
    if let Ok(meta) = object.cast::<PyMeta>() {
        return Ok(meta.get().id(object.py())?.0);
    }
    if let Ok(object) = object.cast::<PyVineyardObject>() {
        let meta = PyVineyardObject::meta(object)?;
        return Ok(meta.get().id(object.py())?.0);
    }
    Err(wrong_type("an ObjectID, ObjectMeta or Object", object))
}

/// The ids of one of these, or of a list of them.
pub(super) fn target_ids(objects: &Bound<'_, PyAny>) -> PyResult<Vec<ObjectId>> {
    let one = objects.is_instance_of::<PyObjectId>()
        || objects.is_instance_of::<PyMeta>()
        || objects.is_instance_of::<PyVineyardObject>();
    if one {
        return Ok(vec![target_id(objects)?]);
    }
    if objects.is_instance_of::<PyString>() {
        let expected = "an ObjectID, ObjectMeta or Object, or a list of them";
        return Err(wrong_type(expected, objects));
    }
    objects.try_iter()?.map(|one| target_id(&one?)).collect()
}

/// Whether an argument that may be one or several is several.
pub(super) fn is_list(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<pyo3::types::PyList>() || value.is_instance_of::<PyTuple>()
}
