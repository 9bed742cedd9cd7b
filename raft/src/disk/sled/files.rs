//! The files of a sled database and its journal, synced.
//!
//! sled keeps a page of more than 128 KiB in a file of its own in `blobs/` and never syncs it. A log entry of a large
//! persist is such a page, so those files, and the folder that names them, are synced here too.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::SystemTime;

use super::journal::Active;

/// When something is synced, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A group is in the journal: that.
    Journalled,
    /// sled has taken a group, and may have written pages on its own. Files that those name, and the pages at the end
    /// of a file that has grown, must not be lost while pages behind them are not: sled would not open what is left.
    Applied,
    /// sled has written all it has: everything of sled's.
    Flushed,
}

pub(super) struct Files {
    journal: Active,
    db: File,
    /// How long `db` was at its last sync, bytes.
    db_bytes: u64,
    blobs: PathBuf,
    /// When `blobs` had last changed at the last look, and the files that were durable then.
    seen: Option<SystemTime>,
    durable: BTreeSet<OsString>,
}

impl Files {
    /// The files of the open database in `path` and its journal; the folders themselves are made durable at once.
    pub(super) fn open(path: &Path, journal: Active) -> io::Result<Self> {
        let db = File::open(path.join("db"))?;
        File::open(path)?.sync_all()?;
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            File::open(parent)?.sync_all()?;
        }
        let blobs = path.join("blobs");
        Ok(Self {
            journal,
            db,
            db_bytes: 0,
            blobs,
            seen: None,
            durable: BTreeSet::new(),
        })
    }

    /// Returns when what the step is about would survive a power loss.
    pub(super) fn sync(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Journalled => {
                let active = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
                active.sync_data()
            }
            Step::Applied => {
                self.sync_blobs()?;
                match self.db.metadata()?.len() == self.db_bytes {
                    true => Ok(()),
                    false => self.sync_db(),
                }
            }
            Step::Flushed => {
                self.sync_blobs()?;
                self.sync_db()
            }
        }
    }

    fn sync_db(&mut self) -> io::Result<()> {
        self.db_bytes = self.db.metadata()?.len();
        self.db.sync_data()
    }

    fn sync_blobs(&mut self) -> io::Result<()> {
        let changed = match fs::metadata(&self.blobs) {
            Ok(folder) => folder.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.seen == Some(changed) {
            return Ok(());
        }
        let mut present = BTreeSet::new();
        for entry in fs::read_dir(&self.blobs)? {
            let name = entry?.file_name();
            if !self.durable.contains(&name) && !sync_file(&self.blobs.join(&name))? {
                continue;
            }
            present.insert(name);
        }
        File::open(&self.blobs)?.sync_all()?;
        // A change within the clock's grain of this look would not show, so a young folder is read again.
        self.seen = is_old(changed).then_some(changed);
        self.durable = present;
        Ok(())
    }
}

/// False if sled removed the file meanwhile.
fn sync_file(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(file) => file.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_old(changed: SystemTime) -> bool {
    const GRAIN_MS_MAX: u128 = 50;
    SystemTime::now()
        .duration_since(changed)
        .is_ok_and(|age| age.as_millis() > GRAIN_MS_MAX)
}

#[cfg(test)]
mod tests;
