//! What was acknowledged as persistent can be read until somebody asks for its deletion; what was acknowledged as
//! deleted is gone.

use super::Judged;

pub const NAME: &str = "nothing_acknowledged_is_lost";

/// How sure the clients are that something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    #[default]
    No,
    /// It was asked for; the answer never came.
    Maybe,
    /// It was acknowledged.
    Yes,
}

/// A confirmed answer to "is this object there?", against what clients were told before they asked.
pub fn judge(what: &str, persisted: Certainty, deleted: Certainty, there: bool) -> Judged {
    match (persisted, deleted, there) {
        (Certainty::Yes, Certainty::No, false) => Err(format!(
            "{what} was acknowledged as persistent, and is not there"
        )),
        (_, Certainty::Yes, true) => Err(format!(
            "{what} was acknowledged as deleted, and is still there"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_acknowledged_is_held_against_the_cluster() {
        use Certainty::{Maybe, No, Yes};
        judge("o1", Yes, No, true).unwrap();
        judge("o1", Maybe, No, false).unwrap();
        judge("o1", Yes, Maybe, false).unwrap();
        judge("o1", Yes, Yes, false).unwrap();
        assert!(judge("o1", Yes, No, false).is_err());
        assert!(judge("o1", Yes, Yes, true).is_err());
    }
}
