//! A library of C that stands before the system's in a process under test.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// Compiles `source` in `folder`, and returns the variable that makes a process load it.
pub fn compile(folder: &Path, source: &str) -> Result<(OsString, OsString)> {
    let (text, library) = (folder.join("preloaded.c"), folder.join("preloaded.so"));
    std::fs::write(&text, source)?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&text);
    ensure!(
        cc.status()?.success(),
        "the library to preload does not compile"
    );
    Ok(("LD_PRELOAD".into(), library.into_os_string()))
}
