//! Which users may be clients over TCP of a node without passwords: the users that may open its Unix socket.
//!
//! Promise: a user of this machine that the modes of the socket refuse is refused over TCP too, and so are callers on
//! other machines and callers whose user cannot be determined. The limits are in decision 0015. The kernel and the user
//! database are queried off the actor thread. Connections of nodes are not checked here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use vineyard_env::{Env, Host, LocalBoxFuture, Stream, User};
use vineyard_wire::{Code, Status};

use crate::actors::bulk::Bulk;
use crate::config::Config;

/// Capacity of the queue in front of the thread; further senders wait.
const QUEUE: usize = 1;
/// How long a finding about a user is reused.
const FRESH: Duration = Duration::from_secs(1);
/// Findings that are kept at the same time.
const USERS_MAX: usize = 1024;
/// Pause between two log lines about the same user.
const LINE_EVERY: Duration = Duration::from_secs(60);
const WAYS_IN: &str = "the operator of this node lets in users by password with --htpasswd FILE, or anybody who reaches \
                       its port with --rpc-open-to-anyone";

/// A question to the thread.
struct Question {
    user: User,
    answer: oneshot::Sender<io::Result<Finding>>,
}

/// Whether a user may open the socket; with the user's name if not.
#[derive(Clone)]
struct Finding {
    may_connect: bool,
    name: Option<String>,
}

/// When a refusal of one user was logged last, and how many were not logged since.
struct Told {
    last_line: Instant,
    since: u64,
}

/// The handle of the thread.
pub(crate) struct TcpAccess {
    questions: mpsc::Sender<Question>,
    deadline: Duration,
    socket: String,
    /// By user; `None` stands for all callers on other machines.
    told: RefCell<BTreeMap<Option<User>, Told>>,
}

impl TcpAccess {
    /// `None` if passwords decide, if TCP is open to anyone, or if clients are not served over TCP.
    pub(crate) fn start(config: &Config, env: &Env) -> Option<Self> {
        if !config.rpc || config.passwords.is_some() || config.rpc_open_to_anyone {
            return None;
        }
        let (questions, asked) = mpsc::channel(QUEUE);
        let (host, socket) = (env.host.clone(), config.ipc_socket.clone());
        let main = move || -> LocalBoxFuture<'static, ()> { Box::pin(answer(host, socket, asked)) };
        env.threads.start("users", Box::new(main));
        Some(Self {
            questions,
            deadline: config.limits.login_deadline,
            socket: config.ipc_socket.clone(),
            told: RefCell::default(),
        })
    }

    /// Determines the user at the other end of `stream`. Returns why that user is refused, or `None`. Fails if the
    /// stream is lost.
    pub(crate) async fn judge(
        &self,
        bulk: &Bulk,
        stream: Box<dyn Stream>,
    ) -> io::Result<(Box<dyn Stream>, Option<Status>)> {
        let caller = stream.peer_address();
        let detached = stream.detach()?;
        let ask = move || -> LocalBoxFuture<'static, _> {
            Box::pin(async move {
                let user = detached.peer_user();
                (detached, user)
            })
        };
        let (detached, user) = bulk.run(ask).await.map_err(io::Error::other)?;
        let stream = detached.attach()?;
        let refused = match user {
            Ok(Some(user)) => match self.ask(user).await {
                Ok(Finding {
                    may_connect: true, ..
                }) => return Ok((stream, None)),
                Ok(Finding { name, .. }) => (Some(user), self.may_not(user, name)),
                Err(error) => (Some(user), unknown(&show(user, None), &error)),
            },
            Ok(None) => (
                None,
                format!("{caller} is no user of this node's machine; {WAYS_IN}"),
            ),
            // The connection was reset meanwhile, so there is no caller to refuse.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Err(error),
            Err(error) => (None, unknown(&format!("the user at {caller}"), &error)),
        };
        let (user, message) = refused;
        self.note(user, &caller, &message);
        Ok((stream, Some(Status::new(Code::ConnectionError, message))))
    }

    async fn ask(&self, user: User) -> io::Result<Finding> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let stopped = || io::Error::other("the thread that asks for users has stopped");
            let question = Question { user, answer };
            let sent = self.questions.send(question).await;
            sent.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        };
        timeout(self.deadline, asked).await?
    }

    fn may_not(&self, user: User, name: Option<String>) -> String {
        let (user, socket) = (show(user, name), &self.socket);
        format!("{user} may not open {socket} and so may not use TCP; {WAYS_IN}")
    }

    /// Logs the first refusal of a user. Refusals within the next minute are counted in the next line.
    fn note(&self, user: Option<User>, caller: &str, message: &str) {
        let mut told = self.told.borrow_mut();
        let now = Instant::now();
        if let Some(told) = told.get_mut(&user)
            && now - told.last_line < LINE_EVERY
        {
            told.since += 1;
            return;
        }
        if told.len() >= USERS_MAX {
            told.retain(|_, told| now - told.last_line < LINE_EVERY);
        }
        let before = told.remove(&user).map_or(0, |told| told.since);
        tracing::warn!(%caller, not_logged_before = before, "refused a client over TCP: {message}");
        if told.len() < USERS_MAX {
            let first = Told {
                last_line: now,
                since: 0,
            };
            told.insert(user, first);
        }
    }
}

/// Answers until all senders are dropped.
async fn answer(host: Arc<dyn Host>, socket: String, mut asked: mpsc::Receiver<Question>) {
    let mut known: BTreeMap<User, (Instant, Finding)> = BTreeMap::new();
    while let Some(Question { user, answer }) = asked.recv().await {
        let now = Instant::now();
        known.retain(|_, (found_at, _)| now - *found_at < FRESH);
        let found = match known.get(&user) {
            Some((_, finding)) => Ok(finding.clone()),
            None => find_out(host.as_ref(), user, &socket),
        };
        if let Ok(finding) = &found
            && known.len() < USERS_MAX
        {
            known.entry(user).or_insert((now, finding.clone()));
        }
        // The session may have ended meanwhile.
        answer.send(found).ok();
    }
}

fn find_out(host: &dyn Host, user: User, socket: &str) -> io::Result<Finding> {
    let may_connect = host.may_connect(user, socket)?;
    let name = (!may_connect).then(|| host.user_name(user)).flatten();
    Ok(Finding { may_connect, name })
}

fn show(user: User, name: Option<String>) -> String {
    match (user, name) {
        (User::Known(number), Some(name)) => format!("user {number} ({name})"),
        (User::Known(number), None) => format!("user {number}"),
        (User::Unmapped, _) => "a user of another user namespace".to_owned(),
    }
}

fn unknown(who: &str, error: &io::Error) -> String {
    format!("could not find out whether {who} may use TCP: {error}; {WAYS_IN}")
}

#[cfg(test)]
mod tests;
