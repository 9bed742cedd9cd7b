//! Turns between the begin and the end of a pending operation.

use futures::FutureExt;
use vineyard_raft::state::Event;

use super::*;
use crate::local::{Inline, Put, PutTurn, Waiter};

fn waiter<T>(attempt: Attempt<T>) -> Waiter {
    attempt.err().expect("it waits")
}

#[test]
fn an_object_that_was_deleted_elsewhere_before_its_persist_ended_here_leaves_nothing() {
    for told_by_events in [true, false] {
        let mut node = Node::new();
        let blob = node.blob();
        let id = node.over(blob);
        let mut persisting = node.begin_persist(id);
        node.apply(&mut persisting);
        node.world.run(Command::Delete {
            ids: vec![id],
            force: false,
            deep: true,
        });
        if told_by_events {
            let events = [
                Event::Persisted(vec![id]),
                Event::ObjectsDeleted(vec![id]),
                Event::BlobsReleased(vec![blob]),
            ];
            node.local.follow(&node.world.state, &events);
        } else {
            // The events were missed.
            node.local.catch_up(&node.world.state);
        }
        node.end_persist(&persisting, true);
        assert_eq!(node.local.catalog.len(), 0);
        assert!(!node.local.store.exists(blob));
        assert!(node.local.pending.is_idle());
    }
}

#[test]
fn blobs_of_objects_that_went_while_events_were_missed_are_freed_and_no_others() {
    let mut node = Node::new();
    let (gone, kept, bare) = (node.blob(), node.blob(), node.blob());
    let id = node.persistent(gone);
    node.persistent(kept);
    node.world.run(Command::Delete {
        ids: vec![id],
        force: false,
        deep: true,
    });
    node.local.catch_up(&node.world.state);
    let is_here = [gone, kept, bare].map(|blob| node.local.store.exists(blob));
    assert_eq!(is_here, [false, true, true]);
}

#[test]
fn a_wait_ends_when_the_pending_operation_ends_and_by_nothing_else() {
    let mut node = Node::new();
    let (one, other) = (node.blob(), node.blob());
    let (one, other) = (node.over(one), node.over(other));
    let (first, second) = (node.begin_persist(one), node.begin_persist(other));
    let state = node.world.state.clone();
    let waits = node.local.delete(&state, &deletion(&[one]), true);
    let mut woken = Box::pin(waiter(waits).woken());
    node.end_persist(&second, false);
    assert!((&mut woken).now_or_never().is_none());
    node.end_persist(&first, false);
    assert!(woken.now_or_never().is_some());
    let deleted = node.local.delete(&state, &deletion(&[one, other]), true);
    assert!(matches!(deleted, Ok(Deleted::Done(blobs)) if blobs.len() == 2));
    assert!(node.local.pending.is_idle());
}

#[test]
fn a_wait_for_an_object_ends_when_it_is_made_persisted_or_sealed() {
    let mut node = Node::new();
    let state = node.world.state.clone();
    let id = ObjectId(7);
    let mut named = tree(serde_json::json!({
        "typename": "vineyard::Thing", "instance_id": A.0,
        "part": {
            "id": id.to_string(), "typename": "vineyard::Part", "instance_id": A.0,
            "signature": 1007, "nbytes": 0,
        },
    }));
    let waits = waiter(node.local.read_or_wait(&state, &[id]));
    node.create(named.clone())
        .ok()
        .expect("nothing waits")
        .expect("sound");
    assert!(waits.woken().now_or_never().is_some());
    assert!(node.local.read_or_wait(&state, &[id]).is_ok());

    named["part"]["id"] = ObjectId(8).to_string().into();
    let waits = waiter(node.local.read_or_wait(&state, &[ObjectId(8)]));
    node.local
        .follow(&state, &[Event::Persisted(vec![ObjectId(8)])]);
    assert!(waits.woken().now_or_never().is_some());

    let blob = node.local.store.create(node.holder, 8).expect("it fits").id;
    let waits = waiter(node.local.read_or_wait(&state, &[blob]));
    node.local.seal(node.holder, blob).expect("it is there");
    assert!(waits.woken().now_or_never().is_some());

    let waits = waiter(node.local.name_or_wait(&state, "name"));
    let set = Event::NameSet {
        name: "name".to_owned(),
        id,
    };
    node.local.follow(&state, &[set]);
    assert!(waits.woken().now_or_never().is_some());
}

#[test]
fn a_rollback_takes_no_blob_that_others_refer_to_by_then() {
    for is_shared in [true, false] {
        let mut node = Node::new();
        let blob = node.local.store.create(node.holder, 8).expect("it fits").id;
        let mut put = Put::new(node.holder, node.holder, Inline::Stored(Vec::new()));
        (put.content, put.seal, put.persist) = (Some(over(blob)), vec![blob], true);
        let PutTurn::Made(made) = node.local.put(&node.world.state, put, NOW_MS) else {
            panic!("nothing is under way")
        };
        assert_eq!(made.sealed, [blob]);
        let theirs = is_shared.then(|| node.over(blob));
        node.end_persist(&made.persisting.expect("it has begun"), false);
        let made = made.object.expect("a tree makes an object").id;
        let rollback = Deletion {
            named: Default::default(),
            ..deletion(&[blob, made])
        };
        let deleted = node.local.delete(&node.world.state, &rollback, false);
        assert!(matches!(deleted, Ok(Deleted::Done(_))));
        assert_eq!(node.local.store.exists(blob), is_shared);
        assert_eq!(node.local.catalog.transients(), Vec::from_iter(theirs));
    }
}

#[test]
fn a_put_that_must_wait_has_changed_nothing() {
    let mut node = Node::new();
    let (blob, other) = (node.blob(), node.blob());
    let (member, other) = (node.over(blob), node.persistent(other));
    let deletion = deletion(&[member, other]);
    let pending = node.begin_delete(&deletion);
    let bytes = Inline::Bytes {
        sizes: vec![3],
        bytes: b"abc".to_vec(),
    };
    let mut put = Put::new(node.holder, node.holder, bytes);
    put.content = Some(over(member));
    let before = node.local.store.usage();
    let PutTurn::Blocked(put, waiter) = node.local.put(&node.world.state, put, NOW_MS) else {
        panic!("its member is being deleted")
    };
    assert_eq!(node.local.store.usage(), before);
    node.local
        .end_delete(&node.world.state, &deletion, pending, false);
    assert!(waiter.woken().now_or_never().is_some());
    let again = node.local.put(&node.world.state, put, NOW_MS);
    assert!(matches!(again, PutTurn::Made(made) if made.blobs.len() == 1));
}

#[test]
fn a_copy_that_failed_leaves_the_blobs_that_others_refer_to() {
    for is_shared in [true, false] {
        let mut node = Node::new();
        let blob = node.blob();
        let begun = node.local.begin_copy(&node.world.state, &[], vec![blob]);
        begun.expect("it is sealed");
        if is_shared {
            node.over(blob);
        }
        node.local.end_copy(&node.world.state, &[blob], false);
        assert_eq!(node.local.store.exists(blob), is_shared);
        assert!(node.local.pending.is_idle());
    }
}

#[test]
fn a_blob_that_a_client_deletes_while_it_is_fetched_is_not_held_when_the_fetch_fails() {
    let mut node = Node::new();
    let own = node.local.own_holder();
    let blob = node.local.store.create(own, 8).expect("it fits").id;
    node.local.store.delete(node.holder, blob, false);
    node.local.discard(&[blob]);
    let usage = node.local.store.usage();
    assert_eq!((usage.references, usage.deleted_bytes), (0, 0));
}

#[test]
fn no_copy_begins_with_a_blob_that_a_delete_has_named() {
    let mut node = Node::new();
    let (blob, other) = (node.blob(), node.blob());
    let other = node.persistent(other);
    let deletion = deletion(&[blob, other]);
    let pending = node.begin_delete(&deletion);
    let begun = node.local.begin_copy(&node.world.state, &[], vec![blob]);
    assert!(begun.is_err());
    node.local
        .end_delete(&node.world.state, &deletion, pending, true);
    assert!(!node.local.store.exists(blob) && node.local.pending.is_idle());
}

#[test]
fn blobs_that_were_released_while_a_persist_was_unknown_are_freed_when_it_ends() {
    let mut node = Node::new();
    let blob = node.blob();
    let id = node.over(blob);
    let mut persisting = node.begin_persist(id);
    node.apply(&mut persisting);
    node.local
        .follow(&node.world.state, &[Event::Persisted(vec![id])]);
    node.world.run(Command::Delete {
        ids: vec![id],
        force: false,
        deep: true,
    });
    node.local
        .follow(&node.world.state, &[Event::BlobsReleased(vec![blob])]);
    // Whether it took effect cannot be known any more.
    node.end_persist(&persisting, false);
    assert!(!node.local.store.exists(blob) && node.local.pending.is_idle());
}

#[test]
fn a_sealed_blob_wakes_its_waiter_though_the_put_that_sealed_it_goes_on() {
    let mut node = Node::new();
    let state = node.world.state.clone();
    let blob = node.local.store.create(node.holder, 8).expect("it fits").id;
    let waits = waiter(node.local.read_or_wait(&state, &[blob]));
    let mut put = Put::new(node.holder, node.holder, Inline::Stored(Vec::new()));
    (put.content, put.seal) = (Some(over(ObjectId(404))), vec![blob]);
    let turn = node.local.put(&state, put, NOW_MS);
    assert!(matches!(turn, PutTurn::Unknown(..)));
    assert!(waits.woken().now_or_never().is_some());
}

#[test]
fn a_delete_frees_no_bytes_whose_copy_the_cluster_may_still_take() {
    let mut node = Node::new();
    let blob = node.blob();
    let begun = node.local.begin_copy(&node.world.state, &[], vec![blob]);
    begun.expect("it is sealed");
    let over = node.over(blob);
    let deleted = node
        .local
        .delete(&node.world.state, &deletion(&[over]), true);
    assert!(matches!(deleted, Ok(Deleted::Done(blobs)) if blobs.is_empty()));
    assert!(node.local.store.exists(blob));
    node.local.end_copy(&node.world.state, &[blob], false);
    assert!(!node.local.store.exists(blob) && node.local.pending.is_idle());
}
