//! The folder that holds the cluster's secret: nobody but its owner may look inside, and that from before there is
//! anything in it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

const MODE: u32 = 0o700;
const OTHERS: u32 = 0o077;
/// What a node keeps there.
const OURS: [&str; 2] = ["meta", "node.json"];

/// Creates the folder, or closes one that is open to others. A folder in which others keep things is left as it is.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(MODE).create(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let ours = OURS.iter().any(|name| dir.join(name).exists());
    if !ours && fs::read_dir(dir)?.next().is_some() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} is open to other users and holds files that are not a node's; give the node a folder of its own",
                dir.display()
            ),
        ));
    }
    fs::set_permissions(dir, Permissions::from_mode(MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_folder_that_others_use_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter"), "").unwrap();
        open_to_all(folder.path());
        let error = prepare(folder.path()).unwrap_err();
        assert!(error.to_string().contains("of its own"), "{error}");
        assert_eq!(mode(folder.path()), 0o755);
    }
}
