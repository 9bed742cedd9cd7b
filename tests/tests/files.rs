//! The main job in three commands: put a file on one node, name it, get it on another.

use std::fs;

use serde_json::Value;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;

/// Several transfers' worth, and no multiple of anything.
const FILE_BYTES: usize = (20 << 20) + 12_345;

#[test]
fn a_file_put_on_one_node_is_got_by_name_on_another() {
    let cluster = Cluster::start(3, &Plan::default()).unwrap();
    let (given, got) = (cluster.folder().join("F"), cluster.folder().join("G"));
    let mut state = 1_u64;
    let bytes: Vec<u8> = (0..FILE_BYTES)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    fs::write(&given, &bytes).unwrap();

    let put = cluster.nodes[0]
        .ctl_ok(&["put", given.to_str().unwrap(), "-o", "json"])
        .unwrap();
    let put: Value = serde_json::from_str(&put).unwrap();
    let id = put["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {put}"));
    cluster.nodes[0]
        .ctl_ok(&["name", "set", "the-file", id])
        .unwrap();
    cluster.nodes[2]
        .ctl_ok(&["get", "the-file", "-o", got.to_str().unwrap()])
        .unwrap();

    assert!(
        fs::read(&got).unwrap() == bytes,
        "the file that came back differs"
    );
}

#[test]
fn a_name_that_is_not_there_is_exit_code_4() {
    let cluster = Cluster::start(1, &Plan::default()).unwrap();
    let output = cluster.nodes[0].ctl(&["name", "get", "nobody"]).unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
}
