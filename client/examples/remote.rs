//! Reads an object of another node over the network, and copies it to this one.
//!
//! Needs two nodes of one cluster: `VINEYARD_IPC_SOCKET` is this node's socket, the argument the other's `host:port`.

use vineyard_client::{Client, Draft, GetOptions, Options, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let there = std::env::args().nth(1).expect("usage: remote HOST:PORT");
    let there = Client::connect_rpc(&there, &Options::default()).await?;
    let draft = Draft::new("example::Numbers").blob("numbers", vec![7; 100_000]);
    let id = there.put(draft).await?.id;
    // Other nodes know persistent objects alone.
    there.persist(id).await?;

    let here = Client::connect_default(&Options::default()).await?;
    // What the cluster agreed on so far is known here afterwards.
    here.sync_meta().await?;
    // Read from its owner, and stored nowhere.
    let read = here.get(id).await?;
    assert_eq!(read.blob("numbers").map(|blob| blob.len()), Some(100_000));

    // Copied here, to stay: it outlives the other node, and the next reader needs no network.
    let mut options = GetOptions::default();
    options.fetch = true;
    let copy = &here.get_objects(&[id], &options).await?[0];
    assert_ne!(copy.id, id);
    let bytes = copy.blob("numbers").expect("it is here now");
    assert!(bytes.iter().all(|byte| *byte == 7));
    println!(
        "{id} of {} is {} on {}",
        there.instance_id(),
        copy.id,
        here.instance_id()
    );
    here.close().await;
    there.close().await;
    Ok(())
}
