//! A stranger knows the cluster's name and speaks as its nodes do, but does not know the secret. It answers the
//! challenge all the same, and is refused; a node with the token joins.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use vineyard_env::Stream;
use vineyard_wire::frame::{HEADER_BYTES, body_bytes, with_header};
use vineyard_wire::peer::{
    self, Challenge, Hello, MAGIC, PROOF_BYTES, Purpose, Response, Welcome, decode, encode,
};

use crate::invariants::strangers_stay_out;
use crate::stage::{Outcome, Settings, Stage, run};

const STRANGER: &str = "10.0.0.99";
const FRAME_BYTES_MAX: usize = 1 << 16;
/// How long a node takes with a handshake at most.
const TOLD_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(2).await;
    let token = stage.cluster.token_on_disk(1).unwrap_or_default();
    let Some(cluster) = cluster_of(&token) else {
        return stage.demand(false, &format!("the founder has a token: {token}"));
    };
    for purpose in [Purpose::Node, Purpose::Raft, Purpose::IntroducedRaft] {
        let (there, cluster) = (stage.clone(), cluster.clone());
        let told = stage.act("stranger", async move {
            let machine = there.world.machine(STRANGER, "stranger");
            let network = there.world.env(&machine, "stranger", 0).network;
            let mut stream = network.connect(&there.cluster.endpoint(1)).await.ok()?;
            let asked = ask(stream.as_mut(), cluster, purpose);
            timeout(TOLD_WITHIN, asked).await.ok()?.ok()
        });
        let told = told.await.flatten();
        let judged = strangers_stay_out::judge(told.as_ref());
        stage
            .oracle
            .borrow_mut()
            .hold(strangers_stay_out::NAME, judged);
    }
    stage.join(3);
    let joined = stage.serves(3).await;
    stage.demand(joined, "a node that has the token joins");
}

/// The name of the cluster, which is no secret: every node tells it.
fn cluster_of(token: &str) -> Option<String> {
    token.split('.').nth(1).map(str::to_owned)
}

/// Says hello, and answers whatever it is challenged with. What it was told at the end.
async fn ask(stream: &mut dyn Stream, cluster: String, purpose: Purpose) -> io::Result<Welcome> {
    let hello = Hello {
        version: peer::VERSION,
        cluster,
        epoch: 0,
        from: None,
        purpose,
        nonce: [1; PROOF_BYTES],
    };
    stream.write_all(MAGIC.as_slice()).await?;
    stream.write_all(&with_header(&encode(&hello))).await?;
    match decode(&read(stream).await?).map_err(io::Error::other)? {
        Challenge::Proceed { .. } => {}
        Challenge::Refused(reason) => return Ok(Welcome::Refused(reason)),
    }
    let response = Response {
        proof: [2; PROOF_BYTES],
    };
    stream.write_all(&with_header(&encode(&response))).await?;
    decode(&read(stream).await?).map_err(io::Error::other)
}

async fn read(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let len = body_bytes(header, FRAME_BYTES_MAX).map_err(io::Error::other)?;
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    Ok(body)
}
