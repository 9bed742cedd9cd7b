//! Both sides of the handshake, and their errors when the other side is not a node of the cluster.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::NoFaults;
use vineyard_wire::frame;

use super::*;
use crate::boot::secrets::tests::{Stands, secrets};
use crate::boot::token::SECRET_BYTES;
use crate::peer::pipe::{Pipe, pipes, random};

const ME: NodeId = NodeId(7);

fn credentials() -> Credentials {
    Credentials {
        cluster: "amber-fox".to_owned(),
        secrets: secrets([0x5e; SECRET_BYTES]),
        epoch: Epoch::new(3),
        node: Some(NodeId(2)),
    }
}

fn hello() -> Hello {
    Hello {
        version: peer::VERSION,
        cluster: "amber-fox".to_owned(),
        epoch: 3,
        from: Some(NodeId(2)),
        purpose: Purpose::Node,
        nonce: [1; PROOF_BYTES],
    }
}

/// The result of a listener with `credentials()`.
async fn listen(mut stream: Pipe) -> io::Result<Hello> {
    accept(
        &mut stream,
        &credentials(),
        ME,
        &random(1000),
        &NoFaults,
        |_| Ok(()),
    )
    .await
}

/// Reads the magic first, as the listener in `front` does.
async fn open(mut stream: Pipe, mine: &Credentials) -> io::Result<Hello> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).await?;
    assert_eq!(magic, MAGIC);
    accept(&mut stream, mine, ME, &random(1000), &NoFaults, |_| Ok(())).await
}

/// The results of both sides.
async fn meet(
    dialler: &Credentials,
    listener: &Credentials,
) -> (io::Result<NodeId>, io::Result<Hello>) {
    let (mut near, far) = pipes();
    let dialled = async {
        let outcome = dial(
            &mut near,
            dialler,
            &dialler.secrets.current(),
            Purpose::Raft,
            &random(0),
        )
        .await;
        drop(near);
        outcome
    };
    tokio::join!(dialled, open(far, listener))
}

fn assert_denied<T: std::fmt::Debug>(outcome: io::Result<T>, reason: &str) {
    let error = outcome.expect_err("denied");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[tokio::test]
async fn two_nodes_of_one_cluster_know_each_other() {
    let (dialled, accepted) = meet(&credentials(), &credentials()).await;
    assert_eq!(dialled.unwrap(), ME);
    let hello = accepted.unwrap();
    assert_eq!(hello.from, Some(NodeId(2)));
    assert_eq!(hello.purpose, Purpose::Raft);
}

#[tokio::test]
async fn a_joiner_has_no_node_and_knows_no_epoch() {
    let joiner = Credentials {
        node: None,
        epoch: Epoch::new(1),
        ..credentials()
    };
    let (dialled, accepted) = meet(&joiner, &credentials()).await;
    assert_eq!(dialled.unwrap(), ME);
    assert_eq!(accepted.unwrap().from, None);
}

#[tokio::test]
async fn another_secret_is_refused_on_both_sides() {
    let stranger = Credentials {
        secrets: secrets([0x5f; SECRET_BYTES]),
        ..credentials()
    };
    for (dialler, listener) in [(&stranger, &credentials()), (&credentials(), &stranger)] {
        let (dialled, accepted) = meet(dialler, listener).await;
        assert_denied(dialled, "the secret here is not the one of the cluster");
        assert_denied(accepted, "secret is not this cluster's");
    }
}

#[tokio::test]
async fn another_cluster_is_refused_by_name() {
    let stranger = Credentials {
        cluster: "grey-owl".to_owned(),
        ..credentials()
    };
    let (dialled, accepted) = meet(&stranger, &credentials()).await;
    assert_denied(dialled, "amber-fox");
    assert_denied(accepted, "amber-fox");
}

#[tokio::test]
async fn a_member_of_another_epoch_is_refused_on_both_sides() {
    for (epoch, reason) in [
        (
            2,
            "the caller was left behind when this cluster was recovered",
        ),
        (
            4,
            "this node was left behind when its cluster was recovered",
        ),
    ] {
        let other = Credentials {
            epoch: Epoch::new(epoch),
            ..credentials()
        };
        let (dialled, accepted) = meet(&other, &credentials()).await;
        assert_denied(dialled, reason);
        assert_denied(accepted, reason);
    }
}

/// Sends `bytes` as the dialler's opening; returns the listener's outcome and its answer.
async fn opened_with(bytes: &[u8]) -> (io::Result<Hello>, io::Result<Challenge>) {
    let (mut near, far) = pipes();
    near.write_all(bytes).await.unwrap();
    let answer = async { frames::read(&mut near, HANDSHAKE_BYTES_MAX).await };
    tokio::join!(listen(far), answer)
}

fn framed(hello: &Hello) -> Vec<u8> {
    frame::with_header(&peer::encode(hello))
}

fn refused(answer: io::Result<Challenge>) -> String {
    match answer.expect("an answer") {
        Challenge::Refused(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn another_version_in_the_hello_is_refused_by_number() {
    let stranger = Hello {
        version: 9,
        ..hello()
    };
    let (accepted, answer) = opened_with(&framed(&stranger)).await;
    assert_denied(accepted, "speaks peer protocol 1, the caller 9");
    assert!(refused(answer).contains("the caller 9"));
}

#[tokio::test]
async fn another_version_of_the_frame_is_refused_by_number() {
    let mut body = peer::encode(&hello());
    body[0] = 9;
    let (accepted, answer) = opened_with(&frame::with_header(&body)).await;
    assert_denied(accepted, "version 9");
    assert!(refused(answer).contains("message version 9; this node speaks 1"));
}

#[tokio::test]
async fn a_challenge_of_another_version_is_an_error_that_names_it() {
    let (mut near, mut far) = pipes();
    let mut body = peer::encode(&Challenge::Refused("in another tongue".to_owned()));
    body[0] = 9;
    far.write_all(&frame::with_header(&body)).await.unwrap();
    let mine = credentials();
    let secret = mine.secrets.current();
    let dialled = dial(&mut near, &mine, &secret, Purpose::Node, &random(0)).await;
    let error = dialled.expect_err("another version");
    assert!(error.to_string().contains("message version 9"), "{error}");
}

#[tokio::test]
async fn an_oversized_hello_is_refused_before_it_is_read() {
    let stranger = Hello {
        cluster: "x".repeat(HANDSHAKE_BYTES_MAX),
        ..hello()
    };
    for opening in [framed(&stranger), u64::MAX.to_le_bytes().to_vec()] {
        let (accepted, answer) = opened_with(&opening).await;
        assert_denied(accepted, "at most 1024 are allowed");
        assert!(refused(answer).contains("at most 1024 are allowed"));
    }
}

#[tokio::test]
async fn a_hello_that_is_none_is_refused() {
    for body in [b"".to_vec(), vec![peer::VERSION], vec![peer::VERSION; 300]] {
        let (accepted, answer) = opened_with(&frame::with_header(&body)).await;
        assert_denied(accepted, "");
        refused(answer);
    }
}

#[tokio::test]
async fn an_opening_that_breaks_off_anywhere_is_an_error() {
    let whole = framed(&hello());
    for cut in 0..whole.len() {
        let (mut near, far) = pipes();
        near.write_all(&whole[..cut]).await.unwrap();
        drop(near);
        let error = listen(far).await.expect_err("cut off");
        assert_eq!(
            error.kind(),
            io::ErrorKind::UnexpectedEof,
            "cut at {cut}: {error}"
        );
    }
    let (mut near, far) = pipes();
    near.write_all(&whole).await.unwrap();
    near.shutdown().await.unwrap();
    assert_denied(listen(far).await, "left at the challenge");
}

#[tokio::test]
async fn a_dialler_whose_listener_leaves_is_told_so() {
    let (mut near, far) = pipes();
    drop(far);
    assert!(
        dial(
            &mut near,
            &credentials(),
            &[0x5e; SECRET_BYTES],
            Purpose::Node,
            &random(0)
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn a_recorded_conversation_cannot_be_played_again() {
    // Records what an honest dialler says to a listener.
    let (mut dialler, mut tap) = pipes();
    let (mut onward, listener) = pipes();
    let mine = credentials();
    let (dialler_random, listener_random) = (random(0), random(1000));
    let dialled = dial(
        &mut dialler,
        &mine,
        &[0x5e; SECRET_BYTES],
        Purpose::Node,
        &dialler_random,
    );
    let tapped = async {
        let mut magic = [0; MAGIC.len()];
        tap.read_exact(&mut magic).await.unwrap();
        let hello: Hello = frames::read(&mut tap, HANDSHAKE_BYTES_MAX).await.unwrap();
        frames::write(&mut onward, &hello).await.unwrap();
        let challenge: Challenge = frames::read(&mut onward, HANDSHAKE_BYTES_MAX)
            .await
            .unwrap();
        frames::write(&mut tap, &challenge).await.unwrap();
        let response: Response = frames::read(&mut tap, HANDSHAKE_BYTES_MAX).await.unwrap();
        frames::write(&mut onward, &response).await.unwrap();
        let welcome: Welcome = frames::read(&mut onward, HANDSHAKE_BYTES_MAX)
            .await
            .unwrap();
        frames::write(&mut tap, &welcome).await.unwrap();
        (hello, challenge, response)
    };
    let mut listener = listener;
    let accepted = accept(
        &mut listener,
        &mine,
        ME,
        &listener_random,
        &NoFaults,
        |_| Ok(()),
    );
    let (dialled, (hello, challenge, response), accepted) = tokio::join!(dialled, tapped, accepted);
    dialled.unwrap();
    accepted.unwrap();

    // Replayed to a listener, which has another nonce now.
    let (mut near, mut far) = pipes();
    frames::write(&mut near, &hello).await.unwrap();
    frames::write(&mut near, &response).await.unwrap();
    let replayed = accept(&mut far, &mine, ME, &listener_random, &NoFaults, |_| Ok(())).await;
    assert_denied(replayed, "wrong secret for this cluster");
    let _: Challenge = frames::read(&mut near, HANDSHAKE_BYTES_MAX).await.unwrap();
    let welcome: Welcome = frames::read(&mut near, HANDSHAKE_BYTES_MAX).await.unwrap();
    assert_eq!(
        welcome,
        Welcome::Refused("wrong secret for this cluster".to_owned())
    );

    // Replayed to a dialler, which has another nonce too.
    let (mut near, mut far) = pipes();
    frames::write(&mut far, &challenge).await.unwrap();
    let replayed = dial(
        &mut near,
        &mine,
        &[0x5e; SECRET_BYTES],
        Purpose::Node,
        &dialler_random,
    )
    .await;
    assert_denied(replayed, "the secret here is not the one of the cluster");
}

#[tokio::test]
async fn a_listeners_own_proof_is_not_a_diallers() {
    let (mut near, far) = pipes();
    frames::write(&mut near, &hello()).await.unwrap();
    let reflect = async {
        let challenge = frames::read(&mut near, HANDSHAKE_BYTES_MAX).await.unwrap();
        let Challenge::Proceed { proof, .. } = challenge else {
            panic!("{challenge:?}")
        };
        frames::write(&mut near, &Response { proof }).await.unwrap();
    };
    let (accepted, ()) = tokio::join!(listen(far), reflect);
    assert_denied(accepted, "wrong secret for this cluster");
}

#[tokio::test]
async fn a_proof_is_of_one_purpose_and_of_one_channel() {
    let secret = [0x5e; SECRET_BYTES];
    let proof = |hello: &Hello, channel| {
        let of = Proven {
            hello,
            listener_nonce: &[9; PROOF_BYTES],
            channel,
        };
        proof(&secret, Side::Dialler, &of)
    };
    let for_raft = Hello {
        purpose: Purpose::Raft,
        ..hello()
    };
    let plain = proof(&hello(), None);
    assert_ne!(plain, proof(&for_raft, None));
    assert_ne!(plain, proof(&hello(), Some([1; 32])));
    assert_ne!(
        proof(&hello(), Some([1; 32])),
        proof(&hello(), Some([2; 32]))
    );
}

#[tokio::test]
async fn after_a_rotation_both_tokens_are_taken_until_the_old_one_is_over() {
    let old = [0x5e; SECRET_BYTES];
    let (new, hidden) = secrets::rotate(&old, &random(50));
    let rotation = vineyard_raft::state::Rotation {
        hidden,
        until_unix_ms: 1_000,
    };
    let clock = std::sync::Arc::new(Stands::default());
    let of = |secret| Credentials {
        secrets: Secrets::new(secret, clock.clone()),
        ..credentials()
    };
    let member = of(old);
    member.secrets.follow(&rotation);
    let (late, fresh) = (of(old), of(new));
    for (dialler, listener) in [
        (&late, &member),
        (&member, &late),
        (&fresh, &member),
        (&member, &fresh),
    ] {
        let (dialled, accepted) = meet(dialler, listener).await;
        assert_eq!(dialled.unwrap(), ME);
        accepted.unwrap();
    }
    clock.put(1_000);
    let (dialled, accepted) = meet(&late, &member).await;
    assert_denied(dialled, "was replaced by `vineyardctl token rotate`");
    assert_denied(accepted, "was replaced by `vineyardctl token rotate`");
    let (dialled, _) = meet(&member, &late).await;
    assert_denied(dialled, "has a token that was replaced");
    // The operator gives the new token to the node that was away: it may be called, and call.
    late.secrets.give(new);
    let (dialled, accepted) = meet(&member, &late).await;
    assert_eq!(dialled.unwrap(), ME);
    accepted.unwrap();
    assert_eq!(late.secrets.to_call_with(), [old, new]);
    let (dialled, _) = meet(&fresh, &member).await;
    assert_eq!(dialled.unwrap(), ME);
}
