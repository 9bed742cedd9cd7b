//! The suite of `Network`.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::{Listener, Network, Stream};

use super::carries_bytes;

/// Runs the suite. `address` is one to listen on with a free port, such as `127.0.0.1:0`.
pub async fn network(network: &dyn Network, address: &str) {
    let mut listener = network.listen(address).await.expect("a listener");
    let (one, other) = pair(network, &mut listener).await;
    addresses_agree(&*one, &*other, &listener.address());
    carries_bytes(one, other).await;
    moves_between_reactors(network, &mut listener).await;
    waits_for_accept(network, &mut listener).await;
    a_taken_address_is_refused(network, &listener.address()).await;
    nobody_listening_is_refused(network, listener).await;
}

async fn pair(
    network: &dyn Network,
    listener: &mut Box<dyn Listener>,
) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let address = listener.address();
    let (one, other) = tokio::join!(network.connect(&address), listener.accept());
    (
        one.expect("a connection"),
        other.expect("an accepted connection"),
    )
}

fn addresses_agree(one: &dyn Stream, other: &dyn Stream, listening: &str) {
    assert!(
        !listening.ends_with(":0"),
        "the listener says which port it got: {listening}"
    );
    assert_eq!(one.peer_address(), listening);
    assert_eq!(other.local_address(), listening);
    assert_eq!(other.peer_address(), one.local_address());
}

async fn moves_between_reactors(network: &dyn Network, listener: &mut Box<dyn Listener>) {
    let (mut one, other) = pair(network, listener).await;
    one.write_all(b"before").await.expect("a write");
    let (local, peer) = (other.local_address(), other.peer_address());
    let detached = other.detach().expect("detaching");
    let mut other = detached.attach().expect("attaching");
    assert_eq!((other.local_address(), other.peer_address()), (local, peer));
    let mut bytes = [0; 6];
    other
        .read_exact(&mut bytes)
        .await
        .expect("bytes sent before the move");
    assert_eq!(&bytes, b"before");
    other
        .write_all(b"after")
        .await
        .expect("a write after the move");
    let mut bytes = [0; 5];
    one.read_exact(&mut bytes)
        .await
        .expect("bytes sent after the move");
    assert_eq!(&bytes, b"after");
}

/// A connection is made before anybody accepts it, and what it sends waits.
async fn waits_for_accept(network: &dyn Network, listener: &mut Box<dyn Listener>) {
    let mut one = network
        .connect(&listener.address())
        .await
        .expect("a connection");
    one.write_all(b"early")
        .await
        .expect("a write before the accept");
    let mut other = listener.accept().await.expect("an accepted connection");
    let mut bytes = [0; 5];
    other.read_exact(&mut bytes).await.expect("the early bytes");
    assert_eq!(&bytes, b"early");
}

async fn a_taken_address_is_refused(network: &dyn Network, address: &str) {
    let error = network
        .listen(address)
        .await
        .err()
        .expect("the address is taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

async fn nobody_listening_is_refused(network: &dyn Network, listener: Box<dyn Listener>) {
    let address = listener.address();
    drop(listener);
    let error = network
        .connect(&address)
        .await
        .err()
        .expect("nobody listens any more");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    network
        .listen(&address)
        .await
        .expect("a freed address can be taken at once");
}
