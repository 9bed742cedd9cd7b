//! The client against a scripted node on real sockets.

mod deadlines;
mod fake;
mod fetch;
mod holds;
mod local;
mod objects;
mod remote;
mod whole;

use crate::{Client, Draft, GetOptions, PutObject, World};

/// What a program with several threads asks of the client's futures.
#[test]
fn calls_may_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    async fn everything(client: Client) {
        let writer = client.create_blob(1).await.unwrap();
        let blob = writer.seal().await.unwrap();
        client.get_blobs(&[blob.id()]).await.unwrap();
        client.put(Draft::new("t")).await.unwrap();
        client.get(blob.id()).await.unwrap();
        let (put, options) = (PutObject::default(), GetOptions::default());
        client.put_object(put).await.unwrap();
        client.get_objects(&[], &options).await.unwrap();
        client
            .wait_name("n", std::time::Duration::ZERO)
            .await
            .unwrap();
        client.migrate(blob.id()).await.unwrap();
        client.close().await;
    }
    fn checked(client: Client) {
        crosses(&everything(client));
    }
    let _: fn(Client) = checked;
    crosses(&World::system());
}
