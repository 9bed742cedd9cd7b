use std::path::PathBuf;

use vineyard_env::Change;

use super::*;

struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    Journal::create(&path).unwrap();
    Fixture {
        _folder: folder,
        path,
    }
}

fn batch(number: u8) -> Batch {
    vec![
        Change::Put(vec![number], vec![number; usize::from(number) * 7]),
        Change::Delete(vec![number, 1]),
        Change::DeleteRange(vec![], vec![number]),
    ]
}

fn append(journal: &mut Journal, numbers: impl IntoIterator<Item = u8>) {
    for number in numbers {
        journal.append([batch(number)].iter()).unwrap();
    }
}

fn batches(numbers: impl IntoIterator<Item = u8>) -> Vec<Batch> {
    numbers.into_iter().map(batch).collect()
}

fn left(path: &Path) -> io::Result<Vec<Batch>> {
    Journal::open(path).map(|(_, left)| left)
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn what_was_appended_is_left_for_the_next_opener() {
    let at = fixture();
    let (mut journal, nothing) = Journal::open(&at.path).unwrap();
    assert!(nothing.is_empty() && journal.is_empty());
    append(&mut journal, 0..9);
    assert_eq!(left(&at.path).unwrap(), batches(0..9));
    // It goes on behind them.
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    append(&mut journal, 9..12);
    assert_eq!(left(&at.path).unwrap(), batches(0..12));
}

#[test]
fn a_group_is_one_record() {
    let at = fixture();
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    journal.append(batches(1..4).iter()).unwrap();
    assert_eq!(left(&at.path).unwrap(), [batches(1..4).concat()]);
}

#[test]
fn a_restart_forgets_and_leftovers_do_not_come_back() {
    let at = fixture();
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    append(&mut journal, 0..9);
    journal.restart().unwrap();
    assert!(journal.is_empty());
    assert_eq!(left(&at.path).unwrap(), batches([]));
    append(&mut journal, [3]);
    assert_eq!(left(&at.path).unwrap(), batches([3]));
}

#[test]
fn an_end_that_was_cut_short_is_not_there() {
    let at = fixture();
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    append(&mut journal, 0..3);
    let start = journal.end;
    append(&mut journal, [3]);
    let record = read(&at.path, start, journal.end);
    for cut in 0..record.len() {
        // A write that did not get further than this, over what stood there before.
        let mut torn = record.clone();
        torn[cut..].fill(0x5a);
        write_at(&at.path, start, &torn);
        let found = left(&at.path).unwrap();
        let padding = record[cut..].iter().all(|byte| *byte == 0) && found.len() == 4;
        assert!(found == batches(0..3) || padding, "cut at {cut}");
    }
}

/// As by a hand that copies only a part: what is whole counts.
#[test]
fn a_file_may_end_anywhere_in_its_last_record() {
    let at = fixture();
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    append(&mut journal, 0..3);
    let (start, _) = (journal.end, append(&mut journal, [3]));
    let file = File::options().write(true).open(&at.path).unwrap();
    for end in (start..journal.end).rev() {
        file.set_len(end).unwrap();
        let found = left(&at.path).unwrap();
        assert!(
            found == batches(0..3) || found == batches(0..4),
            "end at {end}"
        );
    }
}

#[test]
fn damage_before_the_end_is_an_error() {
    let at = fixture();
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    append(&mut journal, [0]);
    let (start, last) = (journal.end, {
        append(&mut journal, [1]);
        journal.end
    });
    append(&mut journal, [2]);
    let record = read(&at.path, start, last);
    for at_byte in (0..record.len()).step_by(5) {
        let mut bad = record.clone();
        bad[at_byte] ^= 0x10;
        write_at(&at.path, start, &bad);
        match left(&at.path) {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
            Ok(found) => assert_eq!(found, batches(0..3), "byte {at_byte} is padding"),
        }
    }
    write_at(&at.path, start, &record);
    assert_eq!(left(&at.path).unwrap(), batches(0..3));
}

#[test]
fn a_slot_that_was_cut_short_leaves_the_other() {
    let at = fixture();
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    append(&mut journal, 0..3);
    journal.restart().unwrap();
    let newer = journal.generation() % 2 * SLOT_BYTES;
    write_at(&at.path, newer + 9, &[0xff]);
    assert_eq!(
        left(&at.path).unwrap(),
        batches(0..3),
        "nothing is lost yet"
    );
    write_at(&at.path, SLOT_BYTES - newer + 9, &[0xff]);
    assert_eq!(
        left(&at.path).unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
}

#[test]
fn it_grows_with_a_group_and_shrinks_again() {
    let at = fixture();
    let (mut journal, _) = Journal::open(&at.path).unwrap();
    let size = || std::fs::metadata(&at.path).unwrap().len();
    assert_eq!(size(), ROOM_BYTES);
    let large = vec![Change::Put(b"large".to_vec(), vec![7; 9 << 20])];
    assert!(!journal.is_full());
    journal.append([large.clone()].iter()).unwrap();
    assert!(journal.is_full() && size() > 9 << 20);
    assert_eq!(left(&at.path).unwrap(), [large]);
    journal.restart().unwrap();
    assert_eq!(size(), ROOM_BYTES);
    assert!(!journal.is_full());
    // A group whose write was cut short, by a full disk or a kill, is none of the records.
    write_at(&at.path, 9 << 20, &[7]);
    let (mut journal, nothing) = Journal::open(&at.path).unwrap();
    assert!(nothing.is_empty());
    journal.restart().unwrap();
    assert_eq!(size(), ROOM_BYTES);
}

/// After a sync that failed, the kernel keeps what was not written and does not write it any more.
#[test]
fn an_opener_writes_the_slot_again() {
    let at = fixture();
    let file = File::options().write(true).open(&at.path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    drop(Journal::open(&at.path).unwrap());
    let modified = file.metadata().unwrap().modified().unwrap();
    assert!(modified > std::time::UNIX_EPOCH);
}

fn read(path: &Path, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = vec![0; (to - from) as usize];
    let file = File::open(path).unwrap();
    file.read_exact_at(&mut bytes, from).unwrap();
    bytes
}
