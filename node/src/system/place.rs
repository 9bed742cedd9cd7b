//! Checks that a data directory is the one that its node left here, and neither a copy of it nor a restored older
//! state, which may lack what the node acknowledged later.
//!
//! How: each start leaves a new link `mark.N`, and the database remembers which inode it and the journal have, and when
//! they were made. A copy has other inodes. An older state restored over a newer one names a mark that was removed
//! since, and one of the same life has another mark: `cp` and `tar` overwrite an existing file in place, but create a
//! link anew. Not detected: a file system that is rolled back as a whole keeps its inodes, and so does `rsync
//! --inplace`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use vineyard_env::{Change, Disk};

/// The key of the record in the database.
const KEY: &[u8] = b"\x00place";
/// Its first byte, before JSON of `Record`.
const VERSION: u8 = 1;
const PREFIX: &str = "mark.";
/// The target exists, so that tools that follow links report no error.
const TARGET: &str = "node.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// N of `mark.N`.
    mark: u64,
    mark_inode: u64,
    /// Nanoseconds since the Unix epoch, if the file system has them, because inode numbers are reused.
    mark_born_ns: Option<u128>,
    journal_inode: u64,
    journal_born_ns: Option<u128>,
}

/// Takes possession of `dir`, whose database is `disk`, for this start. With `moved` the operator says that the
/// directory was copied here whole after its node had stopped.
///
/// # Errors
/// `InvalidData` if the directory is a copy or was restored, and `moved` is false; errors of the disk.
pub(crate) async fn take(dir: &Path, disk: &dyn Disk, moved: bool) -> io::Result<()> {
    let known = load(disk)?;
    if moved {
        tracing::warn!(dir = %dir.display(), "--moved: not looking whether this is a copy; it is for one start");
    }
    if let Some(record) = known.as_ref().filter(|_| !moved)
        && let Some(difference) = difference(dir, record)?
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{} is a copy of a node's data directory, or an older state of it that was put back: {difference}. It may \
                 lack what the node acknowledged later, so it is not started. Replace the node: start with an empty \
                 --data-dir and with --join. If the directory was only moved here, whole, after its node had stopped for \
                 the last time, start it once with --moved",
                dir.display()
            ),
        ));
    }
    let number = known.map_or(1, |record| record.mark + 1);
    let record = leave_mark(dir, number)?;
    save(disk, &record).await?;
    remove_others(dir, number)
}

fn mark(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{number}"))
}

fn journal(dir: &Path) -> io::Result<fs::Metadata> {
    fs::symlink_metadata(dir.join("meta/journal"))
}

/// The first difference between the directory and `record`.
fn difference(dir: &Path, record: &Record) -> io::Result<Option<String>> {
    let name = format!("{PREFIX}{}", record.mark);
    let found = match fs::symlink_metadata(mark(dir, record.mark)) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(format!("{name} is not there")));
        }
        Err(error) => return Err(error),
    };
    let journal = journal(dir)?;
    let parts = [
        (name.as_str(), found, record.mark_inode, record.mark_born_ns),
        (
            "meta/journal",
            journal,
            record.journal_inode,
            record.journal_born_ns,
        ),
    ];
    Ok(parts
        .into_iter()
        .find_map(|(name, found, inode, born)| another(name, &found, inode, born)))
}

/// The difference between a file and its record, if any.
fn another(name: &str, found: &fs::Metadata, inode: u64, born: Option<u128>) -> Option<String> {
    let (is, born_ns) = (found.ino(), born_ns(found));
    if is != inode {
        return Some(format!("{name} has inode {is}, and had {inode}"));
    }
    let known = born_ns.is_some() && born.is_some();
    (known && born_ns != born).then(|| format!("{name} was made at another time"))
}

fn born_ns(found: &fs::Metadata) -> Option<u128> {
    let born = found.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(born.as_nanos())
}

/// A new link, durable when this returns.
fn leave_mark(dir: &Path, number: u64) -> io::Result<Record> {
    let path = mark(dir, number);
    // A start that was killed before its record was durable has left a mark.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(TARGET, &path)?;
    File::open(dir)?.sync_all()?;
    let (made, journal) = (fs::symlink_metadata(&path)?, journal(dir)?);
    Ok(Record {
        mark: number,
        mark_inode: made.ino(),
        mark_born_ns: born_ns(&made),
        journal_inode: journal.ino(),
        journal_born_ns: born_ns(&journal),
    })
}

fn remove_others(dir: &Path, number: u64) -> io::Result<()> {
    let keep = format!("{PREFIX}{number}");
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && *name != *keep {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn load(disk: &dyn Disk) -> io::Result<Option<Record>> {
    let Some(bytes) = disk.get(KEY)? else {
        return Ok(None);
    };
    let damaged = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    match bytes.split_first() {
        Some((&VERSION, record)) => serde_json::from_slice(record)
            .map(Some)
            .map_err(|error| damaged(format!("the record of where this directory is: {error}"))),
        other => Err(damaged(format!(
            "the record of where this directory is has version {:?}; this program reads {VERSION}",
            other.map(|(version, _)| version)
        ))),
    }
}

async fn save(disk: &dyn Disk, record: &Record) -> io::Result<()> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).expect("plain fields always have a JSON form");
    let (done, saved) = oneshot::channel();
    let put = Change::Put(KEY.to_vec(), bytes);
    // The receiver is dropped only when this future is.
    disk.commit(vec![put], Box::new(move |result| drop(done.send(result))));
    saved
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the disk stopped")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vineyard_raft::disk::SledDisk;

    /// A process that another test is just starting has all descriptors of this one, locked files among them.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    async fn start(dir: &Path, moved: bool) -> io::Result<()> {
        let _alone = ALONE.lock().await;
        let disk = SledDisk::open(&dir.join("meta"), vineyard_raft::log_keys())?;
        take(dir, &disk, moved).await
    }

    /// Copies all that is in `from`, over what is there.
    async fn copy(from: &Path, to: &Path) {
        let mut cp = std::process::Command::new("cp");
        cp.arg("-a").arg(from.join(".")).arg(to);
        fs::create_dir_all(to).unwrap();
        succeeds(&mut cp).await;
    }

    async fn succeeds(command: &mut std::process::Command) {
        let _alone = ALONE.lock().await;
        assert!(command.status().unwrap().success());
    }

    fn is_refused(started: io::Result<()>) {
        let error = started.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains("is a copy"), "{error}");
    }

    #[tokio::test]
    async fn a_directory_is_known_again_also_after_it_was_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, other) = (folder.path().join("a"), folder.path().join("b"));
        for _ in 0..3 {
            start(&dir, false).await.unwrap();
        }
        // A start that was killed early leaves a mark that no record names.
        fs::write(mark(&dir, 4), "").unwrap();
        start(&dir, false).await.unwrap();
        fs::rename(&dir, &other).unwrap();
        start(&other, false).await.unwrap();
        let marks = fs::read_dir(&other).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with(PREFIX)
        });
        assert_eq!(marks.count(), 1);
    }

    #[tokio::test]
    async fn a_copy_is_refused_until_the_operator_says_that_it_was_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, other) = (folder.path().join("a"), folder.path().join("b"));
        start(&dir, false).await.unwrap();
        copy(&dir, &other).await;
        is_refused(start(&other, false).await);
        start(&dir, false).await.unwrap();
        start(&other, true).await.unwrap();
        start(&other, false).await.unwrap();
    }

    #[tokio::test]
    async fn an_older_state_that_was_put_back_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, saved) = (folder.path().join("a"), folder.path().join("saved"));
        start(&dir, false).await.unwrap();
        copy(&dir, &saved).await;
        start(&dir, false).await.unwrap();
        copy(&saved, &dir).await;
        is_refused(start(&dir, false).await);
    }

    #[tokio::test]
    async fn a_state_of_the_same_life_that_was_put_back_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, saved) = (folder.path().join("a"), folder.path().join("saved"));
        start(&dir, false).await.unwrap();
        copy(&dir, &saved).await;
        copy(&saved, &dir).await;
        is_refused(start(&dir, false).await);
        start(&dir, true).await.unwrap();
        for flag in ["-cf", "-xf"] {
            let mut tar = std::process::Command::new("tar");
            tar.arg(flag).arg(folder.path().join("saved.tar"));
            tar.arg("-C").arg(&dir).arg(".");
            succeeds(&mut tar).await;
        }
        is_refused(start(&dir, false).await);
    }

    #[tokio::test]
    async fn a_journal_in_the_place_of_another_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a");
        start(&dir, false).await.unwrap();
        let (journal, draft) = (dir.join("meta/journal"), dir.join("meta/draft"));
        fs::copy(&journal, &draft).unwrap();
        fs::rename(&draft, &journal).unwrap();
        is_refused(start(&dir, false).await);
    }
}
