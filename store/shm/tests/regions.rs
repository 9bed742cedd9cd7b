//! What every maker of memory keeps to: one suite, run on the machine's regions and on the simulator's.

// In a test an unexpected error is a failure, wherever it is noticed.
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::sync::Arc;

use vineyard_env::{Access, Memory, MemoryHandle, Region};
use vineyard_shm::{Arena, HeapMemory, MemfdMemory, PAGE_BYTES, SliceError};

const LEN: usize = 16 * PAGE_BYTES;

fn fresh(memory: &dyn Memory) -> Arc<dyn Region> {
    memory.create("test", LEN).unwrap()
}

fn open(memory: &dyn Memory, region: &dyn Region, access: Access) -> Arc<dyn Region> {
    memory
        .open(&region.share(access).unwrap(), LEN, access)
        .unwrap()
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("this is refused").kind()
}

fn fill(arena: &Arena, offset: usize, len: usize, byte: u8) {
    arena
        .slice_mut(offset as u64, len as u64)
        .unwrap()
        .fill(byte);
}

fn a_new_region_is_zeroed_and_occupies_nothing(memory: &dyn Memory) {
    let region = fresh(memory);
    assert_eq!(region.len_bytes(), LEN);
    assert_eq!(region.access(), Access::ReadWrite);
    assert_eq!(region.resident_bytes().unwrap(), 0);
    assert_eq!(region.address().as_ptr() as usize % PAGE_BYTES, 0);
    assert!(
        Arena::new(region)
            .slice(0, LEN as u64)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}

fn both_ends_see_the_same_bytes(memory: &dyn Memory) {
    let region = fresh(memory);
    let (reader, writer) = (
        open(memory, &*region, Access::ReadOnly),
        open(memory, &*region, Access::ReadWrite),
    );
    fill(&Arena::new(writer), 100, 50, 7);
    assert!(
        Arena::new(region)
            .slice(100, 50)
            .unwrap()
            .iter()
            .all(|byte| *byte == 7)
    );
    assert!(
        Arena::new(reader)
            .slice(100, 50)
            .unwrap()
            .iter()
            .all(|byte| *byte == 7)
    );
}

fn a_region_outlives_the_one_that_shared_it(memory: &dyn Memory) {
    let region = fresh(memory);
    fill(&Arena::new(region.clone()), 0, 10, 1);
    let reader = open(memory, &*region, Access::ReadOnly);
    drop(region);
    assert_eq!(&*Arena::new(reader).slice(0, 10).unwrap(), &[1; 10]);
}

fn a_read_only_share_cannot_be_written(memory: &dyn Memory) {
    let region = fresh(memory);
    let handle = region.share(Access::ReadOnly).unwrap();
    assert_eq!(
        kind(memory.open(&handle, LEN, Access::ReadWrite)),
        ErrorKind::PermissionDenied
    );
    let reader = memory.open(&handle, LEN, Access::ReadOnly).unwrap();
    assert_eq!(reader.access(), Access::ReadOnly);
    assert_eq!(
        kind(reader.share(Access::ReadWrite)),
        ErrorKind::PermissionDenied
    );
    assert_eq!(kind(reader.discard(0, LEN)), ErrorKind::PermissionDenied);
    assert_eq!(
        Arena::new(reader.clone()).slice_mut(0, 1).unwrap_err(),
        SliceError::ReadOnly
    );
    let again = reader.share(Access::ReadOnly).unwrap();
    assert!(memory.open(&again, LEN, Access::ReadOnly).is_ok());
}

fn lengths_are_checked(memory: &dyn Memory) {
    for len in [0, 1, PAGE_BYTES + 1] {
        assert_eq!(kind(memory.create("test", len)), ErrorKind::InvalidInput);
    }
    let handle = fresh(memory).share(Access::ReadOnly).unwrap();
    for len in [0, LEN + 1, LEN + PAGE_BYTES, usize::MAX] {
        assert_eq!(
            kind(memory.open(&handle, len, Access::ReadOnly)),
            ErrorKind::InvalidInput
        );
    }
    let part = memory.open(&handle, PAGE_BYTES, Access::ReadOnly).unwrap();
    assert_eq!(part.len_bytes(), PAGE_BYTES);
}

fn whole_pages_are_given_back_and_read_as_zero(memory: &dyn Memory) {
    let region = fresh(memory);
    let arena = Arena::new(region.clone());
    fill(&arena, 0, LEN, 9);
    assert_eq!(region.resident_bytes().unwrap(), LEN as u64);
    region.discard(PAGE_BYTES - 1, 2 * PAGE_BYTES).unwrap();
    assert_eq!(region.resident_bytes().unwrap(), (LEN - PAGE_BYTES) as u64);
    let bytes = arena.slice(0, LEN as u64).unwrap();
    let gone = PAGE_BYTES..2 * PAGE_BYTES;
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| (*byte == 0) == gone.contains(&at))
    );
    region.discard(0, PAGE_BYTES - 1).unwrap();
    assert_eq!(
        kind(region.discard(PAGE_BYTES, LEN)),
        ErrorKind::InvalidInput
    );
    assert_eq!(kind(region.discard(usize::MAX, 2)), ErrorKind::InvalidInput);
    assert_eq!(kind(arena.discard(0, LEN as u64)), ErrorKind::ResourceBusy);
    drop(bytes);
    arena.discard(0, LEN as u64).unwrap();
    assert_eq!(region.resident_bytes().unwrap(), 0);
}

fn slices_stay_inside_and_apart(memory: &dyn Memory) {
    let arena = Arena::new(fresh(memory));
    let len = LEN as u64;
    for (offset, bytes) in [(0, len + 1), (len, 1), (u64::MAX, 2), (1, u64::MAX)] {
        let refused = SliceError::OutOfBounds {
            offset,
            len: bytes,
            arena_bytes: len,
        };
        assert_eq!(arena.slice(offset, bytes).unwrap_err(), refused);
        assert_eq!(arena.slice_mut(offset, bytes).unwrap_err(), refused);
    }
    assert!(arena.slice(len, 0).unwrap().is_empty());

    let mut writer = arena.slice_mut(64, 64).unwrap();
    let refused = SliceError::Borrowed {
        offset: 100,
        len: 10,
    };
    assert_eq!(arena.slice(100, 10).unwrap_err(), refused);
    assert_eq!(arena.slice_mut(100, 10).unwrap_err(), refused);
    let neighbours = (
        arena.slice_mut(0, 64).unwrap(),
        arena.slice(128, 64).unwrap(),
    );
    writer[0] = 5;
    let (mut left, right) = writer.split_at(32);
    left[1] = 6;
    drop(right);
    assert!(arena.is_borrowed(64, 32) && !arena.is_borrowed(96, 32));
    let frozen = left.freeze();
    let part = frozen.part(0..2).unwrap();
    assert!(frozen.part(0..33).is_none());
    drop((neighbours, frozen));
    assert_eq!((&*part, part.offset()), (&[5, 6][..], 64));
    assert_eq!(arena.slice(64, 64).unwrap()[0], 5);
    assert!(arena.slice_mut(64, 32).is_err());
    drop(part);
    assert!(!arena.is_borrowed(0, len));
}

fn slices_travel_between_threads(memory: &dyn Memory) {
    let arena = Arena::new(fresh(memory));
    let (left, right) = arena.slice_mut(0, LEN as u64).unwrap().split_at(LEN / 2);
    std::thread::scope(|scope| {
        for mut half in [left, right] {
            scope.spawn(move || half.fill(3));
        }
    });
    assert!(
        arena
            .slice(0, LEN as u64)
            .unwrap()
            .iter()
            .all(|byte| *byte == 3)
    );
}

macro_rules! conformance {
    ($($law:ident),* $(,)?) => {
        mod memfd { $(#[test] fn $law() { super::$law(&super::MemfdMemory) })* }
        mod heap { $(#[test] fn $law() { super::$law(&super::HeapMemory) })* }
    };
}

conformance!(
    a_new_region_is_zeroed_and_occupies_nothing,
    both_ends_see_the_same_bytes,
    a_region_outlives_the_one_that_shared_it,
    a_read_only_share_cannot_be_written,
    lengths_are_checked,
    whole_pages_are_given_back_and_read_as_zero,
    slices_stay_inside_and_apart,
    slices_travel_between_threads,
);

#[test]
fn a_region_has_one_descriptor_per_access() {
    let region = fresh(&MemfdMemory);
    let fd = |access| match region.share(access).unwrap() {
        MemoryHandle::Fd(fd) => fd,
        MemoryHandle::Heap(..) => panic!("a memfd is shared as a descriptor"),
    };
    assert!(Arc::ptr_eq(&fd(Access::ReadOnly), &fd(Access::ReadOnly)));
    assert!(Arc::ptr_eq(&fd(Access::ReadWrite), &fd(Access::ReadWrite)));
    assert!(!Arc::ptr_eq(&fd(Access::ReadOnly), &fd(Access::ReadWrite)));
}

#[test]
fn one_world_does_not_map_the_memory_of_another() {
    let memfd = fresh(&MemfdMemory).share(Access::ReadOnly).unwrap();
    let heap = fresh(&HeapMemory).share(Access::ReadOnly).unwrap();
    assert_eq!(
        kind(MemfdMemory.open(&heap, LEN, Access::ReadOnly)),
        ErrorKind::Unsupported
    );
    assert_eq!(
        kind(HeapMemory.open(&memfd, LEN, Access::ReadOnly)),
        ErrorKind::Unsupported
    );
}

#[test]
fn a_shared_file_cannot_change_its_size() {
    let MemoryHandle::Fd(fd) = fresh(&MemfdMemory).share(Access::ReadWrite).unwrap() else {
        panic!("a memfd is shared as a descriptor");
    };
    let file = std::fs::File::from(fd.try_clone().unwrap());
    assert!(file.set_len(0).is_err());
    assert!(file.set_len(2 * LEN as u64).is_err());
}
