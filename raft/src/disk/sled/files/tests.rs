use std::sync::{Arc, Mutex};

use super::*;

/// A folder as sled makes it.
fn fixture() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("db"), [7; 100]).unwrap();
    let journal = File::create(folder.path().join("journal")).unwrap();
    let journal = Arc::new(Mutex::new(Arc::new(journal)));
    let files = Files::open(folder.path(), journal).unwrap();
    (folder, files)
}

fn names(files: &Files) -> Vec<&str> {
    let names = files.durable.iter();
    names.map(|name| name.to_str().unwrap()).collect()
}

#[test]
fn files_of_large_pages_are_synced_when_they_appear_and_forgotten_when_they_go() {
    let (folder, mut files) = fixture();
    let blobs = folder.path().join("blobs");
    files.sync(Step::Applied).unwrap();
    assert!(names(&files).is_empty());
    fs::create_dir(&blobs).unwrap();
    for name in ["1", "2"] {
        fs::write(blobs.join(name), [7; 100]).unwrap();
        files.sync(Step::Applied).unwrap();
        assert!(names(&files).contains(&name));
    }
    files.sync(Step::Journalled).unwrap();
    fs::remove_file(blobs.join("1")).unwrap();
    fs::write(blobs.join("3"), [7; 100]).unwrap();
    files.sync(Step::Flushed).unwrap();
    assert_eq!(names(&files), ["2", "3"]);
}

#[test]
fn a_database_that_has_grown_is_synced() {
    let (folder, mut files) = fixture();
    assert_eq!(files.db_bytes, 0);
    files.sync(Step::Journalled).unwrap();
    assert_eq!(files.db_bytes, 0);
    files.sync(Step::Applied).unwrap();
    assert_eq!(files.db_bytes, 100);
    let db = File::options().write(true).open(folder.path().join("db"));
    db.unwrap().set_len(300).unwrap();
    files.sync(Step::Applied).unwrap();
    assert_eq!(files.db_bytes, 300);
}
