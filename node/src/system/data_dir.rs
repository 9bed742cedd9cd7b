//! The folder that holds the cluster's secret: nobody but its owner may look inside, and that from before there is
//! anything in it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ownership;

const OTHERS: u32 = 0o077;
/// What a node keeps there.
const OURS: [&str; 2] = ["meta", "node.json"];

/// Whether a node has begun to keep things in `dir`.
pub(crate) fn is_in_use(dir: &Path) -> bool {
    OURS.iter()
        .any(|name| fs::symlink_metadata(dir.join(name)).is_ok())
}

/// Creates the folder, or closes it and all that a node has in it to other users. Another user's folder is refused, and so
/// is one in which others keep things.
pub(crate) fn prepare(dir: &Path) -> io::Result<()> {
    ownership::own_folder(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode();
    if mode & OTHERS != 0 && !is_in_use(dir) && fs::read_dir(dir)?.next().is_some() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} is open to other users and holds files that are not a node's; give the node a folder of its own",
                dir.display()
            ),
        ));
    }
    ownership::close(dir)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

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
    fn a_folder_that_others_use_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter"), "").unwrap();
        open_to_all(folder.path());
        let error = prepare(folder.path()).unwrap_err();
        assert!(error.to_string().contains("of its own"), "{error}");
        assert_eq!(mode(folder.path()), 0o755);
    }
}
