//! Makes an object durable, gives it a name, and finds it by that; with the client that needs no async runtime.
//!
//! Needs a node: `vineyardd --socket /tmp/vineyard.sock`, and `VINEYARD_IPC_SOCKET=/tmp/vineyard.sock` here.

use std::time::Duration;

use serde_json::json;
use vineyard_client::blocking::Client;
use vineyard_client::{GetOptions, Options, PutBlob, PutObject, Result};

fn main() -> Result<()> {
    let client = Client::connect_default(&Options::default())?;
    let name = format!("example/settings-{}", std::process::id());
    let tree = json!({
        "typename": "example::Settings",
        "version": 3,
        "file": {"typename": "vineyard::Blob", "inline": 0},
    });
    // One message: the object is stored, persisted and named, or nothing is.
    client.put_object(PutObject {
        content: tree.as_object().expect("it is one").clone(),
        blobs: vec![PutBlob::Bytes(b"verbose = true")],
        persist: true,
        name: Some(name.clone()),
    })?;

    // Any client of the cluster finds it now. One that comes too early waits.
    let mut options = GetOptions::default();
    options.wait = Some(Duration::from_secs(1));
    let object = client.get_object_named(&name, &options)?;
    assert_eq!(object.attribute("version"), Some(&json!(3)));
    println!("{name} is {}", object.id);

    client.drop_name(&name)?;
    let gone = client.get_name(&name).expect_err("the name was dropped");
    assert!(gone.is_not_exists());
    client.close();
    Ok(())
}
