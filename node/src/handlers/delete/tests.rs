//! Deletes interleaved with creates and persists at every step: no accepted metadata refers to a deleted blob, and the
//! cluster does not list a deleted blob as present.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use vineyard_raft::state::objects::Lost;
use vineyard_wire::{Code, Tree};

use super::super::metadata::{create, create_datas, shallow_copy};
use super::super::persist::persist_all;
use super::*;
use crate::config::Limits;
use crate::session::Kind;
use crate::testing::with_node;

/// More steps than any verb here takes.
const STEPS_MAX: usize = 12;

async fn session(node: &Rc<NodeContext>) -> Session {
    let session = Session::open(node.clone(), Kind::Ipc, String::new(), None, None).await;
    session.unwrap_or_else(|status| panic!("{status}"))
}

/// A sealed blob without references.
async fn blob(node: &Rc<NodeContext>) -> ObjectId {
    let holder = node.own_holder;
    let made = node.local.ask(move |local, _| {
        let store = &mut local.store;
        let id = store.create(holder, 8)?.id;
        store.seal(holder, id)?;
        store.release(holder, id)?;
        Ok::<_, Error>(id)
    });
    made.await.unwrap().unwrap()
}

fn over(node: &Rc<NodeContext>, blob: ObjectId) -> Tree {
    let at = node.instance.0;
    let tree = json!({
        "typename": "vineyard::Thing", "instance_id": at, "nbytes": 8,
        "buffer_": {
            "id": blob.to_string(), "typename": "vineyard::Blob", "instance_id": at,
            "length": 8, "nbytes": 8, "transient": true,
        },
    });
    tree.as_object().unwrap().clone()
}

fn request(ids: &[ObjectId]) -> DelData {
    DelData {
        ids: ids.to_vec(),
        force: false,
        deep: true,
        memory_trim: false,
        fastpath: false,
    }
}

async fn object(node: &Rc<NodeContext>, blob: ObjectId) -> ObjectId {
    create(node, vec![over(node, blob)]).await.unwrap()[0].id
}

async fn is_here(node: &Rc<NodeContext>, blob: ObjectId) -> bool {
    node.local
        .ask(move |local, _| local.store.exists(blob))
        .await
        .unwrap()
}

async fn transients(node: &Rc<NodeContext>) -> usize {
    node.local
        .ask(|local, _| local.catalog.len())
        .await
        .unwrap()
}

async fn others_take_their_turns() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}

/// Polls `first` for `steps` steps, then `second` until it blocks, then both to their end.
async fn meet<A, B>(
    steps: usize,
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    for _ in 0..steps {
        if let Poll::Ready(first) = futures::poll!(first.as_mut()) {
            return (first, second.await);
        }
        others_take_their_turns().await;
    }
    match timeout(Duration::from_millis(30), second.as_mut()).await {
        Ok(second) => (first.await, second),
        Err(_) => tokio::join!(first, second),
    }
}

#[test]
fn no_object_is_created_over_a_blob_that_a_delete_frees() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for (steps, delete_first) in (0..STEPS_MAX).flat_map(|n| [(n, true), (n, false)]) {
            let blob = blob(node).await;
            let old = object(node, blob).await;
            let deleting = Delete::new(&session, request(&[old])).run();
            let creating = create(node, vec![over(node, blob)]);
            let (deleted, created) = match delete_first {
                true => meet(steps, deleting, creating).await,
                false => {
                    let (created, deleted) = meet(steps, creating, deleting).await;
                    (deleted, created)
                }
            };
            deleted.unwrap();
            match created {
                Ok(made) => {
                    assert!(is_here(node, blob).await, "{steps} {delete_first}");
                    let id = made[0].id;
                    Delete::new(&session, request(&[id])).run().await.unwrap();
                }
                Err(status) => assert_eq!(status.code, Code::ObjectNotExists),
            }
            assert!(!is_here(node, blob).await);
            assert_eq!(transients(node).await, 0, "{steps} {delete_first}");
        }
    });
}

#[test]
fn a_create_whose_blob_is_deleted_by_name_meanwhile_leaves_nothing() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for steps in 0..STEPS_MAX {
            let blob = blob(node).await;
            let deleting = Delete::new(&session, request(&[blob])).run();
            let creating = create(node, vec![over(node, blob)]);
            let (created, deleted) = meet(steps, creating, deleting).await;
            assert_eq!(deleted, Ok(vec![blob]));
            if let Ok(made) = created {
                let id = made[0].id;
                Delete::new(&session, request(&[id])).run().await.unwrap();
            }
            assert_eq!(transients(node).await, 0);
        }
    });
}

#[test]
fn several_objects_are_created_all_or_none() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let (first, second) = (blob(node).await, blob(node).await);
        let nowhere = ObjectId(second.0 + 1000);
        let mut misshapen = over(node, second);
        misshapen.remove("typename");
        for third in [over(node, nowhere), misshapen] {
            let contents = vec![over(node, first), over(node, second), third];
            assert!(create_datas(node, contents).await.is_err());
            assert_eq!(transients(node).await, 0);
        }
        let contents = vec![over(node, first), over(node, second)];
        create_datas(node, contents).await.unwrap();
        assert_eq!(transients(node).await, 2);
    });
}

#[test]
fn the_cluster_is_told_that_a_persistent_blob_was_deleted_by_name() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for fastpath in [false, true] {
            let blob = blob(node).await;
            let id = object(node, blob).await;
            persist_all(node, vec![id]).await.unwrap();
            let request = DelData {
                fastpath,
                ..request(&[blob])
            };
            let deleted = Delete::new(&session, request).run().await;
            assert_eq!(deleted, Ok(vec![blob]));
            let lost = node.meta.state().blob(blob).unwrap().lost;
            assert_eq!(lost, Lost::Deleted(node.instance));
            let read = super::super::blobs::get_buffers(&session, vec![blob], false);
            let status = read.await.expect_err("gone");
            assert!(status.message.contains("deleted"), "{status}");
            let (blob, id) = (blob.to_string(), id.to_string());
            assert!(status.message.contains(&blob) && status.message.contains(&id));
        }
        let blob = blob(node).await;
        let id = object(node, blob).await;
        persist_all(node, vec![id]).await.unwrap();
        drop_buffer(&session, blob).await.unwrap();
        assert!(node.meta.state().blob(blob).unwrap().locations.is_empty());
        assert_eq!(
            drop_buffer(&session, blob).await.unwrap_err().code,
            Code::ObjectNotExists
        );
    });
}

#[test]
fn a_pending_persist_is_waited_for() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for (steps, persist_first) in (0..STEPS_MAX).flat_map(|n| [(n, true), (n, false)]) {
            let blob = blob(node).await;
            let id = object(node, blob).await;
            let persisting = persist_all(node, vec![id]);
            let deleting = Delete::new(&session, request(&[blob])).run();
            let deleted = match persist_first {
                true => meet(steps, persisting, deleting).await.1,
                false => meet(steps, deleting, persisting).await.0,
            };
            assert_eq!(deleted, Ok(vec![blob]));
            let state = node.meta.state();
            let claims = |id| state.blob(id).is_some_and(|row| !row.locations.is_empty());
            assert!(!claims(blob), "{steps} {persist_first}");
        }
    });
}

/// A tree whose only member is the object `id`.
fn with_member(node: &Rc<NodeContext>, id: ObjectId) -> Tree {
    let member = json!({ "id": id.to_string() });
    let tree = json!({ "typename": "test::Parent", "instance_id": node.instance.0, "m": member });
    tree.as_object().unwrap().clone()
}

async fn persistent(node: &Rc<NodeContext>) -> ObjectId {
    let id = object(node, blob(node).await).await;
    persist_all(node, vec![id]).await.unwrap();
    id
}

async fn is_readable(node: &Rc<NodeContext>, id: ObjectId) -> bool {
    let read = move |local: &mut Local, state: &State| local.read(state, &[id]);
    let found = node.local.ask(read).await.unwrap();
    found.unwrap().has(&[id])
}

#[test]
fn nothing_is_created_over_a_transient_object_whose_delete_waits_for_the_cluster() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for (steps, clears) in (0..STEPS_MAX).flat_map(|n| [(n, true), (n, false)]) {
            let transient = object(node, blob(node).await).await;
            let ids = [transient, persistent(node).await];
            let deleting = async {
                match clears {
                    true => clear(&session).await.map(drop),
                    false => Delete::new(&session, request(&ids)).run().await.map(drop),
                }
            };
            let creating = create(node, vec![with_member(node, transient)]);
            let (deleted, created) = meet(steps, deleting, creating).await;
            deleted.unwrap();
            match created {
                Ok(made) => {
                    let id = made[0].id;
                    let stands =
                        move |local: &mut Local, state: &State| local.catalog.contains(state, id);
                    let stands = node.local.ask(stands).await.unwrap();
                    // A clear deletes what was created before it, with its blobs.
                    assert!(stands || clears, "{steps} {clears}");
                    assert_eq!(is_readable(node, id).await, stands, "{steps} {clears}");
                }
                Err(status) => assert_eq!(status.code, Code::MetaTreeSubtreeNotExists),
            }
            clear(&session).await.unwrap();
        }
    });
}

/// In either order the object is whole, or was refused because its member is gone.
#[test]
fn nothing_is_created_over_a_persistent_object_whose_delete_waits_for_the_cluster() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for (steps, copies) in (0..2 * STEPS_MAX).flat_map(|n| [(n, true), (n, false)]) {
            let member = persistent(node).await;
            let over = create(node, vec![with_member(node, member)]).await.unwrap()[0].id;
            persist_all(node, vec![over]).await.unwrap();
            // The member is deleted because the delete is deep.
            let deleting = Delete::new(&session, request(&[over])).run();
            let making = async {
                match copies {
                    true => match shallow_copy(node, over, Tree::new()).await? {
                        Reply::ShallowCopy { target_id } => Ok(target_id),
                        reply => panic!("{reply:?}"),
                    },
                    false => create(node, vec![with_member(node, member)])
                        .await
                        .map(|made| made[0].id),
                }
            };
            let (deleted, made) = meet(steps, deleting, making).await;
            deleted.unwrap();
            match made {
                Ok(id) => assert!(is_readable(node, id).await, "{steps} {copies}"),
                Err(status) => assert_eq!(status.code, Code::MetaTreeSubtreeNotExists),
            }
            clear(&session).await.unwrap();
        }
    });
}

/// A delete that the cluster does not agree to in time changes nothing, and requests that wait for it go on.
#[test]
fn a_request_that_waits_for_a_delete_goes_on_when_it_fails() {
    let limits = Limits {
        metadata_deadline: Duration::from_millis(300),
        ..Limits::default()
    };
    with_node(limits, async |test_node| {
        let node = &test_node.node.context;
        let member = persistent(node).await;
        let deletion = Arc::new(Delete::new(&session(node).await, request(&[member])).deletion);
        let asked = deletion.clone();
        let begin = move |local: &mut Local, state: &State| local.delete(state, &asked, true);
        let Ok(Deleted::Pending(pending)) = node.local.ask(begin).await.unwrap() else {
            panic!("the cluster has the object")
        };
        let late = create(node, vec![with_member(node, member)]).await;
        let late = late.expect_err("nobody decided");
        assert!(late.message.contains("delete"), "{late}");
        let stays = async {
            others_take_their_turns().await;
            let end = move |local: &mut Local, state: &State| {
                local.end_delete(state, &deletion, pending, false)
            };
            node.local.ask(end).await.unwrap();
        };
        let creating = create(node, vec![with_member(node, member)]);
        let (_, created) = meet(0, stays, creating).await;
        assert!(is_readable(node, created.unwrap()[0].id).await);
    });
}

#[test]
fn a_persist_that_meets_a_delete_of_the_same_object_does_not_outlive_it() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for steps in 0..STEPS_MAX {
            let transient = object(node, blob(node).await).await;
            let ids = [transient, persistent(node).await];
            let deleting = Delete::new(&session, request(&ids)).run();
            let (deleted, _) = meet(steps, deleting, persist_all(node, vec![transient])).await;
            deleted.unwrap();
            assert!(!is_readable(node, transient).await, "{steps}");
        }
    });
}

#[test]
fn a_clear_takes_all_there_is_and_leaves_what_is_put_meanwhile_whole() {
    with_node(Limits::default(), async |test_node| {
        let node = &test_node.node.context;
        let session = session(node).await;
        for steps in 0..STEPS_MAX {
            let (old, free) = (blob(node).await, blob(node).await);
            let persisting = object(node, old).await;
            let meanwhile = async {
                let made = create(node, vec![over(node, free)]).await;
                let persisted = persist_all(node, vec![persisting]).await;
                (made, persisted)
            };
            let (_, cleared) = meet(steps, meanwhile, clear(&session)).await;
            cleared.unwrap();
            let state = node.meta.state();
            for row in [old, free].into_iter().filter_map(|id| state.blob(id)) {
                assert!(row.locations.is_empty() || is_here(node, row.id).await);
            }
            assert!(transients(node).await == 0 || is_here(node, free).await);
            clear(&session).await.unwrap();
            assert!(!is_here(node, old).await && !is_here(node, free).await);
            assert_eq!(node.meta.state().objects().count(), 0);
            assert_eq!(transients(node).await, 0);
        }
    });
}
