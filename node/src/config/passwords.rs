//! Who may register: the users of a file as Apache's `htpasswd` writes it.
//!
//! Promise: neither a password nor its hash is ever shown. Understood are bcrypt (`htpasswd -B`) and, because the
//! released server's users may have it, unsalted SHA-1 (`htpasswd -s`); a file with anything else is refused whole.

use std::collections::BTreeMap;
use std::fmt;
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
    Bcrypt(String),
    Sha1([u8; 20]),
}

/// A file of users that cannot be used. The text of the line stays out of it.
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

    /// Whether `name` is a user with this password. Takes long, on purpose: bcrypt does.
    pub fn admits(&self, name: &str, password: &str) -> bool {
        let user = self.users.get(name);
        // Some hash is made in any case, so that the time does not tell who is a user.
        let hash = user.or_else(|| self.users.values().next());
        hash.is_some_and(|hash| hash.is_of(password)) && user.is_some()
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
        bcrypt::HashParts::from_str(text).ok()?;
        Some(Self::Bcrypt(text.to_owned()))
    }

    fn is_of(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            // Compared as keyed digests, so that the time does not tell how much of it is right.
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

    // What crypt(3) makes of "secret", and the SHA-1 of "test".
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
    fn what_is_not_understood_is_refused_by_line_and_not_shown() {
        for bad in [
            "plain",
            "ann:secret",
            "ann:$apr1$x$y",
            "ann:{SHA}abc",
            "ann:$2y$05$short",
            "ann",
        ] {
            let error = parse(&format!("{USERS}{bad}")).unwrap_err();
            assert_eq!(error.line, 5);
            assert!(!error.to_string().contains(bad), "{error}");
        }
        assert!(!format!("{:?}", parse(USERS).unwrap()).contains("$2y$"));
    }
}
