//! The text of a metadata tree as Python dicts, of which a value is made.
//!
//! Promise: read once, from the text straight into Python. It leaves out what the protocol says of every object and no
//! value is made of: those keys are more than half of a small object. It must never know a type of value.

use std::borrow::Cow;
use std::fmt;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyNone, PyString};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use vineyard_wire::TreeText;
use vineyard_wire::meta::key;

/// Said of every object and blob by the protocol; no member has such a name.
const LEFT_OUT: [&str; 5] = [
    key::TIMESTAMP,
    key::GLOBAL,
    key::INSTANCE_ID,
    key::SIGNATURE,
    key::TRANSIENT,
];
/// The same, but a member may have such a name.
const LEFT_OUT_IF_PLAIN: [&str; 2] = [key::LENGTH, key::NBYTES];

/// What a builder said of the object and all below it, and what the protocol says of the object itself.
pub(crate) struct Content<'py> {
    pub(crate) tree: Bound<'py, PyDict>,
    pub(crate) typename: Option<String>,
    pub(crate) instance: Option<u64>,
    pub(crate) signature: Option<u64>,
}

/// Reads `text` whole. Fails as every other reading of it would.
pub(crate) fn read<'py>(py: Python<'py>, text: &TreeText) -> serde_json::Result<Content<'py>> {
    let mut deserializer = serde_json::Deserializer::from_str(text.as_str());
    let content = deserializer.deserialize_map(Root(py))?;
    deserializer.end()?;
    Ok(content)
}

struct Root<'py>(Python<'py>);

impl<'py, 'de> Visitor<'de> for Root<'py> {
    type Value = Content<'py>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a metadata tree")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content<'py>, A::Error> {
        let Self(py) = self;
        let mut content = Content {
            tree: PyDict::new(py),
            typename: None,
            instance: None,
            signature: None,
        };
        while let Some(name) = map.next_key_seed(Key)? {
            match &*name {
                key::INSTANCE_ID => content.instance = map.next_value()?,
                key::SIGNATURE => content.signature = map.next_value()?,
                key::TYPENAME => {
                    let typename: String = map.next_value()?;
                    set(&content.tree, &name, PyString::new(py, &typename).as_any())?;
                    content.typename = Some(typename);
                }
                _ => add(&content.tree, &name, &mut map)?,
            }
        }
        Ok(content)
    }
}

/// Any value as Python has it.
#[derive(Clone, Copy)]
struct Any<'py> {
    py: Python<'py>,
    /// What is in a list is the builder's, whatever its keys are.
    in_list: bool,
}

impl<'py, 'de> DeserializeSeed<'de> for Any<'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'py, 'de> Visitor<'de> for Any<'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(PyNone::get(self.py).to_owned().into_any())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(PyBool::new(self.py, flag).to_owned().into_any())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        let number = number.into_pyobject(self.py).map_err(E::custom)?;
        Ok(number.into_any())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let number = number.into_pyobject(self.py).map_err(E::custom)?;
        Ok(number.into_any())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(PyFloat::new(self.py, number).into_any())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(PyString::new(self.py, text).into_any())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let list = PyList::empty(self.py);
        let item_seed = Self {
            in_list: true,
            ..self
        };
        while let Some(item) = seq.next_element_seed(item_seed)? {
            list.append(item).map_err(A::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let dict = PyDict::new(self.py);
        while let Some(name) = map.next_key_seed(Key)? {
            match self.in_list {
                true => set(&dict, &name, &map.next_value_seed(self)?)?,
                false => add(&dict, &name, &mut map)?,
            }
        }
        Ok(dict.into_any())
    }
}

/// Puts the value that comes next into a node's `dict`, unless no reader asks for it there.
fn add<'de, A: MapAccess<'de>>(
    dict: &Bound<'_, PyDict>,
    name: &str,
    map: &mut A,
) -> Result<(), A::Error> {
    if LEFT_OUT.contains(&name) {
        return map.next_value::<IgnoredAny>().map(drop);
    }
    let any = Any {
        py: dict.py(),
        in_list: false,
    };
    let value = map.next_value_seed(any)?;
    if LEFT_OUT_IF_PLAIN.contains(&name) && !value.is_instance_of::<PyDict>() {
        return Ok(());
    }
    set(dict, name, &value)
}

/// The same few keys come again and again, and readers ask for them by interned text.
fn set<E: Error>(dict: &Bound<'_, PyDict>, name: &str, value: &Bound<'_, PyAny>) -> Result<(), E> {
    let name = PyString::intern(dict.py(), name);
    dict.set_item(name, value).map_err(E::custom)
}

/// A key, in place if nothing in it is escaped.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
