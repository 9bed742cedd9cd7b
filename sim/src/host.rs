//! The machine's name and figures, which are logical here.

use std::io;

use vineyard_env::{Host, User};

/// Whose processes run on a simulated machine.
pub(crate) const USER: User = User::Known(1000);

/// As many as need no bound to be lowered: a simulated connection takes no descriptor.
const OPEN_FDS_MAX: u64 = 65_536;

/// What a simulated process knows of its machine.
pub struct SimHost {
    pub name: String,
}

impl Host for SimHost {
    fn hostname(&self) -> String {
        format!("{}.sim", self.name)
    }

    fn open_fds(&self) -> u64 {
        0
    }

    fn open_fds_max(&self) -> u64 {
        OPEN_FDS_MAX
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn may_connect(&self, user: User, _path: &str) -> io::Result<bool> {
        Ok(user == USER)
    }

    fn is_above_rights(&self, user: User) -> bool {
        user == USER
    }

    fn check_above(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn user_name(&self, _user: User) -> Option<String> {
        None
    }
}
