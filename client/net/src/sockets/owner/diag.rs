//! One socket's line from the kernel, by its addresses: `inet_diag` over netlink (`man 7 sock_diag`).
//!
//! One request and one answer, whatever number of sockets the machine has.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::{Ends, Listed};

const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// Header and `inet_diag_msg`; attributes may follow and are not asked for.
const REPLY_BYTES_MIN: usize = HEADER_BYTES + 72;
const REPLY_BYTES_MAX: usize = 4096;

const NLMSG_ERROR: u16 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const ALL_STATES: u32 = u32::MAX;
/// Where `inet_diag_sockid` begins in the request, and in the reply.
const ID_OF_REQUEST: usize = HEADER_BYTES + 8;
const ID_OF_REPLY: usize = HEADER_BYTES + 4;

/// The user that holds the end `sought`. `None` also stands for a kernel that cannot look.
pub(super) fn owner(sought: &Ends) -> io::Result<Option<u32>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    send(&socket, &request(sought), SendFlags::empty())?;
    let mut reply = [0; REPLY_BYTES_MAX];
    // The kernel answers within `send`.
    let (_, bytes) = recv(&socket, &mut reply[..], RecvFlags::DONTWAIT)?;
    let listed = parse(&reply[..bytes.min(REPLY_BYTES_MAX)])?;
    Ok(listed.and_then(|listed| listed.owner(sought)))
}

fn request(sought: &Ends) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0; REQUEST_BYTES];
    bytes[0..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes[HEADER_BYTES] = match sought.local {
        SocketAddr::V4(_) => AF_INET,
        SocketAddr::V6(_) => AF_INET6,
    };
    bytes[HEADER_BYTES + 1] = IPPROTO_TCP;
    bytes[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&ALL_STATES.to_ne_bytes());
    let id = &mut bytes[ID_OF_REQUEST..];
    id[0..2].copy_from_slice(&sought.local.port().to_be_bytes());
    id[2..4].copy_from_slice(&sought.remote.port().to_be_bytes());
    put_ip(&mut id[4..20], sought.local.ip());
    put_ip(&mut id[20..36], sought.remote.ip());
    if let SocketAddr::V6(local) = sought.local {
        id[36..40].copy_from_slice(&local.scope_id().to_ne_bytes());
    }
    // No cookie: any socket with these addresses.
    id[40..48].fill(0xff);
    bytes
}

fn put_ip(bytes: &mut [u8], ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes.copy_from_slice(&ip.octets()),
    }
}

/// The socket in the kernel's answer; `None` if it found none.
fn parse(reply: &[u8]) -> io::Result<Option<Listed>> {
    let short = || io::Error::new(io::ErrorKind::InvalidData, "a short answer of sock_diag");
    let kind = u16::from_ne_bytes(bytes(reply, 4).ok_or_else(short)?);
    if kind == NLMSG_ERROR {
        let errno = -i32::from_ne_bytes(bytes(reply, HEADER_BYTES).ok_or_else(short)?);
        return match errno == Errno::NOENT.raw_os_error() {
            true => Ok(None),
            false => Err(io::Error::from_raw_os_error(errno)),
        };
    }
    if kind != SOCK_DIAG_BY_FAMILY || reply.len() < REPLY_BYTES_MIN {
        return Err(short());
    }
    let address = |port: usize, ip: usize| {
        let port = u16::from_be_bytes(bytes(reply, ID_OF_REPLY + port)?);
        let ip = match reply[HEADER_BYTES] {
            AF_INET6 => Ipv6Addr::from(bytes::<16>(reply, ID_OF_REPLY + ip)?).into(),
            _ => IpAddr::V4(Ipv4Addr::from(bytes::<4>(reply, ID_OF_REPLY + ip)?)),
        };
        Some(SocketAddr::new(ip, port))
    };
    let number = |at: usize| bytes(reply, HEADER_BYTES + at).map(u32::from_ne_bytes);
    let listed = || {
        Some(Listed {
            ends: Ends::new(address(0, 4)?, address(2, 20)?),
            state: reply[HEADER_BYTES + 1],
            uid: number(64)?,
            inode: number(68)?.into(),
        })
    };
    Ok(Some(listed().ok_or_else(short)?))
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}
