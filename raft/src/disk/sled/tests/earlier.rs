//! Databases of builds that had the log in sled, and one journal file ahead of it.

use super::super::journal::record;
use super::*;

const GENERATION: u64 = 7;

/// As such a build leaves it when it is killed: `flushed` batches in sled, and as many more in the journal alone.
fn earlier(path: &Path, flushed: u64) {
    let db = sled::open(path).unwrap();
    let marks = db.open_tree(MARKS).unwrap();
    marks
        .insert("generation", &GENERATION.to_le_bytes())
        .unwrap();
    for number in 0..flushed {
        for change in batch(number) {
            let Change::Put(key, value) = change else {
                unreachable!("a batch puts");
            };
            db.insert(key, value).unwrap();
        }
    }
    db.flush().unwrap();
    drop((marks, db));
    let mut bytes = vec![0; 8192];
    for generation in [GENERATION - 1, GENERATION] {
        let mut slot = b"vyjrnl01".to_vec();
        slot.extend(generation.to_le_bytes());
        slot.extend(xxhash_rust::xxh3::xxh3_64(&slot).to_le_bytes());
        let at = (generation % 2 * 4096) as usize;
        bytes[at..at + slot.len()].copy_from_slice(&slot);
    }
    for number in 0..flushed {
        let group = [batch(flushed + number)];
        bytes.extend(record::encode(GENERATION, number, group.iter()));
    }
    bytes.resize(4 << 20, 0);
    std::fs::write(path.join("journal"), bytes).unwrap();
}

#[test]
fn it_is_opened_once_and_moves() {
    let folder = tempfile::tempdir().unwrap();
    earlier(folder.path(), 6);
    let inode = || {
        let journal = std::fs::metadata(folder.path().join("journal")).unwrap();
        (journal.ino(), journal.len())
    };
    let before = inode();
    let disk = open(folder.path()).unwrap();
    assert_eq!(whole_batches(&disk), 12);
    assert_eq!(disk.db.len(), 12, "sled has the other keys alone");
    commit(&disk, batch(12)).unwrap();
    drop(disk);
    assert_eq!(whole_batches(&open_again(folder.path())), 13);
    assert_eq!(inode(), (before.0, 8192), "a place knows it by its inode");
}

#[test]
fn a_move_may_end_at_any_step() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    earlier(&live, 6);
    let (from, into, mut steps) = (live.clone(), folder.path().to_owned(), 0);
    let disk = open_synced(&live, move |mut files| {
        Box::new(move |step| {
            copy_folder(&from, &into.join(format!("end-{steps}")));
            steps += 1;
            files.sync(step)
        })
    });
    // After its mark, before the old journal is told from a new one.
    drop(disk.unwrap());
    let late = folder.path().join("end-late");
    copy_folder(&live, &late);
    std::fs::copy(folder.path().join("end-0/journal"), late.join("journal")).unwrap();
    let ends = std::fs::read_dir(folder.path()).unwrap();
    let ends = ends
        .map(|entry| entry.unwrap().path())
        .filter(|path| *path != live);
    let ends: Vec<_> = ends.collect();
    assert!(ends.len() > 3, "{ends:?}");
    for end in ends {
        let disk = open(&end).unwrap_or_else(|error| panic!("{end:?}: {error}"));
        assert_eq!(whole_batches(&disk), 12, "{end:?}");
        commit(&disk, batch(12)).unwrap();
        drop(disk);
        assert_eq!(whole_batches(&open_again(&end)), 13, "{end:?}");
    }
}

#[test]
fn a_database_of_another_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    earlier(folder.path(), 2);
    let db = sled::open(folder.path()).unwrap();
    let marks = db.open_tree(MARKS).unwrap();
    let later = GENERATION + 2;
    marks.insert("generation", &later.to_le_bytes()).unwrap();
    db.flush().unwrap();
    drop((marks, db));
    let refused = open(folder.path()).map(drop).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
}
