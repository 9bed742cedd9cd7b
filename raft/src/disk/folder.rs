//! Whole files in a folder, written by a thread of their own.
//!
//! A file is written under a temporary name, in pieces; each piece is synced, and then the thread rests for as long as
//! that took, so that half of the device's time is left to the log. Then it gets its name, and the folder is synced.
//! None is begun that would leave less room than the log and sled need to go on.
//!
//! Promise: that of `vineyard_env::Files`. A write that fails leaves nothing that takes room; what a crash cut off is
//! removed at the next start.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: the thread and the clock are the machine's"
)]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vineyard_env::{Done, Files};

use super::SEGMENT_BYTES;
use super::sled::patience::{self, Measure};

const PIECE_BYTES: usize = 1 << 20;
const REST_MAX: Duration = Duration::from_millis(50);
/// What the names of unfinished files end with.
const DRAFT: &str = ".new";

/// See the module.
pub(crate) struct Folder {
    path: PathBuf,
    jobs: Option<mpsc::Sender<Job>>,
    worker: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
}

enum Job {
    Write(u64, Arc<Vec<u8>>, Done),
    Remove(u64),
}

impl Folder {
    /// Makes the folder if it is not there, and removes what an earlier process did not finish. One process at a time
    /// may have it open.
    pub(crate) fn open(path: PathBuf, measure: Measure) -> io::Result<Self> {
        if !path.try_exists()? {
            fs::create_dir(&path)?;
            if let Some(parent) = path.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name();
            let draft_of = name.to_str().and_then(|name| name.strip_suffix(DRAFT));
            if draft_of.and_then(number_of).is_some() {
                fs::remove_file(entry.path())?;
            }
        }
        let closing = Arc::<AtomicBool>::default();
        let (jobs, queue) = mpsc::channel();
        let shelf = Shelf {
            path: path.clone(),
            measure,
            closing: closing.clone(),
        };
        let worker = std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || queue.iter().for_each(|job| shelf.work(job)))?;
        Ok(Self {
            path,
            jobs: Some(jobs),
            worker: Some(worker),
            closing,
        })
    }

    fn hand_over(&self, job: Job) {
        let jobs = self
            .jobs
            .as_ref()
            .expect("the queue closes only when the folder is dropped");
        // Without a worker the job is dropped, which tells the caller.
        drop(jobs.send(job));
    }
}

impl Files for Folder {
    fn list(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            found.extend(entry?.file_name().to_str().and_then(number_of));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        fs::read(at(&self.path, number))
    }

    fn write(&self, number: u64, bytes: Arc<Vec<u8>>, done: Done) {
        self.hand_over(Job::Write(number, bytes, done));
    }

    fn remove(&self, number: u64) {
        self.hand_over(Job::Remove(number));
    }

    fn name(&self, number: u64) -> String {
        at(&self.path, number).display().to_string()
    }
}

impl Drop for Folder {
    /// Does not wait for a file that is not finished: nobody was told that it is.
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(self.jobs.take());
        if let Some(worker) = self.worker.take() {
            worker.thread().unpark();
            if worker.join().is_err() {
                tracing::error!("the thread that writes files has panicked");
            }
        }
    }
}

/// What the thread has.
struct Shelf {
    path: PathBuf,
    measure: Measure,
    closing: Arc<AtomicBool>,
}

impl Shelf {
    fn work(&self, job: Job) {
        match job {
            Job::Write(number, bytes, done) => done(self.write(number, &bytes)),
            Job::Remove(number) => match fs::remove_file(at(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let file = at(&self.path, number);
                    tracing::warn!(%error, file = %file.display(), "a file that is not needed stays");
                }
                _ => {}
            },
        }
    }

    fn write(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        patience::check(&self.measure, bytes.len() as u64 + SEGMENT_BYTES)?;
        let folder = File::open(&self.path)?;
        let (draft, file) = (
            self.path.join(format!("{number}{DRAFT}")),
            at(&self.path, number),
        );
        let named = self.write_draft(&draft, bytes);
        if let Err(error) = named.and_then(|()| fs::rename(&draft, &file)) {
            // It may not even have been made.
            fs::remove_file(&draft).ok();
            return Err(error);
        }
        // A file that is not durable must not take the room of the next.
        folder
            .sync_all()
            .inspect_err(|_| drop(fs::remove_file(&file)))
    }

    fn write_draft(&self, draft: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(draft)?;
        for piece in bytes.chunks(PIECE_BYTES) {
            if self.closing.load(Ordering::SeqCst) {
                return Err(io::Error::other("the disk is being closed"));
            }
            let began = Instant::now();
            file.write_all(piece)?;
            file.sync_data()?;
            std::thread::park_timeout(began.elapsed().min(REST_MAX));
        }
        file.sync_all()
    }
}

fn at(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

/// The number that a file's name says.
fn number_of(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use vineyard_env::DiskRoom;

    use super::super::conformance::write;
    use super::*;

    fn open(path: &Path) -> Folder {
        Folder::open(path.to_owned(), Arc::new(|| Ok(None))).unwrap()
    }

    #[test]
    fn what_was_not_finished_is_removed_and_what_is_not_ours_is_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("files");
        let folder = open(&path);
        write(&folder, 7, b"seven").unwrap();
        drop(folder);
        for name in ["8.new", "notes", "x.new"] {
            fs::write(path.join(name), "").unwrap();
        }
        let folder = open(&path);
        assert_eq!(folder.list().unwrap(), [7]);
        let mut names: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["7", "notes", "x.new"]);
        assert!(folder.name(7).ends_with("files/7"));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_others_and_nothing_of_itself() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("files");
        let folder = open(&path);
        write(&folder, 1, b"one").unwrap();
        // A folder stands where the second goes.
        fs::create_dir_all(path.join("2").join("in the way")).unwrap();
        assert!(write(&folder, 2, &[7; 3 * PIECE_BYTES]).is_err());
        assert!(!path.join("2.new").exists());
        write(&folder, 3, b"three").unwrap();
        assert_eq!(folder.read(1).unwrap(), b"one");
        assert_eq!(folder.read(3).unwrap(), b"three");
    }

    /// What names a file is written while the one before it is still there.
    #[test]
    fn a_file_that_would_leave_too_little_room_is_refused_and_takes_none() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("files");
        let bytes = vec![7; 100];
        for (free_bytes, fits) in [((6 << 20) + 99, false), ((6 << 20) + 100, true)] {
            let room = DiskRoom {
                free_bytes,
                total_bytes: 1 << 30,
            };
            let folder = Folder::open(path.clone(), Arc::new(move || Ok(Some(room)))).unwrap();
            let refused = write(&folder, 1, &bytes).err().map(|error| error.kind());
            let full = Some(io::ErrorKind::StorageFull);
            assert_eq!(refused, if fits { None } else { full });
            assert_eq!(fs::read_dir(&path).unwrap().count(), usize::from(fits));
        }
    }
}
