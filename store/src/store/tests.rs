//! The store's promises, one script each.

mod machine;
mod wiping;

use vineyard_shm::{HeapMemory, MemfdMemory};
use vineyard_wire::id::IdMaker;
use vineyard_wire::{Code, InstanceId, NodeId};

use super::*;

const MIB: u64 = 1 << 20;

fn store(memory: &dyn Memory, capacity_bytes: u64) -> Store {
    let ids = IdMaker::new(InstanceId::new(NodeId(1), 0), 1);
    Store::new(memory, capacity_bytes, ids).unwrap()
}

fn heap(capacity_bytes: u64) -> Store {
    store(&HeapMemory, capacity_bytes)
}

fn sealed(store: &mut Store, holder: HolderId, size: u64) -> ObjectId {
    let blob = store.create(holder, size).unwrap();
    store.seal(holder, blob.id).unwrap();
    blob.id
}

fn delete_all(store: &mut Store, by: HolderId) {
    for id in store.all_ids() {
        store.delete(by, id, false);
    }
}

fn refused<T>(result: Result<T>) -> (Code, String) {
    let status = result.err().expect("this is refused").status();
    (status.code, status.message)
}

fn assert_at_rest(store: &Store) {
    let empty = Usage {
        memory_limit: store.usage.memory_limit,
        ..Usage::default()
    };
    assert_eq!(store.usage(), empty);
    assert!(
        store.allocator.is_all_free(store.arena.len_bytes()),
        "{:?}",
        store.allocator
    );
}

#[test]
fn a_blob_is_created_filled_sealed_read_and_deleted() {
    let mut store = store(&MemfdMemory, MIB);
    let (writer, reader) = (store.open_holder(true), store.open_holder(true));
    let blob = store.create(writer, 100).unwrap();
    assert_eq!(
        (blob.offset, blob.size, blob.sealed, blob.id.is_blob()),
        (64, 100, false, true)
    );
    store.writer(blob.id).unwrap().fill(7);
    assert_eq!(
        refused(store.get(reader, &[blob.id], false)),
        (
            Code::ObjectNotSealed,
            format!("Failed to get blob with id {}", blob.id)
        )
    );
    assert_eq!(store.get(reader, &[blob.id], true).unwrap(), [blob]);

    store.seal(reader, blob.id).unwrap();
    store.seal(writer, blob.id).unwrap();
    assert_eq!(refused(store.writer(blob.id)).0, Code::ObjectSealed);
    assert_eq!(&*store.reader(blob.id).unwrap(), &[7; 100]);
    assert_eq!(
        store.list_sealed(),
        [Blob {
            sealed: true,
            ..blob
        }]
    );
    assert_eq!(
        (store.usage().references, store.usage().memory_usage),
        (2, 100)
    );

    assert!(store.delete(writer, blob.id, false));
    assert!(!store.delete(writer, blob.id, false) && !store.exists(blob.id));
    assert_eq!(
        (store.usage().references, store.usage().deleted_bytes),
        (1, 100)
    );
    store.release(reader, blob.id).unwrap();
    assert_at_rest(&store);
}

#[test]
fn the_empty_blob_is_always_here() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    let empty = ObjectId::EMPTY_BLOB;
    assert_eq!(store.create(holder, 0).unwrap(), Blob::EMPTY);
    store.seal(holder, empty).unwrap();
    store.seal(holder, empty).unwrap();
    assert_eq!(
        store.get(holder, &[empty, empty], false).unwrap(),
        [Blob::EMPTY; 2]
    );
    store.release(holder, empty).unwrap();
    assert!(!store.delete(holder, empty, true) && store.exists(empty));
    assert!(store.reader(empty).unwrap().is_empty());
    assert_at_rest(&store);
}

#[test]
fn unknown_blobs_are_refused_as_clients_expect() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    let id = ObjectId(1 << 63 | 5);
    let text = format!("seal: id = {id}");
    assert_eq!(
        refused(store.seal(holder, id)),
        (Code::ObjectNotExists, text)
    );
    assert_eq!(store.get(holder, &[id], false).unwrap(), []);
    store.retain(holder, &[id]).unwrap();
    let text = "DependencyTracker: connection not exist.".to_owned();
    assert_eq!(refused(store.release(holder, id)), (Code::KeyError, text));
    sealed(&mut store, holder, 1);
    let text = format!("DependencyTracker: failed to find object during remove dependency: {id}");
    assert_eq!(
        refused(store.release(holder, id)),
        (Code::ObjectNotExists, text)
    );
    assert_eq!(
        refused(store.shrink(holder, id, 1)).0,
        Code::ObjectNotExists
    );
    assert!(!store.delete(holder, id, false));
    assert_eq!(refused(store.reader(id)).0, Code::ObjectNotExists);
    assert!(store.is_in_use(id));
}

#[test]
fn is_in_use_is_false_only_for_a_sealed_blob_that_nobody_holds() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    let id = store.create(holder, 1).unwrap().id;
    assert!(store.is_in_use(id));
    store.seal(holder, id).unwrap();
    assert!(store.is_in_use(id));
    store.release(holder, id).unwrap();
    assert!(!store.is_in_use(id));
    store.retain(holder, &[id, id]).unwrap();
    assert_eq!(store.usage().references, 1);
    store.close_holder(holder);
    assert!(!store.is_in_use(id) && store.exists(id));
}

#[test]
fn out_of_memory_says_the_facts_and_changes_nothing() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    sealed(&mut store, holder, 1000);
    let before = store.usage();
    let text = "Failed to allocate memory of size 1048000, total available memory size are 1048576, \
                and 1000 are already in use; the largest free piece has 1047576 bytes";
    let expected = (Code::NotEnoughMemory, text.to_owned());
    assert_eq!(refused(store.create(holder, 1_048_000)), expected);
    for size in [1 << 63, u64::MAX, u64::MAX - 64, MIB + 1] {
        assert_eq!(refused(store.create(holder, size)).0, Code::NotEnoughMemory);
        assert_eq!(
            refused(store.create_many(holder, &[1, size, 1])).0,
            Code::NotEnoughMemory
        );
    }
    // Within the limit, but not within the arena: each blob takes at least 64 bytes of it.
    let many = vec![1; 20_000];
    assert_eq!(
        refused(store.create_many(holder, &many)).0,
        Code::NotEnoughMemory
    );
    assert_eq!(store.usage(), before);
    assert_eq!(
        store.create_many(holder, &[1, 0, 2]).unwrap()[1],
        Blob::EMPTY
    );
}

#[test]
fn one_blob_may_take_the_whole_capacity() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    for _ in 0..3 {
        let id = sealed(&mut store, holder, MIB);
        assert!(store.delete(holder, id, false));
    }
    assert_at_rest(&store);
}

#[test]
fn a_capacity_that_cannot_be_mapped_is_refused() {
    for capacity in [0, u64::MAX, u64::MAX - 100, 1 << 63] {
        let ids = IdMaker::new(InstanceId::new(NodeId(1), 0), 1);
        let refused = Store::new(&MemfdMemory, capacity, ids).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_closed_holder_takes_its_references_and_unsealed_blobs_along() {
    let mut store = heap(MIB);
    let (first, second) = (store.open_holder(true), store.open_holder(false));
    let unsealed = store.create(first, 10).unwrap().id;
    let kept = sealed(&mut store, first, 20);
    store.get(second, &[unsealed, kept], true).unwrap();
    assert_eq!(store.close_holder(first), [unsealed]);
    assert_eq!(store.close_holder(first), []);
    assert_eq!(store.all_ids(), [kept]);
    let usage = store.usage();
    assert_eq!(
        (usage.references, usage.unsealed, usage.deleted_bytes),
        (2, 0, 10)
    );
    let closed = Error::HolderClosed { holder: first };
    assert_eq!(store.create(first, 1), Err(closed));
    assert_eq!(store.seal(first, kept), Err(closed));
    assert_eq!(store.get(first, &[], false), Err(closed));
    assert_eq!(store.release(first, kept), Err(closed));
    assert!(store.close_holder(second).is_empty());
    store.delete(second, kept, false);
    assert_at_rest(&store);
}

#[test]
fn deleted_bytes_of_those_who_cannot_release_are_reused_oldest_first_and_only_in_need() {
    let mut store = heap(MIB);
    let (python, rust, owner) = (
        store.open_holder(false),
        store.open_holder(true),
        store.open_holder(true),
    );
    let quarter = MIB / 4;
    let ids: Vec<_> = (0..4).map(|_| sealed(&mut store, owner, quarter)).collect();
    store.get(python, &ids[..3], false).unwrap();
    store.get(rust, &ids[..1], false).unwrap();
    for id in [1, 0, 2, 3] {
        store.delete(owner, ids[id], false);
    }
    assert_eq!(store.usage().deleted_bytes, 3 * quarter);
    sealed(&mut store, owner, quarter);
    assert_eq!(
        store.usage().deleted_bytes,
        3 * quarter,
        "a free quarter was there"
    );
    sealed(&mut store, owner, quarter);
    assert_eq!(
        store.release(python, ids[1]),
        Err(Error::NotHeld { id: ids[1] })
    );
    assert_eq!(store.usage().deleted_bytes, 2 * quarter);

    // The two that are left do not lie side by side with what is free, and one has a holder who will release it.
    assert_eq!(
        refused(store.create(owner, 2 * quarter)).0,
        Code::NotEnoughMemory
    );
    assert_eq!(
        store.usage().deleted_bytes,
        2 * quarter,
        "what does not help is not lost"
    );
    store.release(python, ids[2]).unwrap();
    store.release(python, ids[0]).unwrap();
    store.release(rust, ids[0]).unwrap();
    assert_eq!(store.usage().deleted_bytes, 0);
}

#[test]
fn out_of_memory_names_the_largest_piece_and_what_readers_of_deleted_blobs_hold() {
    let mut store = heap(MIB);
    let (owner, reader) = (store.open_holder(true), store.open_holder(true));
    let size = MIB / 64;
    let ids: Vec<_> = (0..64).map(|_| sealed(&mut store, owner, size)).collect();
    assert_eq!(store.largest_free(), 0);
    for id in ids.iter().step_by(2) {
        store.delete(owner, *id, false);
    }
    let in_pieces = "Failed to allocate memory of size 65536, total available memory size are 1048576, and 524288 are \
                     already in use; the largest free piece has 16384 bytes; enough is free, but not in one piece: \
                     deleting objects joins the pieces beside them";
    let refusal = refused(store.create(owner, 4 * size));
    assert_eq!(refusal, (Code::NotEnoughMemory, in_pieces.to_owned()));
    assert_eq!(store.largest_free(), size);

    store.get(reader, &ids[1..2], false).unwrap();
    store.get(reader, &ids[3..4], false).unwrap();
    delete_all(&mut store, owner);
    let held = "Failed to allocate memory of size 1048576, total available memory size are 1048576, and 32768 are \
                already in use; the largest free piece has 987072 bytes, and readers of deleted objects still hold \
                32768, which are free when they drop those values";
    assert_eq!(refused(store.create(owner, MIB)).1, held);
    store.release_everything(reader);
    assert_eq!(store.largest_free(), MIB);
    store.create(owner, MIB).unwrap();
}

#[test]
fn a_slice_keeps_the_bytes_of_a_deleted_blob() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    let id = store.create(holder, MIB).unwrap().id;
    store.writer(id).unwrap().fill(1);
    store.seal(holder, id).unwrap();
    let slice = store.reader(id).unwrap();
    store.delete(holder, id, true);
    assert_eq!(store.usage().deleted_bytes, MIB);
    assert_eq!(refused(store.create(holder, 5000)).0, Code::NotEnoughMemory);
    assert!(slice.iter().all(|byte| *byte == 1));
    drop(slice);
    assert_eq!(store.usage().deleted_bytes, 0);
    let id = store.create(holder, MIB).unwrap().id;
    let filling = store.writer(id).unwrap();
    assert_eq!(store.writer(id).err(), Some(Error::Borrowed { id }));
    store.close_holder(holder);
    assert_eq!(store.usage().deleted_bytes, MIB);
    drop(filling);
    store.decay().unwrap();
    assert_at_rest(&store);
}

#[test]
fn a_blob_shrinks_until_it_is_sealed() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    let id = store.create(holder, MIB).unwrap().id;
    store.shrink(holder, id, MIB).unwrap();
    assert_eq!(refused(store.shrink(holder, id, MIB + 1)).0, Code::Invalid);
    store.shrink(holder, id, 1000).unwrap();
    assert_eq!(store.usage().memory_usage, 1000);
    let rest = store.create(holder, MIB - 1024).unwrap();
    let writer = store.writer(rest.id).unwrap();
    store.shrink(holder, rest.id, 10).unwrap();
    drop(writer);
    store.seal(holder, id).unwrap();
    assert_eq!(refused(store.shrink(holder, id, 10)).0, Code::ObjectSealed);
    delete_all(&mut store, holder);
    assert_at_rest(&store);
}

#[test]
fn only_its_creator_shrinks_a_blob() {
    let mut store = heap(MIB);
    let (creator, other) = (store.open_holder(true), store.open_holder(true));
    let id = store.create(creator, 1000).unwrap().id;
    store.get(other, &[id], true).unwrap();
    assert_eq!(store.shrink(other, id, 10), Err(Error::NotCreator { id }));
    assert_eq!(store.info(id).unwrap().size, 1000);
    store.shrink(creator, id, 10).unwrap();
}

#[test]
fn pages_go_back_at_a_trim_at_once_and_otherwise_after_a_while() {
    for memory in [&MemfdMemory as &dyn Memory, &HeapMemory] {
        let mut store = store(memory, 8 * MIB);
        let holder = store.open_holder(true);
        let filled = |store: &mut Store| {
            let id = store.create(holder, MIB).unwrap().id;
            store.writer(id).unwrap().fill(1);
            id
        };
        let resident = |store: &Store| store.region().resident_bytes().unwrap();
        let id = filled(&mut store);
        store.delete(holder, id, true);
        assert_eq!(resident(&store), 0);

        let id = filled(&mut store);
        store.delete(holder, id, false);
        assert!(resident(&store) >= MIB);
        assert_eq!(store.decay().unwrap(), 0);
        assert!(store.decay().unwrap() >= MIB);
        assert_eq!(resident(&store), 0);

        let ids: Vec<_> = (0..3).map(|_| filled(&mut store)).collect();
        assert_eq!(store.trim().unwrap(), 0);
        store.delete(holder, ids[1], false);
        assert!(store.trim().unwrap() >= MIB - 4096);
        delete_all(&mut store, holder);
        assert!(store.trim().unwrap() >= 2 * MIB);
        assert_eq!(resident(&store), 0);
        assert_at_rest(&store);
    }
}

#[test]
fn bytes_deleted_under_their_writer_are_not_given_to_another() {
    let mut store = heap(4096);
    let (writer, other) = (store.open_holder(false), store.open_holder(true));
    let blob = store.create(writer, 4096).unwrap();
    delete_all(&mut store, other);
    assert!(!store.exists(blob.id));
    assert_eq!(refused(store.create(other, 4096)).0, Code::NotEnoughMemory);
    store.close_holder(writer);
    assert!(store.create(other, 4096).is_ok());
}

#[test]
fn to_release_everything_includes_what_others_had_deleted() {
    let mut store = heap(4096);
    let (reader, other) = (store.open_holder(false), store.open_holder(true));
    let blob = store.create(reader, 4096).unwrap();
    store.seal(reader, blob.id).unwrap();
    store.delete(other, blob.id, false);
    assert_eq!(store.usage().deleted_bytes, 4096);
    store.release_everything(reader);
    assert_eq!(
        (store.usage().deleted_bytes, store.usage().references),
        (0, 0)
    );
}

#[test]
fn a_delete_in_nobodys_name_keeps_every_hold_until_it_ends() {
    let mut store = heap(MIB);
    let holder = store.open_holder(true);
    let held = sealed(&mut store, holder, 100);
    let (filled, abandoned) = (
        store.create(holder, 200).unwrap().id,
        store.create(holder, 400).unwrap().id,
    );
    assert!(store.delete(HolderId::NOBODY, held, false));
    delete_all(&mut store, HolderId::NOBODY);
    assert!(!store.exists(filled) && !store.exists(abandoned));
    assert_eq!(store.usage().deleted_bytes, 700);
    store.release_all(holder, &[held, filled, abandoned, held]);
    assert_at_rest(&store);
}

#[test]
fn letting_go_of_an_unsealed_blob_deletes_it_for_its_creator_alone() {
    let mut store = heap(MIB);
    let (creator, other) = (store.open_holder(true), store.open_holder(true));
    let id = store.create(creator, 100).unwrap().id;
    store.release_all(other, &[id]);
    assert!(store.exists(id));
    store.release_all(creator, &[id, ObjectId::EMPTY_BLOB]);
    assert!(!store.exists(id) && store.exists(ObjectId::EMPTY_BLOB));
    let id = store.create(creator, 100).unwrap().id;
    store.seal(other, id).unwrap();
    store.release_all(creator, &[id]);
    assert!(store.exists(id), "sealed by another it is theirs");
    store.release_all(other, &[id]);
    assert!(store.exists(id));
    store.delete(HolderId::NOBODY, id, false);
    assert_at_rest(&store);
}

#[test]
fn a_copy_of_a_blob_of_another_store_has_its_id_until_it_is_free_again() {
    let mut store = heap(MIB);
    let (node, reader) = (store.open_holder(true), store.open_holder(true));
    let theirs = ObjectId(1 << 63 | 77 << 47 | 5);
    let made = store.adopt_many(node, &[(theirs, 100)]).unwrap();
    assert_eq!((made[0].id, made[0].sealed), (theirs, false));
    let exists = Err(Error::Exists { id: theirs });
    assert_eq!(store.adopt(node, theirs, 100), exists);
    store.writer(theirs).unwrap().fill(9);
    store.seal(node, theirs).unwrap();
    store.get(reader, &[theirs], false).unwrap();
    store.release(node, theirs).unwrap();
    // While somebody reads what was deleted, its id means those bytes.
    assert!(store.delete(node, theirs, false));
    assert_eq!(store.adopt(node, theirs, 100), exists);
    store.release(reader, theirs).unwrap();
    let other = ObjectId(theirs.0 + 1);
    let too_much = store.adopt_many(node, &[(theirs, 100), (other, MIB)]);
    assert_eq!(refused(too_much).0, Code::NotEnoughMemory);
    let twice = store.adopt_many(node, &[(theirs, 100), (theirs, 100)]);
    assert_eq!(twice, Err(Error::Exists { id: theirs }));
    assert_eq!(store.adopt(node, theirs, 100).unwrap().size, 100);
    delete_all(&mut store, node);
    assert_at_rest(&store);
}
