//! The join token: the cluster's name and the secret that proves membership. The secret itself is never sent.

use std::fmt;
use std::io;
use std::str::FromStr;

use vineyard_env::{Disk, Random};

use crate::boot::identity::Identity;
use crate::system::random::SystemRandom;

/// Bytes of a cluster's secret.
pub(crate) const SECRET_BYTES: usize = 32;

const PREFIX: &str = "vy1";

/// Prints as `vy1.<cluster>.<secret in hex>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub cluster: String,
    pub secret: [u8; SECRET_BYTES],
}

impl Token {
    /// A token for a cluster that is yet to be founded, drawn by this machine.
    pub fn of_new_cluster() -> Self {
        Self::draw(&SystemRandom)
    }

    pub(crate) fn draw(random: &dyn Random) -> Self {
        let mut secret = [0; SECRET_BYTES];
        random.fill(&mut secret);
        Self {
            cluster: format!("{:012x}", random.next_u64() >> 16),
            secret,
        }
    }

    /// The token of the cluster in the identity on a node's disk; `None` before the disk has one.
    ///
    /// # Errors
    /// Errors of the disk; `InvalidData` if the record cannot be decoded.
    pub fn on_disk(disk: &dyn Disk) -> io::Result<Option<Self>> {
        Ok(Identity::load(disk)?.map(|identity| identity.token()))
    }
}

/// The text is not a token. The error does not repeat the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a join token: expected {PREFIX}.CLUSTER.SECRET as `vineyardctl token` prints it")]
pub struct ParseTokenError;

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}.{}.", self.cluster)?;
        self.secret
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, secret withheld)", self.cluster)
    }
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let rest = text
            .trim()
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('.'));
        let (cluster, digits) = rest
            .and_then(|rest| rest.split_once('.'))
            .ok_or(ParseTokenError)?;
        let hex = digits.len() == 2 * SECRET_BYTES && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if cluster.is_empty() || !hex {
            return Err(ParseTokenError);
        }
        let mut secret = [0; SECRET_BYTES];
        for (index, byte) in secret.iter_mut().enumerate() {
            let pair = &digits[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseTokenError)?;
        }
        Ok(Self {
            cluster: cluster.to_owned(),
            secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_printed() {
        let token = Token {
            cluster: "amber-fox".into(),
            secret: [0xa7; SECRET_BYTES],
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("a7a7"));
    }

    #[test]
    fn other_texts_are_refused() {
        let good = Token {
            cluster: "c".into(),
            secret: [1; SECRET_BYTES],
        }
        .to_string();
        for bad in [
            "",
            "vy1",
            "vy1.c",
            "vy1..00",
            &good[..good.len() - 1],
            &good.replace("01", "é"),
        ] {
            assert_eq!(bad.parse::<Token>(), Err(ParseTokenError), "{bad}");
        }
    }
}
