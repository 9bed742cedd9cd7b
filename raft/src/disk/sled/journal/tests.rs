use std::path::PathBuf;

use vineyard_env::Change;

use super::segment::ROOM_BYTES;
use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    mark: Mark,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Journal::create(folder.path()).unwrap();
        let mark = Mark {
            goes_on: FIRST_SEGMENT,
            first: FIRST_SEGMENT,
        };
        Self { folder, mark }
    }

    fn open(&self) -> io::Result<(Journal, Vec<Batch>)> {
        let keys = b"log".to_vec()..b"loh".to_vec();
        Journal::open(self.folder.path(), keys, self.mark)
    }

    fn journal(&self) -> Journal {
        self.open().unwrap().0
    }

    fn left(&self) -> io::Result<Vec<Batch>> {
        self.open().map(|(_, left)| left)
    }

    fn segment(&self, generation: u64) -> PathBuf {
        segment::path(&self.folder.path().join(FOLDER), generation)
    }

    fn generations(&self) -> Vec<u64> {
        generations(&self.folder.path().join(FOLDER)).unwrap()
    }

    /// Begins a segment, and says that sled has what came before.
    fn roll(&mut self, journal: &mut Journal) {
        self.mark = journal.roll(self.mark.first).unwrap();
    }
}

fn batch(number: u8) -> Batch {
    vec![
        Change::Put(vec![number], vec![number; usize::from(number) * 7]),
        Change::Delete(vec![number, 1]),
        Change::DeleteRange(vec![], vec![number]),
    ]
}

fn batches(numbers: impl IntoIterator<Item = u8>) -> Vec<Batch> {
    numbers.into_iter().map(batch).collect()
}

fn append(journal: &mut Journal, batch: &Batch) {
    let at = journal.append([batch].into_iter()).unwrap();
    journal.show(at, [batch].into_iter());
}

fn append_all(journal: &mut Journal, numbers: impl IntoIterator<Item = u8>) {
    numbers
        .into_iter()
        .for_each(|number| append(journal, &batch(number)));
}

fn log_key(index: u64) -> Vec<u8> {
    [b"log".as_slice(), &index.to_be_bytes()].concat()
}

fn entry(index: u64, bytes: usize) -> Batch {
    vec![Change::Put(log_key(index), vec![index as u8; bytes])]
}

fn purge(from: u64, to: u64) -> Batch {
    vec![Change::DeleteRange(log_key(from), log_key(to))]
}

/// The indexes of the entries that are there, each with its value as it was written.
fn indexes(journal: &Journal) -> Vec<u64> {
    let pairs = lock(&journal.live)
        .scan(&log_key(0), &log_key(u64::MAX))
        .unwrap();
    let index = |(key, value): (Vec<u8>, Vec<u8>)| {
        let index = u64::from_be_bytes(key[3..].try_into().unwrap());
        assert!(value.iter().all(|byte| *byte == index as u8), "{index}");
        index
    };
    pairs.into_iter().map(index).collect()
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt as _;
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

fn read(path: &Path, from: u64, to: u64) -> Vec<u8> {
    std::fs::read(path).unwrap()[from as usize..to as usize].to_vec()
}

fn is_damage<T>(found: io::Result<T>) -> bool {
    found.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

#[test]
fn what_was_appended_is_left_for_the_next_opener() {
    let at = Fixture::new();
    let (mut journal, nothing) = at.open().unwrap();
    assert!(nothing.is_empty());
    append_all(&mut journal, 0..9);
    assert_eq!(at.left().unwrap(), batches(0..9));
    // It goes on behind them.
    append_all(&mut at.journal(), 9..12);
    assert_eq!(at.left().unwrap(), batches(0..12));
}

#[test]
fn a_group_is_one_record() {
    let at = Fixture::new();
    at.journal().append(batches(1..4).iter()).unwrap();
    assert_eq!(at.left().unwrap(), [batches(1..4).concat()]);
}

#[test]
fn the_log_is_read_where_it_was_written() {
    let mut at = Fixture::new();
    let mut journal = at.journal();
    let group = [
        batch(3),
        entry(1, 10),
        entry(2, 0),
        batch(4),
        entry(3, 5000),
    ];
    let place = journal.append(group.iter()).unwrap();
    journal.show(place, group.iter());
    at.roll(&mut journal);
    append(&mut journal, &entry(4, 77));
    // Again with another value, and those behind it gone, as when a new leader overwrites.
    append(&mut journal, &purge(3, 9));
    append(&mut journal, &entry(3, 6));
    assert_eq!(indexes(&journal), [1, 2, 3]);
    assert_eq!(
        lock(&journal.live).get(&log_key(3)).unwrap(),
        Some(vec![3; 6])
    );
    assert_eq!(lock(&journal.live).get(&log_key(4)).unwrap(), None);
    assert_eq!(indexes(&at.journal()), [1, 2, 3]);
}

#[test]
fn what_sled_has_is_not_left_and_the_log_is() {
    let mut at = Fixture::new();
    let mut journal = at.journal();
    append_all(&mut journal, 0..9);
    append(&mut journal, &entry(1, 1));
    // Not yet durable there: the segment that was begun does not count.
    let next = journal.roll(at.mark.first).unwrap();
    append_all(&mut journal, [9]);
    let all: Vec<_> = [batches(0..9), vec![entry(1, 1)], batches([9])].concat();
    assert_eq!(at.left().unwrap(), all);
    at.mark = next;
    assert_eq!(at.left().unwrap(), batches([9]));
    assert_eq!(indexes(&at.journal()), [1]);
}

#[test]
fn segments_go_once_the_log_in_them_has_gone() {
    let mut at = Fixture::new();
    let mut journal = at.journal();
    for round in 0..20 {
        append(&mut journal, &entry(round, 100));
        // Three entries stay.
        append(&mut journal, &purge(0, round.saturating_sub(2)));
        append_all(&mut journal, [7]);
        at.roll(&mut journal);
        let generations = at.generations();
        assert!(generations.len() <= 6, "{generations:?}");
        let opened = at.journal();
        let kept: Vec<_> = (round.saturating_sub(2)..=round).collect();
        assert_eq!(indexes(&opened), kept);
    }
    // An entry that stays keeps what came after it.
    append(&mut journal, &entry(100, 1));
    append(&mut journal, &purge(0, 100));
    for _ in 0..5 {
        at.roll(&mut journal);
    }
    assert!(at.generations().len() >= 6);
    append(&mut journal, &purge(0, 101));
    (0..4).for_each(|_| at.roll(&mut journal));
    assert!(at.generations().len() <= 3, "{:?}", at.generations());
    assert!(at.left().unwrap().is_empty());
}

#[test]
fn records_of_an_earlier_use_of_the_file_do_not_come_back() {
    let mut at = Fixture::new();
    let mut journal = at.journal();
    append_all(&mut journal, 0..30);
    let used = std::fs::read(at.segment(1)).unwrap();
    at.roll(&mut journal);
    at.roll(&mut journal);
    append_all(&mut journal, [3]);
    let again = std::fs::read(at.segment(3)).unwrap();
    assert_eq!(again[8192..], used[8192..], "the file is the first one");
    assert_eq!(at.left().unwrap(), batches([3]));
}

#[test]
fn an_end_that_was_cut_short_is_not_there() {
    let at = Fixture::new();
    let mut journal = at.journal();
    append_all(&mut journal, 0..3);
    let start = journal.append([batch(3)].iter()).unwrap();
    let end = journal.append([batch(4)].iter()).unwrap();
    let (file, record) = (at.segment(1), read(&at.segment(1), start, end));
    write_at(&file, end, &[0; 64]);
    for cut in 0..record.len() {
        // A write that did not get further than this, over what stood there before.
        let mut torn = record.clone();
        torn[cut..].fill(0x5a);
        write_at(&file, start, &torn);
        let found = at.left().unwrap();
        let padding = record[cut..].iter().all(|byte| *byte == 0) && found.len() == 4;
        assert!(found == batches(0..3) || padding, "cut at {cut}");
    }
}

/// As by a hand that copies only a part: what is whole counts.
#[test]
fn a_file_may_end_anywhere_in_its_last_record() {
    let at = Fixture::new();
    let mut journal = at.journal();
    append_all(&mut journal, 0..3);
    let start = journal.append([batch(3)].iter()).unwrap();
    let end = journal.append([batch(4)].iter()).unwrap();
    let file = File::options().write(true).open(at.segment(1)).unwrap();
    for end in (start..end).rev() {
        file.set_len(end).unwrap();
        let found = at.left().unwrap();
        assert!(
            found == batches(0..3) || found == batches(0..4),
            "end at {end}"
        );
    }
}

#[test]
fn damage_before_the_end_is_an_error() {
    let at = Fixture::new();
    let mut journal = at.journal();
    append_all(&mut journal, [0]);
    let start = journal.append([batch(1)].iter()).unwrap();
    let last = journal.append([batch(2)].iter()).unwrap();
    let record = read(&at.segment(1), start, last);
    for at_byte in (0..record.len()).step_by(5) {
        let mut bad = record.clone();
        bad[at_byte] ^= 0x10;
        write_at(&at.segment(1), start, &bad);
        match at.left() {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
            Ok(found) => assert_eq!(found, batches(0..3), "byte {at_byte} is padding"),
        }
    }
    write_at(&at.segment(1), start, &record);
    assert_eq!(at.left().unwrap(), batches(0..3));
}

#[test]
fn a_damaged_header_is_an_error() {
    let at = Fixture::new();
    append_all(&mut at.journal(), 0..3);
    let header = read(&at.segment(1), 0, 32);
    for at_byte in 0..header.len() {
        let mut bad = header.clone();
        bad[at_byte] ^= 0x10;
        write_at(&at.segment(1), 0, &bad);
        assert!(is_damage(at.left()), "byte {at_byte}");
    }
    File::options()
        .write(true)
        .open(at.segment(1))
        .unwrap()
        .set_len(100)
        .unwrap();
    assert!(is_damage(at.left()));
}

#[test]
fn a_missing_segment_and_one_cut_short_are_errors() {
    let mut at = Fixture::new();
    let mut journal = at.journal();
    for index in 0..4 {
        append(&mut journal, &entry(index, 10));
        append(&mut journal, &entry(index + 10, 10));
        at.roll(&mut journal);
    }
    assert_eq!(at.generations(), [1, 2, 3, 4, 5]);
    for generation in 1..=5 {
        let (path, aside) = (at.segment(generation), at.folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        assert!(is_damage(at.left()), "{generation}");
        std::fs::copy(&aside, &path).unwrap();
        if generation < 5 {
            // Its last record, of which the segment behind it knows.
            let at_record = 4096 + 80;
            write_at(&path, at_record, &[0; 100]);
            assert!(is_damage(at.left()), "{generation} cut short");
        }
        std::fs::rename(&aside, &path).unwrap();
    }
    assert_eq!(indexes(&at.journal()), [0, 1, 2, 3, 10, 11, 12, 13]);
    // Older, or newer, than what sled goes on from.
    for goes_on in [3, 6] {
        at.mark.goes_on = goes_on;
        assert!(is_damage(at.left()), "{goes_on}");
    }
}

#[test]
fn a_segment_grows_with_a_group_and_shrinks_when_it_is_used_again() {
    let mut at = Fixture::new();
    let mut journal = at.journal();
    let size = |at: &Fixture, generation| std::fs::metadata(at.segment(generation)).unwrap().len();
    assert_eq!(size(&at, 1), ROOM_BYTES);
    let large = vec![Change::Put(b"large".to_vec(), vec![7; 9 << 20])];
    assert!(!journal.is_full());
    append(&mut journal, &large);
    assert!(journal.is_full() && size(&at, 1) > 9 << 20);
    assert_eq!(at.left().unwrap(), [large]);
    at.roll(&mut journal);
    assert!(!journal.is_full());
    at.roll(&mut journal);
    assert_eq!(size(&at, 3), ROOM_BYTES);
}

/// After a sync that failed, the kernel keeps what was not written and does not write it any more.
#[test]
fn an_opener_writes_the_segment_again_without_what_was_cut_short() {
    let at = Fixture::new();
    append_all(&mut at.journal(), 0..3);
    write_at(
        &at.segment(1),
        1 << 20,
        b"of a group whose write was cut short",
    );
    let file = File::options().write(true).open(at.segment(1)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(at.left().unwrap(), batches(0..3));
    let modified = file.metadata().unwrap().modified().unwrap();
    assert!(modified > std::time::UNIX_EPOCH);
    assert_eq!(read(&at.segment(1), 1 << 20, (1 << 20) + 8), [0; 8]);
}

#[test]
fn a_start_that_was_cut_short_begins_anew() {
    let at = Fixture::new();
    let folder = at.folder.path().join(FOLDER);
    std::fs::write(folder.join("new"), b"half a draft").unwrap();
    assert_eq!(at.left().unwrap(), batches([]));
    Journal::create(at.folder.path()).unwrap();
    assert_eq!(at.generations(), [1]);
    let mut journal = at.journal();
    journal.roll(1).unwrap();
    assert!(!folder.join("new").exists());
}
