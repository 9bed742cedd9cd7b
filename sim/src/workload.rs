//! Clients that use the cluster as people's programs would, and tell the oracle what they asked and were told.
//!
//! Each client is a process of its own on some machine, with the real client in it: over the Unix socket of the node
//! there, or over TCP to any node. It knows nothing of the faults.

mod globals;
mod names;
mod objects;
mod streams;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use vineyard_client::{Client, Error, Options};
use vineyard_wire::Code;

pub(crate) use globals::members;
pub(crate) use names::recognize;
pub(crate) use objects::places;

use crate::chance::Chance;
use crate::cluster::{Cluster, socket};
use crate::invariants::everything_finishes;
use crate::oracle::Oracle;
use crate::trace::Kind;
use crate::world::World;

/// Names the clients quarrel over.
const NAMES: u64 = 6;

/// One simulated client, in one of its lives.
struct Worker {
    number: usize,
    name: String,
    world: World,
    cluster: Cluster,
    oracle: Rc<RefCell<Oracle>>,
    chance: Chance,
    until: Instant,
    /// What it made and did not persist yet.
    fresh: Vec<vineyard_wire::ObjectId>,
    /// What it wanted persisted, without an answer.
    undecided: Vec<vineyard_wire::ObjectId>,
}

/// How an operation ended.
enum End {
    /// With an answer that tells.
    Told,
    /// It is not known what happened.
    Unknown,
    /// There was nothing to do it with.
    Skipped,
}

/// The clients of one run; clones are the same clients.
#[derive(Clone)]
pub struct Workload {
    world: World,
    cluster: Cluster,
    oracle: Rc<RefCell<Oracle>>,
    until: Instant,
    lives: Rc<RefCell<Vec<u64>>>,
}

impl Workload {
    /// `clients` clients that work until `until`.
    pub fn start(
        world: &World,
        cluster: &Cluster,
        oracle: &Rc<RefCell<Oracle>>,
        clients: usize,
        until: Instant,
    ) -> Self {
        let workload = Self {
            world: world.clone(),
            cluster: cluster.clone(),
            oracle: Rc::clone(oracle),
            until,
            lives: Rc::new(RefCell::new(vec![0; clients])),
        };
        for number in 0..clients {
            workload.begin(number);
        }
        workload
    }

    fn name(number: usize) -> String {
        format!("c{number}")
    }

    fn begin(&self, number: usize) {
        let name = Self::name(number);
        let life = {
            let mut lives = self.lives.borrow_mut();
            lives[number] += 1;
            lives[number]
        };
        let worker = Worker {
            number,
            chance: Chance::stream(self.world.seed, &format!("{name} life {life}")),
            world: self.world.clone(),
            cluster: self.cluster.clone(),
            oracle: Rc::clone(&self.oracle),
            until: self.until,
            fresh: Vec::new(),
            undecided: Vec::new(),
            name: name.clone(),
        };
        self.world.schedule.start(&name, worker.work());
    }

    /// Kills a client wherever it stands, with all it holds, and starts another in its place.
    pub fn kill_one(&self, chance: &mut Chance) -> String {
        let number = chance.index(self.lives.borrow().len());
        let name = Self::name(number);
        if self.world.schedule.runs(&name) {
            self.world.schedule.kill(&name);
            self.begin(number);
        }
        name
    }

    /// The clients that have not come to their end.
    pub fn running(&self) -> Vec<String> {
        let names = (0..self.lives.borrow().len()).map(Self::name);
        names
            .filter(|name| self.world.schedule.runs(name))
            .collect()
    }
}

impl Worker {
    async fn work(mut self) {
        while Instant::now() < self.until {
            match self.connect().await {
                Ok(client) => {
                    self.use_connection(&client).await;
                    client.close().await;
                }
                Err(_) => sleep(Duration::from_millis(self.chance.between(200, 600))).await,
            }
        }
    }

    /// Even clients use the socket of the node on their machine, odd ones any node over TCP.
    async fn connect(&mut self) -> vineyard_client::Result<Client> {
        let nodes = self.cluster.numbers();
        // Some speak as the released client does.
        let mut options = Options::default();
        options.additions = !self.chance.happens(250);
        if self.number.is_multiple_of(2) {
            let node = nodes[(self.number / 2) % nodes.len()];
            let world = self.world.client(&self.cluster.machine(node), &self.name);
            return world.connect_ipc(&socket(node), &options).await;
        }
        let node = nodes[self.chance.index(nodes.len())];
        let machine = self
            .world
            .machine(&format!("10.0.1.{}", self.number), &self.name);
        let world = self.world.client(&machine, &self.name);
        let endpoint = self.cluster.endpoint(node);
        world.connect_rpc(&endpoint, &options).await
    }

    /// Some operations over one connection; until one leaves it unusable.
    async fn use_connection(&mut self, client: &Client) {
        for _ in 0..self.chance.between(20, 60) {
            sleep(Duration::from_millis(self.chance.between(50, 450))).await;
            if Instant::now() >= self.until {
                return;
            }
            let begin = Instant::now();
            let (operation, end) = self.operate(client).await;
            let took = begin.elapsed().as_millis() as u64;
            let mut oracle = self.oracle.borrow_mut();
            oracle.now_ms = self.world.now_ms();
            oracle.hold(
                everything_finishes::NAME,
                everything_finishes::judge_call(&format!("{} of {}", operation, self.name), took),
            );
            drop(oracle);
            if matches!(end, End::Unknown) {
                return;
            }
        }
    }

    async fn operate(&mut self, client: &Client) -> (&'static str, End) {
        let operation = match self.chance.below(100) {
            _ if !self.undecided.is_empty() => "delete_undecided",
            0..=17 => "put",
            18..=21 => "stream",
            22..=25 => "put_object",
            26..=33 => "persist",
            34..=37 => "persist_many",
            38..=43 => "get",
            44..=47 => "get_objects",
            48..=52 => "exists",
            53..=75 => "name",
            76..=79 => "delete",
            80..=86 => "migrate",
            87..=92 => "fetch",
            93..=95 => "make_global",
            _ => "get_global",
        };
        self.oracle.borrow_mut().begins(operation);
        let end = match operation {
            "put" => self.put(client).await,
            "put_object" => self.put_object(client).await,
            "stream" => self.stream(client).await,
            "persist" => self.persist(client).await,
            "persist_many" => self.persist_many(client).await,
            "get" => self.get(client).await,
            "get_objects" => self.get_objects(client).await,
            "exists" => self.exists(client).await,
            "name" => self.use_name(client).await,
            "delete" => self.delete(client).await,
            "delete_undecided" => self.delete_undecided(client).await,
            "migrate" => self.migrate(client).await,
            "fetch" => self.fetch(client).await,
            "make_global" => self.make_global(client).await,
            _ => self.get_global(client).await,
        };
        let mut oracle = self.oracle.borrow_mut();
        match end {
            End::Told => oracle.answered(operation),
            End::Unknown => {}
            // Nothing was asked after all.
            End::Skipped => oracle.tally.entry(operation).or_default().asked -= 1,
        }
        drop(oracle);
        (operation, end)
    }

    /// Writes an operation and its answer into the trace; errors by their text, which a person reads.
    fn note<T>(&self, what: std::fmt::Arguments<'_>, result: &vineyard_client::Result<T>) {
        match result {
            Ok(_) => self
                .world
                .trace
                .note(Kind::Operation, &self.name, format_args!("{what}: ok")),
            Err(error) => {
                self.world
                    .trace
                    .note(Kind::Operation, &self.name, format_args!("{what}: {error}"));
            }
        }
    }
}

/// What an error says about the operation: `Told` if it certainly had no effect, or had it already.
fn ending(error: &Error) -> End {
    match error {
        Error::Lost { .. } | Error::OutOfReach { .. } => End::Told,
        Error::Status { code, .. } => match code {
            Code::IoError
            | Code::ConnectionError
            | Code::ConnectionFailed
            | Code::VineyardServerNotReady
            | Code::Invalid
            | Code::UnknownError => End::Unknown,
            _ => End::Told,
        },
        _ => End::Unknown,
    }
}
