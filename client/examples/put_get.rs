//! Puts an object into the node's memory, and reads it there without a copy.
//!
//! Needs a node: `vineyardd --socket /tmp/vineyard.sock`, and `VINEYARD_IPC_SOCKET=/tmp/vineyard.sock` here.

use vineyard_client::{Client, Draft, Options, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect_default(&Options::default()).await?;
    let greeting = Draft::new("example::Greeting")
        .attribute("language", "en")
        .blob("text", b"hello".to_vec());
    let id = client.put(greeting).await?.id;

    let object = client.get(id).await?;
    let text = object.blob("text").expect("it was put with the object");
    assert_eq!(&text[..], b"hello");
    assert_eq!(object.attribute("language"), Some(&"en".into()));
    println!("{id} has {} bytes", text.len());
    client.close().await;
    Ok(())
}
