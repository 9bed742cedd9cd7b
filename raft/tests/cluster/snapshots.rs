//! Snapshots that cannot be written, and when they are taken.

use std::collections::BTreeMap;

use vineyard_env::{Disk as _, Files as _};
use vineyard_raft::Options;
use vineyard_wire::NodeId;

use crate::steps::{OBJECT, instance, object, put, run};
use crate::world::{WAIT, World, until};

const SNAPSHOT_EVERY: u64 = 20;

fn often() -> Options {
    Options {
        snapshot_after_entries: Some(SNAPSHOT_EVERY),
        entries_kept: 0,
        ..Options::default()
    }
}

#[test]
fn a_snapshot_without_room_is_tried_later_and_stops_nothing() {
    run(async {
        let (world, options) = (World::default(), often());
        let first = world.found(&options).await;
        let disk = world.disk(NodeId(0));
        first
            .submit(instance(&first), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        disk.fill(true);
        for number in 0..2 * SNAPSHOT_EVERY {
            put(&first, &format!("name {number}")).await.unwrap();
        }
        until("a file was refused", || disk.refused() > 0).await;
        let refused = disk.refused();
        for number in 0..2 * SNAPSHOT_EVERY {
            put(&first, &format!("more {number}")).await.unwrap();
        }
        assert_eq!(disk.refused(), refused, "it is not tried again at once");
        assert_eq!(first.status().failure, None);
        disk.fill(false);
        tokio::time::sleep(WAIT).await;
        for number in 0..2 * SNAPSHOT_EVERY {
            put(&first, &format!("later {number}")).await.unwrap();
        }
        until("a snapshot", || disk.list().unwrap().len() == 1).await;
        world.crash(NodeId(0));
        let again = world.start(NodeId(0), &options, None).await;
        again.confirm(WAIT).await.unwrap();
        for name in ["name 0", "more 39", "later 39"] {
            assert_eq!(again.state().name(name), Some(OBJECT), "{name}");
        }
    });
}

#[test]
fn a_newcomer_waits_for_room_for_the_snapshot_that_it_is_sent() {
    run(async {
        let (world, options) = (World::default(), often());
        let first = world.found(&options).await;
        first
            .submit(instance(&first), object(BTreeMap::new()), WAIT)
            .await
            .unwrap();
        for number in 0..10 * SNAPSHOT_EVERY {
            put(&first, &format!("name {number}")).await.unwrap();
        }
        let leaders = world.disk(NodeId(0));
        until("a snapshot", || leaders.list().unwrap().len() == 1).await;
        let second = world.join(&first, &options).await;
        let disk = world.disk(NodeId(1));
        disk.fill(true);
        until("a file was refused", || disk.refused() > 0).await;
        assert_eq!(second.status().failure, None);
        assert_eq!(second.state().name("name 0"), None);
        disk.fill(false);
        until("the snapshot is there", || {
            second.state().digest() == first.state().digest()
        })
        .await;
        assert_eq!(disk.list().unwrap().len(), 1);
        assert!(disk.scan(b"\x01s", b"\x01t").unwrap().is_empty());
    });
}

#[test]
fn a_snapshot_is_taken_when_the_log_has_grown_in_proportion() {
    run(async {
        let options = Options {
            snapshot_bytes_min: 16 << 10,
            entries_kept: 0,
            ..Options::default()
        };
        let world = World::default();
        let first = world.found(&options).await;
        let disk = world.disk(NodeId(0));
        let filler = BTreeMap::from([("filler".to_owned(), format!("{:?}", "x".repeat(1 << 20)))]);
        first
            .submit(instance(&first), object(filler), WAIT)
            .await
            .unwrap();
        let snapshot = || disk.list().unwrap().last().copied().unwrap_or(0);
        until("the state is large", || {
            let files = disk.list().unwrap();
            let large = |number: &u64| disk.read(*number).unwrap().len() > 1 << 20;
            files.last().is_some_and(large)
        })
        .await;
        let before = snapshot();
        // Some 20 KiB encoded: more than the least, and not half of the state.
        for number in 0..200 {
            put(&first, &format!("name {number}")).await.unwrap();
        }
        tokio::time::sleep(WAIT).await;
        assert_eq!(snapshot(), before);
        for number in 0..2000 {
            put(&first, &format!("more {number}")).await.unwrap();
        }
        until("another snapshot", || snapshot() > before).await;
    });
}
