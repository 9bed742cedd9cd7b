//! The parts of a node's world that the group has no business with.

use std::io;
use std::sync::Arc;

use vineyard_env::{
    Access, BoxFuture, Clock, Host, Listener, Local, LocalListener, LocalStream, Memory,
    MemoryHandle, Network, Region, Stream, User,
};

/// See the module.
pub(crate) struct Unused;

impl Clock for Unused {
    fn unix_ms(&self) -> u64 {
        1_000_000
    }
}

impl Network for Unused {
    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        unreachable!("the group dials through `Dial`")
    }

    fn listen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        unreachable!("the node listens")
    }
}

impl Local for Unused {
    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn LocalStream>>> {
        unreachable!("the group knows no local sockets")
    }

    fn listen<'a>(
        &'a self,
        _: &'a str,
        _: u32,
    ) -> BoxFuture<'a, io::Result<Box<dyn LocalListener>>> {
        unreachable!("the group knows no local sockets")
    }
}

impl Memory for Unused {
    fn create(&self, _: &str, _: usize) -> io::Result<Arc<dyn Region>> {
        unreachable!("the group knows no shared memory")
    }

    fn open(&self, _: &MemoryHandle, _: usize, _: Access) -> io::Result<Arc<dyn Region>> {
        unreachable!("the group knows no shared memory")
    }
}

impl Host for Unused {
    fn hostname(&self) -> String {
        "test".to_owned()
    }

    fn open_fds(&self) -> u64 {
        0
    }

    fn open_fds_max(&self) -> u64 {
        0
    }

    fn resident_bytes(&self) -> u64 {
        0
    }

    fn may_connect(&self, _: User, _: &str) -> io::Result<bool> {
        unreachable!("the group knows no users")
    }

    fn check_above(&self, _: &str) -> io::Result<()> {
        unreachable!("the group knows no files")
    }

    fn user_name(&self, _: User) -> Option<String> {
        unreachable!("the group knows no users")
    }
}
