use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::conformance::{self, commit, put};
use super::*;

/// Names the folder in which the child of a crash test writes.
const CHILD_FOLDER: &str = "VINEYARD_TEST_CRASH_FOLDER";

#[test]
fn sled_is_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    conformance::check(|| {
        number.set(number.get() + 1);
        Arc::new(SledDisk::open(&folder.path().join(number.get().to_string())).unwrap())
    });
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let large = Change::Put(b"large".to_vec(), vec![7; 1 << 20]);
    let disk = SledDisk::open(folder.path()).unwrap();
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
    let disk = SledDisk::open_with(folder.path(), |mut files| {
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
fn a_database_has_one_opener() {
    let folder = tempfile::tempdir().unwrap();
    let _disk = SledDisk::open(folder.path()).unwrap();
    assert!(SledDisk::open(folder.path()).is_err());
}

#[test]
fn kill_9_loses_no_acknowledged_batch() {
    for acknowledged in [1, 40, 300] {
        let folder = tempfile::tempdir().unwrap();
        let last = kill_after(folder.path(), acknowledged);
        let disk = SledDisk::open(folder.path()).unwrap();
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
        let opened = std::panic::catch_unwind(|| SledDisk::open(&cut).map(|d| whole_batches(&d)));
        match opened {
            Ok(Ok(batches)) => assert!(batches > last, "{batches} batches of {last}"),
            Ok(Err(_)) | Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "no cut went into what was durable");
}

/// What a power loss leaves at worst: of sled's files what was synced at the last checkpoint, of the journal what was
/// synced since.
#[test]
fn a_power_loss_loses_no_acknowledged_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (live, synced) = (folder.path().join("live"), folder.path().join("synced"));
    let (from, to) = (live.clone(), synced.clone());
    let disk = SledDisk::open_with(&live, move |mut files| {
        copy_folder(&from, &to);
        Box::new(move |step| {
            files.sync(step)?;
            match step {
                Step::Journalled => {
                    std::fs::copy(from.join("journal"), to.join("journal")).map(drop)
                }
                Step::Applied => Ok(()),
                Step::Flushed => {
                    std::fs::remove_dir_all(&to)?;
                    copy_folder(&from, &to);
                    Ok(())
                }
            }
        })
    })
    .unwrap();
    let mut checkpoints = 0;
    for number in 0..160 {
        commit(&disk, batch(number)).unwrap();
        // The sync after a group's answer is over when a later batch has been answered.
        commit(&disk, Vec::new()).unwrap();
        if number % 9 > 0 {
            continue;
        }
        let survivor = folder.path().join(format!("survivor-{number}"));
        copy_folder(&synced, &survivor);
        let recovered = SledDisk::open(&survivor).unwrap();
        assert_eq!(whole_batches(&recovered), number + 1);
        commit(&recovered, batch(number + 1)).unwrap();
        drop(recovered);
        let again = open_again(&survivor);
        assert_eq!(whole_batches(&again), number + 2);
        checkpoints = again
            .db
            .open_tree(MARKS)
            .unwrap()
            .get(GENERATION)
            .unwrap()
            .map_or(0, |mark| {
                u64::from_le_bytes(mark.as_ref().try_into().unwrap())
            });
        drop(again);
        std::fs::remove_dir_all(&survivor).unwrap();
    }
    assert!(checkpoints > 3, "the journal was never full");
}

/// A process that another test starts shares the lock for a moment.
fn open_again(path: &Path) -> SledDisk {
    (0..1000)
        .find_map(|_| {
            let opened = SledDisk::open(path);
            if let Err(error) = &opened {
                assert!(error.to_string().contains("acquire lock"), "{error}");
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
    let disk = SledDisk::open(&live).unwrap();
    commit(&disk, batch(0)).unwrap();
    copy_folder(&live, &killed);
    assert!(std::fs::read_dir(killed.join("blobs")).unwrap().count() > 0);
    assert_eq!(whole_batches(&SledDisk::open(&killed).unwrap()), 1);
}

#[test]
fn a_clean_stop_leaves_the_journal_empty() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SledDisk::open(folder.path()).unwrap();
    commit(&disk, batch(0)).unwrap();
    drop(disk);
    let (_, left) = Journal::open(&folder.path().join("journal")).unwrap();
    assert!(left.is_empty());
}

#[test]
fn a_journal_that_is_not_the_databases_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    drop(SledDisk::open(&live).unwrap());
    let older = folder.path().join("older");
    copy_folder(&live, &older);
    for number in 0..2 {
        let disk = open_again(&live);
        commit(&disk, batch(number)).unwrap();
    }
    let open = |path: &Path| SledDisk::open(path).map(drop).map_err(|error| error.kind());
    // The database of before with the journal of today, and the other way round.
    std::fs::copy(live.join("journal"), older.join("journal")).unwrap();
    assert_eq!(open(&older), Err(io::ErrorKind::InvalidData));
    std::fs::remove_file(live.join("journal")).unwrap();
    assert_eq!(open(&live), Err(io::ErrorKind::InvalidData));
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
    let disk = SledDisk::open(Path::new(&folder)).unwrap();
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
