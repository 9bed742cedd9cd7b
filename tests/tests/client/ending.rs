//! Connecting to, filling blobs of and closing on a node that is stopped: these end by their deadline too.

use std::time::Instant;

use nix::sys::signal::Signal;
use vineyard_client::{Client, Error, blocking};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;

use super::{ENDS_WITHIN, Place, impatient, judge, runtime};

/// Set where the environment names a stopped node.
const STOPPED: &str = "VINEYARD_TEST_STOPPED";

#[test]
fn the_environment_names_the_node() {
    let options = impatient();
    let results = [
        (
            Instant::now(),
            runtime()
                .block_on(Client::connect_default(&options))
                .map(drop),
        ),
        (
            Instant::now(),
            blocking::Client::connect_default(&options).map(drop),
        ),
    ];
    for (started, result) in results {
        match std::env::var(STOPPED) {
            Ok(_) => judge("connect_default", true, started, result),
            Err(_) => assert!(matches!(result, Err(Error::NoAddress))),
        }
    }
}

/// Connects, closes and fills against a stopped node; `clients` and `writers` were made before it stopped.
macro_rules! connect_close_and_fill {
    ($ipc:expr, $connect:expr, $client:expr, $writers:expr, $wait:ident) => {{
        let (ipc, client) = ($ipc, $client);
        let started = Instant::now();
        judge("connect", ipc, started, $wait!($connect));
        let [shrunk, sealed, aborted] = $writers;
        // Over TCP the bytes are kept here until they are sealed: the others ask nothing.
        let started = Instant::now();
        match ipc {
            true => judge("shrink", ipc, started, $wait!(shrunk.1.shrink(1))),
            false => drop($wait!(shrunk.1.shrink(1)).unwrap()),
        }
        let started = Instant::now();
        judge("seal", ipc, started, $wait!(sealed.1.seal()));
        let started = Instant::now();
        match ipc {
            true => judge("abort", ipc, started, $wait!(aborted.1.abort())),
            false => $wait!(aborted.1.abort()).unwrap(),
        }
        let started = Instant::now();
        $wait!(client.close());
        assert!(started.elapsed() < ENDS_WITHIN);
        assert!(matches!($wait!(client.debug()), Err(Error::Closed { .. })));
    }};
}

#[test]
fn connecting_filling_and_closing_against_a_stopped_node_end_too() {
    let cluster = Cluster::start(1, &Plan::default()).unwrap();
    let node = &cluster.nodes[0];
    let (place, options) = (Place::of(node), impatient());
    let runtime = runtime();
    let mut clients = Vec::new();
    for ipc in [true, false] {
        // A call that missed its deadline closes its connection, so each writer has its own.
        let writers = [(); 3].map(|()| {
            let client = runtime.block_on(place.connect(ipc, &options));
            let writer = runtime.block_on(client.create_blob(8)).unwrap();
            (client, writer)
        });
        let blocking_writers = [(); 3].map(|()| {
            let client = place.connect_blocking(ipc, &options);
            let writer = client.create_blob(8).unwrap();
            (client, writer)
        });
        let client = runtime.block_on(place.connect(ipc, &options));
        let blocking_client = place.connect_blocking(ipc, &options);
        clients.push((ipc, client, writers, blocking_client, blocking_writers));
    }
    node.process().unwrap().signal(Signal::SIGSTOP).unwrap();
    for (ipc, client, writers, blocking_client, blocking_writers) in clients {
        let connect = async || match ipc {
            true => Client::connect_ipc(&place.socket, &options).await,
            false => Client::connect_rpc(&place.endpoint, &options).await,
        };
        runtime.block_on(async {
            connect_close_and_fill!(ipc, connect(), client, writers, awaited);
        });
        let connect = || match ipc {
            true => blocking::Client::connect_ipc(&place.socket, &options),
            false => blocking::Client::connect_rpc(&place.endpoint, &options),
        };
        connect_close_and_fill!(ipc, connect(), blocking_client, blocking_writers, waited);
    }
    // The environment is the whole process's, so the places it names are tried by a process of its own.
    let here = std::env::current_exe().unwrap();
    for (variable, value) in [
        ("VINEYARD_IPC_SOCKET", &place.socket),
        ("VINEYARD_RPC_ENDPOINT", &place.endpoint),
    ] {
        let mut child = std::process::Command::new(&here);
        child.args([
            "--exact",
            "client::ending::the_environment_names_the_node",
            "--nocapture",
        ]);
        for cleared in ["VINEYARD_IPC_SOCKET", "VINEYARD_RPC_ENDPOINT"] {
            child.env_remove(cleared);
        }
        let ended = child
            .env(variable, value)
            .env(STOPPED, "1")
            .output()
            .unwrap();
        assert!(
            ended.status.success(),
            "{variable}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    node.process().unwrap().signal(Signal::SIGCONT).unwrap();
}
