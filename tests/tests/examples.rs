//! The client's examples against real nodes: each is a program that checks what it shows.

use std::process::Command;

use vineyard_tests::binaries::example;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;

#[test]
fn the_examples_of_the_client_show_what_they_say() {
    let cluster = Cluster::start(2, &Plan::default()).unwrap();
    let other = cluster.nodes[1].endpoint();
    for (name, arguments, said) in [
        ("put_get", &[][..], "has 5 bytes"),
        ("named", &[], "example/settings-"),
        ("remote", &[other], " is o"),
        ("shared_array", &[], "sum up to 549755289600"),
    ] {
        let output = Command::new(example(name).unwrap())
            .args(arguments)
            .env("VINEYARD_IPC_SOCKET", cluster.nodes[0].socket())
            .env_remove("VINEYARD_RPC_ENDPOINT")
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{name}: {out}{err}");
        assert!(out.contains(said), "{name} said {out:?}");
    }
}
