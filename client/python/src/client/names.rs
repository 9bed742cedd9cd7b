//! Names of objects.

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::prelude::*;
use vineyard_client::Error;
use vineyard_wire::{Code, ObjectId};

use super::PyClientBase;
use super::target::target_id;
use crate::id::{PyObjectId, name_of};

/// Waits without an end: as long as the process is likely to live.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

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
        let within = wait_within(timeout)?;
        let id: ObjectId = self.call(py, async move |client| match wait {
            // The node says that it gave up; for the caller that is a deadline.
            true => match client.wait_name(&name, within).await {
                Err(Error::Status {
                    code: Code::IoError,
                    ..
                }) => Err(Error::Deadline {
                    waited_for: format!("the name {name:?}"),
                    after: within,
                }),
                found => found,
            },
            false => client.get_name(&name).await,
        })?;
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
        limit: u64,
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

/// A number of seconds as a wait; none is for ever.
pub(super) fn wait_within(seconds: Option<f64>) -> PyResult<Duration> {
    let Some(seconds) = seconds else {
        return Ok(FOR_EVER);
    };
    let within = Duration::try_from_secs_f64(seconds.max(0.0));
    Ok(within.unwrap_or(FOR_EVER).min(FOR_EVER))
}
