//! Which answers a dialler accepts, and how long it waits.

use std::sync::Mutex;

use vineyard_env::{Listener, NoFaults};
use vineyard_raft::Dial;
use vineyard_wire::InstanceId;
use vineyard_wire::peer::MAGIC;

use super::*;
use crate::boot::secrets::tests::secrets;
use crate::boot::token::SECRET_BYTES;
use crate::peer::encryption::tests::plain;
use crate::peer::pipe::{Pipe, pipes, random};

/// A network with one stream; all later connects hang.
struct Once(Mutex<Option<Pipe>>);

impl Network for Once {
    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        let pipe = self.0.lock().unwrap().take();
        Box::pin(async move {
            match pipe {
                Some(pipe) => Ok(Box::new(pipe) as Box<dyn Stream>),
                None => std::future::pending().await,
            }
        })
    }

    fn listen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

fn credentials() -> Credentials {
    Credentials {
        cluster: "amber-fox".to_owned(),
        secrets: secrets([1; SECRET_BYTES]),
        epoch: vineyard_raft::Epoch::new(1),
        node: Some(NodeId(2)),
    }
}

fn dialer(pipe: Option<Pipe>) -> Dialer {
    let credentials = credentials();
    Dialer {
        network: Arc::new(Once(Mutex::new(pipe))),
        random: Arc::new(random(0)),
        encryption: plain(&credentials),
        credentials,
        pace: Arc::default(),
        connect_deadline: Duration::from_secs(2),
    }
}

/// Answers one dialler and one question as node 7.
async fn answer(mut stream: Pipe, answer: Answer) {
    let mut magic = [0; MAGIC.len()];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut magic)
        .await
        .unwrap();
    handshake::accept(
        &mut stream,
        &credentials(),
        NodeId(7),
        &random(100),
        &NoFaults,
        |_| Ok(()),
    )
    .await
    .unwrap();
    if let Ok(Ask::Stats) = frames::read(&mut stream, frames::MESSAGE_BYTES_MAX).await {
        frames::write(&mut stream, &answer).await.unwrap();
    }
}

fn refusal() -> Answer {
    Answer::Refused(vineyard_wire::Status::invalid("not now"))
}

#[tokio::test]
async fn a_question_gets_its_answer() {
    let (near, far) = pipes();
    let dialer = dialer(Some(near));
    let (asked, ()) = tokio::join!(dialer.ask("there", &Ask::Stats), answer(far, refusal()));
    assert_eq!(asked.unwrap().1, refusal());
}

#[tokio::test(start_paused = true)]
async fn a_dial_without_an_answer_ends_at_the_deadline() {
    let silent = dialer(None);
    let (near, _far) = pipes();
    let mute = dialer(Some(near));
    for dialer in [silent, mute] {
        let began = tokio::time::Instant::now();
        let error = dialer.ask("there:1", &Ask::Stats).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("there:1"), "{error}");
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }
}

#[tokio::test]
async fn raft_is_not_connected_to_another_node_at_the_same_address() {
    let (near, far) = pipes();
    let dialer = dialer(Some(near));
    let boot = Arc::new(Boot::new(
        InstanceId(2),
        &[1],
        vineyard_raft::features::LATEST,
    ));
    let dialer = RaftDialer::new(dialer, boot);
    let dialled = dialer.dial(NodeId(3), "there".to_owned());
    let (dialled, ()) = tokio::join!(dialled, answer(far, refusal()));
    let error = dialled.err().expect("node 7 is not node 3");
    assert!(error.to_string().contains("is node n7, not n3"), "{error}");
}
