//! The secrets by which this node proves that it is of the cluster, and by which it knows others: one, or two for a
//! while after the token was rotated.
//!
//! Promise: a secret that was replaced counts until its time has ended and no longer, by the node's own clock. Plain
//! code over the clock; clones share it. A secret is never sent: a caller marks its nonce with the one that it uses,
//! which only those can tell who know that secret too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vineyard_env::{Clock, Random};
use vineyard_raft::command::Hidden;
use vineyard_raft::state::Rotation;
use vineyard_wire::peer::PROOF_BYTES;

use crate::boot::token::SECRET_BYTES;

pub(crate) type Secret = [u8; SECRET_BYTES];

/// What the other side of a connection is told, and this one logs.
pub(crate) const REPLACED: &str = "the caller's token was replaced by `vineyardctl token rotate`, and its time has ended: \
                                   start the caller with --join and with the new one in --token-file";
/// As `REPLACED`, where the other side was called.
pub(crate) const OTHER_REPLACED: &str = "the node that answered has a token that was replaced by `vineyardctl token \
                                         rotate`, and its time has ended: start it with --join and with the new one in \
                                         --token-file";
/// As `REPLACED`, on the side of the caller.
pub(crate) const REPLACED_HERE: &str = "this node's token was replaced by `vineyardctl token rotate`, and its time has \
                                        ended: start it with --join and with the new one in --token-file";
/// As `REPLACED_HERE`, on the side that was called.
pub(crate) const REPLACED_AT_LISTENER: &str = "the caller has a newer token than this node, whose own was replaced by \
                                               `vineyardctl token rotate`: start this node with --join and with the \
                                               new one in --token-file";

/// Bytes of a nonce that are random; the others are the mark.
const RANDOM_BYTES: usize = PROOF_BYTES - MARK_BYTES;
const MARK_BYTES: usize = 8;

/// See the module.
#[derive(Clone)]
pub(crate) struct Secrets {
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<Known>>,
}

struct Known {
    current: Secret,
    /// The one that `current` has replaced, and until when it is valid, milliseconds since the Unix epoch.
    older: Option<(Secret, u64)>,
    /// Of a token that the operator gave to a member; it is tried where `current` is refused.
    given: Option<Secret>,
    /// All that were current in this process and are no more.
    before: Vec<Secret>,
    followed: Option<Rotation>,
}

/// What a rotation is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    NoNews,
    /// The secret is another one now.
    Replaced,
    /// This node knows neither the new secret nor the one before.
    Unknown,
}

impl Secrets {
    pub(crate) fn new(current: Secret, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            known: Arc::new(Mutex::new(Known {
                current,
                older: None,
                given: None,
                before: Vec::new(),
                followed: None,
            })),
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator has given this member a token with another secret.
    pub(crate) fn give(&self, secret: Secret) {
        self.lock().given = Some(secret);
    }

    /// The one to join with.
    pub(crate) fn current(&self) -> Secret {
        self.lock().current
    }

    /// All that were current in this process and are no more.
    pub(crate) fn before(&self) -> Vec<Secret> {
        self.lock().before.clone()
    }

    /// Until when the secret before is valid, if it is.
    pub(crate) fn older_until_unix_ms(&self) -> Option<u64> {
        let older = self.lock().older;
        older
            .filter(|(_, until)| self.clock.unix_ms() < *until)
            .map(|(_, until)| until)
    }

    /// Those to call with, in turn: the next where one is refused.
    pub(crate) fn to_call_with(&self) -> Vec<Secret> {
        let known = self.lock();
        let others = known.given.filter(|given| *given != known.current);
        std::iter::once(known.current).chain(others).collect()
    }

    /// Those that are valid.
    pub(crate) fn valid(&self) -> Vec<Secret> {
        let is_valid = self.older_until_unix_ms().is_some();
        let known = self.lock();
        let older = known.older.filter(|_| is_valid).map(|(older, _)| older);
        let all = std::iter::once(known.current)
            .chain(older)
            .chain(known.given);
        all.collect()
    }

    /// The one whose time has ended, if there is one.
    pub(crate) fn replaced(&self) -> Vec<Secret> {
        let is_over = self.older_until_unix_ms().is_none();
        let older = self.lock().older.filter(|_| is_over);
        older.map(|(older, _)| older).into_iter().collect()
    }

    /// Whether `is_it` is true of the secret whose time has ended.
    pub(crate) fn is_of_replaced(&self, is_it: impl Fn(&Secret) -> bool) -> bool {
        self.replaced().iter().any(is_it)
    }

    /// The secret by which to answer a caller with this nonce.
    pub(crate) fn of_caller(&self, nonce: &[u8; PROOF_BYTES]) -> Result<Secret, &'static str> {
        let is_marked = |secret: &Secret| nonce[RANDOM_BYTES..] == mark(secret, nonce);
        if self.is_of_replaced(is_marked) {
            return Err(REPLACED);
        }
        let marked = self.valid().into_iter().find(is_marked);
        // Earlier builds mark nothing.
        Ok(marked.unwrap_or_else(|| self.current()))
    }

    /// Takes over what the cluster has agreed on.
    pub(crate) fn follow(&self, rotation: &Rotation) -> Followed {
        let mut known = self.lock();
        if known.followed.as_ref() == Some(rotation) {
            return Followed::NoNews;
        }
        known.followed = Some(*rotation);
        let candidates = std::iter::once(known.current).chain(known.given);
        let Some((new, old)) = candidates
            .filter_map(|known| reveal(&rotation.hidden, &known))
            .next()
        else {
            return Followed::Unknown;
        };
        known.older = Some((old, rotation.until_unix_ms));
        // A given one of a later rotation is what others take until this node has followed that one.
        if known
            .given
            .is_some_and(|given| given == new || given == old)
        {
            known.given = None;
        }
        if known.current == new {
            return Followed::NoNews;
        }
        let before = std::mem::replace(&mut known.current, new);
        known.before.push(before);
        Followed::Replaced
    }
}

/// A nonce that tells those who know `secret` that the caller uses it.
pub(crate) fn nonce(secret: &Secret, random: &dyn Random) -> [u8; PROOF_BYTES] {
    let mut nonce = [0; PROOF_BYTES];
    random.fill(&mut nonce[..RANDOM_BYTES]);
    let mark = mark(secret, &nonce);
    nonce[RANDOM_BYTES..].copy_from_slice(&mark);
    nonce
}

fn mark(secret: &Secret, nonce: &[u8; PROOF_BYTES]) -> [u8; MARK_BYTES] {
    let hash = keyed(secret, b"vineyard peer mark", &nonce[..RANDOM_BYTES]);
    let mut mark = [0; MARK_BYTES];
    mark.copy_from_slice(&hash[..MARK_BYTES]);
    mark
}

/// A new secret, and both secrets hidden by each other.
pub(crate) fn rotate(old: &Secret, random: &dyn Random) -> (Secret, Hidden) {
    let (mut new, mut nonce) = ([0; SECRET_BYTES], [0; SECRET_BYTES]);
    random.fill(&mut new);
    random.fill(&mut nonce);
    let hidden = Hidden {
        nonce,
        forward: veil(&new, old, &nonce),
        backward: veil(old, &new, &nonce),
    };
    (new, hidden)
}

/// The new secret and the old one, for those who know one of them.
fn reveal(hidden: &Hidden, known: &Secret) -> Option<(Secret, Secret)> {
    let Hidden {
        nonce,
        forward,
        backward,
    } = hidden;
    let new = veil(forward, known, nonce);
    if veil(backward, &new, nonce) == *known {
        return Some((new, *known));
    }
    let old = veil(backward, known, nonce);
    (veil(forward, &old, nonce) == *known).then_some((*known, old))
}

/// Hides `secret` by another one, or shows it again.
fn veil(secret: &Secret, by: &Secret, nonce: &Secret) -> Secret {
    let mut veiled = keyed(by, b"vineyard token rotation", nonce);
    veiled
        .iter_mut()
        .zip(secret)
        .for_each(|(one, other)| *one ^= other);
    veiled
}

fn keyed(secret: &Secret, purpose: &[u8], nonce: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(purpose);
    hasher.update(nonce);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::peer::pipe::random;

    /// A clock that stands where it was put.
    #[derive(Default)]
    pub(crate) struct Stands(AtomicU64);

    impl Stands {
        pub(crate) fn put(&self, unix_ms: u64) {
            self.0.store(unix_ms, Ordering::SeqCst);
        }
    }

    impl Clock for Stands {
        fn unix_ms(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    pub(crate) fn secrets(secret: Secret) -> Secrets {
        Secrets::new(secret, Arc::new(Stands::default()))
    }

    const OLD: Secret = [7; SECRET_BYTES];

    fn rotation() -> (Secret, Rotation) {
        let (new, hidden) = rotate(&OLD, &random(1));
        let until_unix_ms = 1_000;
        (
            new,
            Rotation {
                hidden,
                until_unix_ms,
            },
        )
    }

    #[test]
    fn who_knows_one_secret_learns_the_other() {
        let (new, rotation) = rotation();
        let member = secrets(OLD);
        assert_eq!(member.follow(&rotation), Followed::Replaced);
        assert_eq!((member.current(), member.before()), (new, vec![OLD]));
        let newcomer = secrets(new);
        assert_eq!(newcomer.follow(&rotation), Followed::NoNews);
        for one in [&member, &newcomer] {
            assert_eq!(one.follow(&rotation), Followed::NoNews);
            assert_eq!(one.valid(), [new, OLD]);
        }
        let stranger = secrets([8; SECRET_BYTES]);
        assert_eq!(stranger.follow(&rotation), Followed::Unknown);
        assert_eq!(stranger.current(), [8; SECRET_BYTES]);
        // A member that was away for longer is given the token.
        stranger.give(new);
        let later = Rotation {
            until_unix_ms: 2_000,
            ..rotation
        };
        assert_eq!(stranger.follow(&later), Followed::Replaced);
        assert_eq!(stranger.current(), new);
    }

    #[test]
    fn a_given_token_is_called_with_until_its_rotation_is_followed() {
        let (one, first) = rotation();
        let (two, hidden) = rotate(&one, &random(2));
        let second = Rotation {
            hidden,
            until_unix_ms: 2_000,
        };
        let member = secrets(OLD);
        member.give(two);
        assert_eq!(member.follow(&first), Followed::Replaced);
        assert_eq!(member.to_call_with(), [one, two]);
        assert_eq!(member.follow(&second), Followed::Replaced);
        assert_eq!(member.to_call_with(), [two]);
        assert_eq!(member.valid(), [two, one]);
        // An older one that was given is not valid for ever.
        let member = secrets(two);
        member.give(one);
        member.follow(&second);
        assert_eq!(member.to_call_with(), [two]);
        assert_eq!(member.valid(), [two, one]);
    }

    #[test]
    fn a_secret_that_was_replaced_is_known_for_what_it_is_when_its_time_has_ended() {
        let (new, rotation) = rotation();
        let clock = Arc::new(Stands::default());
        let member = Secrets::new(OLD, clock.clone());
        let of = |secret: &Secret| member.of_caller(&nonce(secret, &random(5)));
        assert_eq!(of(&OLD), Ok(OLD));
        assert_eq!(of(&new), Ok(OLD), "it is not known yet");
        member.follow(&rotation);
        assert_eq!((of(&OLD), of(&new)), (Ok(OLD), Ok(new)));
        assert_eq!(member.older_until_unix_ms(), Some(1_000));
        clock.put(1_000);
        assert_eq!((of(&OLD), of(&new)), (Err(REPLACED), Ok(new)));
        assert_eq!(member.valid(), [new]);
        assert_eq!(member.older_until_unix_ms(), None);
        assert_eq!(member.of_caller(&[9; PROOF_BYTES]), Ok(new), "no mark");
    }
}
