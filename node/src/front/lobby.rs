//! The listeners of a node that no cluster has admitted yet: every client is told what the node waits for.
//!
//! Promise: a joining node answers all who connect, and serves nothing: it has no id yet, so it has no objects and
//! no sessions. A node that calls is answered only if this one is to form a cluster with it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{AbortHandle, JoinSet};
use vineyard_env::{Env, Listener, LocalListener, Stream};
use vineyard_wire::opening::{OPENING_BYTES, Opening};
use vineyard_wire::{Code, Status};

use super::http::Http;
use super::tls::Begun;
use crate::config::{Config, Limits};
use crate::context::audit;
use crate::peer::encryption::Encryption;
use crate::peer::fresh::Applicant;
use crate::session::frame_reader::FrameReader;
use crate::session::writer;

/// What a joining node waits for, as text for people; clones share it.
#[derive(Clone, Default)]
pub(crate) struct WaitsFor(Rc<RefCell<String>>);

impl WaitsFor {
    pub(crate) fn set(&self, what: String) {
        *self.0.borrow_mut() = what;
    }

    /// What it waits for now.
    pub(super) fn text(&self) -> String {
        let waits_for = self.0.borrow();
        match waits_for.is_empty() {
            true => "asking to be admitted".to_owned(),
            false => waits_for.clone(),
        }
    }

    fn refusal(&self) -> Status {
        Status::new(Code::ConnectionFailed, format!("joining: {}", self.text()))
    }
}

/// Who answers at the listeners meanwhile.
pub(crate) struct Lobby(Rc<Desk>);

struct Desk {
    limits: Limits,
    waits_for: WaitsFor,
    applicant: Rc<Applicant>,
    encryption: Encryption,
    /// `None` if the node serves no HTTP.
    http: Option<Http>,
}

impl Lobby {
    /// `endpoint` is where others dial this node.
    pub(crate) fn new(
        config: &Config,
        env: &Env,
        endpoint: &str,
        waits_for: &WaitsFor,
        applicant: &Rc<Applicant>,
        encryption: &Encryption,
    ) -> Self {
        Self(Rc::new(Desk {
            limits: config.limits.clone(),
            waits_for: waits_for.clone(),
            applicant: applicant.clone(),
            encryption: encryption.clone(),
            http: Http::of_applicant(config, env, endpoint, waits_for),
        }))
    }

    /// Answers until it is dropped.
    pub(crate) async fn keep(
        &self,
        network: &mut dyn Listener,
        local: &mut dyn LocalListener,
    ) -> Infallible {
        let limits = &self.0.limits;
        let mut answers = Answers::default();
        loop {
            // Both streams are refused alike; a handle to memory is never passed here.
            let accepted = tokio::select! {
                biased;
                accepted = network.accept() => accepted.map(Caller::Tcp),
                accepted = local.accept() => accepted.map(Caller::Unix),
            };
            match accepted {
                Ok(caller) => {
                    let desk = self.0.clone();
                    answers.make_room(limits.refusals_max).await;
                    answers.add(async move {
                        let answered = caller.answer(&desk);
                        // A caller that leaves, or says nothing, is owed nothing.
                        let deadline = desk.limits.register_deadline;
                        tokio::time::timeout(deadline, answered).await.ok();
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "could not accept a connection");
                    tokio::time::sleep(limits.accept_pause).await;
                }
            }
        }
    }
}

/// The callers that are being answered, the oldest first.
#[derive(Default)]
struct Answers {
    tasks: JoinSet<()>,
    order: VecDeque<AbortHandle>,
}

impl Answers {
    /// Closes the oldest until there are fewer than `max`: each is answered within moments, unless it says nothing.
    async fn make_room(&mut self, max: usize) {
        while self.tasks.try_join_next().is_some() {}
        self.order.retain(|one| !one.is_finished());
        while self.tasks.len() >= max
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
            self.tasks.join_next().await;
        }
    }

    fn add(&mut self, answer: impl Future<Output = ()> + 'static) {
        self.order.push_back(self.tasks.spawn_local(answer));
    }
}

enum Caller {
    Tcp(Box<dyn Stream>),
    Unix(Box<dyn vineyard_env::LocalStream>),
}

impl Caller {
    async fn answer(self, desk: &Desk) -> io::Result<()> {
        let mut stream = match self {
            Self::Unix(mut stream) => {
                return refuse(&mut *stream, FrameReader::default(), desk).await;
            }
            Self::Tcp(stream) => stream,
        };
        let mut first = [0; OPENING_BYTES];
        stream.read_exact(&mut first).await?;
        let caller = stream.peer_address();
        let mut begun = Begun::plain(stream, first);
        if begun.is_tls(&desk.encryption) {
            begun = match begun.decrypt(&desk.encryption).await {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    audit::refused_tls(&caller, &error);
                    return Err(error);
                }
                decrypted => decrypted?,
            };
        }
        match (Opening::of(&begun.first), &desk.http) {
            (Opening::Node, _) => {
                let within = desk.limits.connect_deadline;
                let refused = begun.refused_of_nodes(&desk.encryption);
                let stream = begun.stream.as_mut();
                let served = desk.applicant.serve(stream, refused, within).await;
                if let Err(error) = &served
                    && error.kind() == io::ErrorKind::PermissionDenied
                {
                    audit::refused_node(&caller, error);
                }
                served
            }
            (Opening::Client, _) => {
                let reader = FrameReader::new(begun.first.to_vec());
                refuse(begun.stream.as_mut(), reader, desk).await
            }
            (Opening::Http, Some(http)) => http.take(begun.stream, begun.first, ()),
            _ => Ok(()),
        }
    }
}

/// Answers the first request, and gives the client time to read the answer.
async fn refuse<S>(stream: &mut S, mut reader: FrameReader, desk: &Desk) -> io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + ?Sized,
{
    let (bytes_max, parting) = (
        desk.limits.unregistered_frame_bytes_max,
        desk.limits.parting_deadline,
    );
    // A request that stops half way is given no longer than the parting.
    if matches!(reader.frame(stream, bytes_max, parting).await, Ok(None)) {
        return Ok(());
    }
    writer::write(stream, &Err(desk.waits_for.refusal())).await?;
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    let read = async { while stream.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {} };
    tokio::time::timeout(parting, read).await.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use vineyard_wire::Request;

    use super::*;
    use crate::boot::encrypting;
    use crate::boot::identity::Identity;
    use crate::boot::token::Token;
    use crate::system;
    use crate::testing::Caller as Client;

    #[test]
    fn a_caller_is_answered_though_idle_ones_hold_all_places() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock").display().to_string();
        let data_dir = folder.path().join("data");
        let env = system::env(&data_dir).unwrap();
        let mut config = Config::new(data_dir, socket.clone());
        config.limits.refusals_max = 3;
        LocalSet::new().block_on(&system::runtime().unwrap(), async {
            let mut network = env.network.listen("127.0.0.1:0").await.unwrap();
            let mut local = env.local.listen(&socket, 0o600).await.unwrap();
            let endpoint = network.address();
            let identity = Identity::join(&env, &Token::draw(env.random.as_ref()));
            let encryption = encrypting::told(&config, &identity.credentials(&env), false);
            let applicant = Rc::new(Applicant::new(&env, identity, &endpoint, None));
            let waits_for = WaitsFor::default();
            let lobby = Lobby::new(
                &config,
                &env,
                &endpoint,
                &waits_for,
                &applicant,
                &encryption,
            );
            let calls = async {
                let mut idle = Vec::new();
                for _ in 0..5 {
                    idle.push(env.network.connect(&endpoint).await.unwrap());
                }
                let stream = env.network.connect(&endpoint).await.unwrap();
                let mut client = Client { stream };
                let reply = client.ask(&Request::Clear).await;
                let message = reply["message"].as_str().unwrap_or_default();
                assert!(message.starts_with("joining: "), "{reply}");
                // The oldest one is closed.
                assert_eq!(idle[0].read(&mut [0]).await.unwrap(), 0);
            };
            tokio::select! {
                biased;
                () = calls => {}
                never = lobby.keep(&mut *network, &mut *local) => match never {},
            }
        });
    }
}
