//! A node that joins while members lag behind a rotation of the token.

use tokio::io::AsyncReadExt;
use tokio::task::LocalSet;
use vineyard_env::Listener;
use vineyard_raft::state::Rotation;
use vineyard_wire::peer::MAGIC;

use super::*;
use crate::boot::secrets::{self, Secret};
use crate::peer::handshake::{self, Credentials};
use crate::peer::{frames, pipe};
use crate::system;

const OLD: Secret = [7; 32];
const MEMBER: NodeId = NodeId(4);
const NEW: NodeId = NodeId(5);

fn token(secret: Secret) -> Token {
    let cluster = "c".to_owned();
    Token { cluster, secret }
}

/// Answers as a member, which follows `heard` once it has refused a caller.
async fn member(
    mut listener: Box<dyn Listener>,
    env: Env,
    credentials: Credentials,
    heard: Option<Rotation>,
) {
    loop {
        let mut stream = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; MAGIC.len()]).await.unwrap();
        let (random, faults) = (env.random.as_ref(), env.faults.as_ref());
        let shaken = handshake::accept(
            stream.as_mut(),
            &credentials,
            MEMBER,
            random,
            faults,
            |_| Ok(()),
        );
        if shaken.await.is_err() {
            if let Some(rotation) = &heard {
                credentials.secrets.follow(rotation);
            }
            continue;
        }
        let bytes_max = frames::MESSAGE_BYTES_MAX;
        let _: Ask = frames::read(&mut stream, bytes_max).await.unwrap();
        let joined = Answer::Joined {
            node: NEW,
            cluster: credentials.cluster.clone(),
            epoch: 1,
        };
        frames::write(&mut stream, &joined).await.unwrap();
    }
}

/// A node with the new token asks such members, each with its secret and what it is about to hear.
fn joins(members: impl Fn(Secret, Rotation) -> Vec<(Secret, Option<Rotation>)>) {
    let (new, hidden) = secrets::rotate(&OLD, &pipe::random(1));
    let until_unix_ms = u64::MAX;
    let rotation = Rotation {
        hidden,
        until_unix_ms,
    };
    let folder = tempfile::tempdir().unwrap();
    let env = system::env(&folder.path().join("data")).unwrap();
    LocalSet::new().block_on(&system::runtime().unwrap(), async {
        let mut endpoints = Vec::new();
        for (secret, heard) in members(new, rotation) {
            let listener = env.network.listen("127.0.0.1:0").await.unwrap();
            endpoints.push(listener.address());
            let credentials = Identity::found(&env, token(secret)).credentials(&env);
            tokio::task::spawn_local(member(listener, env.clone(), credentials, heard));
        }
        let join = Join {
            endpoints,
            token: token(new).to_string(),
        };
        let config = Config {
            join: Some(join),
            ..Config::new(folder.path().join("data"), "/unused")
        };
        let identity = Identity::join(&env, &token(new));
        let applicant = Applicant::new(&env, identity, "n5:1", None);
        let waits_for = WaitsFor::default();
        let admitted = admit(&config, &env, &applicant, "n5:1", &waits_for);
        admitted.await.unwrap();
        assert_eq!(applicant.identity().await.node, Some(NEW));
    });
}

#[test]
fn a_member_that_lags_behind_a_rotation_ends_no_join() {
    joins(|new, _| vec![(OLD, None), (new, None)]);
}

#[test]
fn a_join_is_tried_again_until_the_member_has_heard_of_the_rotation() {
    joins(|_, rotation| vec![(OLD, Some(rotation))]);
}
