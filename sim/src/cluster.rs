//! Real nodes as processes of the false world: start, kill, restart, pause, join, and what they show from time to time.
//!
//! A node runs `vineyard_node::Node` unchanged. What is seen of it here is what it chooses to show: its state's digest,
//! whether it leads. The checks take it from the board.

mod board;
mod truth;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use vineyard_node::config::{Config, Join, Limits, Listen, Tls};
use vineyard_node::{Error, Node, Token};
use vineyard_raft::features;
use vineyard_raft::state::Settings;
use vineyard_wire::{InstanceId, NodeId};

pub use self::board::Board;
use crate::disk::Durable;
use crate::invariants::status_tells_the_truth::Says;
use crate::trace::Kind;
use crate::world::{Machine, World};

/// Longer than a fault lasts, and short enough that a run sees votes pass on.
const REPLACE_AFTER: Duration = Duration::from_secs(8);
/// Bytes of a simulated node's arena, unless memory is to be scarce.
const ARENA_BYTES: u64 = 64 << 20;
/// Few enough that a run fills it.
const SCARCE_ARENA_BYTES: u64 = 1 << 20;
pub const PORT: u16 = 9600;

struct Slot {
    name: String,
    machine: Machine,
    life: u64,
    paused: bool,
    /// Which node it is, once it has said so; a data directory is the same node for ever.
    node: Option<NodeId>,
    join: Option<Join>,
    seeds: Vec<String>,
    level: u8,
    /// It was asked to leave the cluster.
    may_leave: bool,
    /// It has left, and is started no more.
    has_left: bool,
    board: Rc<RefCell<Board>>,
}

/// The nodes of one world, numbered from 1; clones share them.
#[derive(Clone)]
pub struct Cluster {
    world: World,
    arena_bytes: Rc<Cell<u64>>,
    /// How long a voter is dead before another node votes in its place.
    replace_after: Rc<Cell<Duration>>,
    /// How many nodes form a cluster, if none founds it by itself.
    expected: Rc<Cell<Option<u8>>>,
    /// What the founder is told for the cluster.
    told: Rc<Cell<Settings>>,
    /// Nodes advertise names.
    named: Rc<Cell<bool>>,
    /// Where the machines are that are not where they were first.
    moved: Rc<RefCell<BTreeMap<usize, String>>>,
    slots: Rc<RefCell<BTreeMap<usize, Slot>>>,
}

/// The first address of node `number`'s machine.
pub fn ip(number: usize) -> String {
    format!("10.0.0.{number}")
}

/// The name of node `number`'s machine.
fn host(number: usize) -> String {
    format!("n{number}.sim")
}

/// The path of node `number`'s socket.
pub fn socket(number: usize) -> String {
    format!("/run/n{number}.sock")
}

impl Cluster {
    pub fn new(world: World) -> Self {
        Self {
            world,
            arena_bytes: Rc::new(Cell::new(ARENA_BYTES)),
            replace_after: Rc::new(Cell::new(REPLACE_AFTER)),
            expected: Rc::default(),
            told: Rc::default(),
            named: Rc::default(),
            moved: Rc::default(),
            slots: Rc::default(),
        }
    }

    /// Nodes that start from now on have so little memory that puts and migrations are refused.
    pub fn make_memory_scarce(&self) {
        self.arena_bytes.set(SCARCE_ARENA_BYTES);
    }

    /// Nodes that start from now on take the vote of one that is dead for so long.
    pub fn replace_voters_after(&self, after: Duration) {
        self.replace_after.set(after);
    }

    /// Nodes that start from now on are dialled by names.
    pub fn name_nodes(&self) {
        self.named.set(true);
    }

    /// Nodes that join from now on form the cluster, so many of them, if there is none.
    pub fn expect_nodes(&self, nodes: u8) {
        self.expected.set(Some(nodes));
    }

    /// Nodes that start from now on are told this for the cluster that they found; the cluster is set to it.
    pub fn found_with(&self, settings: Settings) {
        self.told.set(settings);
    }

    /// The next start of the node is given this token.
    pub fn give_token(&self, number: usize, token: &str) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&number)
            && let Some(join) = &mut slot.join
        {
            token.clone_into(&mut join.token);
        }
    }

    /// From now on the name of node `of` stands for the machine of node `to`.
    pub fn lend_name(&self, of: usize, to: usize) {
        self.world.net.name(&host(of), &self.ip(to));
    }

    /// The machines of nodes that do not run get other addresses, all at once. The operator names the nodes `seeds` to
    /// each that moved; names stand for the new addresses.
    pub fn readdress(&self, moves: &[(usize, String)], seeds: &[usize]) {
        let from_to = |(number, to): &(usize, String)| (self.ip(*number), to.clone());
        let machines: Vec<_> = moves.iter().map(from_to).collect();
        self.world.readdress(&machines);
        let taken = |from: &String| machines.iter().any(|(_, to)| to == from);
        let left = machines.iter().filter(|(from, _)| !taken(from));
        left.for_each(|(from, _)| self.world.net.leave(from));
        self.moved.borrow_mut().extend(moves.iter().cloned());
        let seeds: Vec<String> = seeds.iter().map(|seed| self.endpoint(*seed)).collect();
        for (number, to) in moves {
            self.world.net.name(&host(*number), to);
            let machine = self.machine(*number);
            if let Some(slot) = self.slots.borrow_mut().get_mut(number) {
                slot.machine = machine;
                slot.seeds.clone_from(&seeds);
                if let Some(join) = &mut slot.join {
                    join.endpoints.clone_from(&seeds);
                }
            }
        }
    }

    /// The numbers of all nodes there have been, without those that have left.
    pub fn numbers(&self) -> Vec<usize> {
        let slots = self.slots.borrow();
        let stays = slots.iter().filter(|(_, slot)| !slot.has_left);
        stays.map(|(number, _)| *number).collect()
    }

    /// From now on the node may leave the cluster: when it says that it has left, it is started no more.
    pub fn let_leave(&self, number: usize) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&number) {
            slot.may_leave = true;
        }
    }

    pub fn has_left(&self, number: usize) -> bool {
        let slots = self.slots.borrow();
        slots.get(&number).is_some_and(|slot| slot.has_left)
    }

    /// Whether every node is of the latest build, and every one that serves knows that of the others.
    pub fn is_at_latest(&self) -> bool {
        let slots = self.slots.borrow();
        let mut stay = slots.values().filter(|slot| !slot.has_left);
        stay.all(|slot| {
            let board = slot.board.borrow();
            let knows = !board.serves || board.feature_level == features::LATEST;
            slot.level == features::LATEST && knows
        })
    }

    pub fn name(&self, number: usize) -> String {
        format!("n{number}")
    }

    /// The address of node `number`'s machine now.
    pub fn ip(&self, number: usize) -> String {
        let moved = self.moved.borrow().get(&number).cloned();
        moved.unwrap_or_else(|| ip(number))
    }

    /// Where node `number` is dialled.
    pub fn endpoint(&self, number: usize) -> String {
        match self.named.get() {
            true => format!("{}:{PORT}", host(number)),
            false => self.bound(number),
        }
    }

    /// Where node `number` listens.
    fn bound(&self, number: usize) -> String {
        format!("{}:{PORT}", self.ip(number))
    }

    pub fn machine(&self, number: usize) -> Machine {
        self.world.machine(&self.ip(number), &self.name(number))
    }

    pub fn runs(&self, number: usize) -> bool {
        !self.has_left(number) && self.world.schedule.runs(&self.name(number))
    }

    pub fn board(&self, number: usize) -> Rc<RefCell<Board>> {
        Rc::clone(&self.slots.borrow()[&number].board)
    }

    /// How often the node was started. A different number later means that what it held in memory is gone.
    pub fn life(&self, number: usize) -> u64 {
        self.slots.borrow().get(&number).map_or(0, |slot| slot.life)
    }

    /// The lives of nodes that go on now: what they hold in memory is there.
    pub fn instances(&self) -> BTreeSet<InstanceId> {
        self.slots
            .borrow()
            .values()
            .filter_map(|slot| slot.board.borrow().instance)
            .collect()
    }

    /// Each node that serves, with the number of its life and what it says to be.
    pub fn lives(&self) -> Vec<(usize, u64, InstanceId)> {
        let slots = self.slots.borrow();
        let says = |(number, slot): (&usize, &Slot)| {
            let instance = slot.board.borrow().instance?;
            Some((*number, slot.life, instance))
        };
        slots.iter().filter_map(says).collect()
    }

    /// The token of the cluster that node `number` belongs to, once its disk has it.
    pub fn token_on_disk(&self, number: usize) -> Option<String> {
        let platter = self.machine(number).platter;
        let token = Token::on_disk(&Durable { platter });
        token
            .expect("a simulated disk can always be read")
            .map(|token| token.to_string())
    }

    /// The running node that says it leads, in the latest term.
    pub fn leader(&self) -> Option<usize> {
        let slots = self.slots.borrow();
        let leads = |(number, slot): (&usize, &Slot)| {
            let board = slot.board.borrow();
            (board.leads && self.runs(*number)).then_some((board.term, *number))
        };
        slots
            .iter()
            .filter_map(leads)
            .max()
            .map(|(_, number)| number)
    }

    /// Starts a node on a new machine; with `join`, as part of that cluster. It understands what builds of `level` do.
    pub fn add(&self, number: usize, join: Option<Join>, level: u8) {
        self.world.net.name(&host(number), &self.ip(number));
        let slot = Slot {
            name: self.name(number),
            machine: self.machine(number),
            life: 0,
            paused: false,
            node: None,
            seeds: join
                .iter()
                .flat_map(|join| join.endpoints.clone())
                .collect(),
            join,
            level,
            may_leave: false,
            has_left: false,
            board: Rc::default(),
        };
        self.slots.borrow_mut().insert(number, slot);
        self.start(number);
    }

    /// Starts the node on its machine, with what its disk holds.
    pub fn start(&self, number: usize) {
        if self.runs(number) || self.has_left(number) {
            return;
        }
        let mut slots = self.slots.borrow_mut();
        let slot = slots
            .get_mut(&number)
            .expect("only nodes that were added are started");
        slot.life += 1;
        slot.board = Rc::default();
        let env = self.world.env(&slot.machine, &slot.name, slot.life);
        let config = Config {
            feature_level: slot.level,
            replace_after: self.replace_after.get(),
            listen: Listen::At(self.bound(number)),
            advertise: Some(self.endpoint(number)),
            seeds: slot.seeds.clone(),
            expect: self.expected.get(),
            round_trip_ms: self.told.get().round_trip_ms,
            metadata_quota_bytes: self.told.get().metadata_quota_bytes,
            ..config(number, self.arena_bytes.get(), slot.join.clone())
        };
        let (platter, board) = (slot.machine.platter.clone(), Rc::clone(&slot.board));
        let (trace, name) = (self.world.trace.clone(), slot.name.clone());
        let cluster = self.clone();
        slot.paused = false;
        self.world.schedule.start_program(&slot.name, async move {
            tokio::task::spawn_local(platter.write());
            match Node::start(config, env).await {
                Ok(node) => {
                    tokio::select! {
                        biased;
                        () = board::show(&node, &board, &cluster) => {}
                        error = node.failed() => {
                            trace.note(Kind::Event, &name, format_args!("cannot go on: {error}"));
                            cluster.note_failure(number, &board, &error);
                        }
                    }
                }
                Err(error) => {
                    trace.note(Kind::Event, &name, format_args!("did not start: {error}"));
                    cluster.note_failure(number, &board, &error);
                }
            }
        });
    }

    /// The node's process has ended by itself.
    fn note_failure(&self, number: usize, board: &RefCell<Board>, error: &Error) {
        let mut board = board.borrow_mut();
        if let Some(slot) = self.slots.borrow_mut().get_mut(&number)
            && slot.may_leave
            && matches!(error, Error::Left | Error::Removed { .. })
        {
            slot.has_left = true;
            *board = Board::default();
        }
        board.failure = Some(error.to_string());
    }

    /// Ends the node's process at once. With `power` its machine goes on and closes its sockets; without, the machine
    /// falls silent and what its disk had not synced is gone.
    pub fn kill(&self, number: usize, power: bool) {
        let machine = self.machine(number);
        if !power {
            self.world.net.lose_power(&machine.ip);
        }
        self.world.schedule.kill(&self.name(number));
        machine.platter.crash(power);
        *self.board(number).borrow_mut() = Board::default();
    }

    /// Starts the node again after `kill`, and its machine if it had lost its power. Whatever build it was, it is the
    /// latest from now on.
    pub fn restart(&self, number: usize) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&number) {
            slot.level = features::LATEST;
        }
        self.restart_as_it_was(number);
    }

    /// As `restart`, with the same build.
    pub fn restart_as_it_was(&self, number: usize) {
        self.world.net.regain_power(&self.ip(number));
        self.start(number);
    }

    /// Stops or continues the process, as SIGSTOP and SIGCONT do.
    pub fn pause(&self, number: usize, paused: bool) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&number) {
            slot.paused = paused;
        }
        self.world.schedule.pause(&self.name(number), paused);
    }

    /// What nodes say of their group, each with when it said so; of those that go on, and whose builds know it.
    pub fn says(&self) -> Vec<(usize, u64, Says)> {
        let slots = self.slots.borrow();
        if slots.values().any(|slot| slot.level < features::MEMBERS) {
            return Vec::new();
        }
        let is_live = |(number, slot): &(&usize, &Slot)| self.runs(**number) && !slot.paused;
        let says = |(number, slot): (&usize, &Slot)| {
            let (at_ms, says) = slot.board.borrow().says.clone()?;
            Some((*number, at_ms, says))
        };
        slots.iter().filter(is_live).filter_map(says).collect()
    }

    /// The number of the machine that the node id belongs to, as far as one has shown it.
    fn number_of(&self, node: NodeId) -> Option<usize> {
        let slots = self.slots.borrow();
        let is_it = |slot: &Slot| slot.node == Some(node);
        let found = slots.iter().find(|(_, slot)| is_it(slot));
        found.map(|(number, _)| *number)
    }

    /// Which node number `number` is, once it has shown it.
    pub fn node_of(&self, number: usize) -> Option<NodeId> {
        self.slots.borrow().get(&number)?.node
    }

    /// What `node` says of its group, in numbers; `None` before each voter has shown who it is.
    fn in_numbers(&self, node: &Node) -> Option<Says> {
        let group = node.group();
        let voters = group.voters.iter().map(|voter| self.number_of(*voter));
        let leader = match group.leader_now() {
            Some(leader) => Some(self.number_of(leader)?),
            None => None,
        };
        Some(Says {
            voters: voters.collect::<Option<_>>()?,
            leader,
            tolerates: node.tolerates(),
        })
    }

    /// Each node that serves, with the number of its life and the boots of the others whose addresses it dials.
    pub fn dialled(&self) -> Vec<(usize, u64, Vec<InstanceId>)> {
        let slots = self.slots.borrow();
        let dialled = |(number, slot): (&usize, &Slot)| {
            let board = slot.board.borrow();
            let boots = board.places.iter().map(|place| place.instance).collect();
            (*number, slot.life, boots)
        };
        slots.iter().map(dialled).collect()
    }

    /// What each node has shown since the last call: (node, (epoch, entries), digest).
    pub fn take_digests(&self) -> Vec<(usize, (u64, u64), u64)> {
        let slots = self.slots.borrow();
        let take = |(number, slot): (&usize, &Slot)| {
            let digests = std::mem::take(&mut slot.board.borrow_mut().digests);
            let number = *number;
            digests
                .into_iter()
                .map(move |(epoch, (index, digest))| (number, (epoch, index), digest))
        };
        slots.iter().flat_map(take).collect()
    }
}

fn config(number: usize, size_bytes: u64, join: Option<Join>) -> Config {
    let limits = Limits {
        bulk_bytes_min: 64 << 10,
        bulk_range_bytes: 64 << 10,
        ..Limits::default()
    };
    Config {
        size_bytes,
        join,
        // Clients over TCP are on machines of their own.
        rpc_open_to_anyone: true,
        // The random numbers of TLS are not the simulator's: two runs of a seed would differ.
        tls: Tls::Never,
        limits: Limits {
            raft_snapshot_entries: Some(300),
            ..limits
        },
        ..Config::new("/unused", socket(number))
    }
}
