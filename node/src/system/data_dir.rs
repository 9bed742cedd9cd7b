//! The folder that holds the cluster's secret. Only its owner may open it, and this is ensured before anything is in
//! it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ownership;

/// Names that a node uses there.
const OURS: [&str; 2] = ["meta", "node.json"];
/// The one folder in an empty file system; it belongs to root.
const OF_THE_FILE_SYSTEM: &str = "lost+found";

/// Whether a node has stored anything in `dir`.
pub(crate) fn is_in_use(dir: &Path) -> bool {
    OURS.iter()
        .any(|name| fs::symlink_metadata(dir.join(name)).is_ok())
}

/// Creates the folder, or removes other users' rights to it and to the node's files in it. Refuses another user's
/// folder, and a folder with other files, such as a home folder. A refused folder is not changed.
pub(crate) fn prepare(dir: &Path) -> io::Result<()> {
    ownership::own_folder(dir)?;
    if !is_in_use(dir) {
        is_empty(dir)?;
    }
    let ours: Vec<PathBuf> = OURS.iter().map(|name| dir.join(name)).collect();
    ours.iter()
        .try_for_each(|part| ownership::check_tree(part))?;
    ours.iter().try_for_each(|part| ownership::close(part))?;
    ownership::close_one(dir)
}

fn is_empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let by_root = entry.metadata()?.uid() == 0;
        if entry.file_name() != OF_THE_FILE_SYSTEM || !by_root {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{} holds files that are not a node's; give the node a folder of its own",
                    dir.display()
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const MODE: u32 = 0o700;

    fn mode(dir: &Path) -> u32 {
        fs::metadata(dir).unwrap().permissions().mode() & 0o777
    }

    fn open_to_all(dir: &Path) {
        fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_new_data_directory_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b");
        prepare(&dir).unwrap();
        assert_eq!(mode(&dir), MODE);
        prepare(&dir).unwrap();
    }

    #[test]
    fn one_that_was_open_to_others_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        for content in [None, Some("meta"), Some("node.json")] {
            let dir = folder.path().join(content.unwrap_or("empty"));
            fs::create_dir(&dir).unwrap();
            if let Some(name) = content {
                fs::write(dir.join(name), "").unwrap();
            }
            open_to_all(&dir);
            prepare(&dir).unwrap();
            assert_eq!(mode(&dir), MODE, "{content:?}");
        }
    }

    #[test]
    fn a_folder_that_others_use_is_refused_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "").unwrap();
        for mode in [0o755, 0o700] {
            fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let error = prepare(folder.path()).unwrap_err();
            assert!(error.to_string().contains("of its own"), "{error}");
            assert_eq!(self::mode(folder.path()), mode);
            assert_eq!(self::mode(&program), 0o755);
        }
    }

    #[test]
    fn a_whole_file_system_is_taken_and_foreign_files_in_a_used_folder_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        if nix::unistd::geteuid().is_root() {
            prepare(folder.path()).unwrap();
        }
        fs::write(folder.path().join("node.json"), "").unwrap();
        let letter = folder.path().join("letter");
        fs::write(&letter, "").unwrap();
        fs::set_permissions(&letter, Permissions::from_mode(0o644)).unwrap();
        prepare(folder.path()).unwrap();
        assert_eq!(mode(&letter), 0o644);
    }
}
