//! A scripted node: it reads requests and answers as the test says, frame by frame.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::{
    Access, Listener, Local, LocalListener, LocalStream, Memory, MemoryHandle, Network, Region,
    Stream,
};
use vineyard_net::{SystemLocal, SystemNetwork};
use vineyard_shm::MemfdMemory;
use vineyard_wire::reply::{Payload, Registered};
use vineyard_wire::{InstanceId, ObjectId, Reply, Request, Status, json};

use crate::{Client, Options, Result, World};

pub(super) const HERE: InstanceId = InstanceId(3);
pub(super) const ARENA_BYTES: usize = 1 << 16;

/// A listener on a socket of its own, and the client's options.
pub(super) struct FakeIpc {
    pub(super) directory: TempDir,
    pub(super) listener: Box<dyn LocalListener>,
}

impl FakeIpc {
    pub(super) async fn listen() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = SystemLocal.listen(&path(&directory), 0o600).await.unwrap();
        Self {
            directory,
            listener,
        }
    }

    pub(super) fn path(&self) -> String {
        path(&self.directory)
    }

    /// A registered client and the node's end of its connection.
    pub(super) async fn client(
        &mut self,
        world: &World,
        options: &Options,
    ) -> (Client, Peer<dyn LocalStream>) {
        let path = self.path();
        let (client, peer) = tokio::join!(world.connect_ipc(&path, options), async {
            let mut peer = Peer(self.listener.accept().await.unwrap());
            peer.register().await;
            peer
        });
        (client.unwrap(), peer)
    }
}

fn path(directory: &TempDir) -> String {
    directory
        .path()
        .join("node.sock")
        .to_str()
        .unwrap()
        .to_owned()
}

pub(super) struct FakeRpc {
    pub(super) listener: Box<dyn Listener>,
}

impl FakeRpc {
    pub(super) async fn listen() -> Self {
        Self {
            listener: SystemNetwork.listen("127.0.0.1:0").await.unwrap(),
        }
    }

    pub(super) async fn accept(&mut self) -> Peer<dyn Stream> {
        let mut peer = Peer(self.listener.accept().await.unwrap());
        peer.register().await;
        peer
    }

    pub(super) async fn client(&mut self, options: &Options) -> (Client, Peer<dyn Stream>) {
        let (world, address) = (World::system(), self.listener.address());
        let connect = world.connect_rpc(&address, options);
        let (client, peer) = tokio::join!(connect, self.accept());
        (client.unwrap(), peer)
    }
}

/// The node's end of one connection.
pub(super) struct Peer<S: ?Sized>(pub(super) Box<S>);

impl<S: Stream + ?Sized> Peer<S> {
    pub(super) async fn body(&mut self) -> Vec<u8> {
        let length = self.0.read_u64_le().await.unwrap();
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        body
    }

    pub(super) async fn request(&mut self) -> Request {
        let body = self.body().await;
        json::decode_request(&body).unwrap()
    }

    pub(super) async fn frame(&mut self, body: &[u8]) {
        self.0.write_u64_le(body.len() as u64).await.unwrap();
        self.0.write_all(body).await.unwrap();
    }

    pub(super) async fn reply(&mut self, reply: Reply) {
        self.frame(&json::encode_reply(&reply)).await;
    }

    pub(super) async fn refuse(&mut self, status: Status) {
        self.frame(&json::encode_status(&status)).await;
    }

    /// Reads `request` and answers it.
    pub(super) async fn answer(&mut self, request: Request, reply: Reply) {
        assert_eq!(self.request().await, request);
        self.reply(reply).await;
    }

    pub(super) async fn register(&mut self) {
        self.register_with(&[]).await;
    }

    /// Registers the client, and says that the node understands `features`.
    pub(super) async fn register_with(&mut self, features: &[&str]) {
        assert!(matches!(self.request().await, Request::Register(_)));
        self.reply(registered(features)).await;
    }

    /// Whether the client has closed its end.
    pub(super) async fn ended(&mut self) -> bool {
        matches!(self.0.read_u8().await, Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    }
}

pub(super) fn registered(features: &[&str]) -> Reply {
    Reply::Register(Registered {
        ipc_socket: "node.sock".to_owned(),
        rpc_endpoint: "127.0.0.1:9600".to_owned(),
        instance_id: HERE,
        session_id: 0,
        version: "0.24.2".to_owned(),
        store_match: true,
        support_rpc_compression: true,
        features: features.iter().map(|one| (*one).to_owned()).collect(),
        fetch_ms_max: 0,
        first_trace: 0,
    })
}

pub(super) fn payload(id: ObjectId, store_fd: i32, offset: i64, size: i64) -> Payload {
    Payload {
        object_id: id,
        store_fd,
        data_offset: offset,
        data_size: size,
        map_size: ARENA_BYTES as i64 + 8,
        pointer: offset as u64,
        is_sealed: true,
        is_owner: true,
        is_gpu: false,
    }
}

pub(super) fn blob_id(number: u64) -> ObjectId {
    ObjectId(1 << 63 | number)
}

/// Options of a client that does not wait long.
pub(super) fn impatient() -> Options {
    let short = Duration::from_millis(60);
    Options {
        deadline: short,
        transfer: short,
        ..Options::default()
    }
}

/// Memory that remembers what was mapped.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) opened: Mutex<Vec<(usize, Access)>>,
}

impl Memory for Recorder {
    fn create(&self, name: &str, len: usize) -> std::io::Result<Arc<dyn Region>> {
        MemfdMemory.create(name, len)
    }

    fn open(
        &self,
        handle: &MemoryHandle,
        len: usize,
        access: Access,
    ) -> std::io::Result<Arc<dyn Region>> {
        self.opened.lock().unwrap().push((len, access));
        MemfdMemory.open(handle, len, access)
    }
}

/// The error of a call that must not succeed.
pub(super) fn error<T>(result: Result<T>) -> crate::Error {
    result.err().expect("an error")
}
