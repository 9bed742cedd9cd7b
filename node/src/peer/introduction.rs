//! The introduction after the handshake of a raft connection: each side says which process of its node it is.
//!
//! Promise: this node exchanges no raft message with a process whose data directory is a copy, or an older state than
//! this node has seen. Neither its votes nor its log count here.

use std::io;

use vineyard_env::Stream;
use vineyard_wire::peer::{Introduced, Life};

use super::frames;
use crate::boot::identity::LIVES_MAX;
use crate::boot::registration::Boot;

/// Upper bound of an introduction: one with all the lives in a node's identity.
const INTRODUCTION_BYTES_MAX: usize = 32 * LIVES_MAX;

/// The dialling side. Ends this node if the other side has seen a later boot of it.
pub(crate) async fn introduce(stream: &mut dyn Stream, boot: &Boot) -> io::Result<()> {
    frames::write(stream, boot.life()).await?;
    match frames::read(stream, INTRODUCTION_BYTES_MAX).await? {
        Introduced::Welcome(theirs) if boot.knows_better(&theirs) => Err(outlived(&theirs)),
        Introduced::Welcome(_) => Ok(()),
        Introduced::Removed => {
            boot.is_removed();
            Err(removed(boot.life()))
        }
        Introduced::Outlived => {
            boot.is_outlived();
            Err(outlived(boot.life()))
        }
    }
}

/// The side that was dialled.
pub(crate) async fn meet(stream: &mut dyn Stream, boot: &Boot) -> io::Result<()> {
    let theirs: Life = frames::read(stream, INTRODUCTION_BYTES_MAX).await?;
    if boot.has_removed(theirs.instance.node()) {
        frames::write(stream, &Introduced::Removed).await?;
        return Err(removed(&theirs));
    }
    if boot.knows_better(&theirs) {
        frames::write(stream, &Introduced::Outlived).await?;
        return Err(outlived(&theirs));
    }
    frames::write(stream, &Introduced::Welcome(boot.life().clone())).await
}

fn removed(life: &Life) -> io::Error {
    let reason = format!("{} was removed from the cluster", life.instance.node());
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

fn outlived(life: &Life) -> io::Error {
    let reason = format!(
        "the process that says to be instance {} runs on a copy of the node's data directory, or on an older state of it",
        life.instance
    );
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

#[cfg(test)]
mod tests {
    use vineyard_raft::features::LATEST;
    use vineyard_wire::{InstanceId, NodeId};

    use super::*;
    use crate::peer::pipe::pipes;

    fn boot(boot: u64) -> Boot {
        let lives = [u128::from(boot)];
        Boot::new(InstanceId::new(NodeId(1), boot), &lives, LATEST)
    }

    #[tokio::test]
    async fn both_sides_introduce_themselves() {
        let (mut near, mut far) = pipes();
        let (one, other) = (boot(0), boot(1));
        let (introduced, met) = tokio::join!(introduce(&mut near, &one), meet(&mut far, &other));
        introduced.unwrap();
        met.unwrap();
    }

    #[tokio::test]
    async fn a_process_that_is_told_of_a_later_boot_ends() {
        let (mut near, mut far) = pipes();
        let one = boot(0);
        let answer = async {
            let _theirs: Life = frames::read(&mut far, INTRODUCTION_BYTES_MAX)
                .await
                .unwrap();
            frames::write(&mut far, &Introduced::Outlived)
                .await
                .unwrap();
        };
        let (introduced, ()) = tokio::join!(introduce(&mut near, &one), answer);
        assert_eq!(
            introduced.unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        assert!(one.refused().await.to_string().contains("another process"));
    }
}
