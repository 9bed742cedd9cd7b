//! One false world: its network, its machines, and the makers that a process on one of them is given.
//!
//! Promise: everything a process can touch comes from here and from the seed. It knows no cluster and no workload.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;
use vineyard_env::Env;
use vineyard_shm::HeapMemory;

use crate::chance::Chance;
use crate::clock::SimClock;
use crate::disk::{Platter, SimDisk};
use crate::host::SimHost;
use crate::injected::{InjectedFault, SimFaults};
use crate::local::SimLocal;
use crate::network::{Host, Net, SimNetwork};
use crate::random::SimRandom;
use crate::schedule::Schedule;
use crate::threads::SimThreads;
use crate::trace::Trace;

/// Clocks of machines differ by up to this much, in milliseconds.
const SKEW_MS_MAX: u64 = 2_000;

/// A machine: what outlives the processes on it.
#[derive(Clone)]
pub struct Machine {
    pub ip: String,
    pub clock: SimClock,
    pub platter: Platter,
}

/// The world of one run; clones are the same world.
#[derive(Clone)]
pub struct World {
    pub seed: u64,
    pub trace: Trace,
    pub net: Net,
    pub schedule: Schedule,
    /// The fault that nodes are to have, if any.
    injected: Option<InjectedFault>,
    start: Instant,
    machines: Rc<RefCell<BTreeMap<String, Machine>>>,
}

impl World {
    /// A world without machines, now, whose nodes have the fault `injected`.
    pub fn new(seed: u64, trace: Trace, injected: Option<InjectedFault>) -> Self {
        Self {
            seed,
            net: Net::new(seed, trace.clone()),
            schedule: Schedule::new(seed, trace.clone()),
            trace,
            injected,
            start: Instant::now(),
            machines: Rc::default(),
        }
    }

    /// Simulated milliseconds since the world began.
    pub fn now_ms(&self) -> u64 {
        Instant::now().duration_since(self.start).as_millis() as u64
    }

    /// The machine with this address; made when first named. `node` names its disk in the trace.
    pub fn machine(&self, ip: &str, node: &str) -> Machine {
        let make = || {
            let skew = Chance::stream(self.seed, ip).below(2 * SKEW_MS_MAX + 1);
            Machine {
                ip: ip.to_owned(),
                clock: SimClock::new(self.start, skew as i64 - SKEW_MS_MAX as i64),
                platter: Platter::new(self.seed, node, self.trace.clone()),
            }
        };
        self.machines
            .borrow_mut()
            .entry(ip.to_owned())
            .or_insert_with(make)
            .clone()
    }

    /// Machines get other addresses, all at once: from the first to the second of each pair.
    pub fn readdress(&self, moves: &[(String, String)]) {
        let mut machines = self.machines.borrow_mut();
        let taken: Vec<Option<Machine>> = moves
            .iter()
            .map(|(from, _)| machines.remove(from))
            .collect();
        for ((_, to), machine) in moves.iter().zip(taken) {
            if let Some(machine) = machine {
                let ip = to.clone();
                machines.insert(to.clone(), Machine { ip, ..machine });
            }
        }
    }

    /// What the process `name`, in its life number `life`, may touch on `machine`.
    pub fn env(&self, machine: &Machine, name: &str, life: u64) -> Env {
        let host = Host {
            process: name.to_owned(),
            ip: machine.ip.clone(),
        };
        Env {
            clock: Arc::new(machine.clock.clone()),
            random: Arc::new(SimRandom::new(self.seed, &format!("{name} life {life}"))),
            network: Arc::new(SimNetwork {
                net: self.net.clone(),
                host: host.clone(),
            }),
            local: Arc::new(SimLocal {
                net: self.net.clone(),
                host,
            }),
            disk: Arc::new(SimDisk {
                platter: machine.platter.clone(),
            }),
            memory: Arc::new(HeapMemory),
            threads: Arc::new(SimThreads),
            host: Arc::new(SimHost {
                name: name.to_owned(),
            }),
            faults: Arc::new(SimFaults(self.injected)),
        }
    }

    /// What a client needs of the same.
    pub fn client(&self, machine: &Machine, name: &str) -> vineyard_client::World {
        let Env {
            network,
            local,
            memory,
            ..
        } = self.env(machine, name, 0);
        vineyard_client::World {
            encrypts: false,
            network,
            local,
            memory,
        }
    }
}
