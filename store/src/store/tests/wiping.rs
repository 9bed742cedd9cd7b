//! What a user can see of what others deleted.

use vineyard_env::User;

use super::*;

const ALICE: User = User::Known(1001);
const BOB: User = User::Known(1002);
/// Both ways of zeroing, with edges that share pages with others.
const SIZES: [u64; 4] = [1, 5_000, 70_000, 200_001];

/// A sealed blob of each size, full of ones, between blobs that stay.
fn fill(store: &mut Store, holder: HolderId) -> Vec<Blob> {
    let made = SIZES.map(|size| {
        sealed(store, holder, 100);
        let blob = store.create(holder, size).unwrap();
        store.writer(blob.id).unwrap().fill(1);
        store.seal(holder, blob.id).unwrap();
        blob
    });
    sealed(store, holder, 100);
    made.to_vec()
}

fn delete(store: &mut Store, by: HolderId, blobs: &[Blob]) {
    for blob in blobs {
        store.delete(by, blob.id, false);
    }
}

/// Bytes of `blobs` that anybody with a mapping of the arena can read.
fn left(store: &Store, blobs: &[Blob]) -> u64 {
    let bytes = Arena::new(store.region().clone());
    let of_one = |blob: &Blob| {
        let slice = bytes.slice(blob.offset, blob.size).unwrap();
        slice.iter().map(|byte| u64::from(*byte)).sum::<u64>()
    };
    blobs.iter().map(of_one).sum()
}

#[test]
fn one_users_deleted_bytes_are_zero_once_another_one_sees_the_arena() {
    for memory in [&HeapMemory as &dyn Memory, &MemfdMemory] {
        let mut store = store(memory, MIB);
        let alice = store.open_holder_of(Some(ALICE), true);
        let before = fill(&mut store, alice);
        delete(&mut store, alice, &before);
        assert_eq!(
            left(&store, &before),
            SIZES.iter().sum::<u64>(),
            "nobody else sees it"
        );
        // Their pages have gone, all but those that they share with blobs.
        store.decay().unwrap();
        store.decay().unwrap();
        let bob = store.open_holder_of(Some(BOB), true);
        let seen = store.create(bob, 4_000).unwrap();
        assert_eq!(left(&store, &[seen]), 0);
        assert_eq!(left(&store, &before), 0);

        for by in [alice, bob] {
            let blobs = fill(&mut store, by);
            delete(&mut store, by, &blobs);
            assert_eq!(left(&store, &blobs), 0);
        }
    }
}

#[test]
fn a_reader_alone_is_another_user_too_and_stays_one() {
    let mut store = heap(MIB);
    let alice = store.open_holder_of(Some(ALICE), true);
    let read = sealed(&mut store, alice, 10);
    let bob = store.open_holder_of(Some(BOB), true);
    store.get(bob, &[read], false).unwrap();
    store.close_holder(bob);
    let blobs = fill(&mut store, alice);
    delete(&mut store, alice, &blobs);
    assert_eq!(left(&store, &blobs), 0);
}

#[test]
fn what_the_node_wrote_is_zeroed_before_its_first_client_of_another_user_and_ever_after() {
    let mut store = heap(MIB);
    let node = store.open_holder(true);
    let blobs = fill(&mut store, node);
    delete(&mut store, node, &blobs);
    assert_eq!(left(&store, &blobs), SIZES.iter().sum::<u64>());
    let alice = store.open_holder_of(Some(ALICE), true);
    store.create(alice, 1).unwrap();
    assert_eq!(left(&store, &blobs), 0);
    let blobs = fill(&mut store, node);
    delete(&mut store, node, &blobs);
    assert_eq!(left(&store, &blobs), 0);
    // Hers alone may stay: she wrote them.
    let blobs = fill(&mut store, alice);
    delete(&mut store, alice, &blobs);
    assert_eq!(left(&store, &blobs), SIZES.iter().sum::<u64>());
    // Not so where the node wrote as well.
    let shared = store.create(alice, 9).unwrap();
    store.retain(node, &[shared.id]).unwrap();
    store.writer(shared.id).unwrap().fill(1);
    store.release_all(node, &[shared.id]);
    store.release_all(alice, &[shared.id]);
    assert_eq!(left(&store, &[shared]), 0);
}

#[test]
fn two_users_without_a_number_are_two() {
    let mut store = heap(MIB);
    let first = store.open_holder_of(Some(User::Unmapped), true);
    let blobs = fill(&mut store, first);
    delete(&mut store, first, &blobs);
    assert_eq!(left(&store, &blobs), 0);
}

#[test]
fn bytes_that_are_cut_off_or_used_again_in_need_are_zeroed() {
    let mut store = heap(MIB);
    let alice = store.open_holder_of(Some(ALICE), false);
    let bob = store.open_holder_of(Some(BOB), true);
    store.create(bob, 1).unwrap();
    let cut = store.create(alice, 100_000).unwrap();
    store.writer(cut.id).unwrap().fill(1);
    store.shrink(alice, cut.id, 1_024).unwrap();
    assert_eq!(left(&store, &[cut]), 1_024);
    // She cannot release, so her deleted bytes stay until memory is short.
    let blob = store.create(alice, 700_000).unwrap();
    store.writer(blob.id).unwrap().fill(1);
    store.seal(alice, blob.id).unwrap();
    store.delete(HolderId::NOBODY, blob.id, false);
    assert_eq!(left(&store, &[blob]), 700_000);
    let used_again = store.create(bob, 500_000).unwrap();
    assert_eq!(left(&store, &[used_again, blob]), 0);
}
