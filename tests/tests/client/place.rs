//! Where the node of a test is, and what is asked of it.

use super::*;

/// An object with a blob that must be fetched.
pub(crate) fn partly_elsewhere() -> Object {
    let blob = json!({"typename": "vineyard::Blob", "id": ObjectId(1 << 63 | 1).to_string(), "instance_id": ELSEWHERE.0});
    let meta = json!({"typename": "test::Whole", "buffer_": blob});
    Object {
        id: NOTHING,
        meta: meta.as_object().unwrap().clone(),
        blobs: BTreeMap::new(),
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Where a node is, over each transport.
pub(crate) struct Place {
    pub(crate) socket: String,
    pub(crate) endpoint: String,
}

impl Place {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            socket: node.socket().display().to_string(),
            endpoint: node.endpoint().to_owned(),
        }
    }

    pub(crate) async fn connect(&self, ipc: bool, options: &Options) -> Client {
        let client = if ipc {
            Client::connect_ipc(&self.socket, options).await
        } else {
            Client::connect_rpc(&self.endpoint, options).await
        };
        client.unwrap()
    }

    pub(crate) fn connect_blocking(&self, ipc: bool, options: &Options) -> blocking::Client {
        let client = if ipc {
            blocking::Client::connect_ipc(&self.socket, options)
        } else {
            blocking::Client::connect_rpc(&self.endpoint, options)
        };
        client.unwrap()
    }
}
