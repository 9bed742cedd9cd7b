//! The exceptions, and which of them a failure becomes.
//!
//! Promise: one class per status code of the protocol, all below `VineyardException`; a text is the class's prefix,
//! what was tried, and what to do about it where that is known. It must never decide whether something is a failure.

use std::io::ErrorKind;

use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use vineyard_client::Error;
use vineyard_wire::Code;

struct Class {
    /// Without `Exception`.
    name: &'static str,
    prefix: &'static str,
    code: Code,
    doc: &'static str,
}

const fn class(name: &'static str, prefix: &'static str, code: Code, doc: &'static str) -> Class {
    Class {
        name,
        prefix,
        code,
        doc,
    }
}

/// Every class with a status code. The names are the released package's.
#[rustfmt::skip]
const CLASSES: [Class; 35] = [
    class("AlreadyStopped", "Already stopped", Code::AlreadyStopped, "What was asked has stopped already."),
    class("ArrowError", "Arrow error", Code::ArrowError, "Arrow refused."),
    class("AssertionFailed", "Assertion failed", Code::AssertionFailed, "The call makes no sense in this state, or with these arguments."),
    class("ConnectionError", "Connection error", Code::ConnectionError, "The connection to the node is closed or broken. Also a builtin ConnectionError."),
    class("ConnectionFailed", "Connection failed", Code::ConnectionFailed, "No connection to a node could be made. Also a builtin ConnectionError."),
    class("EndOfFile", "End of file", Code::EndOfFile, "There is no more to read."),
    class("EtcdError", "Etcd error", Code::EtcdError, "etcd refused; only a released server has one."),
    class("GlobalObjectInvalid", "Global object invalid", Code::GlobalObjectInvalid, "A global object's members are not as they must be."),
    class("IOError", "IOError", Code::IoError, "A transfer, a disk or the network failed, or an answer did not come in time."),
    class("Invalid", "Invalid", Code::Invalid, "The node refused the request, for the reason it gives."),
    class("InvalidStreamState", "Invalid stream state", Code::InvalidStreamState, "The stream is not in a state for this."),
    class("KeyError", "Key error", Code::KeyError, "There is no such key."),
    class("MetaTreeInvalid", "Metatree invalid", Code::MetaTreeInvalid, "The metadata is not a tree that makes an object."),
    class("MetaTreeLinkInvalid", "Metatree link invalid", Code::MetaTreeLinkInvalid, "A member is not a link to an object."),
    class("MetaTreeNameInvalid", "Metatree name invalid", Code::MetaTreeNameInvalid, "The object's name is not one."),
    class("MetaTreeNameNotExists", "Metatree name not exists", Code::MetaTreeNameNotExists, "The metadata has no name."),
    class("MetaTreeSubtreeNotExists", "Metatree subtree not exists.", Code::MetaTreeSubtreeNotExists, "A member, or the object itself, does not exist."),
    class("MetaTreeTypeInvalid", "Metatree type invalid", Code::MetaTreeTypeInvalid, "The type name is not one."),
    class("MetaTreeTypeNotExists", "Metatree type not exists", Code::MetaTreeTypeNotExists, "The metadata has no type name."),
    class("NotEnoughMemory", "Not enough memory", Code::NotEnoughMemory, "The node has no room for the blob."),
    class("NotImplemented", "Not implemented", Code::NotImplemented, "The node cannot do this."),
    class("ObjectExists", "Object exists", Code::ObjectExists, "The object or name exists already."),
    class("ObjectIsBlob", "Object is blob", Code::ObjectIsBlob, "An object was expected, not a blob."),
    class("ObjectNotExists", "Object not exists", Code::ObjectNotExists, "There is no such object, blob or name."),
    class("ObjectNotSealed", "Object not sealed", Code::ObjectNotSealed, "The blob is still being filled."),
    class("ObjectSealed", "Object sealed", Code::ObjectSealed, "The blob is sealed: it does not change any more."),
    class("ObjectTypeError", "Object type error", Code::ObjectTypeError, "The object is of another type."),
    class("RedisError", "Redis error", Code::RedisError, "Redis refused; only a released server has one."),
    class("StreamDrained", "Stream drained", Code::StreamDrained, "The stream has ended."),
    class("StreamFailed", "Stream failed", Code::StreamFailed, "The stream's writer gave up."),
    class("StreamOpened", "Stream opened", Code::StreamOpened, "The stream is open already."),
    class("TypeError", "Type error", Code::TypeError, "A value is of the wrong type."),
    class("UnknownError", "Unknown error", Code::UnknownError, "The node gave no known reason."),
    class("UserInputError", "User input error", Code::UserInputError, "The text is not what it should be."),
    class("VineyardServerNotReady", "Vineyard server not ready", Code::VineyardServerNotReady, "The node is starting, stopping, or lost a part of itself."),
];

/// The class objects, made once.
struct Made {
    base: Py<PyType>,
    deadline: Py<PyType>,
    /// In the order of `CLASSES`.
    classes: Vec<Py<PyType>>,
}

static MADE: PyOnceLock<Made> = PyOnceLock::new();

fn made(py: Python<'_>) -> &'static Made {
    MADE.get_or_init(py, || {
        make(py).expect("a class of fixed names and bases can be made")
    })
}

fn make(py: Python<'_>) -> PyResult<Made> {
    let base = new_class(
        py,
        "VineyardException",
        "Every error of vineyard.",
        &[py.get_type::<PyRuntimeError>()],
    )?;
    let mut classes = Vec::new();
    for class in &CLASSES {
        let name = format!("{}Exception", class.name);
        let mut bases = vec![base.clone()];
        if matches!(class.code, Code::ConnectionFailed | Code::ConnectionError) {
            bases.push(py.get_type::<PyConnectionError>());
        }
        classes.push(new_class(py, &name, class.doc, &bases)?);
    }
    let io = position(Code::IoError);
    let deadline = new_class(
        py,
        "DeadlineException",
        "An answer did not come in time. Also a builtin TimeoutError.",
        &[classes[io].clone(), py.get_type::<PyTimeoutError>()],
    )?;
    Ok(Made {
        base: base.unbind(),
        deadline: deadline.unbind(),
        classes: classes.into_iter().map(Bound::unbind).collect(),
    })
}

fn new_class<'py>(
    py: Python<'py>,
    name: &str,
    doc: &str,
    bases: &[Bound<'py, PyType>],
) -> PyResult<Bound<'py, PyType>> {
    let members = PyDict::new(py);
    members.set_item("__module__", "vineyard._C")?;
    members.set_item("__doc__", doc)?;
    let bases = PyTuple::new(py, bases)?;
    let made = py.get_type::<PyType>().call1((name, bases, members))?;
    Ok(made.cast_into::<PyType>()?)
}

fn position(code: Code) -> usize {
    let unknown = || position(Code::UnknownError);
    let found = CLASSES.iter().position(|class| class.code == code);
    found.unwrap_or_else(unknown)
}

/// Adds every class to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let made = made(py);
    module.add("VineyardException", &made.base)?;
    module.add("DeadlineException", &made.deadline)?;
    for (class, object) in CLASSES.iter().zip(&made.classes) {
        module.add(format!("{}Exception", class.name), object)?;
    }
    // The name by which the documentation calls it.
    module.add(
        "ConnectionFailed",
        &made.classes[position(Code::ConnectionFailed)],
    )
}

/// An exception of `code`'s class: its prefix, then `message`, then what to do about it if anything helps.
pub(crate) fn refuse(py: Python<'_>, code: Code, message: impl AsRef<str>) -> PyErr {
    let made = made(py);
    let at = position(code);
    let text = format!(
        "{}: {}{}",
        CLASSES[at].prefix,
        message.as_ref(),
        advice(code)
    );
    PyErr::from_type(made.classes[at].bind(py).clone(), text)
}

/// The exception that a failed call raises.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    match error {
        Error::Status { code, message } => refuse(py, *code, message),
        Error::Deadline { .. } => {
            let text = format!("{error}; the node is stopped, overloaded or out of reach");
            too_late(py, &text)
        }
        Error::Closed { .. } => refuse(
            py,
            Code::ConnectionError,
            format!("Client is not connected: {error}"),
        ),
        // The connection is not to blame, and another one would not help.
        Error::Io { source, .. } if source.kind() == ErrorKind::OutOfMemory => {
            refuse(py, Code::IoError, error.to_string())
        }
        Error::Io { .. } => refuse(py, Code::ConnectionError, error.to_string()),
        Error::OutOfReach { .. } => out_of_reach(py, error),
        Error::NoAddress => refuse(py, Code::ConnectionFailed, error.to_string()),
        Error::Mapping(_) => refuse(py, Code::Invalid, error.to_string()),
        _ => refuse(py, Code::IoError, error.to_string()),
    }
}

/// The exception for bytes whose instance is gone, or does not answer; then its cause is the connection's error.
fn out_of_reach(py: Python<'_>, error: &Error) -> PyErr {
    let Error::OutOfReach {
        object,
        blob,
        instance,
        endpoint,
        cause,
    } = error
    else {
        return refuse(py, Code::IoError, error.to_string());
    };
    let what = format!(
        "the bytes of {object} (blob {blob}) are on instance {}",
        instance.0
    );
    let Some(cause) = cause else {
        let text = format!(
            "{what}, which is not in the cluster now; an object survives its node if it was migrated, or fetched with \
             fetch=True, before the node stopped"
        );
        return refuse(py, Code::IoError, text);
    };
    let endpoint = endpoint.as_deref().unwrap_or("an unknown address");
    let text = format!(
        "{what} at {endpoint}, which cannot be reached now, though the cluster has not given it up yet: {cause}"
    );
    let raised = refuse(py, Code::IoError, text);
    let cause = match &**cause {
        error @ (Error::Deadline { .. } | Error::Closed { .. } | Error::Io { .. }) => {
            raise(py, error)
        }
        error => raise_connecting(py, endpoint, error),
    };
    raised.set_cause(py, Some(cause));
    raised
}

/// The exception for what did not come in time.
pub(crate) fn too_late(py: Python<'_>, message: &str) -> PyErr {
    let text = format!("IOError: {message}");
    PyErr::from_type(made(py).deadline.bind(py).clone(), text)
}

/// The exception for a connection that could not be made.
pub(crate) fn raise_connecting(py: Python<'_>, place: &str, error: &Error) -> PyErr {
    let text = match error {
        Error::Io { .. } | Error::Closed { .. } | Error::Deadline { .. } | Error::NoAddress => {
            format!(
                "Failed to connect to vineyardd at {place}: {error}; is a node running there? \
             `vineyardd --socket PATH` starts one, and so does vineyard.connect() without arguments"
            )
        }
        Error::Status { message, .. } => {
            format!("vineyardd at {place} refused the connection: {message}")
        }
        _ => format!("what answers at {place} is no vineyardd: {error}"),
    };
    refuse(py, Code::ConnectionFailed, text)
}

/// A `TypeError` that says what was expected and what came.
pub(crate) fn wrong_type(expected: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let name = got.get_type().name();
    let name = name.map_or_else(|_| "an object".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("expected {expected}, not {name}"))
}

fn advice(code: Code) -> &'static str {
    match code {
        Code::NotEnoughMemory => {
            "; delete objects and drop values that are not needed, or start vineyardd with a larger --size"
        }
        Code::ConnectionError => "; connect again with vineyard.connect(...)",
        Code::ObjectNotSealed => {
            "; seal it first (on the node's own machine unsafe=True reads it as it is)"
        }
        _ => "",
    }
}
