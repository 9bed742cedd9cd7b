//! From bytes to a message's `type` and text, and from the text to its fields.
//!
//! Fields are read straight into their types: what a message does not need is skipped, never stored.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Malformed;
use crate::id::Trace;
use crate::limits::{JSON_OBJECTS_MAX, JSON_SCAN_BYTES_MIN, JSON_VALUES_MAX};
use crate::status::{Code, Status};

/// Longest error text, bytes: a decoder's error repeats its input, which may be a whole frame.
const REASON_BYTES_MAX: usize = 512;

/// Why a body is not a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("Failed to parse the JSON message: {0}")]
    Syntax(String),
    #[error("Invalid message: {0}")]
    Shape(String),
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        let mut reason = error.to_string();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        match error.classify() {
            Category::Data => Self::Shape(reason),
            Category::Syntax | Category::Eof | Category::Io => Self::Syntax(reason),
        }
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        Self::invalid(fault.to_string())
    }
}

impl From<Fault> for Malformed {
    fn from(fault: Fault) -> Self {
        Self {
            reason: fault.to_string(),
        }
    }
}

pub(super) struct Head<'a> {
    pub(super) type_: Cow<'a, str>,
    pub(super) trace: Option<Trace>,
    pub(super) text: &'a str,
}

#[derive(Deserialize)]
struct RequestHead<'a> {
    #[serde(borrow, rename = "type")]
    type_: Option<&'a RawValue>,
    /// Ours; of anybody else's meaning it is none.
    #[serde(borrow)]
    trace: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ReplyHead<'a> {
    #[serde(borrow, rename = "type")]
    type_: Option<&'a RawValue>,
    code: Option<u64>,
    message: Option<String>,
}

/// A body's JSON text, and the bytes after it: they begin behind the first zero byte, which no JSON text contains.
pub(super) fn text_and_bytes(body: &[u8]) -> (&[u8], &[u8]) {
    match CStr::from_bytes_until_nul(body) {
        Ok(text) if text.count_bytes() + 1 < body.len() => {
            (text.to_bytes(), &body[text.count_bytes() + 1..])
        }
        _ => (body, &[]),
    }
}

pub(super) fn request_head(body: &[u8]) -> Result<Head<'_>, Fault> {
    let text = object_text(body)?;
    let head: RequestHead<'_> = serde_json::from_str(text)?;
    let trace = head.trace.and_then(|raw| raw.get().parse().ok());
    Ok(Head {
        type_: type_text(head.type_)?,
        trace: trace.map(Trace),
        text,
    })
}

/// A `code` other than 0 is a refusal, whatever else the reply says.
pub(super) fn reply_head(body: &[u8]) -> Result<Result<Head<'_>, Status>, Fault> {
    let text = object_text(body)?;
    let head: ReplyHead<'_> = serde_json::from_str(text)?;
    if let Some(number) = head.code.filter(|number| *number != 0) {
        return Ok(Err(Status::new(
            Code::from_number(number),
            head.message.unwrap_or_default(),
        )));
    }
    Ok(Ok(Head {
        type_: type_text(head.type_)?,
        trace: None,
        text,
    }))
}

fn type_text(raw: Option<&RawValue>) -> Result<Cow<'_, str>, Fault> {
    let raw = raw
        .ok_or_else(|| Fault::Shape("no 'type' field".to_owned()))?
        .get();
    let not_text = || Fault::Shape("the 'type' field is not a string".to_owned());
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or_else(not_text)?;
    if inner.contains('\\') {
        return Ok(Cow::Owned(serde_json::from_str(raw)?));
    }
    Ok(Cow::Borrowed(inner))
}

/// The body as text, if it can be an object and is not built to exhaust memory.
fn object_text(body: &[u8]) -> Result<&str, Fault> {
    let text = std::str::from_utf8(body).map_err(|error| Fault::Syntax(error.to_string()))?;
    // A derived struct would also accept an array in its fields' order.
    if !text.trim_ascii_start().starts_with('{') {
        let _syntax: IgnoredAny = serde_json::from_str(text)?;
        return Err(Fault::Shape("no 'type' field".to_owned()));
    }
    if body.len() >= JSON_SCAN_BYTES_MIN {
        refuse_dense(text)?;
    }
    Ok(text)
}

/// Two bytes of JSON can become 600 bytes of map: long frames are counted before they are decoded.
fn refuse_dense(text: &str) -> Result<(), Fault> {
    let (objects, values) = count(text);
    if objects > JSON_OBJECTS_MAX || values > JSON_VALUES_MAX {
        return Err(Fault::Shape(format!(
            "{objects} objects and {values} values; at most {JSON_OBJECTS_MAX} and {JSON_VALUES_MAX} are allowed"
        )));
    }
    Ok(())
}

/// Objects and values of a JSON text, as they are counted before a long frame is decoded.
pub fn count(text: &str) -> (usize, usize) {
    let (mut objects, mut values, mut quoted) = (0, 0, false);
    // Between two quotes either everything counts or nothing does.
    for part in text.split('"') {
        if quoted {
            let escapes = part.bytes().rev().take_while(|byte| *byte == b'\\');
            quoted = escapes.count() % 2 == 1;
        } else {
            objects += part.bytes().filter(|byte| *byte == b'{').count();
            values += part.bytes().filter(|byte| *byte == b',').count();
            quoted = true;
        }
    }
    (objects, values)
}

/// All fields of a message.
pub(super) fn all<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    Ok(serde_json::from_str(text)?)
}

/// The one field of a message.
pub(super) fn one<'a, T: Deserialize<'a>>(text: &'a str, key: &'static str) -> Result<T, Fault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = deserializer.deserialize_map(One {
        key,
        value: PhantomData,
    })?;
    deserializer.end()?;
    Ok(value)
}

struct One<T> {
    key: &'static str,
    value: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {:?}", self.key)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(KeyIs(self.key))? {
            if wanted {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| A::Error::missing_field(self.key))
    }
}

struct KeyIs(&'static str);

impl<'de> DeserializeSeed<'de> for KeyIs {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeyIs {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, byte by byte.
    fn count_slowly(text: &str) -> (usize, usize) {
        let (mut objects, mut values, mut quoted, mut escaped) = (0, 0, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b'{' if !quoted => objects += 1,
                b',' if !quoted => values += 1,
                _ => {}
            }
        }
        (objects, values)
    }

    proptest! {
        #[test]
        fn what_is_quoted_does_not_count(text in r#"["\\\\{,x]{0,40}"#) {
            prop_assert_eq!(count(&text), count_slowly(&text));
        }
    }
}
