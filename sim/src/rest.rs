//! After the last fault: the cluster comes to rest, and everything that was promised is looked at once more.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use vineyard_client::{Client, Options};
use vineyard_wire::{Code, ObjectId};

use crate::cluster::{Cluster, socket};
use crate::content;
use crate::history::{Ask, Told};
use crate::invariants::everything_finishes::{self, RECOVERY_MS_MAX};
use crate::invariants::nothing_acknowledged_is_lost::{self as lost, Certainty};
use crate::invariants::status_tells_the_truth::Says;
use crate::invariants::{names_are_linearizable, references_are_zero_at_rest};
use crate::oracle::Oracle;
use crate::workload::{Workload, members, recognize};
use crate::world::World;

/// The client number of the checks themselves, after every client of the workload.
const CHECKER: usize = 1000;
const POLL: Duration = Duration::from_millis(100);

/// Looks at a cluster that nothing disturbs any more.
pub struct Rest {
    pub world: World,
    pub cluster: Cluster,
    pub oracle: Rc<RefCell<Oracle>>,
}

impl Rest {
    /// Waits for the cluster to recover and the clients to end, then checks everything. Violations go to the oracle.
    pub async fn check(self: Rc<Self>, workload: &Workload) {
        let deadline = Instant::now() + Duration::from_millis(RECOVERY_MS_MAX);
        let recovered = self.wait(deadline, || self.unsettled()).await;
        self.judge(everything_finishes::NAME, recovered);
        let ended = self.wait(deadline, || {
            let running = workload.running();
            (!running.is_empty()).then(|| format!("{running:?} still wait for an answer"))
        });
        let ended = ended.await;
        self.judge(everything_finishes::NAME, ended);
        if !self.oracle.borrow().violations.is_empty() {
            return;
        }
        let checker = Rc::clone(&self);
        self.run("look", async move { checker.look_everywhere().await })
            .await;
        let quiet =
            Instant::now().max(self.world.net.keepalive_ends_by().unwrap_or(Instant::now()));
        let quiet = quiet + Duration::from_secs(5);
        sleep(Duration::from_secs(1)).await;
        let checker = Rc::clone(&self);
        self.run("rest", async move { checker.count_everywhere(quiet).await })
            .await;
        let settled = self.wait(Instant::now() + Duration::from_secs(10), || {
            self.unsettled()
        });
        let settled = settled.await;
        self.judge(everything_finishes::NAME, settled);
        let judged = names_are_linearizable::judge(&self.oracle.borrow().names);
        self.judge(names_are_linearizable::NAME, judged);
    }

    fn judge(&self, invariant: &'static str, judged: Result<(), String>) {
        let mut oracle = self.oracle.borrow_mut();
        oracle.now_ms = self.world.now_ms();
        oracle.hold(invariant, judged);
    }

    /// Polls until `open` says nothing more, or reports what it said last.
    async fn wait(
        &self,
        deadline: Instant,
        open: impl Fn() -> Option<String>,
    ) -> Result<(), String> {
        while let Some(what) = open() {
            if Instant::now() >= deadline {
                return Err(what);
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// What keeps the cluster from being at rest: every node serves, and all have applied the same.
    fn unsettled(&self) -> Option<String> {
        let mut first = None;
        for number in self.cluster.numbers() {
            let board = self.cluster.board(number);
            let board = board.borrow();
            let name = self.cluster.name(number);
            if !board.serves {
                return Some(format!("{name} does not serve: {:?}", board.failure));
            }
            let digest = board.digest;
            match first {
                None => first = Some((name, digest)),
                Some((ref other, ref seen)) if *seen != digest => {
                    return Some(format!("{other} is at {seen:x?} and {name} at {digest:x?}"));
                }
                Some(_) => {}
            }
        }
        if self.cluster.leader().is_none() {
            return Some("nobody leads".to_owned());
        }
        let lies = |(number, _, says): &(usize, u64, Says)| {
            let all_may = says.voters.len() - (says.voters.len() / 2 + 1);
            let true_now = says.leader == self.cluster.leader() && says.tolerates == all_may;
            (!true_now).then(|| format!("{} says {says:?}", self.cluster.name(*number)))
        };
        self.cluster.says().iter().find_map(lies)
    }

    /// Runs `check` as a process of its own, and waits for it in bounded time.
    async fn run(&self, name: &str, check: impl Future<Output = ()> + 'static) {
        self.world.schedule.start(name, check);
        let deadline = Instant::now() + Duration::from_millis(2 * RECOVERY_MS_MAX);
        let ended = self.wait(deadline, || {
            self.world
                .schedule
                .runs(name)
                .then(|| format!("the check {name} does not end"))
        });
        let ended = ended.await;
        self.judge(everything_finishes::NAME, ended);
    }

    async fn client(&self, node: usize) -> Option<Client> {
        let world = self.world.client(&self.cluster.machine(node), "look");
        match world.connect_ipc(&socket(node), &Options::default()).await {
            Ok(client) => Some(client),
            Err(error) => {
                let what = format!(
                    "a healed {} is not reached: {error}",
                    self.cluster.name(node)
                );
                self.judge(everything_finishes::NAME, Err(what));
                None
            }
        }
    }

    async fn look_everywhere(&self) {
        for node in self.cluster.numbers() {
            let Some(client) = self.client(node).await else {
                continue;
            };
            self.look_at_names(&client).await;
            self.look_at_objects(node, &client).await;
            client.close().await;
        }
    }

    async fn look_at_names(&self, client: &Client) {
        let names: Vec<String> = self.oracle.borrow().names.keys().cloned().collect();
        for name in names {
            let index = self.oracle.borrow_mut().ask(CHECKER, &name, Ask::Read);
            let told = match client.get_name(&name).await {
                Ok(id) => Told::Found(Some(id)),
                Err(error) if error.code() == Some(Code::ObjectNotExists) => Told::Found(None),
                Err(error) => {
                    let what = format!("healed, and {name} cannot be read: {error}");
                    self.judge(everything_finishes::NAME, Err(what));
                    Told::Unknown
                }
            };
            self.oracle.borrow_mut().told(&name, index, told);
        }
        let unknown = self.oracle.borrow().unknown_under_names();
        for id in unknown {
            recognize(&self.oracle, client, id).await;
            if !self.oracle.borrow().objects.contains_key(&id) {
                let what = format!("a name led to {id}, which nobody made");
                self.judge(lost::NAME, Err(what));
            }
        }
    }

    /// Every object a client persisted or tried to: is it there, is it itself, are its bytes where they should be?
    async fn look_at_objects(&self, node: usize, client: &Client) {
        let who = self.cluster.name(node);
        let ids: Vec<ObjectId> = {
            let oracle = self.oracle.borrow();
            let asked = oracle
                .objects
                .iter()
                .filter(|(_, k)| k.persisted != Certainty::No);
            asked.map(|(id, _)| *id).collect()
        };
        let found = match client.get_metadatas(&ids, true).await {
            Ok(found) => found,
            Err(error) => {
                let what = format!("healed, and {who} does not tell of objects: {error}");
                return self.judge(everything_finishes::NAME, Err(what));
            }
        };
        let alive = self.cluster.instances();
        for id in ids {
            let known = self.oracle.borrow().objects[&id].clone();
            let there = found.get(&id);
            {
                let mut oracle = self.oracle.borrow_mut();
                oracle.now_ms = self.world.now_ms();
                oracle.seen(&who, id, known.persisted, known.deleted, there.is_some());
                if let Some(tree) = there {
                    oracle.seen_whole(id, &members(tree));
                }
            }
            let global = self.oracle.borrow().globals.contains_key(&id);
            if there.is_some() && !global && known.is_held(&alive) {
                self.look_at_bytes(&who, client, id).await;
            }
        }
    }

    /// Those that hold them live, so they must be readable from everywhere.
    async fn look_at_bytes(&self, who: &str, client: &Client, id: ObjectId) {
        match client.get(id).await {
            Ok(object) => self
                .oracle
                .borrow_mut()
                .read(who, id, content::of_object(&object)),
            Err(error) => {
                let what = format!("{who} cannot read {id}, whose holder lives: {error}");
                self.judge(lost::NAME, Err(what));
            }
        }
    }

    /// Nobody but this check is connected: nothing may be counted any more.
    async fn count_everywhere(&self, quiet: Instant) {
        for node in self.cluster.numbers() {
            let Some(client) = self.client(node).await else {
                continue;
            };
            let mut last = Ok(());
            while Instant::now() < quiet {
                last = self.count(node, &client).await;
                if last.is_ok() {
                    break;
                }
                sleep(POLL).await;
            }
            self.judge(references_are_zero_at_rest::NAME, last);
            client.close().await;
        }
    }

    async fn count(&self, node: usize, client: &Client) -> Result<(), String> {
        let name = self.cluster.name(node);
        let late = Instant::now() + Duration::from_secs(6);
        let status = timeout_at(late, client.cluster_status()).await;
        let status = match status {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(format!("{name} does not tell its stats: {error}")),
            Err(_) => return Err(format!("{name} does not tell its stats in time")),
        };
        let mine = status
            .nodes
            .iter()
            .find(|one| one.instance_id == client.instance_id());
        match mine.and_then(|one| one.stats.as_ref()) {
            Some(stats) => references_are_zero_at_rest::judge(&name, stats),
            None => Err(format!("{name} has no stats of itself")),
        }
    }
}
