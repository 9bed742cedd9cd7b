//! What a power loss or a kill leaves, at any step.

use std::path::PathBuf;

use super::*;

#[test]
fn a_power_loss_loses_no_acknowledged_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (live, synced) = (folder.path().join("live"), folder.path().join("synced"));
    let disk = open_watched(&live, synced.clone(), |_, _| {});
    let mut checkpoints = 0;
    for number in 0..200 {
        commit(&disk, batch(number)).unwrap();
        // The sync after a group's answer is over when a later batch has been answered.
        commit(&disk, Vec::new()).unwrap();
        if number % 9 > 0 {
            continue;
        }
        let survivor = folder.path().join(format!("survivor-{number}"));
        copy_folder(&synced, &survivor);
        let recovered = open(&survivor).unwrap();
        assert_eq!(whole_batches(&recovered), number + 1);
        commit(&recovered, batch(number + 1)).unwrap();
        drop(recovered);
        let again = open_again(&survivor);
        assert_eq!(whole_batches(&again), number + 2);
        checkpoints = again
            .db
            .open_tree(MARKS)
            .unwrap()
            .get(MARK)
            .unwrap()
            .map_or(0, |mark| u64::from_le_bytes(mark[..8].try_into().unwrap()));
        drop(again);
        std::fs::remove_dir_all(&survivor).unwrap();
    }
    assert!(checkpoints > 2, "hardly a segment was full");
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
    assert_eq!(ends.len(), 4, "two moments of one full segment");
    for end in ends {
        let path = end.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let groups: u64 = name.split(' ').next().unwrap().parse().unwrap();
        let disk = open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(whole_batches(&disk), groups, "{name}");
        commit(&disk, batch(groups)).unwrap();
    }
}

/// Before which sync something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// That of a group's record.
    Group,
    /// The first of a checkpoint, when the next segment has begun.
    Begun,
    /// That of all that sled has.
    Flushed,
}

/// Keeps in `synced` what a power loss leaves at worst: of sled's files what was synced at the last checkpoint, of the
/// journal what was synced since.
fn open_watched(
    live: &Path,
    synced: PathBuf,
    mut before: impl FnMut(Moment, &Path) + Send + 'static,
) -> SledDisk {
    let from = live.to_owned();
    let opened = open_synced(live, move |mut files| {
        if !synced.exists() {
            copy_folder(&from, &synced);
        }
        let mut log = generations(&from);
        Box::new(move |step| {
            let rolled = std::mem::replace(&mut log, generations(&from)) != log;
            match step {
                Step::Journalled => before(Moment::Group, &synced),
                Step::Applied if rolled => before(Moment::Begun, &synced),
                Step::Applied => {}
                Step::Flushed => before(Moment::Flushed, &synced),
            }
            files.sync(step)?;
            match step {
                // A segment is durable when it is begun.
                Step::Journalled | Step::Applied => {
                    std::fs::remove_dir_all(synced.join("log"))?;
                    copy_folder(&from.join("log"), &synced.join("log"));
                }
                Step::Flushed => {
                    std::fs::remove_dir_all(&synced)?;
                    copy_folder(&from, &synced);
                }
            }
            Ok(())
        })
    });
    opened.unwrap()
}

fn generations(path: &Path) -> Vec<std::ffi::OsString> {
    let listed = std::fs::read_dir(path.join("log")).unwrap();
    let mut names: Vec<_> = listed.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}
