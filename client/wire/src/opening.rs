//! What the first bytes of a TCP connection say about the protocol that it speaks.
//!
//! A vineyard client begins with the length of a frame, which is below 4 GiB, so bytes 4 to 7 are zero. The peer magic,
//! TLS and the methods of HTTP never begin like that.

use crate::peer::MAGIC;

/// Bytes that tell the protocols apart.
pub const OPENING_BYTES: usize = MAGIC.len();

/// How the methods of HTTP begin, in four bytes.
const METHODS: [&[u8; 4]; 9] = [
    b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"TRAC", b"CONN",
];

/// How a record of TLS begins that has the first message of a client: its type, and the major version.
const TLS_HANDSHAKE: [u8; 2] = [0x16, 3];

/// What a client is told, with code `ConnectionFailed`, whose connection is plain and may not be.
pub const PLAIN_REFUSED: &str =
    "this node takes clients over TCP in TLS alone, as it was told by --require-tls";

/// A protocol of the node's TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A node of ours.
    Node,
    /// A vineyard client.
    Client,
    /// HTTP/1.
    Http,
    /// TLS, within which the first bytes say the protocol again.
    Tls,
    /// None of them.
    Unknown,
}

impl Opening {
    /// The protocol that a connection with these first bytes speaks.
    pub fn of(first: &[u8; OPENING_BYTES]) -> Self {
        let (method, rest) = first.split_at(4);
        if first == &MAGIC {
            Self::Node
        } else if rest == [0; 4] {
            Self::Client
        } else if METHODS.iter().any(|known| known.as_slice() == method) {
            Self::Http
        } else if first.starts_with(&TLS_HANDSHAKE) {
            Self::Tls
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocols_apart() {
        assert_eq!(Opening::of(&MAGIC), Opening::Node);
        for length in [0, 1, 0x2054_4547, u64::from(u32::MAX)] {
            assert_eq!(
                Opening::of(&length.to_le_bytes()),
                Opening::Client,
                "{length:#x}"
            );
        }
        for line in [b"GET / HT", b"HEAD /re", b"POST / H", b"OPTIONS "] {
            assert_eq!(Opening::of(line), Opening::Http);
        }
        let tls = [0x16, 3, 1, 2, 0, 1, 0, 1];
        assert_eq!(Opening::of(&tls), Opening::Tls);
        for other in [*b"get / ht", *b"*1\r\n$4\r\n", [0xff; 8], *b"PRI * HT"] {
            assert_eq!(Opening::of(&other), Opening::Unknown);
        }
    }
}
