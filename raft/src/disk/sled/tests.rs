use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vineyard_env::Change;

use super::super::conformance::{self, commit, put};
use super::files::Step;
use super::queue::{GROUP_BYTES_MAX, GROUP_MAX, gather};
use super::writer::{MARK, MARKS};
use super::*;

mod earlier;
mod full;
mod here;
mod lacking;
mod power;

/// Names the folder in which the child of a crash test writes.
const CHILD_FOLDER: &str = "VINEYARD_TEST_CRASH_FOLDER";

/// Every other key of a batch is one of the log's.
fn log() -> LogKeys {
    b"b/".to_vec()..b"b0".to_vec()
}

/// With all the room that there can be.
fn machine(take: Take) -> Machine {
    let room = DiskRoom {
        free_bytes: u64::MAX,
        total_bytes: u64::MAX,
    };
    let measure = Arc::new(move || Ok(Some(room)));
    Machine { take, measure }
}

/// Opens with a sync of the test's.
fn open_synced(path: &Path, sync: impl FnOnce(Files) -> Sync) -> io::Result<SledDisk> {
    SledDisk::open_with(path, log(), sync, machine(Box::new(descriptors::take)))
}

fn synced(mut files: Files) -> Sync {
    Box::new(move |step| files.sync(step))
}

fn open(path: &Path) -> io::Result<SledDisk> {
    open_synced(path, synced)
}

/// Whatever of the keys is the log's.
#[test]
fn sled_is_a_disk() {
    for (from, to) in [("", ""), ("b", "c"), ("b", "large0"), ("", "~")] {
        let folder = tempfile::tempdir().unwrap();
        let number = std::cell::Cell::new(0);
        conformance::check(|| {
            number.set(number.get() + 1);
            let path = folder.path().join(number.get().to_string());
            let log: LogKeys = from.into()..to.into();
            let machine = machine(Box::new(descriptors::take));
            Arc::new(SledDisk::open_with(&path, log, synced, machine).unwrap())
        });
    }
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let large = Change::Put(b"large".to_vec(), vec![7; 1 << 20]);
    let disk = open(folder.path()).unwrap();
    commit(&disk, vec![put("a", "1"), large]).unwrap();
    drop(disk);
    let disk = open_again(folder.path());
    assert_eq!(disk.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(
        disk.get(b"large").unwrap().map(|value| value.len()),
        Some(1 << 20)
    );
}

#[test]
fn after_one_failed_sync_nothing_is_acknowledged_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let disk = open_synced(folder.path(), |mut files| {
        Box::new(move |step| match breaks.load(Ordering::SeqCst) {
            true => Err(io::Error::from_raw_os_error(5)),
            false => files.sync(step),
        })
    })
    .unwrap();
    commit(&disk, vec![put("a", "1")]).unwrap();
    broken.store(true, Ordering::SeqCst);
    assert!(commit(&disk, vec![put("b", "1")]).is_err());
    broken.store(false, Ordering::SeqCst);
    assert!(
        commit(&disk, vec![put("c", "1")]).is_err(),
        "a lost write is not forgiven"
    );
    assert_eq!(disk.get(b"c").unwrap(), None);
}

#[test]
fn a_writer_that_panicked_fails_all_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let disk = open_synced(folder.path(), |mut files| {
        Box::new(move |step| {
            assert!(!breaks.load(Ordering::SeqCst), "injected");
            files.sync(step)
        })
    })
    .unwrap();
    commit(&disk, vec![put("a", "1")]).unwrap();
    broken.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(commit(&disk, vec![put("a", "2")]).is_err());
    }
}

#[test]
fn a_group_has_a_bound_in_bytes() {
    let write = |bytes: usize| Write {
        batch: vec![Change::Put(Vec::new(), vec![7; bytes])],
        done: None,
    };
    let (writes, queue) = mpsc::channel();
    for bytes in [1, GROUP_BYTES_MAX - 2, 5, 3 * GROUP_BYTES_MAX, 1, 1] {
        writes.send(write(bytes)).unwrap();
    }
    let group = || gather(queue.recv().unwrap(), &queue).len();
    assert_eq!([group(), group()], [3, 1]);
    (0..GROUP_MAX).for_each(|_| writes.send(write(1)).unwrap());
    assert_eq!([group(), group()], [GROUP_MAX, 2]);
}

/// What sled wrote of a group by itself: its file if that has grown, and the files of large pages.
#[test]
fn what_sled_wrote_by_itself_is_synced_after_each_group() {
    let folder = tempfile::tempdir().unwrap();
    let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = steps.clone();
    let disk = open_synced(folder.path(), |mut files| {
        Box::new(move |step| {
            kept.lock().unwrap().push(step);
            files.sync(step)
        })
    })
    .unwrap();
    steps.lock().unwrap().clear();
    commit(&disk, vec![put("a", "1")]).unwrap();
    // The answer of a later group comes after it.
    commit(&disk, Vec::new()).unwrap();
    assert_eq!(
        steps.lock().unwrap()[..2],
        [Step::Journalled, Step::Applied]
    );
}

#[test]
fn a_database_has_one_opener() {
    let folder = tempfile::tempdir().unwrap();
    let _disk = open(folder.path()).unwrap();
    assert!(open(folder.path()).is_err());
}

#[test]
fn kill_9_loses_no_acknowledged_batch() {
    for acknowledged in [1, 40, 300] {
        let folder = tempfile::tempdir().unwrap();
        let last = kill_after(folder.path(), acknowledged);
        let disk = open(folder.path()).unwrap();
        let whole = whole_batches(&disk);
        assert!(
            whole > last,
            "batch {last} was acknowledged, {whole} batches are there"
        );
        // It goes on from there.
        commit(&disk, batch(whole)).unwrap();
    }
}

#[test]
fn a_database_cut_short_is_an_error_or_made_whole_by_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let last = kill_after(folder.path(), 200);
    let whole = std::fs::metadata(folder.path().join("db")).unwrap().len();
    let mut refused = 0;
    for part in 1..12 {
        let copy = tempfile::tempdir().unwrap();
        let cut = copy.path().join("cut");
        copy_folder(folder.path(), &cut);
        let file = File::options().write(true).open(cut.join("db")).unwrap();
        file.set_len(whole * part / 12).unwrap();
        drop(file);
        // sled may also panic on what it finds: an error by another name.
        let opened = std::panic::catch_unwind(|| open(&cut).map(|d| whole_batches(&d)));
        match opened {
            Ok(Ok(batches)) => assert!(batches > last, "{batches} batches of {last}"),
            Ok(Err(_)) | Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "no cut went into what was durable");
}

/// A process that another test starts shares the lock for a moment.
fn open_again(path: &Path) -> SledDisk {
    (0..1000)
        .find_map(|_| {
            let opened = open(path);
            if let Err(error) = &opened {
                assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
                std::thread::yield_now();
            }
            opened.ok()
        })
        .expect("the lock is free again")
}

/// sled puts large pages into files before it has written what names them, and does not write over such a file.
#[test]
fn large_pages_of_a_killed_first_life_are_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let (live, killed) = (folder.path().join("live"), folder.path().join("killed"));
    let disk = open(&live).unwrap();
    commit(&disk, batch(0)).unwrap();
    copy_folder(&live, &killed);
    assert!(std::fs::read_dir(killed.join("blobs")).unwrap().count() > 0);
    assert_eq!(whole_batches(&open(&killed).unwrap()), 1);
}

#[test]
fn a_log_that_is_not_the_databases_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    drop(open(&live).unwrap());
    let older = folder.path().join("older");
    copy_folder(&live, &older);
    let disk = open_again(&live);
    // Large ones: more than three segments.
    (0..40).for_each(|number| commit(&disk, batch(10 * number)).unwrap());
    drop(disk);
    let open = |path: &Path| open(path).map(drop).map_err(|error| error.kind());
    // The database of before with the log of today, and the other way round.
    let aside = folder.path().join("aside");
    std::fs::rename(older.join("log"), &aside).unwrap();
    copy_folder(&live.join("log"), &older.join("log"));
    assert_eq!(open(&older), Err(io::ErrorKind::InvalidData));
    std::fs::remove_dir_all(live.join("log")).unwrap();
    assert_eq!(open(&live), Err(io::ErrorKind::InvalidData));
    copy_folder(&aside, &live.join("log"));
    assert_eq!(open(&live), Err(io::ErrorKind::InvalidData));
}

#[test]
fn a_database_without_its_journal_is_an_error_from_its_first_life_on() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    for life in 0..4 {
        let disk = open_again(&live);
        commit(&disk, batch(life)).unwrap();
        for part in ["journal", "log"] {
            let copy = folder.path().join(format!("life-{life}-{part}"));
            copy_folder(&live, &copy);
            match part {
                "log" => std::fs::remove_dir_all(copy.join(part)).unwrap(),
                _ => std::fs::remove_file(copy.join(part)).unwrap(),
            }
            let opened = open(&copy).map(drop);
            let error = opened.expect_err(&format!("life {life} went on without its batch"));
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}

#[test]
fn a_log_without_its_database_is_an_error_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let disk = open(&live).unwrap();
    (0..3).for_each(|number| commit(&disk, batch(number)).unwrap());
    drop(disk);
    let log = std::fs::read(live.join("log/1")).unwrap();
    let alone = folder.path().join("alone");
    std::fs::create_dir(&alone).unwrap();
    copy_folder(&live.join("log"), &alone.join("log"));
    std::fs::copy(live.join("journal"), alone.join("journal")).unwrap();
    let error = open(&alone).map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    assert!(std::fs::read(alone.join("log/1")).unwrap() == log);
}

/// Values of the log alone, as raft writes and purges them: nothing live is written again, and what is purged goes.
#[test]
fn the_log_stays_in_its_segments_and_out_of_sled() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path()).unwrap();
    let key = |index: u64| format!("b/{index:08}").into_bytes();
    for index in 0..100 {
        commit(&disk, vec![Change::Put(key(index), vec![7; 300_000])]).unwrap();
        commit(
            &disk,
            vec![Change::DeleteRange(key(0), key(index.saturating_sub(9)))],
        )
        .unwrap();
    }
    assert_eq!(disk.scan(b"b/", b"b0").unwrap().len(), 10);
    assert_eq!(disk.db.len(), 0);
    let bytes_of = |name: &str| -> u64 {
        let listed = std::fs::read_dir(folder.path().join(name)).unwrap();
        listed
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum()
    };
    assert!(bytes_of("log") <= 5 * (5 << 20), "{}", bytes_of("log"));
    drop(disk);
    let disk = open_again(folder.path());
    assert_eq!(disk.scan(b"b/", b"b0").unwrap().len(), 10);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two keys that must appear together; every tenth batch is large enough to leave sled's main file.
fn batch(number: u64) -> Batch {
    let size = if number.is_multiple_of(10) {
        200_000
    } else {
        300
    };
    let value = vec![number as u8; size];
    vec![
        Change::Put(format!("a/{number:08}").into_bytes(), value.clone()),
        Change::Put(format!("b/{number:08}").into_bytes(), value),
    ]
}

/// How many batches are there, from the first on without a gap, each whole.
fn whole_batches(disk: &SledDisk) -> u64 {
    let first = disk.scan(b"a/", b"a0").unwrap();
    let second = disk.scan(b"b/", b"b0").unwrap();
    assert_eq!(first.len(), second.len(), "a batch was torn");
    for (number, ((a, value), (b, other))) in first.iter().zip(&second).enumerate() {
        assert_eq!(
            *a,
            format!("a/{number:08}").into_bytes(),
            "a batch is missing before others"
        );
        assert_eq!(
            *b,
            format!("b/{number:08}").into_bytes(),
            "a batch is missing before others"
        );
        assert!(value == other && value.iter().all(|byte| *byte == number as u8));
    }
    first.len() as u64
}

/// Lets a child write until it has acknowledged this many batches, kills it, and answers the last acknowledged one.
fn kill_after(folder: &Path, acknowledged: usize) -> u64 {
    let mut child = Killed(
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "disk::sled::tests::the_child_that_is_killed",
                "--nocapture",
            ])
            .env(CHILD_FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let said = lines
        .map(Result::unwrap)
        .filter_map(|line| line.strip_prefix("ack ")?.parse().ok());
    let last = said.take(acknowledged).last().expect("the child wrote");
    drop(child);
    last
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Not a test by itself: `kill_after` runs it in a process of its own.
#[test]
fn the_child_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let disk = open(Path::new(&folder)).unwrap();
    for number in 0.. {
        let done = Box::new(move |outcome: io::Result<()>| {
            outcome.unwrap();
            // One write call per line: a kill cannot tear it.
            std::io::stdout()
                .write_all(format!("\nack {number}\n").as_bytes())
                .unwrap();
        });
        disk.commit(batch(number), done);
        if number % 16 == 0 {
            commit(&disk, Vec::new()).unwrap();
        }
    }
}
