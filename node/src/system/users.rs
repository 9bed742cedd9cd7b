//! The users of this machine: their names, their groups, and what they may open.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User as Account, getgrouplist};
use vineyard_env::User;

use super::rights::{self, Rights, Way};

pub(super) fn may_connect(user: User, socket: &str) -> io::Result<bool> {
    if is_above_rights(user) {
        return Ok(true);
    }
    rights::may_connect(user, &way(Path::new(socket))?, || groups(user))
}

pub(super) fn is_above_rights(user: User) -> bool {
    rights::is_above_rights(user, Uid::effective().as_raw())
}

pub(super) fn name(user: User) -> Option<String> {
    Some(account(user).ok()??.name)
}

/// The folders with all links resolved, because a user may reach them by another path.
fn way(socket: &Path) -> io::Result<Way> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = fs::canonicalize(match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    })?;
    let folders = folder
        .ancestors()
        .map(|above| rights_of(fs::metadata(above)?));
    Ok(Way {
        folders: folders.collect::<io::Result<_>>()?,
        socket: rights_of(fs::symlink_metadata(folder.join(name))?)?,
    })
}

fn rights_of(about: Metadata) -> io::Result<Rights> {
    Ok(Rights {
        owner: about.uid(),
        group: about.gid(),
        mode: about.mode() & 0o777,
    })
}

fn account(user: User) -> io::Result<Option<Account>> {
    match user {
        User::Known(number) => Ok(Account::from_uid(Uid::from_raw(number))?),
        User::Unmapped => Ok(None),
    }
}

/// The groups of `user` in the user database; none if it does not know the user's number.
fn groups(user: User) -> io::Result<Vec<u32>> {
    let Some(account) = account(user)? else {
        return Ok(Vec::new());
    };
    let name = CString::new(account.name)?;
    let groups = getgrouplist(&name, account.gid)?;
    Ok(groups.into_iter().map(|group| group.as_raw()).collect())
}
