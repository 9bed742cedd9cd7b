//! The false network keeps TCP's promises.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

fn world() -> (Net, SimNetwork, SimNetwork) {
    let net = Net::new(1, Trace::new(None));
    let host = |process: &str, ip: &str| Host {
        process: process.into(),
        ip: ip.into(),
    };
    let one = SimNetwork {
        net: net.clone(),
        host: host("n1", "10.0.0.1"),
    };
    let two = SimNetwork {
        net: net.clone(),
        host: host("n2", "10.0.0.2"),
    };
    (net, one, two)
}

async fn pair(one: &SimNetwork, two: &SimNetwork) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let mut listener = two.listen("10.0.0.2:9600").await.unwrap();
    let near = one.connect("10.0.0.2:9600").await.unwrap();
    (near, listener.accept().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_through_a_window_smaller_than_they_are() {
    let (_, one, two) = world();
    let (mut near, mut far) = pair(&one, &two).await;
    let sent: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let writing = async move {
        near.write_all(&sent).await.unwrap();
        near.shutdown().await.unwrap();
        near
    };
    let mut received = Vec::new();
    let (near, read) = tokio::join!(writing, far.read_to_end(&mut received));
    read.unwrap();
    drop(near);
    assert!(received == expected);
}

#[tokio::test(start_paused = true)]
async fn a_cut_stalls_and_a_heal_delivers() {
    let (net, one, two) = world();
    let (mut near, mut far) = pair(&one, &two).await;
    net.cut("10.0.0.1", "10.0.0.2");
    near.write_all(b"late").await.unwrap();
    // The other direction still works.
    far.write_all(b"back").await.unwrap();
    let mut bytes = [0; 4];
    near.read_exact(&mut bytes).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, far.read_exact(&mut bytes)).await.is_err());
    net.heal();
    far.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"late");
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_refused_and_a_dropped_stream_ends() {
    let (_, one, two) = world();
    let refused = one.connect("10.0.0.2:9600").await.err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let (mut near, far) = pair(&one, &two).await;
    drop(far);
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(near.write_all(b"x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_power_is_silent_until_it_returns() {
    let (net, one, two) = world();
    let (mut near, far) = pair(&one, &two).await;
    net.lose_power("10.0.0.2");
    drop(far);
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, near.read(&mut [0; 8])).await.is_err());
    net.regain_power("10.0.0.2");
    let error = near.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn keepalive_ends_what_was_open_with_a_machine_that_moved() {
    let (net, one, two) = world();
    let (mut near, far) = pair(&one, &two).await;
    let (mut late, later) = pair(&one, &two).await;
    net.lose_power("10.0.0.2");
    drop(far);
    net.leave("10.0.0.2");
    drop(later);
    net.heal();
    let nearly = Duration::from_secs(59);
    assert!(timeout(nearly, near.read(&mut [0; 8])).await.is_err());
    for stream in [&mut near, &mut late] {
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    assert!(net.keepalive_ends_by().unwrap() <= Instant::now());
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_both_sides() {
    let (net, one, two) = world();
    let (mut near, mut far) = pair(&one, &two).await;
    near.write_all(b"lost").await.unwrap();
    net.reset_one().unwrap();
    assert!(near.read(&mut [0; 8]).await.is_err());
    assert!(far.read(&mut [0; 8]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_false_network_passes_the_real_ones_suite() {
    let (_, one, _) = world();
    vineyard_net::conformance::network(&one, "10.0.0.1:0").await;
}

#[tokio::test(start_paused = true)]
async fn the_false_local_sockets_pass_the_real_ones_suite() {
    let (net, one, _) = world();
    let local = crate::local::SimLocal {
        net,
        host: one.host,
    };
    vineyard_net::conformance::local(&local, &vineyard_shm::HeapMemory, "/run/a.sock").await;
}

#[tokio::test(start_paused = true)]
async fn the_user_of_the_other_end_is_known_on_one_machine_only() {
    let (_, one, two) = world();
    for (dials, expected) in [(&one, None), (&two, Some(crate::host::USER))] {
        let (_near, far) = pair(dials, &two).await;
        assert_eq!(far.detach().unwrap().peer_user().unwrap(), expected);
    }
}
