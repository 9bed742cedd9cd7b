//! The users that may register: a file as Apache's `htpasswd` writes it.
//!
//! Promise: neither a password nor its hash is ever shown. Supported are bcrypt (`htpasswd -B`) and, for users of the
//! released server, unsalted SHA-1 (`htpasswd -s`). A file with any other hash is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The users of a file, as they were when the node started.
#[derive(PartialEq, Eq)]
pub struct Passwords {
    path: PathBuf,
    users: BTreeMap<String, Hash>,
}

#[derive(PartialEq, Eq)]
enum Hash {
    /// Each step of `cost` doubles the time.
    Bcrypt {
        text: String,
        cost: u32,
    },
    Sha1([u8; 20]),
}

/// The costs that bcrypt knows.
const COSTS: Range<u32> = 4..32;

/// A file of users that cannot be used. The error does not contain the text of the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--htpasswd {}: line {line} is not user:hash, with a hash as `htpasswd -B` writes it", path.display())]
pub struct PasswordsError {
    pub path: PathBuf,
    pub line: usize,
}

impl Passwords {
    /// `text` is what `path` holds. Empty lines and lines that begin with `#` mean nothing.
    pub fn parse(path: PathBuf, text: &str) -> Result<Self, PasswordsError> {
        let mut users = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let user = line.split_once(':');
            let Some((name, hash)) = user.and_then(|(name, hash)| Some((name, Hash::parse(hash)?)))
            else {
                return Err(PasswordsError { path, line: at + 1 });
            };
            users.insert(name.to_owned(), hash);
        }
        Ok(Self { path, users })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `name` is a user with this password. Slow on purpose, as bcrypt is. It takes the same time for every
    /// name, whatever its hash costs, so that the time does not reveal which names are users.
    pub fn admits(&self, name: &str, password: &str) -> bool {
        let user = self.users.get(name);
        let Some(hash) = user.or_else(|| self.users.values().next()) else {
            return false;
        };
        let is_right = hash.is_of(password);
        for cost in self.costs_missing(hash) {
            // Computed only for the time that it takes.
            std::hint::black_box(bcrypt::hash_with_salt(password, cost, [0; 16]).is_ok());
        }
        is_right && user.is_some()
    }

    /// The costs of the additional bcrypt hashes that, together with `hash`, take as long as the one with the highest
    /// cost in the file. Each step of the cost doubles the time, so all costs from that of `hash` up to below the
    /// highest fill the difference.
    fn costs_missing(&self, hash: &Hash) -> Range<u32> {
        match (
            self.users.values().filter_map(Hash::cost).max(),
            hash.cost(),
        ) {
            (None, _) => 0..0,
            (Some(highest), Some(cost)) => cost..highest,
            (Some(highest), None) => highest..highest + 1,
        }
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Passwords({} users in {})",
            self.users.len(),
            self.path.display()
        )
    }
}

impl Hash {
    fn parse(text: &str) -> Option<Self> {
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            let bytes = STANDARD.decode(encoded).ok()?;
            return bytes.try_into().ok().map(Self::Sha1);
        }
        let cost = bcrypt::HashParts::from_str(text).ok()?.get_cost();
        let text = text.to_owned();
        COSTS.contains(&cost).then_some(Self::Bcrypt { text, cost })
    }

    fn cost(&self) -> Option<u32> {
        match self {
            Self::Bcrypt { cost, .. } => Some(*cost),
            Self::Sha1(_) => None,
        }
    }

    fn is_of(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            // Compared as keyed digests, so that the time does not reveal how many characters are right.
            Self::Sha1(hash) => {
                let given: [u8; 20] = Sha1::digest(password).into();
                blake3::hash(&given) == blake3::hash(hash)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The crypt(3) hash of "secret", and the SHA-1 of "test".
    const ANN: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfOSUJnPNP88kp.Eu9puakB65/9Xoyz6P.";
    const USERS: &str = "# staff\n\n\
        ann:$2y$05$bvIG6Nmid91Mu9RcmmWZfOSUJnPNP88kp.Eu9puakB65/9Xoyz6P.\n\
        bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n";

    fn parse(text: &str) -> Result<Passwords, PasswordsError> {
        Passwords::parse("users".into(), text)
    }

    #[test]
    fn a_user_is_admitted_with_the_right_password_alone() {
        let users = parse(USERS).unwrap();
        assert!(users.admits("ann", "secret"));
        assert!(users.admits("bob", "test"));
        for (name, password) in [
            ("ann", "test"),
            ("bob", "secret"),
            ("bob", ""),
            ("", ""),
            ("eve", "test"),
            ("eve", "secret"),
            ("Bob", "test"),
        ] {
            assert!(!users.admits(name, password), "{name} {password}");
        }
        assert!(
            !parse("").unwrap().admits("", ""),
            "an empty file admits nobody"
        );
    }

    #[test]
    fn a_name_costs_the_same_whether_it_is_a_user_or_not() {
        let with = |cost: &str| format!("u{cost}:{}\n", ANN.replace("$05$", cost));
        let users = parse(&format!("{USERS}{}{}", with("$04$"), with("$08$"))).unwrap();
        for (name, hash) in &users.users {
            let own = hash.cost().map_or(0, |cost| 1 << cost);
            let besides: u64 = users.costs_missing(hash).map(|cost| 1 << cost).sum();
            assert_eq!(own + besides, 1 << 8, "{name}");
        }
        let cheap = parse("bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=").unwrap();
        assert!(cheap.costs_missing(&cheap.users["bob"]).is_empty());
    }

    #[test]
    fn what_is_not_understood_is_refused_by_line_and_not_shown() {
        for bad in [
            "plain",
            "ann:secret",
            "ann:$apr1$x$y",
            "ann:{SHA}abc",
            "ann:$2y$05$short",
            &format!("ann:{}", ANN.replace("$05$", "$32$")),
            "ann",
        ] {
            let error = parse(&format!("{USERS}{bad}")).unwrap_err();
            assert_eq!(error.line, 5);
            assert!(!error.to_string().contains(bad), "{error}");
        }
        assert!(!format!("{:?}", parse(USERS).unwrap()).contains("$2y$"));
    }
}
