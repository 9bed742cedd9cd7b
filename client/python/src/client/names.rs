//! Names of objects.

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokio::time::timeout;
use vineyard_client::Error;
use vineyard_wire::{Code, ObjectId};

use super::PyClientBase;
use super::target::target_id;
use crate::errors::too_late;
use crate::id::{PyObjectId, name_of};

/// Waits without an end: as long as the process is likely to live.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How long after the wait its answer may take. The released server does not know of timeouts, and gives none.
const ANSWER: Duration = Duration::from_millis(250);
/// The most that a released server reads as a number of its own.
const LIMIT_MAX: u64 = i64::MAX as u64;

#[pymethods]
impl PyClientBase {
    /// Points a name to a persisted object, whatever it pointed to before.
    ///
    /// Parameters:
    ///     object: ObjectID, ObjectMeta or Object
    ///         The object.
    ///     name: str or ObjectName
    ///         The name.
    ///
    /// Raises:
    ///     InvalidException: the object is not persisted.
    ///     ObjectNotExistsException: there is no such object.
    fn put_name(
        &self,
        py: Python<'_>,
        object: &Bound<'_, PyAny>,
        name: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (id, name) = (target_id(object)?, name_of(name)?);
        self.call(py, async move |client| client.put_name(id, &name).await)
    }

    /// The id that a name points to.
    ///
    /// Parameters:
    ///     name: str or ObjectName
    ///         The name.
    ///     wait: bool
    ///         Whether to wait until the name appears; Ctrl-C ends the wait. Default False.
    ///     timeout: float or None
    ///         The most seconds to wait. None: no limit.
    ///
    /// Returns:
    ///     ObjectID
    ///
    /// Raises:
    ///     ObjectNotExistsException: there is no such name, and `wait` is False.
    ///     DeadlineException: it did not appear in time. A TimeoutError too.
    #[pyo3(signature = (name, wait = false, timeout = None))]
    fn get_name(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        wait: bool,
        timeout: Option<f64>,
    ) -> PyResult<PyObjectId> {
        let name = name_of(name)?;
        let id = match wait {
            true => wait_for(self, py, &name, wait_within(timeout)?)?,
            false => self.call(py, async move |client| client.get_name(&name).await)?,
        };
        Ok(PyObjectId(id))
    }

    /// Forgets a name, if it exists. The object stays.
    ///
    /// Parameters:
    ///     name: str or ObjectName
    ///         The name.
    ///
    /// Raises:
    ///     ConnectionErrorException: the connection is closed or broken.
    fn drop_name(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = name_of(name)?;
        self.call(py, async move |client| client.drop_name(&name).await)
    }

    /// Names that match a pattern, in order, and what they point to.
    ///
    /// Parameters:
    ///     pattern: str
    ///         With `*` and `?` as in a shell, for the whole name.
    ///     regex: bool
    ///         Whether it is a regular expression instead. Default False.
    ///     limit: int
    ///         The most to return. Default 5.
    ///
    /// Returns:
    ///     dict of str to ObjectID
    ///
    /// Raises:
    ///     ValueError: the limit is negative.
    ///     ConnectionErrorException: the connection is closed or broken.
    #[pyo3(signature = (pattern, regex = false, limit = 5))]
    fn list_names(
        &self,
        py: Python<'_>,
        pattern: String,
        regex: bool,
        #[pyo3(from_py_with = limit_of)] limit: u64,
    ) -> PyResult<BTreeMap<String, PyObjectId>> {
        let found = self.call(py, async move |client| {
            client.list_names(&pattern, regex, limit).await
        })?;
        Ok(found
            .into_iter()
            .map(|(name, id)| (name, PyObjectId(id)))
            .collect())
    }
}

/// The id that `name` points to as soon as it does.
pub(super) fn wait_for(
    client: &PyClientBase,
    py: Python<'_>,
    name: &str,
    within: Duration,
) -> PyResult<ObjectId> {
    let patience = within.saturating_add(ANSWER);
    let found = client.call(py, async move |client| {
        let found = match timeout(patience, client.wait_name(name, within)).await {
            Ok(found) => found,
            Err(_) => return Ok(None),
        };
        match found {
            // The node says that it gave up.
            Err(Error::Status {
                code: Code::IoError,
                ..
            }) => Ok(None),
            found => found.map(Some),
        }
    })?;
    found.ok_or_else(|| {
        let seconds = within.as_secs_f64();
        let text = format!("no name {name:?} appeared within {seconds} s");
        too_late(py, &text)
    })
}

/// At most how many to list. What a node cannot count to is no limit.
pub(super) fn limit_of(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    if value.lt(0)? {
        let text = format!("a limit is 0 or more, not {value}");
        return Err(PyValueError::new_err(text));
    }
    match value.gt(LIMIT_MAX)? {
        true => Ok(LIMIT_MAX),
        false => value.extract(),
    }
}

/// A number of seconds as a wait; none is for ever.
pub(super) fn wait_within(seconds: Option<f64>) -> PyResult<Duration> {
    let Some(seconds) = seconds else {
        return Ok(FOR_EVER);
    };
    let within = Duration::try_from_secs_f64(seconds.max(0.0));
    Ok(within.unwrap_or(FOR_EVER).min(FOR_EVER))
}
