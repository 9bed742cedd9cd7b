//! What a power loss or a kill leaves, at any step.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::*;

#[test]
fn a_power_loss_loses_no_acknowledged_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (live, synced) = (folder.path().join("live"), folder.path().join("synced"));
    let disk = open_watched(&live, synced.clone(), |_, _| {});
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

/// What is there when the process or the power ends before a sync of a checkpoint.
#[test]
fn a_checkpoint_may_end_at_any_step() {
    let folder = tempfile::tempdir().unwrap();
    let (live, ends) = (folder.path().join("live"), folder.path().join("ends"));
    std::fs::create_dir(&ends).unwrap();
    let (from, into, mut groups) = (live.clone(), ends.clone(), 0);
    let disk = open_watched(
        &live,
        folder.path().join("synced"),
        move |moment, synced| {
            if moment == Moment::Group {
                groups += 1;
            } else if groups > 0 {
                copy_folder(&from, &into.join(format!("{groups} killed, {moment:?}")));
                copy_folder(
                    synced,
                    &into.join(format!("{groups} unpowered, {moment:?}")),
                );
            }
        },
    );
    (0..110).for_each(|number| commit(&disk, batch(number)).unwrap());
    drop(disk);
    let ends: Vec<_> = std::fs::read_dir(&ends).unwrap().collect();
    assert_eq!(
        ends.len(),
        8,
        "one full journal and one stop, two moments of each"
    );
    for end in ends {
        let path = end.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let groups: u64 = name.split(' ').next().unwrap().parse().unwrap();
        let disk = SledDisk::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(whole_batches(&disk), groups, "{name}");
        commit(&disk, batch(groups)).unwrap();
    }
}

/// The slot that a killed process wrote may be in the kernel's memory alone. If a power loss takes it and leaves the
/// first record of its generation, that stands among the records of the generation before.
#[test]
fn a_generation_that_a_killed_process_began_is_durable_before_its_first_record() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (live, killed, synced, worst) = (at("live"), at("killed"), at("synced"), at("worst"));
    let (from, to, kept, mut groups) = (live.clone(), killed.clone(), synced.clone(), 0);
    let disk = open_watched(
        &live,
        at("live-synced"),
        move |moment, synced| match moment {
            Moment::Group => groups += 1,
            Moment::Begun if groups > 0 => {
                copy_folder(&from, &to);
                copy_folder(synced, &kept);
            }
            _ => {}
        },
    );
    (0..3).for_each(|number| commit(&disk, batch(number)).unwrap());
    drop(disk);
    let (from, to) = (killed.clone(), worst.clone());
    let disk = open_watched(&killed, synced, move |moment, synced| {
        if moment == Moment::Group {
            // The last one counts: at the start the generation itself is synced.
            drop(std::fs::remove_dir_all(&to));
            copy_folder(synced, &to);
            let records = std::fs::read(from.join("journal")).unwrap().split_off(8192);
            let journal = File::options().write(true).open(to.join("journal"));
            journal.unwrap().write_all_at(&records, 8192).unwrap();
        }
    });
    assert_eq!(whole_batches(&disk), 3);
    commit(&disk, batch(3)).unwrap();
    assert!(whole_batches(&SledDisk::open(&worst).unwrap()) >= 3);
}

/// Before which sync something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// That of a group's record.
    Group,
    /// That of all that sled has, at a checkpoint.
    Flushed,
    /// That of the journal's next generation.
    Begun,
}

/// Keeps in `synced` what a power loss leaves at worst: of sled's files what was synced at the last checkpoint, of the
/// journal what was synced since.
fn open_watched(
    live: &Path,
    synced: PathBuf,
    mut before: impl FnMut(Moment, &Path) + Send + 'static,
) -> SledDisk {
    let from = live.to_owned();
    let open = open_synced(live, move |mut files| {
        if !synced.exists() {
            copy_folder(&from, &synced);
        }
        let mut flushed = false;
        Box::new(move |step| {
            match step {
                Step::Journalled if flushed => before(Moment::Begun, &synced),
                Step::Journalled => before(Moment::Group, &synced),
                Step::Flushed => before(Moment::Flushed, &synced),
                Step::Applied => {}
            }
            files.sync(step)?;
            match step {
                Step::Journalled => {
                    flushed = false;
                    std::fs::copy(from.join("journal"), synced.join("journal")).map(drop)?;
                }
                Step::Applied => {}
                Step::Flushed => {
                    flushed = true;
                    let journal = std::fs::read(synced.join("journal"))?;
                    std::fs::remove_dir_all(&synced)?;
                    copy_folder(&from, &synced);
                    std::fs::write(synced.join("journal"), journal)?;
                }
            }
            Ok(())
        })
    });
    open.unwrap()
}
