//! This machine, its users and this process, as the kernel describes them.

use std::io;
use std::path::Path;

use vineyard_env::User;

use super::{ownership, users};

pub(crate) struct SystemHost;

impl vineyard_env::Host for SystemHost {
    fn hostname(&self) -> String {
        let name = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok());
        name.unwrap_or_else(|| "localhost".to_owned())
    }

    fn open_fds(&self) -> u64 {
        // Reading the folder takes a descriptor of its own.
        std::fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count().saturating_sub(1) as u64)
    }

    fn open_fds_max(&self) -> u64 {
        super::descriptor_limit().unwrap_or(0)
    }

    fn resident_bytes(&self) -> u64 {
        const KIB: u64 = 1024;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) * KIB
    }

    fn may_connect(&self, user: User, path: &str) -> io::Result<bool> {
        users::may_connect(user, path)
    }

    fn is_above_rights(&self, user: User) -> bool {
        users::is_above_rights(user)
    }

    fn check_above(&self, path: &str) -> io::Result<()> {
        ownership::check_above(Path::new(path))
    }

    fn user_name(&self, user: User) -> Option<String> {
        users::name(user)
    }
}
