//! Nodes on one thread, each on a `LocalSet` of its own so that it can crash, joined by streams that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use vineyard_env::{
    BoxFuture, Change, Detached, Disk, Env, Main, NoFaults, Random, Stream, Threads, User,
};
use vineyard_raft::command::Command;
use vineyard_raft::features::LATEST;
use vineyard_raft::state::instances::{Instance, Liveness};
use vineyard_raft::{Dial, Epoch, Error, Founding, Member, Meta, Options, Pace, Registered};
use vineyard_wire::{InstanceId, NodeId};

use crate::disk::Breakable;
use crate::unused::Unused;

pub(crate) const WAIT: Duration = Duration::from_secs(10);
pub(crate) const CLUSTER: &str = "test-cluster";

/// Everything the nodes share. Clones are handles.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    nodes: BTreeMap<NodeId, Machine>,
    /// Pairs between which nothing passes any more; the lower id first.
    cut: BTreeSet<(NodeId, NodeId)>,
}

struct Machine {
    disk: Arc<Breakable>,
    /// Where it listens now.
    endpoint: String,
    boots: u64,
    /// As on its disk.
    epoch: Epoch,
    /// Of its last boot.
    pace: Arc<Pace>,
    up: Option<(Meta, JoinHandle<()>)>,
}

impl Machine {
    fn new(node: NodeId, disk: Arc<Breakable>) -> Self {
        Self {
            disk,
            endpoint: format!("{node}:0"),
            boots: 0,
            epoch: Epoch::new(1),
            pace: Arc::default(),
            up: None,
        }
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Founds the cluster on node 0.
    pub(crate) async fn found(&self, options: &Options) -> Meta {
        let node = self.found_again(options).await;
        let admitted = node
            .admit(1000, "n0:0".to_owned(), LATEST, WAIT)
            .await
            .unwrap();
        assert_eq!(admitted, (NodeId(0), CLUSTER.to_owned()));
        node
    }

    /// Boots the founder, also one that crashed.
    pub(crate) async fn found_again(&self, options: &Options) -> Meta {
        let founding = Founding {
            cluster: CLUSTER.to_owned(),
            key: 1000,
        };
        self.start(NodeId(0), options, Some(founding)).await
    }

    /// Starts one more node and lets `through` admit it.
    pub(crate) async fn join(&self, through: &Meta, options: &Options) -> Meta {
        let key = 1000 + self.lock().nodes.len() as u128;
        let node = NodeId(self.lock().nodes.len() as u64);
        let endpoint = format!("{node}:0");
        let admitted = through
            .admit(key, endpoint, options.feature_level, WAIT)
            .await
            .unwrap();
        assert_eq!(admitted, (node, CLUSTER.to_owned()));
        // The answer says the epoch, and the node keeps it.
        let disk = self.disk(through.status().me).with_its_epoch();
        let machine = Machine::new(node, disk);
        self.lock().nodes.insert(node, machine);
        self.start(node, options, None).await
    }

    /// Boots a node, also one that crashed.
    pub(crate) async fn start(
        &self,
        node: NodeId,
        options: &Options,
        found: Option<Founding>,
    ) -> Meta {
        let (disk, endpoint, epoch, pace) = {
            let mut inner = self.lock();
            let new = || Machine::new(node, Arc::default());
            let machine = inner.nodes.entry(node).or_insert_with(new);
            machine.boots += 1;
            machine.epoch = Epoch::new(machine.disk.epoch());
            machine.pace = Arc::default();
            let (epoch, pace) = (machine.epoch.clone(), machine.pace.clone());
            (machine.disk.clone(), machine.endpoint.clone(), epoch, pace)
        };
        let env = env(disk, node);
        let member = Member {
            node,
            endpoint,
            epoch,
            found,
        };
        let dial = Arc::new(Road {
            world: self.clone(),
            from: node,
        });
        let (started, meta) = oneshot::channel();
        let set = LocalSet::new();
        let options = Options {
            pace,
            ..options.clone()
        };
        set.spawn_local(async move {
            drop(started.send(Meta::start(&env, options, member, dial).await));
        });
        let life = tokio::task::spawn_local(async move {
            set.await;
            std::future::pending().await
        });
        let meta = meta.await.unwrap().unwrap();
        let mut inner = self.lock();
        inner.nodes.get_mut(&node).unwrap().up = Some((meta.clone(), life));
        meta
    }

    /// Tells the cluster where the current boot of the node listens.
    pub(crate) async fn register(&self, node: NodeId) -> Result<(), Error> {
        let (meta, instance) = self.current(node);
        meta.submit(instance.id, Command::Register { instance }, WAIT)
            .await
            .map(drop)
    }

    /// The same with the level and the life of the boot, as a node does.
    pub(crate) async fn boot(&self, node: NodeId) -> Result<Registered, Error> {
        let (meta, instance) = self.current(node);
        let boot = u128::from(instance.id.boot());
        meta.boot(instance, boot, (0..boot).collect(), WAIT).await
    }

    fn current(&self, node: NodeId) -> (Meta, Instance) {
        let inner = self.lock();
        let machine = &inner.nodes[&node];
        let instance = Instance {
            id: InstanceId::new(node, machine.boots - 1),
            hostid: 0,
            hostname: "test".to_owned(),
            ipc_socket: String::new(),
            endpoint: machine.endpoint.clone(),
            liveness: Liveness::Up,
            since_unix_ms: 0,
        };
        (machine.up.as_ref().unwrap().0.clone(), instance)
    }

    /// Ends a node between two polls; its disk stays.
    pub(crate) fn crash(&self, node: NodeId) {
        let (_, life) = self.lock().nodes.get_mut(&node).unwrap().up.take().unwrap();
        life.abort();
    }

    /// Gives a crashed node another address for its next boot.
    pub(crate) fn moves(&self, node: NodeId) {
        let mut inner = self.lock();
        let machine = inner.nodes.get_mut(&node).unwrap();
        machine.endpoint = format!("{node}:{}", machine.boots);
    }

    /// How long the last boot of the node takes for what usually takes a second.
    pub(crate) fn second(&self, node: NodeId) -> Duration {
        self.lock().nodes[&node]
            .pace
            .stretch(Duration::from_secs(1))
    }

    /// Every write of the node fails from now on, until it is replaced by a new disk with the same content.
    pub(crate) fn break_disk(&self, node: NodeId) {
        self.disk(node).fail(true);
    }

    pub(crate) fn disk(&self, node: NodeId) -> Arc<Breakable> {
        self.lock().nodes[&node].disk.clone()
    }

    pub(crate) fn mend_disk(&self, node: NodeId) {
        self.disk(node).fail(false);
    }

    /// What the node writes waits from now on, or no longer.
    pub(crate) fn hold_disk(&self, node: NodeId, holds: bool) {
        self.disk(node).hold(holds);
    }

    /// Bytes of what the node's disk holds back.
    pub(crate) fn held_bytes(&self, node: NodeId) -> usize {
        self.disk(node).held_bytes()
    }

    /// A connection to a member, as another one dials it.
    pub(crate) async fn dial(&self, from: NodeId, to: NodeId) -> Box<dyn Stream> {
        let road = Road {
            world: self.clone(),
            from,
        };
        road.dial(to, format!("{to}:0")).await.unwrap()
    }

    /// Bytes of log entries on the node's disk.
    pub(crate) fn log_bytes(&self, node: NodeId) -> usize {
        let disk = self.lock().nodes[&node].disk.clone();
        let entries = disk.scan(b"\x01l", b"\x01m").unwrap();
        entries.iter().map(|(_, entry)| entry.len()).sum()
    }

    /// The index of the last command in the log of a node.
    pub(crate) fn last_command(&self, node: NodeId) -> u64 {
        let disk = self.lock().nodes[&node].disk.clone();
        let entries = disk.scan(b"\x01l", b"\x01m").unwrap();
        let mut commands = entries.iter().filter(|(_, entry)| entry[3] == 1);
        commands.next_back().unwrap().1[2].into()
    }

    /// Gives a command in the log of a node that crashed another version, as if another build had proposed it. An entry
    /// of a low term and index is: the codec's version, term, index, 1 for a command, the command's version, the rest,
    /// and the xxh3 of all of it.
    pub(crate) fn set_version(&self, node: NodeId, index: u64, version: u8) {
        let disk = self.lock().nodes[&node].disk.clone();
        let key = [b"\x01l".as_slice(), &index.to_be_bytes()].concat();
        let mut entry = disk.get(&key).unwrap().unwrap();
        assert_eq!((u64::from(entry[2]), entry[3]), (index, 1));
        entry[4] = version;
        let body = entry.len() - 8;
        let checksum = xxhash_rust::xxh3::xxh3_64(&entry[..body]).to_le_bytes();
        entry[body..].copy_from_slice(&checksum);
        disk.commit(vec![Change::Put(key, entry)], Box::new(Result::unwrap));
    }

    /// Lets nothing pass between two nodes any more, in silence.
    pub(crate) fn cut(&self, a: NodeId, b: NodeId) {
        self.lock().cut.insert((a.min(b), a.max(b)));
    }

    pub(crate) fn heal(&self) {
        self.lock().cut.clear();
    }

    fn is_cut(&self, a: NodeId, b: NodeId) -> bool {
        self.lock().cut.contains(&(a.min(b), a.max(b)))
    }
}

/// Polls until `holds`; the clock is stopped, so this costs no time.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT, wait)
        .await
        .unwrap_or_else(|_| panic!("it never came to: {what}"));
}

struct Road {
    world: World,
    from: NodeId,
}

impl Dial for Road {
    fn dial(
        &self,
        node: NodeId,
        endpoint: String,
    ) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let (world, from) = (self.world.clone(), self.from);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if world.is_cut(from, node) {
                std::future::pending::<()>().await;
            }
            let (target, epoch) = {
                let inner = world.lock();
                let epoch = inner.nodes[&from].epoch.get();
                let machine = inner
                    .nodes
                    .get(&node)
                    .filter(|machine| machine.endpoint == endpoint);
                if machine.is_some_and(|machine| machine.epoch.get() != epoch) {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                let up = machine.and_then(|machine| Some(machine.up.as_ref()?.0.clone()));
                (up, epoch)
            };
            let target = target.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (near, far) = tokio::io::duplex(1 << 16);
            let wire = |stream| Wire {
                world: world.clone(),
                ends: (from, node),
                stream,
            };
            target.serve(Box::new(wire(far)), epoch, Box::new(|| Ok(())));
            Ok(Box::new(wire(near)) as Box<dyn Stream>)
        })
    }
}

struct Wire {
    world: World,
    ends: (NodeId, NodeId),
    stream: DuplexStream,
}

impl Wire {
    /// Nobody wakes a reader behind a cut; a task that waits there has a timeout.
    fn is_cut(&self) -> bool {
        self.world.is_cut(self.ends.0, self.ends.1)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_cut() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Stream for Wire {
    fn local_address(&self) -> String {
        self.ends.0.to_string()
    }

    fn peer_address(&self) -> String {
        self.ends.1.to_string()
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Ok(self)
    }
}

impl Detached for Wire {
    fn attach(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(self)
    }

    fn peer_user(&self) -> io::Result<Option<User>> {
        unreachable!("the group knows no users")
    }
}

fn env(disk: Arc<dyn Disk>, node: NodeId) -> Env {
    Env {
        clock: Arc::new(Unused),
        random: Arc::new(Seeded(AtomicU64::new(node.0 * 7919))),
        network: Arc::new(Unused),
        local: Arc::new(Unused),
        disk,
        memory: Arc::new(Unused),
        threads: Arc::new(Tasks),
        host: Arc::new(Unused),
        faults: Arc::new(NoFaults),
    }
}

struct Tasks;

impl Threads for Tasks {
    fn start(&self, _name: &str, main: Main) {
        tokio::task::spawn_local(async move { main().await });
    }
}

struct Seeded(AtomicU64);

impl Random for Seeded {
    /// SplitMix64.
    fn next_u64(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut word = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
