use futures::FutureExt;

use super::*;
use crate::disk::MemoryDisk;
use crate::state::State;
use crate::testing::HeldDisk;

fn image(size: usize) -> Image {
    Image(Arc::new((0..size).map(|byte| byte as u8).collect()))
}

fn chunks(disk: &dyn Disk) -> usize {
    disk.scan(&keys::chunk(0, 0), &keys::chunks_end())
        .unwrap()
        .len()
}

#[tokio::test]
async fn a_snapshot_is_loaded_as_it_was_saved_and_the_older_one_goes() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    for size in [3 * SNAPSHOT_CHUNK_BYTES + 5, 1, SNAPSHOT_CHUNK_BYTES] {
        snapshots
            .save(
                snapshots.number(),
                &AppliedPosition::default(),
                &image(size),
            )
            .await
            .unwrap();
        assert_eq!(chunks(disk.as_ref()), size.div_ceil(SNAPSHOT_CHUNK_BYTES));
        let (_, loaded) = SnapshotStore::load(disk.clone())
            .unwrap()
            .current()
            .unwrap();
        assert_eq!(loaded, image(size));
    }
}

#[tokio::test]
async fn a_crash_before_the_manifest_leaves_the_older_snapshot() {
    let disk = Arc::new(HeldDisk::default());
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    snapshots
        .save(snapshots.number(), &AppliedPosition::default(), &image(10))
        .await
        .unwrap();
    disk.hold();
    let large = image(2 * SNAPSHOT_CHUNK_BYTES);
    let place = AppliedPosition::default();
    let mut saving = Box::pin(snapshots.save(snapshots.number(), &place, &large));
    // Both chunks are written, the manifest is not.
    for _ in 0..2 {
        assert!((&mut saving).now_or_never().is_none());
        disk.release_one();
    }
    drop(saving);
    let again = SnapshotStore::load(disk.clone()).unwrap();
    assert_eq!(again.current().unwrap().1, image(10));
    disk.release();
    // The number of the one that was cut off is used again; its leftovers do no harm.
    again
        .save(again.number(), &AppliedPosition::default(), &image(20))
        .await
        .unwrap();
    assert_eq!(
        SnapshotStore::load(disk.clone())
            .unwrap()
            .current()
            .unwrap()
            .1,
        image(20)
    );
}

#[tokio::test]
async fn a_builder_that_finishes_late_replaces_nothing() {
    let disk = Arc::new(HeldDisk::default());
    let snapshots = SnapshotStore::load(disk.clone()).unwrap();
    disk.hold();
    let (older, newer) = (image(2 * SNAPSHOT_CHUNK_BYTES), image(7));
    let place = AppliedPosition::default();
    let mut building = Box::pin(snapshots.save(snapshots.number(), &place, &older));
    assert!((&mut building).now_or_never().is_none());
    disk.release();
    snapshots
        .save(snapshots.number(), &place, &newer)
        .await
        .unwrap();
    building.await.unwrap();
    assert_eq!(snapshots.current().unwrap().1, newer);
    assert_eq!(
        SnapshotStore::load(disk.clone())
            .unwrap()
            .current()
            .unwrap()
            .1,
        newer
    );
    assert_eq!(chunks(disk.as_ref()), 1);
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
