//! A caller that does not know the secret of the cluster is not let in as a node.

use vineyard_wire::peer::Welcome;

use super::Judged;

pub const NAME: &str = "strangers_stay_out";

/// Judges what a caller with a wrong secret was told in the end, if anything.
pub fn judge(told: Option<&Welcome>) -> Judged {
    match told {
        Some(Welcome::Welcome { node, .. }) => Err(format!(
            "{node} welcomed a caller that does not know the secret"
        )),
        Some(Welcome::Refused(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use vineyard_wire::NodeId;

    use super::*;

    #[test]
    fn a_welcome_is_found() {
        judge(None).unwrap();
        judge(Some(&Welcome::Refused("wrong secret".to_owned()))).unwrap();
        let (node, epoch) = (NodeId(1), 0);
        assert!(judge(Some(&Welcome::Welcome { node, epoch })).is_err());
    }
}
