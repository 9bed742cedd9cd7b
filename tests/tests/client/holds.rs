//! The bytes that a client reads stay after a delete, and their memory is freed when the client drops them.

use std::time::Instant;

use vineyard_client::{Blob, DeleteOptions, Draft, Options, blocking};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::Plan;
use vineyard_wire::ObjectId;

use super::{ENDS_WITHIN, Place};

fn bytes_of(number: u8, megabytes: usize) -> Vec<u8> {
    vec![number; megabytes << 20]
}

fn references(client: &blocking::Client) -> u64 {
    let status = client.cluster_status().unwrap();
    status.nodes[0].stats.as_ref().unwrap().references
}

/// Fills the arena with other bytes, so that whatever could be used again is.
fn overwrite(client: &blocking::Client) {
    let mut writers = Vec::new();
    while let Ok(mut writer) = client.create_blob(1 << 20) {
        writer.as_mut_slice().fill(0xee);
        writers.push(writer);
    }
    assert!(writers.len() > 4, "the arena had room");
    writers
        .into_iter()
        .for_each(|writer| writer.abort().unwrap());
}

#[test]
fn a_live_blob_outlasts_what_its_client_does_and_its_memory_comes_back() {
    let plan = Plan {
        size: "16M".to_owned(),
        ..Plan::default()
    };
    let cluster = Cluster::start(1, &plan).unwrap();
    let place = Place::of(&cluster.nodes[0]);
    let (client, other) = (
        place.connect_blocking(true, &Options::default()),
        place.connect_blocking(true, &Options::default()),
    );
    let put = |number: u8| {
        let draft = Draft::new("test::Bytes").blob("buffer_", bytes_of(number, 2));
        client.put(draft).unwrap().id
    };
    let blob = |id: ObjectId| client.get(id).unwrap().blob("buffer_").unwrap().clone();
    let ids = [put(1), put(2), put(3), put(4)];
    let blobs: [Blob; 4] = ids.map(blob);
    client.delete(&ids[..1], DeleteOptions::default()).unwrap();
    client.drop_blob(blobs[1].id()).unwrap();
    client.retain(&[blobs[2].id()]).unwrap();
    client.release(blobs[2].id()).unwrap();
    client.clear().unwrap();
    overwrite(&other);
    let intact =
        |number: usize, blob: &Blob| blob.iter().all(|byte| usize::from(*byte) == number + 1);
    assert!(
        blobs
            .iter()
            .enumerate()
            .all(|(number, blob)| intact(number, blob))
    );
    assert_eq!(references(&other), 4);

    let [first, second, third, fourth] = blobs;
    let until = |wanted: u64| {
        let began = Instant::now();
        while references(&other) != wanted {
            assert!(
                began.elapsed() < ENDS_WITHIN,
                "{} references",
                references(&other)
            );
        }
    };
    // Much is given back at once, though the client asks for nothing more, and though it is gone.
    drop(first);
    until(3);
    client.close();
    drop(second);
    until(2);
    drop(client);
    drop(third);
    until(1);
    overwrite(&other);
    assert!(intact(3, &fourth));
    drop(fourth);
    until(0);
    let whole = other.instance_status().unwrap().memory_limit as usize;
    assert_eq!(other.create_blob(whole).unwrap().len(), whole);
}

#[test]
fn a_client_that_reads_much_pins_little() {
    let cluster = Cluster::start(1, &Plan::default()).unwrap();
    let client = Place::of(&cluster.nodes[0]).connect_blocking(true, &Options::default());
    let ids: Vec<_> = (0..300)
        .map(|_| client.put_blob(&[7; 100_000]).unwrap())
        .collect();
    for id in &ids {
        assert_eq!(client.get_blob(*id).unwrap()[0], 7);
    }
    assert_eq!(references(&client), 0);
    drop(client.create_blob(100_000).unwrap());
    assert_eq!(
        client.instance_status().unwrap().memory_usage,
        300 * 100_000
    );
}
