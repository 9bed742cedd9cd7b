//! A switch between nodes of this machine: what one node sends to another goes through it, and can be held back.
//!
//! Each node listens on 127.0.0.2 and advertises the same port of 127.0.0.1, where the switch takes its connections and
//! passes their bytes on. Bytes that are held back wait, as those do that TCP sends again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result};

use crate::node::Plan;

/// Passes bytes for as long as the process lives.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Rules>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Rules {
    /// The process of each node, by the node's number.
    processes: BTreeMap<usize, i32>,
    /// Pairs of nodes of which the second hears nothing from the first.
    cut: BTreeSet<(usize, usize)>,
}

impl Switch {
    /// How the node with this number is to be started: others reach it through the switch alone.
    pub fn plan(&self, node: usize, plan: Plan) -> Result<Plan> {
        let door = TcpListener::bind("127.0.0.1:0")?;
        let port = door.local_addr()?.port();
        let behind = SocketAddr::from(([127, 0, 0, 2], port));
        let switch = self.clone();
        std::thread::spawn(move || {
            for caller in door.incoming().flatten() {
                // A node that does not run refuses its callers.
                if let Ok(callee) = TcpStream::connect(behind) {
                    switch.join(caller, callee, node).ok();
                }
            }
        });
        let mut arguments = plan.arguments.clone();
        arguments.push(format!("--advertise=127.0.0.1:{port}"));
        Ok(Plan {
            listen: behind.to_string(),
            arguments,
            ..plan
        })
    }

    /// The node with this number is this process from now on.
    pub fn knows(&self, node: usize, process: i32) {
        self.rules().processes.insert(node, process);
    }

    /// From now on the second node of each pair hears nothing from the first.
    pub fn cut(&self, pairs: impl IntoIterator<Item = (usize, usize)>) {
        self.rules().cut.extend(pairs);
    }

    /// From now on all hear all, also what was held back.
    pub fn heal(&self) {
        self.rules().cut.clear();
        self.shared.changed.notify_all();
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        let rules = self.shared.rules.lock();
        rules.unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, caller: TcpStream, callee: TcpStream, node: usize) -> Result<()> {
        let ports = (caller.peer_addr()?.port(), caller.local_addr()?.port());
        let who = Arc::new(Ends {
            ports,
            callee: node,
            caller: OnceLock::new(),
        });
        for (from, to, is_answer) in [
            (caller.try_clone()?, callee.try_clone()?, false),
            (callee, caller, true),
        ] {
            let (switch, who) = (self.clone(), who.clone());
            std::thread::spawn(move || switch.pass(from, to, &who, is_answer));
        }
        Ok(())
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, who: &Ends, is_answer: bool) {
        let mut bytes = [0; 64 << 10];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0);
            self.wait_open(who, is_answer);
            if read == 0 || to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Write).ok();
        from.shutdown(Shutdown::Read).ok();
    }

    fn wait_open(&self, who: &Ends, is_answer: bool) {
        let mut rules = self.rules();
        while !rules.cut.is_empty() {
            let Some(caller) = who.caller(&rules.processes) else {
                return;
            };
            let way = match is_answer {
                true => (who.callee, caller),
                false => (caller, who.callee),
            };
            if !rules.cut.contains(&way) {
                return;
            }
            let waited = self.shared.changed.wait(rules);
            rules = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The two nodes of one connection.
#[derive(Debug)]
struct Ends {
    /// From which the caller calls, and the door's.
    ports: (u16, u16),
    callee: usize,
    caller: OnceLock<Option<usize>>,
}

impl Ends {
    /// `None` if no node calls.
    fn caller(&self, processes: &BTreeMap<usize, i32>) -> Option<usize> {
        *self.caller.get_or_init(|| {
            let socket = format!("socket:[{}]", socket_between(self.ports).ok()?);
            let mut all = processes.iter();
            all.find(|(_, process)| has_open(**process, &socket))
                .map(|(node, _)| *node)
        })
    }
}

/// The inode of the caller's socket. Connections to different doors may have the same port at this end.
fn socket_between((from, to): (u16, u16)) -> Result<String> {
    let [from, to] = [from, to].map(|port| format!("0100007F:{port:04X}"));
    let table = fs::read_to_string("/proc/net/tcp")?;
    let mut lines = table.lines().map(|line| line.split_whitespace());
    let row = lines.find(|line| {
        let mut ends = line.clone().skip(1);
        ends.next() == Some(&from) && ends.next() == Some(&to)
    });
    let inode = row.and_then(|mut row| row.nth(9));
    inode.map(str::to_owned).context("no such socket")
}

fn has_open(process: i32, socket: &str) -> bool {
    let open = fs::read_dir(format!("/proc/{process}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    open.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == socket))
}
