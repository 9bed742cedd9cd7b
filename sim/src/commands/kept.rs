//! What seeds of a long run did, in a file, so that the run can be ended and goes on.
//!
//! A line of the file is the result of one seed. A line that was cut short is left out, and its seed runs again.

#![allow(
    clippy::disallowed_methods,
    reason = "the file is one of the machine's, outside of every simulated world"
)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vineyard_sim::report::Report;

#[derive(Serialize, Deserialize)]
struct Line {
    seed: u64,
    report: Report,
}

/// See the module. Keeps nothing if there is no file.
pub(crate) struct Kept {
    file: Option<File>,
    failed: Option<std::io::Error>,
}

impl Kept {
    /// Opens or makes the file. Returns what it has of these seeds, too.
    pub(crate) fn open(
        path: Option<&Path>,
        seeds: &Range<u64>,
    ) -> Result<(Self, BTreeMap<u64, Report>), String> {
        let Some(path) = path else {
            return Ok((Self::of(None), BTreeMap::new()));
        };
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let known = lines
            .filter(|line: &Line| seeds.contains(&line.seed))
            .map(|line| (line.seed, line.report))
            .collect();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok((Self::of(Some(file)), known))
    }

    fn of(file: Option<File>) -> Self {
        Self { file, failed: None }
    }

    pub(crate) fn add(&mut self, seed: u64, report: &Report) {
        let Some(file) = &mut self.file else { return };
        let line = Line {
            seed,
            report: report.clone(),
        };
        let line = serde_json::to_string(&line).expect("counts and texts are always JSON");
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            self.failed = Some(error);
        }
    }

    /// Tells whether all was kept.
    pub(crate) fn end(self) -> Result<(), String> {
        match self.failed {
            None => Ok(()),
            Some(error) => Err(format!("the results could not be kept: {error}")),
        }
    }
}
