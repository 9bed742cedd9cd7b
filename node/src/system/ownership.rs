//! The ownership of files. The files with the cluster's secret, and the socket that clients trust, belong to the node's
//! own user, and no other user can replace them.
//!
//! It must never know what the files are for.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

const OTHERS: u32 = 0o077;
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const ROOT: u32 = 0;

/// The user this process acts as.
fn me() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

/// A user's number, with the name if it has one.
fn user(id: u32) -> String {
    let known = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(id));
    match known {
        Ok(Some(user)) => format!("{} ({id})", user.name),
        _ => id.to_string(),
    }
}

/// Refuses a path that another user could point somewhere else: each folder above it, as far as they exist, belongs to
/// root or to this user and no other user may rename what is in it. Links on the path must belong to root or this user.
pub(crate) fn check_above(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let mut walked = std::path::PathBuf::new();
    for part in parent.components() {
        walked.push(part);
        let found = match fs::symlink_metadata(&walked) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        check_folder(&walked, &found)?;
        if found.file_type().is_symlink() {
            let target = fs::canonicalize(&walked)?;
            check_above(&target)?;
            check_folder(&target, &fs::symlink_metadata(&target)?)?;
        }
    }
    Ok(())
}

fn check_folder(path: &Path, found: &Metadata) -> io::Result<()> {
    let (path, owner, mode) = (path.display(), found.uid(), found.mode());
    if owner != ROOT && owner != me() {
        let owner = user(owner);
        return Err(refused(format!(
            "{path} belongs to user {owner}, who could put other files in the place of this node's"
        )));
    }
    let is_open =
        mode & OTHERS_WRITE != 0 || (mode & GROUP_WRITES != 0 && !is_private(found.gid()));
    if is_open && mode & STICKY == 0 && !found.file_type().is_symlink() {
        return Err(refused(format!(
            "{path} can be written by other users (mode {:04o}) and has no sticky bit: they could put other files in the \
             place of this node's",
            mode & 0o7777
        )));
    }
    Ok(())
}

/// Whether only this user is in a group: it has the user's name, as many systems make one for each user, and no
/// members.
fn is_private(group: u32) -> bool {
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(group));
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    match (group, user) {
        (Ok(Some(group)), Ok(Some(user))) => {
            group.name == user.name && group.mem.iter().all(|member| *member == user.name)
        }
        _ => false,
    }
}

/// Refuses a file that another user could have written, or could change, because this user trusts its content.
pub(crate) fn check_trusted(path: &Path) -> io::Result<()> {
    check_above(path)?;
    check_folder(path, &fs::metadata(path)?)
}

/// Makes `dir`, for this user alone, or refuses what is there: another user's folder, or a link.
pub(crate) fn own_folder(dir: &Path) -> io::Result<()> {
    check_above(dir)?;
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(dir)?;
    let found = fs::symlink_metadata(dir)?;
    check_own(dir, &found)
}

/// Refuses a file or folder of another user, and links.
fn check_own(path: &Path, found: &Metadata) -> io::Result<()> {
    if found.file_type().is_symlink() {
        return Err(refused(format!(
            "{} is a link; name what it leads to",
            path.display()
        )));
    }
    if found.uid() != me() {
        let (path, owner) = (path.display(), user(found.uid()));
        return Err(refused(format!(
            "{path} belongs to user {owner}; this node runs as user {}",
            user(me())
        )));
    }
    Ok(())
}

/// Refuses files of other users, and links, at `path` and below it. A missing `path` is accepted.
pub(crate) fn check_tree(path: &Path) -> io::Result<()> {
    walk(path, &|path, found| check_own(path, found))
}

/// Closes `path` and all below it to other users.
pub(crate) fn close(path: &Path) -> io::Result<()> {
    walk(path, &|path, _| close_one(path))
}

fn walk(path: &Path, visit: &dyn Fn(&Path, &Metadata) -> io::Result<()>) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    visit(path, &found)?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            walk(&entry?.path(), visit)?;
        }
    }
    Ok(())
}

/// Closes one file or folder of this user to the others.
pub(crate) fn close_one(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.mode() & OTHERS == 0 {
        return Ok(());
    }
    let mode = if found.is_dir() {
        FOLDER_MODE
    } else {
        FILE_MODE
    };
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The text of a file that holds a secret: a plain file of this user or root that no other user may read.
pub(crate) fn read_secret(path: &Path) -> io::Result<String> {
    check_above(path)?;
    let found = fs::symlink_metadata(path)?;
    if found.uid() != ROOT {
        check_own(path, &found)?;
    }
    if !found.is_file() {
        let path = path.display();
        return Err(refused(format!("{path} is not a plain file")));
    }
    if found.mode() & OTHERS != 0 {
        let (path, mode) = (path.display(), found.mode() & 0o777);
        return Err(refused(format!(
            "{path} can be read by other users (mode {mode:04o}); chmod it to 0600"
        )));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests;
