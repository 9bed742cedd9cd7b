//! A node that was removed does not vote, so the majority is one of those that are left.

use vineyard_wire::NodeId;

use super::Judged;

pub const NAME: &str = "the_removed_do_not_count";

/// Judges who votes, a while after `removed` were removed.
pub fn judge(voters: &[NodeId], removed: &[NodeId]) -> Judged {
    match removed.iter().find(|node| voters.contains(node)) {
        None => Ok(()),
        Some(node) => Err(format!(
            "{node} was removed and is one of {voters:?}, who vote"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_voter_is_found() {
        let voters = [NodeId(1), NodeId(2)];
        judge(&voters, &[NodeId(3)]).unwrap();
        assert!(judge(&voters, &[NodeId(3), NodeId(2)]).is_err());
    }
}
