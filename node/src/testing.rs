//! A whole node on this machine, and callers that send bare frames, for tests that need a whole node.

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;
use vineyard_client::{Client, Options};
use vineyard_env::{Env, Stream};
use vineyard_wire::request::{GetName, Register};
use vineyard_wire::{Request, frame, json};

use crate::config::{Config, Limits, Listen};
use crate::{Node, system};

pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) env: Env,
    socket: String,
    _folder: TempDir,
}

/// Runs `test` with a node that has `limits`, and stops the node.
pub(crate) fn with_node(limits: Limits, test: impl AsyncFnOnce(&TestNode)) {
    with_config(|config| Config { limits, ..config }, test);
}

/// Runs `test` with a node whose default settings `change` has modified, and stops the node.
pub(crate) fn with_config(
    change: impl FnOnce(Config) -> Config,
    test: impl AsyncFnOnce(&TestNode),
) {
    with_env(change, |env| env, test);
}

/// As `with_config`, with the real `Env` modified by `change_env`.
pub(crate) fn with_env(
    change: impl FnOnce(Config) -> Config,
    change_env: impl FnOnce(Env) -> Env,
    test: impl AsyncFnOnce(&TestNode),
) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock").display().to_string();
    let config = change(Config {
        listen: Listen::At("127.0.0.1:0".to_owned()),
        size_bytes: 16 << 20,
        ..Config::new(folder.path().join("data"), socket.clone())
    });
    let env = change_env(system::env(&config.data_dir).unwrap());
    let runtime = system::runtime().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let test_node = TestNode {
            node: Node::start(config, env.clone()).await.unwrap(),
            env,
            socket,
            _folder: folder,
        };
        test(&test_node).await;
        test_node.node.stop().await;
    });
}

impl TestNode {
    pub(crate) async fn ipc(&self) -> Caller {
        let stream = self.env.local.connect(&self.socket).await.unwrap();
        Caller { stream }
    }

    pub(crate) async fn rpc(&self) -> Caller {
        let connected = self.env.network.connect(self.node.endpoint()).await;
        Caller {
            stream: connected.unwrap(),
        }
    }

    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    /// The SDK over the Unix socket and over TCP, each with and without our additions to the protocol.
    pub(crate) async fn clients(&self, options: &Options) -> Vec<Client> {
        let mut clients = Vec::new();
        for additions in [true, false] {
            let mut options = options.clone();
            options.additions = additions;
            let (ipc, rpc) = (
                Client::connect_ipc(&self.socket, &options),
                Client::connect_rpc(self.node.endpoint(), &options),
            );
            clients.extend([ipc.await.unwrap(), rpc.await.unwrap()]);
        }
        clients
    }

    /// A Unix connection and a TCP connection.
    pub(crate) async fn callers(&self) -> [Caller; 2] {
        [self.ipc().await, self.rpc().await]
    }
}

pub(crate) struct Caller {
    pub(crate) stream: Box<dyn Stream>,
}

impl Caller {
    pub(crate) async fn send(&mut self, body: &[u8]) {
        let frame = frame::with_header(body);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next reply; `None` if the node has closed.
    pub(crate) async fn reply(&mut self) -> Option<Value> {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).await.ok()?;
        let mut body = vec![0; u64::from_le_bytes(header) as usize];
        self.stream.read_exact(&mut body).await.unwrap();
        Some(serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn ask(&mut self, request: &Request) -> Value {
        self.send(&json::encode_request(request)).await;
        self.reply().await.expect("an answer")
    }

    pub(crate) async fn register(&mut self) {
        let register = Request::Register(Register {
            version: "0.24.2".to_owned(),
            store_type: 1,
            session_id: 0,
            username: String::new(),
            password: String::new(),
            features: Vec::new(),
            deadline_ms: None,
        });
        let reply = self.ask(&register).await;
        assert_eq!(reply["type"], "register_reply", "{reply}");
    }

    /// Sends the beginning of a frame, by which the node recognises a client.
    pub(crate) async fn send_half(&mut self) {
        let beginning = [9, 0, 0, 0, 0, 0, 0, 0, b'{'];
        self.stream.write_all(&beginning).await.unwrap();
    }

    /// Asks for a name that never appears, and does not read the answer.
    pub(crate) async fn wait_for_ever(&mut self) {
        let wait = Request::GetName(GetName {
            name: "never".to_owned(),
            wait: true,
            timeout_ms: None,
        });
        self.send(&json::encode_request(&wait)).await;
    }
}
