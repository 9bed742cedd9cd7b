use futures::FutureExt;

use super::*;
use crate::disk::MemoryDisk;
use crate::state::State;
use crate::testing::HeldDisk;

fn image(size: usize) -> Image {
    Image(Arc::new((0..size).map(|byte| byte as u8).collect()))
}

/// Writes and names one.
async fn save(snapshots: &SnapshotStore, number: u64, image: &Image) {
    snapshots.write(number, image).await.unwrap();
    name(snapshots, number, image).await.unwrap();
}

async fn name(snapshots: &SnapshotStore, number: u64, image: &Image) -> io::Result<()> {
    let place = AppliedPosition::default();
    snapshots
        .name(number, &place, image, image.checksum())
        .await
}

fn loaded(disk: &Arc<dyn Disk>) -> Image {
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    snapshots.current().unwrap().1
}

fn chunks(disk: &dyn Disk) -> usize {
    disk.scan(&keys::chunk(0, 0), &keys::chunks_end())
        .unwrap()
        .len()
}

/// A disk as earlier builds left it: a snapshot in two records, and part of another that a crash cut off.
fn of_before(image: &Image) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let (first, second) = image.0.split_at(7);
    let manifest = Manifest {
        number: 4,
        held: Held::Chunks(2),
        checksum: image.checksum(),
        position: Position::new(None, &crate::types::Membership::default()),
    };
    let batch = vec![
        Change::Put(keys::chunk(4, 0), first.to_vec()),
        Change::Put(keys::chunk(4, 1), second.to_vec()),
        Change::Put(keys::chunk(5, 0), b"cut off".to_vec()),
        Change::Put(keys::MANIFEST.to_vec(), manifest.seal()),
    ];
    commit(disk.as_ref(), batch)
        .now_or_never()
        .unwrap()
        .unwrap()
        .unwrap();
    disk
}

#[tokio::test]
async fn a_snapshot_is_loaded_as_it_was_saved_and_the_older_one_goes() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    for size in [3_000_000, 1, 1 << 20] {
        save(&snapshots, snapshots.number(), &image(size)).await;
        assert_eq!(disk.files().list().unwrap().len(), 1);
        assert_eq!(loaded(&disk), image(size));
    }
    assert_eq!(chunks(disk.as_ref()), 0);
}

#[tokio::test]
async fn records_of_before_are_served_and_move_at_the_next_snapshot() {
    let disk = of_before(&image(10));
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    assert_eq!(chunks(disk.as_ref()), 2, "only what was cut off is removed");
    assert_eq!(snapshots.current().unwrap().1, image(10));
    assert_eq!(loaded(&disk), image(10), "again, while nothing has changed");
    save(&snapshots, snapshots.number(), &image(20)).await;
    assert_eq!(chunks(disk.as_ref()), 0);
    assert_eq!(disk.files().list().unwrap(), [5]);
    assert_eq!(loaded(&disk), image(20));
}

#[tokio::test]
async fn a_crash_before_the_manifest_leaves_the_older_snapshot() {
    let held = Arc::new(HeldDisk::default());
    let disk: Arc<dyn Disk> = held.clone();
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    save(&snapshots, snapshots.number(), &image(10)).await;
    held.hold();
    let number = snapshots.number();
    snapshots.write(number, &image(30)).await.unwrap();
    let large = image(30);
    let mut naming = Box::pin(name(&snapshots, number, &large));
    assert!((&mut naming).now_or_never().is_none());
    assert_eq!(disk.files().list().unwrap(), [1, 2]);
    drop(naming);
    // The manifest that waited is never written.
    held.forget();
    let again = SnapshotStore::load(disk.clone()).unwrap();
    assert_eq!(again.current().unwrap().1, image(10));
    assert_eq!(disk.files().list().unwrap(), [1], "no manifest names it");
    // The number of the one that was cut off is used again.
    save(&again, again.number(), &image(20)).await;
    assert_eq!(loaded(&disk), image(20));
}

#[tokio::test]
async fn a_builder_that_finishes_late_replaces_nothing() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    let (older, newer) = (snapshots.number(), snapshots.number());
    snapshots.write(older, &image(9)).await.unwrap();
    save(&snapshots, newer, &image(7)).await;
    name(&snapshots, older, &image(9)).await.unwrap();
    assert_eq!(snapshots.current().unwrap().1, image(7));
    assert_eq!(loaded(&disk), image(7));
    assert_eq!(disk.files().list().unwrap(), [newer]);
}

#[tokio::test]
async fn a_file_that_is_not_what_was_written_is_refused_by_name() {
    for (left, reason) in [
        (None, "the snapshot file 1 is missing"),
        (
            Some(&[0u8, 1, 2][..]),
            "the snapshot file 1 has 3 bytes, but 4 were written",
        ),
        (Some(&[0, 1, 2, 4]), "the snapshot file 1 is damaged"),
    ] {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let snapshots = SnapshotStore::load(disk.clone()).unwrap();
        save(&snapshots, snapshots.number(), &image(4)).await;
        match left {
            Some(bytes) => disk
                .files()
                .write(1, Arc::new(bytes.to_vec()), Box::new(|_| {})),
            None => disk.files().remove(1),
        }
        let Err(error) = SnapshotStore::load(disk) else {
            panic!("it was loaded, but {reason}");
        };
        let error = error.to_string();
        assert!(error.starts_with(reason), "{error}");
        assert!(error.contains("--join"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_file_that_could_not_be_written_builders_rest() {
    let held = Arc::new(HeldDisk::default());
    let snapshots = SnapshotStore::load(held.clone()).unwrap();
    held.fill(true);
    let error = snapshots.write(1, &image(4)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(snapshots.rests());
    tokio::time::advance(SNAPSHOT_AGAIN_AFTER).await;
    assert!(!snapshots.rests());
    held.fill(false);
    save(&snapshots, 2, &image(4)).await;
    assert!(!snapshots.rests());
}

#[test]
fn a_damaged_image_is_an_error() {
    let image = Image::encode(&State::default());
    assert_eq!(image.decode().unwrap().digest(), State::default().digest());
    for byte in 0..image.0.len() {
        let mut bytes = image.0.to_vec();
        bytes[byte] ^= 1;
        assert!(Image(bytes.into()).decode().is_err());
    }
}
