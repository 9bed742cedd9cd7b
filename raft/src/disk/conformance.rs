//! What every `Disk` must do, run on each of them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use vineyard_env::{Batch, Change, Disk, Files};

/// Commits and waits.
pub(crate) fn commit(disk: &dyn Disk, batch: Batch) -> io::Result<()> {
    let (told, result) = mpsc::sync_channel(1);
    disk.commit(
        batch,
        Box::new(move |outcome| told.send(outcome).expect("the test waits")),
    );
    result.recv().expect("`done` is called")
}

/// Writes a file and waits.
pub(crate) fn write(files: &dyn Files, number: u64, bytes: &[u8]) -> io::Result<()> {
    let (told, result) = mpsc::sync_channel(1);
    let done = Box::new(move |outcome| told.send(outcome).expect("the test waits"));
    files.write(number, Arc::new(bytes.to_vec()), done);
    result.recv().expect("`done` is called")
}

pub(crate) fn put(key: &str, value: &str) -> Change {
    Change::Put(key.into(), value.into())
}

fn pairs(disk: &dyn Disk, from: &str, to: &str) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let pairs = disk.scan(from.as_bytes(), to.as_bytes()).unwrap();
    pairs
        .into_iter()
        .map(|(key, value)| (text(key), text(value)))
        .collect()
}

fn keys(disk: &dyn Disk, from: &str, to: &str) -> Vec<String> {
    pairs(disk, from, to)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

/// Runs every check on a fresh disk.
pub(crate) fn check(make: impl Fn() -> Arc<dyn Disk>) {
    a_committed_batch_is_read_back(make().as_ref());
    a_scan_is_ordered_and_half_open(make().as_ref());
    changes_of_a_batch_apply_in_order(make().as_ref());
    a_range_is_deleted_up_to_its_end(make().as_ref());
    large_values_come_back_whole(make().as_ref());
    batches_are_told_in_the_order_they_were_handed_over(make().as_ref());
    batches_of_many_threads_all_arrive(&make());
    a_file_is_there_whole_until_it_is_removed(make().files());
}

fn a_file_is_there_whole_until_it_is_removed(files: &dyn Files) {
    assert_eq!(files.list().unwrap(), [0; 0]);
    assert_eq!(files.read(1).unwrap_err().kind(), io::ErrorKind::NotFound);
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i * 31 % 251) as u8).collect();
    for (number, bytes) in [(10, large.as_slice()), (9, b""), (2, b"old"), (2, b"other")] {
        write(files, number, bytes).unwrap();
    }
    assert_eq!(files.list().unwrap(), [2, 9, 10]);
    assert!(files.read(10).unwrap() == large, "other bytes came back");
    assert_eq!(files.read(2).unwrap(), b"other");
    assert_ne!(files.name(2), files.name(9));
    files.remove(9);
    files.remove(9);
    // In the order in which it was asked for.
    write(files, 11, b"x").unwrap();
    assert_eq!(files.list().unwrap(), [2, 10, 11]);
}

fn a_committed_batch_is_read_back(disk: &dyn Disk) {
    assert_eq!(disk.get(b"a").unwrap(), None);
    commit(disk, vec![put("a", "1"), put("b", "")]).unwrap();
    assert_eq!(disk.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(disk.get(b"b").unwrap().as_deref(), Some(&b""[..]));
    commit(
        disk,
        vec![
            Change::Delete(b"a".to_vec()),
            Change::Delete(b"never".to_vec()),
        ],
    )
    .unwrap();
    assert_eq!(disk.get(b"a").unwrap(), None);
    commit(disk, Vec::new()).unwrap();
}

fn a_scan_is_ordered_and_half_open(disk: &dyn Disk) {
    commit(
        disk,
        vec![
            put("c", "3"),
            put("a", "1"),
            put("b", "2"),
            put("aa", "1.5"),
        ],
    )
    .unwrap();
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        pairs(disk, "a", "c"),
        [text("a", "1"), text("aa", "1.5"), text("b", "2")]
    );
    assert_eq!(keys(disk, "b", "b"), [""; 0]);
    assert_eq!(keys(disk, "c", "a"), [""; 0]);
}

fn changes_of_a_batch_apply_in_order(disk: &dyn Disk) {
    commit(disk, vec![put("a", "old"), put("b", "old")]).unwrap();
    let delete = Change::DeleteRange(b"a".to_vec(), b"z".to_vec());
    commit(disk, vec![put("c", "lost"), delete, put("b", "new")]).unwrap();
    assert_eq!(pairs(disk, "a", "z"), [("b".to_owned(), "new".to_owned())]);
}

fn a_range_is_deleted_up_to_its_end(disk: &dyn Disk) {
    commit(
        disk,
        vec![put("a", ""), put("b", ""), put("c", ""), put("d", "")],
    )
    .unwrap();
    let range = |from: &str, to: &str| Change::DeleteRange(from.into(), to.into());
    commit(disk, vec![range("b", "d"), range("d", "a")]).unwrap();
    assert_eq!(keys(disk, "a", "z"), ["a", "d"]);
}

fn large_values_come_back_whole(disk: &dyn Disk) {
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i * 31 % 251) as u8).collect();
    let changes = vec![
        Change::Put(b"large".to_vec(), large.clone()),
        put("small", "x"),
    ];
    commit(disk, changes).unwrap();
    assert!(
        disk.get(b"large").unwrap() == Some(large),
        "another value came back"
    );
    assert_eq!(disk.get(b"small").unwrap().as_deref(), Some(&b"x"[..]));
}

fn batches_are_told_in_the_order_they_were_handed_over(disk: &dyn Disk) {
    let (told, order) = mpsc::sync_channel(100);
    for number in 0..100 {
        let told = told.clone();
        let done = Box::new(move |outcome: io::Result<()>| {
            outcome.unwrap();
            told.send(number).unwrap();
        });
        disk.commit(vec![put("counter", &number.to_string())], done);
    }
    let order: Vec<u32> = order.iter().take(100).collect();
    assert!(order.is_sorted());
    assert_eq!(disk.get(b"counter").unwrap().as_deref(), Some(&b"99"[..]));
}

fn batches_of_many_threads_all_arrive(disk: &Arc<dyn Disk>) {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let disk = Arc::clone(disk);
            scope.spawn(move || {
                for number in 0..25 {
                    commit(
                        disk.as_ref(),
                        vec![put(&format!("{thread}/{number:02}"), "x")],
                    )
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(keys(disk.as_ref(), "0", "9").len(), 200);
}
