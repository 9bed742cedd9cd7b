//! What the machine says of itself, of its users and of this process.

use std::io;

use crate::User;

pub trait Host: Send + Sync {
    /// The machine's name.
    fn hostname(&self) -> String;

    /// Open file descriptors of this process.
    fn open_fds(&self) -> u64;

    /// File descriptors that this process may have open at once.
    fn open_fds_max(&self) -> u64;

    /// Memory of this process that is resident, bytes.
    fn resident_bytes(&self) -> u64;

    /// Whether `user` may connect to the Unix socket at `path`: the rights of the socket and of the folders above it.
    /// It may block: a user's groups are in a database.
    fn may_connect(&self, user: User, path: &str) -> io::Result<bool>;

    /// Whether the user can read the memory of this process anyhow: root, and the user whose process it is.
    fn is_above_rights(&self, _user: User) -> bool {
        false
    }

    /// Fails if another user could point `path` somewhere else: by the owners and modes of the folders above it.
    fn check_above(&self, path: &str) -> io::Result<()>;

    /// The name of `user`, for messages. It may block as well.
    fn user_name(&self, user: User) -> Option<String>;
}
