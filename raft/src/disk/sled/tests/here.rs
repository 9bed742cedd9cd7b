//! Batches that a caller writes on its own thread.

use std::sync::Barrier;
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::*;

/// A batch of the log alone.
fn entry(number: u32) -> Batch {
    vec![put(&format!("b/{number:03}"), "1")]
}

/// As `commit`, on this thread if the disk allows it.
fn commit_here(disk: &SledDisk, batch: Batch) -> io::Result<()> {
    let (told, outcome) = mpsc::channel();
    let done = move |result| drop(told.send(result));
    disk.commit_here(batch, Box::new(done));
    outcome.recv().unwrap()
}

/// A disk that notes which threads sync the journal, after `first`.
fn noting(
    path: &Path,
    mut first: impl FnMut() -> io::Result<()> + Send + 'static,
) -> (SledDisk, Arc<Mutex<Vec<ThreadId>>>) {
    let synced = Arc::<Mutex<Vec<ThreadId>>>::default();
    let notes = synced.clone();
    let disk = open_synced(path, |mut files| {
        Box::new(move |step| {
            if step == Step::Journalled {
                first()?;
                notes.lock().unwrap().push(thread::current().id());
            }
            files.sync(step)
        })
    });
    (disk.unwrap(), synced)
}

#[test]
fn small_batches_of_the_log_are_written_by_their_caller_and_others_by_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, synced) = noting(folder.path(), || Ok(()));
    commit_here(&disk, entry(1)).unwrap();
    assert_eq!(*synced.lock().unwrap(), [thread::current().id()]);
    let large: Batch = (2..8).flat_map(entry).collect();
    let of_sled = vec![put("a", "1")];
    for batch in [large, of_sled] {
        synced.lock().unwrap().clear();
        commit_here(&disk, batch).unwrap();
        assert!(!synced.lock().unwrap().contains(&thread::current().id()));
    }
    drop(disk);
    let disk = open_again(folder.path());
    assert_eq!(disk.scan(b"b/", b"b0").unwrap().len(), 7);
    assert_eq!(disk.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_batch_never_overtakes_one_that_was_queued_before() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Barrier::new(2));
    let opens = gate.clone();
    let mut is_first = true;
    let (disk, synced) = noting(folder.path(), move || {
        if std::mem::take(&mut is_first) {
            opens.wait();
        }
        Ok(())
    });
    disk.commit(vec![put("b/1", "before")], Box::new(|_| {}));
    disk.commit_here(vec![put("b/1", "after")], Box::new(|_| {}));
    gate.wait();
    commit(&disk, Batch::new()).unwrap();
    assert_eq!(disk.get(b"b/1").unwrap().as_deref(), Some(&b"after"[..]));
    assert!(!synced.lock().unwrap().contains(&thread::current().id()));
}

#[test]
fn after_a_failed_sync_of_a_caller_nothing_is_written_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let (disk, _) = noting(folder.path(), move || match breaks.load(Ordering::SeqCst) {
        true => Err(io::Error::from_raw_os_error(5)),
        false => Ok(()),
    });
    commit_here(&disk, entry(1)).unwrap();
    broken.store(true, Ordering::SeqCst);
    assert!(commit_here(&disk, entry(2)).is_err());
    broken.store(false, Ordering::SeqCst);
    assert!(commit_here(&disk, entry(3)).is_err());
    assert!(commit(&disk, entry(3)).is_err());
    assert_eq!(disk.scan(b"b/", b"b0").unwrap().len(), 1);
}

#[test]
fn what_lacks_room_is_left_to_the_thread_which_waits_for_it() {
    const ENOSPC: i32 = 28;
    let folder = tempfile::tempdir().unwrap();
    let caller = thread::current().id();
    let (disk, synced) = noting(folder.path(), move || {
        match thread::current().id() == caller {
            true => Err(io::Error::from_raw_os_error(ENOSPC)),
            false => Ok(()),
        }
    });
    commit_here(&disk, entry(1)).unwrap();
    assert_eq!(synced.lock().unwrap().len(), 1);
    drop(disk);
    assert_eq!(
        open_again(folder.path()).scan(b"b/", b"b0").unwrap().len(),
        1
    );
}

#[test]
fn a_caller_whose_sync_took_long_leaves_the_next_to_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    // What a slow disk does.
    let (disk, synced) = noting(folder.path(), || {
        thread::sleep(Duration::from_millis(6));
        Ok(())
    });
    commit_here(&disk, entry(1)).unwrap();
    commit_here(&disk, entry(2)).unwrap();
    let here = thread::current().id();
    let by_caller: Vec<bool> = synced
        .lock()
        .unwrap()
        .iter()
        .map(|by| *by == here)
        .collect();
    assert_eq!(by_caller, [true, false]);
}
