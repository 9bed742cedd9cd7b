//! Leaving: a node that goes by itself.

use super::membership::with_blob;
use super::*;
use crate::command::{Cordon, Refusal};

#[test]
fn a_node_leaves_once_others_that_stay_have_its_bytes() {
    let mut replica = with_blob(&[i(2)]);
    let (two, one) = (NodeId(2), NodeId(1));
    let leave = |discard| Command::Leave { node: two, discard };
    let cordon = |node, cordon| Command::Cordon { node, cordon };
    let only_here = Err(Refusal::OnlyCopies {
        node: two,
        blobs: 1,
    });
    assert_eq!(replica.run(leave(false)).0, only_here);
    let leaves = Some(Cordon::Leaves);
    let news = replica.done(cordon(two, leaves));
    assert_eq!(news, [Event::InstanceChanged(i(2))]);
    assert_eq!(
        replica.done(cordon(two, leaves)),
        [],
        "it may be said twice"
    );
    assert_eq!(replica.state.cordon_of(two), leaves);
    // A copy on a node that is cordoned, or not up, is none that stays.
    replica.done(Command::Persist {
        records: Vec::new(),
        blobs: vec![row(b(1), 8, &[i(1)])],
    });
    let drains = Some(Cordon::Drains);
    replica.done(cordon(one, drains));
    assert_eq!(replica.run(leave(false)).0, only_here);
    replica.done(cordon(one, None));
    let watch = |reachable| Command::Watch {
        instance: i(1),
        reachable,
    };
    replica.done(watch(false));
    assert_eq!(replica.run(leave(false)).0, only_here);
    replica.done(watch(true));
    replica.done(leave(false));
    assert!(replica.state.is_removed(two));
    assert_eq!(replica.state.cordon_of(two), None);
    let blob = replica.state.blob(b(1)).unwrap();
    assert!(blob.locations.iter().eq([&i(1)]), "{blob:?}");
    let gone = Err(Refusal::Removed { node: two });
    assert_eq!(replica.run(cordon(two, drains)).0, gone);
    let unknown = NodeId(7);
    let no_node = Err(Refusal::NoNode { node: unknown });
    assert_eq!(replica.run(cordon(unknown, None)).0, no_node);
    // What is given up by word is lost.
    let events = replica.done(Command::Leave {
        node: one,
        discard: true,
    });
    let lost = Event::BlobsLost {
        instance: i(1),
        blobs: vec![b(1)],
    };
    assert!(events.contains(&lost), "{events:?}");
}

#[test]
fn nothing_more_is_persisted_on_a_node_that_leaves() {
    let mut replica = with_blob(&[i(2)]);
    let cordon = |cordon| Command::Cordon {
        node: NodeId(2),
        cordon,
    };
    let persist = |blob, holders: &[InstanceId]| Command::Persist {
        records: Vec::new(),
        blobs: vec![row(b(blob), 8, holders)],
    };
    replica.done(cordon(Some(Cordon::Drains)));
    replica.done(persist(2, &[i(2)]));
    replica.done(cordon(Some(Cordon::Leaves)));
    let leaves = Err(Refusal::Leaves { node: NodeId(2) });
    assert_eq!(replica.run(persist(3, &[i(2)])).0, leaves);
    assert_eq!(replica.run(persist(3, &[i(1), i(2)])).0, leaves);
    // What it has already may be said again, and others may take it.
    replica.done(persist(1, &[i(2)]));
    replica.done(persist(1, &[i(1)]));
    replica.done(cordon(None));
    replica.done(persist(3, &[i(2)]));
}

#[test]
fn a_blob_is_read_where_it_is_to_stay() {
    let mut replica = with_blob(&[i(0), i(1), i(2)]);
    let best = |replica: &Replica, prefer| {
        let row = replica.state.blob(b(1)).unwrap();
        replica.state.best_place(row, prefer)
    };
    assert_eq!(best(&replica, i(2)), Some(i(2)));
    assert_eq!(best(&replica, i(7)), Some(i(0)));
    let cordon = |node| Command::Cordon {
        node: NodeId(node),
        cordon: Some(Cordon::Drains),
    };
    replica.done(cordon(2));
    assert_eq!(best(&replica, i(2)), Some(i(0)));
    let lost = |node| Command::Watch {
        instance: i(node),
        reachable: false,
    };
    replica.done(lost(0));
    assert_eq!(best(&replica, i(2)), Some(i(1)));
    // Rather from a node that is drained than from one that does not answer.
    replica.done(lost(1));
    assert_eq!(best(&replica, i(1)), Some(i(2)));
    replica.done(lost(2));
    assert_eq!(best(&replica, i(1)), Some(i(1)));
}
