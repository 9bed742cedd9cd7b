//! Attacks of another user, as far as a test with one user can show them. `tests/tests/other_users_files.rs` has a
//! second user.

use std::os::unix::fs::symlink;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_is_made_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b");
    own_folder(&dir).unwrap();
    assert_eq!(mode(&dir), FOLDER_MODE);
    own_folder(&dir).unwrap();
}

#[test]
fn a_folder_that_others_may_write_is_refused_without_a_sticky_bit() {
    let folder = tempfile::tempdir().unwrap();
    let above = folder.path().join("above");
    fs::create_dir(&above).unwrap();
    set_mode(&above, 0o777);
    let error = own_folder(&above.join("data")).unwrap_err().to_string();
    assert!(error.contains("above") && error.contains("0777"), "{error}");
    set_mode(&above, 0o1777);
    own_folder(&above.join("data")).unwrap();
}

#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    own_folder(&real).unwrap();
    symlink(&real, &link).unwrap();
    let error = own_folder(&link).unwrap_err().to_string();
    assert!(error.contains("is a link"), "{error}");
    symlink("/etc/passwd", real.join("meta")).unwrap();
    let error = check_tree(&real).unwrap_err().to_string();
    assert!(
        error.contains("meta") && error.contains("is a link"),
        "{error}"
    );
}

#[test]
fn a_link_above_leads_to_a_folder_that_is_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    own_folder(&real).unwrap();
    symlink(&real, &link).unwrap();
    own_folder(&link.join("data")).unwrap();
    set_mode(&real, 0o777);
    let error = own_folder(&link.join("data")).unwrap_err().to_string();
    assert!(error.contains("real"), "{error}");
}

#[test]
fn files_of_before_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let meta = folder.path().join("meta/blobs");
    fs::create_dir_all(&meta).unwrap();
    fs::write(meta.join("1"), "").unwrap();
    for path in [folder.path(), &meta] {
        set_mode(path, 0o755);
    }
    set_mode(&meta.join("1"), 0o644);
    close(folder.path()).unwrap();
    assert_eq!(mode(folder.path()), FOLDER_MODE);
    assert_eq!(mode(&meta), FOLDER_MODE);
    assert_eq!(mode(&meta.join("1")), FILE_MODE);
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "vy1.x\n").unwrap();
    set_mode(&path, 0o644);
    let error = read_secret(&path).unwrap_err().to_string();
    assert!(error.contains("0644"), "{error}");
    set_mode(&path, 0o600);
    assert_eq!(read_secret(&path).unwrap(), "vy1.x\n");
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    let error = read_secret(&link).unwrap_err().to_string();
    assert!(
        error.contains("link") || error.contains("plain file"),
        "{error}"
    );
    assert!(read_secret(folder.path()).is_err());
}
