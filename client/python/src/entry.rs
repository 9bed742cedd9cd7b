//! The node and the command line, started from Python.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs a node in this process until it is told to stop (SIGTERM, SIGINT): the exit code.
///
/// argv: the command line without the program's name, as `["--socket", "/tmp/vineyard.sock"]`.
#[pyfunction]
pub(crate) fn vineyardd(py: Python<'_>, argv: Vec<String>) -> u8 {
    py.detach(|| vineyard_node::run(argv))
}

/// Runs one command of `vineyardctl`: the exit code.
///
/// argv: the command line without the program's name, as `["--socket", "/tmp/vineyard.sock", "status"]`.
#[pyfunction]
pub(crate) fn vineyardctl(py: Python<'_>, argv: Vec<String>) -> PyResult<u8> {
    let python: OsString = py.import("sys")?.getattr("executable")?.extract()?;
    let node = vec![python, "-m".into(), "vineyard".into()];
    let words = argv.into_iter().map(OsString::from);
    let words = std::iter::once("vineyardctl".into()).chain(words).collect();
    Ok(py.detach(|| ::vineyardctl::main_beside(words, Ok(node))))
}
