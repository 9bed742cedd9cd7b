//! Which user of this machine holds the other end of a TCP connection, as the kernel tells.
//!
//! Promise: a user is told only for a socket that a process has open and that is connected by exactly these two
//! addresses. The kernel shows what nobody holds any more (a closed socket, TIME_WAIT) as user 0, so such an end counts
//! as nobody's, and it finds a listener where there is no connection, so what it found is compared with what was
//! sought.

mod diag;
mod table;

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::OnceLock;

use vineyard_env::User;

/// The two addresses of a connection, seen from the end that is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    local: SocketAddr,
    remote: SocketAddr,
}

impl Ends {
    /// An IPv4 connection has IPv6 addresses where one of its sockets is of IPv6; both mean the same.
    fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local: canonical(local),
            remote: canonical(remote),
        }
    }

    fn reversed(&self) -> Self {
        Self {
            local: self.remote,
            remote: self.local,
        }
    }
}

/// Without the flow label, and without the scope, which only the request needs.
fn canonical(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        (IpAddr::V6(_), SocketAddr::V6(six)) => {
            let (ip, port) = (*six.ip(), six.port());
            SocketAddr::V6(std::net::SocketAddrV6::new(ip, port, 0, six.scope_id()))
        }
        (ip, _) => SocketAddr::new(ip, address.port()),
    }
}

/// Whether both are the same address and port.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip().to_canonical(), one.port()) == (other.ip().to_canonical(), other.port())
}

/// A socket as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listed {
    ends: Ends,
    state: u8,
    uid: u32,
    inode: u64,
}

impl Listed {
    /// Connected: ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT. Not LISTEN, TIME_WAIT or one that is still connecting.
    const CONNECTED: [u8; 4] = [1, 4, 5, 8];

    /// The user that holds the end `sought`, if this is it and a process has it open.
    fn owner(&self, sought: &Ends) -> Option<u32> {
        let is_it = same(self.ends.local, sought.local) && same(self.ends.remote, sought.remote);
        let is_held = Self::CONNECTED.contains(&self.state) && self.inode != 0;
        (is_it && is_held).then_some(self.uid)
    }
}

/// The user that holds the other end of `stream`; `None` if that is not on this machine.
pub(super) fn of_peer(stream: &TcpStream) -> io::Result<Option<User>> {
    let sought = Ends::new(stream.peer_addr()?, stream.local_addr()?);
    let found = match diag::owner(&sought) {
        Ok(Some(uid)) => Some(uid),
        // A kernel that cannot look says the same as one that finds nothing; but it does not find our own end either.
        Ok(None) if matches!(diag::owner(&sought.reversed()), Ok(Some(_))) => None,
        _ => {
            stream.peer_addr()?;
            table::owner(&sought)?
        }
    };
    // A connection that was reset meanwhile has no address any more, and its ports may be another user's now.
    stream.peer_addr()?;
    Ok(found.map(user))
}

/// The user with this number, as the kernel shows it to this process.
pub(super) fn user(uid: u32) -> User {
    static OVERFLOW: OnceLock<Option<u32>> = OnceLock::new();
    match OVERFLOW.get_or_init(overflow) == &Some(uid) {
        true => User::Unmapped,
        false => User::Known(uid),
    }
}

/// The number that stands for all users who have none here; `None` if each has one.
fn overflow() -> Option<u32> {
    const UID_DEFAULT: u32 = 65534;
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if has_all_users(&map) {
        return None;
    }
    let told = fs::read_to_string("/proc/sys/kernel/overflowuid");
    let told = told.ok().and_then(|text| text.trim().parse().ok());
    Some(told.unwrap_or(UID_DEFAULT))
}

/// Whether a user namespace with this `uid_map` has a number for each user of the machine.
fn has_all_users(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests;
