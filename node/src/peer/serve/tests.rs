//! Which ranges may be read, and the frames that are sent.

use vineyard_shm::HeapMemory;
use vineyard_store::HolderId;
use vineyard_wire::id::IdMaker;
use vineyard_wire::{Code, InstanceId, ObjectId};

use super::*;
use crate::peer::pipe::pipes;

fn store() -> (Store, HolderId) {
    let mut store = Store::new(&HeapMemory, 1 << 20, IdMaker::new(InstanceId(0), 1)).unwrap();
    let holder = store.open_holder(true);
    (store, holder)
}

fn sealed(store: &mut Store, holder: HolderId, content: &[u8]) -> ObjectId {
    let blob = store.create(holder, content.len() as u64).unwrap();
    store.writer(blob.id).unwrap().copy_from_slice(content);
    store.seal(holder, blob.id).unwrap();
    blob.id
}

fn range(blob: ObjectId, offset: u64, len: u64) -> Range {
    Range { blob, offset, len }
}

#[test]
fn ranges_of_sealed_blobs_are_pinned() {
    let (mut store, holder) = store();
    let blob = sealed(&mut store, holder, b"0123456789");
    let slices = pin(&store, &[range(blob, 0, 10), range(blob, 3, 4)]).unwrap();
    assert_eq!(*slices[0], *b"0123456789");
    store.delete(holder, blob, true);
    assert_eq!(*slices[1], *b"3456", "a slice outlives its blob");
}

#[test]
fn a_range_that_is_not_inside_its_blob_is_refused() {
    let (mut store, holder) = store();
    let blob = sealed(&mut store, holder, b"0123456789");
    let outside = [(0, 11), (10, 1), (11, 0), (u64::MAX, 1), (1, u64::MAX)];
    for (offset, len) in outside {
        let refused = pin(&store, &[range(blob, 0, 1), range(blob, offset, len)]);
        let status = refused.expect_err("outside");
        assert_eq!(status.code, Code::Invalid, "{status}");
    }
}

#[test]
fn what_is_not_here_or_not_sealed_is_refused() {
    let (mut store, holder) = store();
    let unsealed = store.create(holder, 10).unwrap().id;
    for (blob, code) in [
        (unsealed, Code::ObjectNotSealed),
        (ObjectId(1 << 63 | 77), Code::ObjectNotExists),
    ] {
        let status = pin(&store, &[range(blob, 0, 1)]).expect_err("refused");
        assert_eq!(status.code, code, "{status}");
        assert!(status.message.contains(&blob.to_string()), "{status}");
    }
}

#[tokio::test]
async fn the_length_goes_before_the_bytes_and_their_checksum_after() {
    let (mut store, holder) = store();
    let blob = sealed(&mut store, holder, b"0123456789");
    let slices = pin(&store, &[range(blob, 0, 2), range(blob, 8, 2)]).unwrap();
    let (mut near, mut far) = pipes();
    send(&mut near, slices).await.unwrap();
    drop(near);
    let answer: Answer = frames::read(&mut far, frames::MESSAGE_BYTES_MAX)
        .await
        .unwrap();
    assert_eq!(answer, Answer::Bytes { len: 4 });
    let mut raw = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut far, &mut raw)
        .await
        .unwrap();
    let checksum = xxhash_rust::xxh3::xxh3_64(b"0189").to_le_bytes();
    assert_eq!(raw, [b"0189".as_slice(), &checksum].concat());
}
