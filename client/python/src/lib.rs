//! `vineyard._C`: the Rust client as a Python extension.
//!
//! Promise: thin. It has ids, metadata, blobs, clients of one connection, and errors; what a value looks like as an
//! object, and which of several clients to ask, is Python's affair. The node and the command line are linked in, so
//! that the package is all there is to install.

mod blob;
mod blob_builder;
mod buffer;
mod client;
mod connect;
mod content;
mod copy;
mod entry;
mod errors;
mod held;
mod id;
mod meta;
mod object;
mod plain;
mod remote_blob;
mod runtime;
mod source;
mod status;
mod tree;
mod value;

use pyo3::prelude::*;

/// The extension of the package `vineyard`; import that instead.
#[pymodule(name = "_C")]
fn extension(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<id::PyObjectId>()?;
    module.add_class::<id::PyObjectName>()?;
    module.add_class::<object::PyVineyardObject>()?;
    module.add_class::<object::PyObjectBuilder>()?;
    module.add_class::<meta::PyMeta>()?;
    module.add_class::<blob::PyBlob>()?;
    module.add_class::<blob_builder::PyBlobBuilder>()?;
    module.add_class::<remote_blob::PyRemoteBlob>()?;
    module.add_class::<remote_blob::PyRemoteBlobBuilder>()?;
    module.add_class::<status::PyStatus>()?;
    module.add_class::<client::PyClientBase>()?;
    module.add_class::<client::PyIpcClient>()?;
    module.add_class::<client::PyRpcClient>()?;
    module.add_function(wrap_pyfunction!(connect::_connect, module)?)?;
    module.add_function(wrap_pyfunction!(copy::memory_copy, module)?)?;
    module.add_function(wrap_pyfunction!(plain::_are_plain, module)?)?;
    module.add_function(wrap_pyfunction!(entry::vineyardd, module)?)?;
    module.add_function(wrap_pyfunction!(entry::vineyardctl, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::register(module)
}
