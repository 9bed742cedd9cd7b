//! A lack of descriptors passes, and so do its effects.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::*;

const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Fails this often, with the one and the other error in turn, and then no more.
fn lack(times: &AtomicUsize) -> io::Result<()> {
    let lacking = |left: usize| left.checked_sub(1);
    match times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lacking) {
        Ok(left) if left.is_multiple_of(2) => Err(io::Error::from_raw_os_error(EMFILE)),
        Ok(_) => Err(io::Error::from_raw_os_error(ENFILE)),
        Err(_) => Ok(()),
    }
}

#[test]
fn a_sync_that_lacks_descriptors_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let times = Arc::new(AtomicUsize::new(0));
    let lacks = times.clone();
    let disk = open_synced(folder.path(), |mut files| {
        Box::new(move |step| {
            lack(&lacks)?;
            files.sync(step)
        })
    })
    .unwrap();
    for number in 0..3 {
        times.store(3, Ordering::SeqCst);
        commit(&disk, batch(number)).unwrap();
    }
    drop(disk);
    assert_eq!(whole_batches(&open_again(folder.path())), 3);
}

/// The journal is as it was while the batch waits, so that a batch which is never written has left nothing.
#[test]
fn nothing_is_written_before_there_are_descriptors_for_sled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let times = Arc::new(AtomicUsize::new(0));
    let (lacks, looks) = (times.clone(), Arc::new(AtomicUsize::new(0)));
    let looked = looks.clone();
    let take = move || {
        if lacks.load(Ordering::SeqCst) > 0 {
            let segment = std::fs::read(path.join("log/1")).unwrap();
            let written = segment[4096..].iter().any(|byte| *byte != 0);
            assert!(!written, "the journal was written to");
            looked.fetch_add(1, Ordering::SeqCst);
        }
        lack(&lacks)?;
        descriptors::take()
    };
    let disk = SledDisk::open_with(folder.path(), log(), synced, machine(Box::new(take))).unwrap();
    // Takes the reserve, and gives it back to sled.
    times.store(5, Ordering::SeqCst);
    commit(&disk, batch(0)).unwrap();
    assert_eq!(looks.load(Ordering::SeqCst), 5);
    assert_eq!(whole_batches(&disk), 1);
}

#[test]
fn a_disk_that_is_closed_waits_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let times = Arc::new(AtomicUsize::new(0));
    let lacks = times.clone();
    let take = move || {
        lack(&lacks)?;
        descriptors::take()
    };
    // After a batch, and before the reserve is taken again.
    let armed = Arc::new(AtomicBool::new(false));
    let (is_armed, lacking) = (armed.clone(), times.clone());
    let sync = |mut files: Files| -> Sync {
        Box::new(move |step| {
            if step == Step::Applied && is_armed.load(Ordering::SeqCst) {
                lacking.store(usize::MAX, Ordering::SeqCst);
            }
            files.sync(step)
        })
    };
    let disk = SledDisk::open_with(&live, log(), sync, machine(Box::new(take))).unwrap();
    armed.store(true, Ordering::SeqCst);
    commit(&disk, batch(0)).unwrap();
    let (told, outcome) = mpsc::sync_channel(1);
    disk.commit(batch(1), Box::new(move |result| told.send(result).unwrap()));
    drop(disk);
    assert!(outcome.recv().unwrap().is_err());
    // It was not closed, so it keeps its lock as long as the process lives.
    let copy = folder.path().join("copy");
    copy_folder(&live, &copy);
    assert_eq!(whole_batches(&open(&copy).unwrap()), 1);
}

/// Names the folder in which the child of a test lives with few descriptors.
const LACKING_FOLDER: &str = "VINEYARD_TEST_LACKING_FOLDER";

/// A whole process that has no descriptor left but for the reserve, and a batch that sled opens a file for.
#[test]
fn the_reserve_is_enough_for_large_pages() {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "disk::sled::tests::lacking::the_child_that_lacks_descriptors",
        ])
        .env(LACKING_FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    assert_eq!(whole_batches(&open(folder.path()).unwrap()), 30);
}

/// Not a test by itself: `the_reserve_is_enough_for_large_pages` runs it in a process of its own.
#[test]
fn the_child_that_lacks_descriptors() {
    let Some(folder) = std::env::var_os(LACKING_FOLDER) else {
        return;
    };
    let disk = open(Path::new(&folder)).unwrap();
    commit(&disk, batch(0)).unwrap();
    // The answer of a second batch comes after the reserve is opened again after the first.
    commit(&disk, Vec::new()).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = descriptors::take() {
        taken.push(file);
    }
    for number in 1..30 {
        let (told, outcome) = mpsc::sync_channel(1);
        disk.commit(
            batch(number),
            Box::new(move |result| drop(told.send(result))),
        );
        let outcome = outcome.recv_timeout(WRITTEN_WITHIN);
        outcome.expect("the reserve was not enough").unwrap();
    }
}
