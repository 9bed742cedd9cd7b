//! Objects of another node: copied here with `fetch`, by our client over both transports.

use serde_json::json;
use vineyard_client::{Client, GetOptions, Options, PutBlob, PutObject};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_wire::ObjectId;

async fn connect(node: &Node, ipc: bool) -> Client {
    let options = Options::default();
    let client = match ipc {
        true => Client::connect_ipc(&node.socket().display().to_string(), &options).await,
        false => Client::connect_rpc(node.endpoint(), &options).await,
    };
    client.unwrap()
}

async fn put(client: &Client, bytes: &[u8], name: Option<&str>) -> ObjectId {
    let tree = json!({"typename": "test::One", "b": {"typename": "vineyard::Blob", "inline": 0}});
    let put = PutObject {
        content: tree.as_object().unwrap().clone(),
        blobs: vec![PutBlob::Bytes(bytes)],
        persist: true,
        name: name.map(str::to_owned),
    };
    client.put_object(put).await.unwrap().id
}

#[tokio::test]
async fn fetched_objects_are_copies_that_stay_and_share_one_more_connection() {
    let cluster = Cluster::start(2, &Plan::default()).unwrap();
    let writer = connect(&cluster.nodes[0], true).await;
    let mut fetch = GetOptions::default();
    fetch.fetch = true;
    for ipc in [true, false] {
        let reader = connect(&cluster.nodes[1], ipc).await;
        let before = connections(&reader).await;
        let large = vec![7; 1 << 20];
        let name = format!("fetched-{ipc}");
        for bytes in [&b"small"[..], &large] {
            let id = put(&writer, bytes, Some(&name)).await;
            reader.sync_meta().await.unwrap();
            let got = reader.get_objects(&[id], &fetch).await.unwrap();
            assert_ne!(got[0].id, id);
            assert_eq!(got[0].blob("b").unwrap()[..], *bytes);
            let again = reader.get_object_named(&name, &fetch).await.unwrap();
            assert_eq!(again.id, got[0].id);
            assert_eq!(reader.migrate(id).await.unwrap(), got[0].id);
            let own = reader.get_objects(&[got[0].id], &fetch).await.unwrap();
            assert_eq!(own[0].id, got[0].id);
            let blob = *got[0].blobs.keys().next().unwrap();
            assert_eq!(reader.get_blob(blob).await.unwrap()[..], *bytes);
        }
        assert_eq!(connections(&reader).await, before + 1);
        reader.close().await;
    }
}

async fn connections(client: &Client) -> u64 {
    let status = client.instance_status().await.unwrap();
    match client.is_ipc() {
        true => status.ipc_connections,
        false => status.rpc_connections,
    }
}
