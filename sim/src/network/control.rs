//! What faults do to the network: cuts, slow links, machines without power, resets.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::{Inner, Link, Net};
use crate::trace::Kind;

/// After this long without a sign of the other side the kernel ends a connection, as the sockets of a node ask it to.
const KEEPALIVE: Duration = Duration::from_secs(60);

impl Net {
    /// Cuts one direction: what `from` sends no longer reaches `to`.
    pub fn cut(&self, from: &str, to: &str) {
        self.lock().cuts.insert((from.to_owned(), to.to_owned()));
    }

    /// Whether what `from` sends does not reach `to`.
    pub fn is_cut(&self, from: &str, to: &str) -> bool {
        self.lock().cut(from, to)
    }

    /// Ends every cut; what was stalled arrives after a retransmission timeout.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.cuts.clear();
        inner.links.clear();
        inner.resume();
    }

    pub fn set_link(&self, from: &str, to: &str, link: Link) {
        self.lock()
            .links
            .insert((from.to_owned(), to.to_owned()), link);
    }

    /// From now on `name` stands for the machine `ip`.
    pub fn name(&self, name: &str, ip: &str) {
        self.name_all(name, vec![ip.to_owned()]);
    }

    /// From now on `name` stands for these machines.
    pub fn name_all(&self, name: &str, ips: Vec<String>) {
        self.lock().names.insert(name.to_owned(), ips);
    }

    /// The machine `ip` loses its power: nobody hears from it, and what it had open is forgotten.
    pub fn lose_power(&self, ip: &str) {
        self.lock().dark.insert(ip.to_owned());
    }

    /// Power returns: who still speaks to the old connections is told that they are gone.
    pub fn regain_power(&self, ip: &str) {
        let mut inner = self.lock();
        inner.dark.remove(ip);
        inner.left.remove(ip);
        inner.resume();
    }

    /// The machine `ip` without power is given another address. Nothing answers at the old one, not even that the old
    /// connections are gone: keepalive ends them.
    pub fn leave(&self, ip: &str) {
        let mut inner = self.lock();
        inner.left.insert(ip.to_owned());
        let ids: Vec<u64> = inner.connections.keys().copied().collect();
        for id in ids {
            for side in 0..2 {
                if inner.connections[&id].ip(side) == ip {
                    inner.keepalive(id, side);
                }
            }
        }
    }

    /// When keepalive has ended the last connection to a machine that has another address now.
    pub fn keepalive_ends_by(&self) -> Option<Instant> {
        self.lock().ends_by
    }

    /// Resets one open connection between machines, one with bytes in flight if there is any. Returns its id.
    pub fn reset_one(&self) -> Option<u64> {
        let mut inner = self.lock();
        let remote = |c: &&Connection| !c.local && !c.is_broken();
        let busy: Vec<u64> = inner
            .connections
            .values()
            .filter(|c| remote(c) && c.is_busy())
            .map(|c| c.id)
            .collect();
        let all: Vec<u64> = inner
            .connections
            .values()
            .filter(remote)
            .map(|c| c.id)
            .collect();
        let from = if busy.is_empty() { all } else { busy };
        let id = *inner.chance.pick(&from)?;
        let connection = inner.connections.get_mut(&id).expect("it was just listed");
        connection.reset();
        self.trace
            .note(Kind::Connection, "net", format_args!("#{id} is reset"));
        Some(id)
    }
}

impl Inner {
    /// Ends connection `id` for the other side of `side`, if that one is gone.
    pub(super) fn keepalive(&mut self, id: u64, side: usize) {
        let due = Instant::now() + KEEPALIVE;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.lose(side, due);
            self.ends_by = Some(due);
        }
    }

    /// Gives everything that was stalled a time to arrive, now that something healed.
    fn resume(&mut self) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            for side in 0..2 {
                let connection = &self.connections[&id];
                let (from, to) = (
                    connection.ip(side).to_owned(),
                    connection.ip(1 - side).to_owned(),
                );
                if connection.local || self.cut(&from, &to) || !connection.is_stalled(side) {
                    continue;
                }
                let due = Instant::now() + Duration::from_millis(self.chance.between(50, 800));
                self.connections
                    .get_mut(&id)
                    .expect("it was just listed")
                    .resume(side, due);
            }
        }
    }
}
