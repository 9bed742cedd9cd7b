//! The connections of clients that are open, by the number of their session.

use std::cell::RefCell;
use std::collections::BTreeMap;

use vineyard_env::User;
use vineyard_store::HolderId;

/// One connection.
#[derive(Clone)]
pub(crate) struct Client {
    /// The other side, for messages.
    pub(crate) caller: String,
    /// The user at the other side, over the Unix socket.
    pub(crate) user: Option<User>,
    pub(crate) holder: HolderId,
}

#[derive(Default)]
pub(crate) struct Clients(RefCell<BTreeMap<u64, Client>>);

impl Clients {
    pub(crate) fn enter(&self, session: u64, client: Client) {
        self.0.borrow_mut().insert(session, client);
    }

    pub(crate) fn hold_by(&self, session: u64, holder: HolderId) {
        if let Some(client) = self.0.borrow_mut().get_mut(&session) {
            client.holder = holder;
        }
    }

    pub(crate) fn leave(&self, session: u64) {
        self.0.borrow_mut().remove(&session);
    }

    pub(crate) fn get(&self, session: u64) -> Option<Client> {
        self.0.borrow().get(&session).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(u64, Client)> {
        let clients = self.0.borrow();
        clients.iter().map(|(n, c)| (*n, c.clone())).collect()
    }
}
