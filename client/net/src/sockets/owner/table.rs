//! The kernel's tables of TCP sockets, for machines without `sock_diag`. Slower with each socket of the machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Ends, Listed};

const OF_IPV4: &str = "/proc/net/tcp";
/// Also holds the IPv4 connections of IPv6 sockets.
const OF_IPV6: &str = "/proc/net/tcp6";

/// The user that holds the end `sought`.
pub(super) fn owner(sought: &Ends) -> io::Result<Option<u32>> {
    let first = match sought.local {
        SocketAddr::V4(_) => owner_in(OF_IPV4, sought)?,
        SocketAddr::V6(_) => return owner_in(OF_IPV6, sought),
    };
    match (first, owner_in(OF_IPV6, sought)) {
        (Some(uid), _) => Ok(Some(uid)),
        // A machine may have no IPv6 at all.
        (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        (None, second) => second,
    }
}

fn owner_in(path: &str, sought: &Ends) -> io::Result<Option<u32>> {
    for line in BufReader::new(File::open(path)?).lines() {
        if let Some(uid) = parse(&line?).and_then(|listed| listed.owner(sought)) {
            return Ok(Some(uid));
        }
    }
    Ok(None)
}

/// One line: number, local address, remote address, state, queues, timer, retransmits, user, timeout, inode, ...
pub(super) fn parse(line: &str) -> Option<Listed> {
    let mut words = line.split_whitespace().skip(1);
    let ends = Ends::new(address(words.next()?)?, address(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Listed {
        ends,
        state,
        uid,
        inode,
    })
}

/// `IP:PORT` in hexadecimal; the IP as words of four bytes, each as this machine stores it.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut octets = Vec::with_capacity(16);
    for at in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
        octets.extend_from_slice(&word.to_ne_bytes());
    }
    let ip = match octets.len() {
        4 => IpAddr::V4(Ipv4Addr::from(*octets.first_chunk::<4>()?)),
        16 => IpAddr::V6(Ipv6Addr::from(*octets.first_chunk::<16>()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}
