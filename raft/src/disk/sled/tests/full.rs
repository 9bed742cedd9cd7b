//! A lack of room passes, and so do its effects.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use super::*;

const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// A disk whose free room the test sets.
fn open_with_room(path: &Path, free_bytes: &Arc<AtomicU64>) -> SledDisk {
    let free = free_bytes.clone();
    open_measured(path, move || free.load(Ordering::SeqCst))
}

fn open_measured(
    path: &Path,
    free_bytes: impl Fn() -> u64 + Send + std::marker::Sync + 'static,
) -> SledDisk {
    let measure = move || {
        Ok(Some(DiskRoom {
            free_bytes: free_bytes(),
            total_bytes: 1 << 30,
        }))
    };
    let machine = Machine {
        take: Box::new(descriptors::take),
        measure: Arc::new(measure),
    };
    SledDisk::open_with(path, log(), synced, machine).unwrap()
}

fn entry(number: usize, bytes: usize) -> Batch {
    let key = format!("b/{number:04}").into_bytes();
    vec![Change::Put(key, vec![7; bytes])]
}

#[test]
fn what_is_for_sled_needs_no_room_to_be_durable_and_sled_gets_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let (live, copy) = (folder.path().join("live"), folder.path().join("copy"));
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let disk = open_with_room(&live, &free);
    let before = ["a", "c", "d", "e"].map(|key| put(key, "0"));
    commit(&disk, before.to_vec()).unwrap();
    free.store(0, Ordering::SeqCst);
    let mut mixed = entry(1, 100);
    mixed.push(put("a", "1"));
    commit(&disk, mixed).unwrap();
    let others = vec![
        Change::Delete(b"c".to_vec()),
        Change::DeleteRange(b"d".to_vec(), b"f".to_vec()),
        put("e", "1"),
    ];
    commit(&disk, others).unwrap();
    copy_folder(&live, &copy);
    let in_sled = |disk: &SledDisk, key| disk.db.get(key).unwrap().map(|value| value.to_vec());
    assert_eq!(in_sled(&disk, "a"), Some(b"0".to_vec()));
    let pairs = |disk: &SledDisk| {
        let found = disk.scan(b"a", b"~").unwrap();
        for (key, value) in &found {
            assert_eq!(disk.get(key).unwrap().as_ref(), Some(value));
        }
        assert_eq!(disk.get(b"c").unwrap().or(disk.get(b"d").unwrap()), None);
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let expected = [b"a".as_slice(), b"b/0001", b"e"];
    assert_eq!(pairs(&disk), expected);
    assert_eq!(
        pairs(&open_with_room(&copy, &free)),
        expected,
        "after a crash"
    );
    assert_eq!(pairs(&open_again(&copy)), expected);
    free.store(u64::MAX, Ordering::SeqCst);
    commit(&disk, Vec::new()).unwrap();
    commit(&disk, entry(1, 100)).unwrap();
    assert_eq!(in_sled(&disk, "a"), Some(b"1".to_vec()));
    assert_eq!(in_sled(&disk, "c"), None);
    assert_eq!(pairs(&disk), expected);
    drop(disk);
    assert_eq!(pairs(&open_again(&live)), expected);
}

#[test]
fn a_group_that_makes_its_segment_longer_waits_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let (looks, looked) = mpsc::channel();
    let measured = free.clone();
    let disk = open_measured(folder.path(), move || {
        // The test may have ended.
        looks.send(()).ok();
        measured.load(Ordering::SeqCst)
    });
    free.store(2 << 20, Ordering::SeqCst);
    let (told, outcome) = mpsc::sync_channel(1);
    disk.commit(
        entry(1, 5 << 20),
        Box::new(move |result| told.send(result).unwrap()),
    );
    for _ in 0..2 {
        looked.recv_timeout(WRITTEN_WITHIN).unwrap();
    }
    assert!(outcome.try_recv().is_err(), "it waits");
    assert_eq!(disk.get(b"b/0001").unwrap(), None);
    // Enough for this one, and too little for the next segment.
    free.store(4 << 20, Ordering::SeqCst);
    outcome.recv_timeout(WRITTEN_WITHIN).unwrap().unwrap();
    // What the file has grown by is not counted again.
    free.store((2 << 20) + 4096, Ordering::SeqCst);
    commit(&disk, entry(1, 1)).unwrap();
}

#[test]
fn a_write_that_had_no_room_is_done_again_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let times = Arc::new(AtomicUsize::new(0));
    let full = times.clone();
    let disk = open_synced(folder.path(), |mut files| {
        Box::new(move |step| {
            let left = |left: usize| left.checked_sub(1);
            let is_full = full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
            match (step, is_full) {
                (Step::Journalled, Ok(_)) => Err(io::ErrorKind::StorageFull.into()),
                _ => files.sync(step),
            }
        })
    })
    .unwrap();
    for number in 0..5 {
        times.store(number, Ordering::SeqCst);
        commit(&disk, entry(number, 100)).unwrap();
    }
    drop(disk);
    assert_eq!(
        open_again(folder.path()).scan(b"b/", b"b0").unwrap().len(),
        5
    );
}

/// Nobody knows what such a sync has lost: it is not ours, and is not written again.
#[test]
fn after_a_sync_of_sleds_files_without_room_nothing_is_acknowledged_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let is_full = full.clone();
    let disk = open_synced(folder.path(), |mut files| {
        Box::new(move |step| match step {
            Step::Applied if is_full.load(Ordering::SeqCst) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => files.sync(step),
        })
    })
    .unwrap();
    full.store(true, Ordering::SeqCst);
    // It is in the journal.
    commit(&disk, vec![put("a", "1")]).unwrap();
    assert!(commit(&disk, vec![put("b", "1")]).is_err());
}

#[test]
fn a_full_segment_is_gone_on_with_until_there_is_room_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let disk = open_with_room(folder.path(), &free);
    let next = folder.path().join("log/2");
    free.store(5 << 20, Ordering::SeqCst);
    for number in 0..12 {
        commit(&disk, entry(number, 400 << 10)).unwrap();
    }
    // What follows a group has been done when the next is written.
    commit(&disk, entry(12, 1)).unwrap();
    assert!(!next.exists());
    free.store(u64::MAX, Ordering::SeqCst);
    commit(&disk, entry(13, 1)).unwrap();
    commit(&disk, entry(14, 1)).unwrap();
    assert!(next.exists());
    drop(disk);
    let disk = open_again(folder.path());
    assert_eq!(disk.scan(b"b/", b"b0").unwrap().len(), 15);
}

#[test]
fn a_segment_that_has_died_since_the_last_mark_is_used_again_when_there_is_no_room_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let disk = open_with_room(folder.path(), &free);
    let has = |segment: &str| folder.path().join("log").join(segment).exists();
    let fill = |first| {
        for number in first..first + 10 {
            commit(&disk, entry(number, 400 << 10)).unwrap();
        }
        // What follows a group has been done when the next is written.
        for number in first + 10..first + 12 {
            commit(&disk, entry(number, 1)).unwrap();
        }
    };
    fill(0);
    assert!(has("1") && has("2"));
    let all = Change::DeleteRange(b"b/".to_vec(), b"b/0012".to_vec());
    commit(&disk, vec![all]).unwrap();
    free.store(3 << 20, Ordering::SeqCst);
    fill(12);
    assert!(has("3") && !has("1"));
    drop(disk);
    let found = open_again(folder.path()).scan(b"b/", b"b0").unwrap();
    assert_eq!(found.len(), 12);
}

#[test]
fn a_disk_that_is_closed_waits_for_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let disk = open_with_room(&live, &free);
    commit(&disk, entry(1, 100)).unwrap();
    free.store(0, Ordering::SeqCst);
    let (told, outcome) = mpsc::sync_channel(1);
    disk.commit(
        entry(2, 5 << 20),
        Box::new(move |result| told.send(result).unwrap()),
    );
    drop(disk);
    assert!(outcome.recv().unwrap().is_err());
    let copy = folder.path().join("copy");
    copy_folder(&live, &copy);
    let disk = open(&copy).unwrap();
    assert_eq!(disk.scan(b"b/", b"b0").unwrap().len(), 1);
}

/// The bytes of the files below a folder; one that has just gone has none.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let bytes = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
        _ => entry.metadata().map_or(0, |found| found.len()),
    };
    entries.flatten().map(bytes).sum()
}

#[test]
fn snapshots_and_their_names_go_on_in_what_room_the_files_leave() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    // The first segment takes four of them, and sled one.
    let measure = move || (26u64 << 20).saturating_sub(bytes_below(&path));
    let disk = open_measured(folder.path(), measure);
    let image = vec![7; 6 << 20];
    let name = |number: u64| commit(&disk, vec![put("manifest", &number.to_string())]);
    for number in 1..3 {
        conformance::write(disk.files(), number, &image).unwrap();
        name(number).unwrap();
    }
    for number in 3..6 {
        let refused = conformance::write(disk.files(), number, &image).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        let key = format!("b/{number:04}").into_bytes();
        commit(&disk, entry(number as usize, 1000)).unwrap();
        commit(&disk, vec![Change::Delete(key)]).unwrap();
        disk.files().remove(number - 2);
        conformance::write(disk.files(), number, &image).unwrap();
        name(number).unwrap();
    }
    assert_eq!(disk.files().list().unwrap(), [4, 5]);
    assert_eq!(disk.get(b"manifest").unwrap().as_deref(), Some(&b"5"[..]));
}
