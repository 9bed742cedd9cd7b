//! A session: one connection of a client, and the node's state for it.
//!
//! A session owns its connection and its holder id, nothing else. When it ends, for whatever reason, its references are
//! released. It must never know a verb.
//!
//! | file | what |
//! |---|---|
//! | `connection` | the stream with what is read ahead, replies, the end of a connection |
//! | `frame_reader` | frames off a stream |
//! | `writer` | a reply as a frame |
//! | `logins` | whether a password is right |
//! | `tcp_access` | whether the user at the other end of a TCP connection may be a client |

pub(crate) mod connection;
pub(crate) mod frame_reader;
pub(crate) mod logins;
pub(crate) mod tcp_access;
pub(crate) mod writer;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_env::{Fault, User};
use vineyard_store::HolderId;
use vineyard_wire::{ObjectId, Status};

use crate::context::clients::Client;
use crate::context::{Counted, NodeContext};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ipc,
    Rpc,
}

/// One connection, as handlers see it. Dropping it releases all its references, so that dead clients leak nothing.
pub(crate) struct Session {
    pub(crate) node: Rc<NodeContext>,
    pub(crate) kind: Kind,
    /// The other side, for messages.
    pub(crate) caller: String,
    /// Whose process maps the arena; `None` for those who can read the memory of this process anyhow, and over TCP.
    pub(crate) user: Option<User>,
    /// Number in the log; counted up as sessions open.
    pub(crate) number: u64,
    /// Number of requests so far.
    pub(crate) requests: Cell<u64>,
    /// The holder of this connection's references in the store; replaced at register.
    pub(crate) holder: Cell<HolderId>,
    pub(crate) registered: Cell<bool>,
    /// Whether the client releases blobs that it no longer reads.
    pub(crate) releases: Cell<bool>,
    /// Whether the client knows our additions to streams.
    pub(crate) knows_streams: Cell<bool>,
    /// It knows a node that was stopped from one that fell silent.
    pub(crate) knows_stopped: Cell<bool>,
    /// How long a request of this client may wait for the cluster, so that the answer is in time.
    pub(crate) patience: Cell<Option<Duration>>,
    /// How long the connection has waited in vain for memory for a chunk of a stream, in requests that timed out.
    pub(crate) memory_wait: Cell<Option<(ObjectId, Duration)>>,
    wrong_passwords: Cell<usize>,
    /// Why the connection may not register, if its user may not use TCP.
    pub(crate) refusal: Option<Status>,
    was_refused: Cell<bool>,
    pub(crate) register_by: Instant,
    /// Counts the connection while it has not registered.
    unregistered: RefCell<Option<Counted>>,
    /// Arena numbers whose handle was sent to this connection.
    sent: RefCell<BTreeSet<i32>>,
}

impl Session {
    pub(crate) async fn open(
        node: Rc<NodeContext>,
        kind: Kind,
        caller: String,
        peer: Option<User>,
        unregistered: Option<Counted>,
    ) -> Result<Self, Status> {
        let user = peer.filter(|user| !node.env.host.is_above_rights(*user));
        let holder = node
            .local
            .ask(move |local, _| local.store.open_holder_of(user, false))
            .await?;
        let number = node.counters.next_session();
        let client = Client {
            caller: caller.clone(),
            user: peer,
            holder,
        };
        node.counters.clients.enter(number, client);
        Ok(Self {
            register_by: Instant::now() + node.config.limits.register_deadline,
            number,
            requests: Cell::new(0),
            node,
            kind,
            caller,
            user,
            holder: Cell::new(holder),
            registered: Cell::new(false),
            releases: Cell::new(false),
            knows_streams: Cell::new(false),
            knows_stopped: Cell::new(false),
            patience: Cell::new(None),
            memory_wait: Cell::default(),
            wrong_passwords: Cell::new(0),
            refusal: None,
            was_refused: Cell::new(false),
            unregistered: RefCell::new(unregistered),
            sent: RefCell::default(),
        })
    }

    /// The connection has another holder from now on.
    pub(crate) fn hold_by(&self, holder: HolderId) {
        self.holder.set(holder);
        self.node.counters.clients.hold_by(self.number, holder);
    }

    /// The holder whose references a delete ends. `NOBODY` for a client that releases, because it may still read what
    /// it deletes; other clients never release, so a delete ends their references.
    pub(crate) fn deleter(&self) -> HolderId {
        match self.releases.get() {
            true => HolderId::NOBODY,
            false => self.holder.get(),
        }
    }

    /// From now on the connection may send any request.
    pub(crate) fn enter(&self) {
        self.registered.set(true);
        self.unregistered.take();
    }

    pub(crate) fn note_wrong_password(&self) {
        self.wrong_passwords.set(self.wrong_passwords.get() + 1);
    }

    /// Why the connection may not register, if so. It is closed after it was told.
    pub(crate) fn refused(&self) -> Option<Status> {
        self.was_refused.set(self.refusal.is_some());
        self.refusal.clone()
    }

    /// Whether the connection must be closed: after too many wrong passwords, or after it was refused.
    pub(crate) fn must_close(&self) -> bool {
        self.was_refused.get()
            || self.wrong_passwords.get() >= self.node.config.limits.wrong_passwords_max
    }

    /// The arena numbers in `numbers` whose handle was not sent yet; they count as sent from now on.
    pub(crate) fn unseen(&self, numbers: impl IntoIterator<Item = i32>) -> Vec<i32> {
        let mut sent = self.sent.borrow_mut();
        numbers
            .into_iter()
            .filter(|number| *number >= 0 && sent.insert(*number))
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.node.counters.clients.leave(self.number);
        if !self.node.env.faults.has(Fault::LeakedReference) {
            self.node.closed_sessions.add(self.holder.get());
        }
    }
}
