//! When blobs that the cluster let go of are freed.

use super::*;
use crate::config::Limits;
use crate::testing::with_node;

async fn blob(node: &Rc<NodeContext>) -> ObjectId {
    let holder = node.own_holder;
    let made = node.blobs.ask(move |store| {
        let id = store.create(holder, 8)?.id;
        store.seal(holder, id)?;
        Ok::<_, vineyard_store::Error>(id)
    });
    made.await.unwrap().unwrap()
}

async fn is_here(node: &Rc<NodeContext>, blob: ObjectId) -> bool {
    // What a delete that ended has left to do is a task of its own.
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
    node.blobs
        .ask(move |store| store.exists(blob))
        .await
        .unwrap()
}

#[test]
fn a_free_waits_for_the_deletes_that_were_on_their_way_and_for_no_later_one() {
    with_node(Limits::default(), async |place| {
        let node = &place.node.shared;
        let first = DeleteOnItsWay::begin(node);
        let mut later = DeleteOnItsWay::begin(node);
        let released = blob(node).await;
        free_released(node, [released].into()).await.unwrap();
        for _ in 0..10 {
            // A steady stream: one begins before the one before it ends.
            later = DeleteOnItsWay::begin(node);
        }
        assert!(
            is_here(node, released).await,
            "the first may have caused it"
        );
        drop(first);
        assert!(!is_here(node, released).await);
        let released = blob(node).await;
        free_released(node, [released].into()).await.unwrap();
        assert!(is_here(node, released).await);
        drop(later);
        assert!(!is_here(node, released).await);
        let released = blob(node).await;
        free_released(node, [released].into()).await.unwrap();
        assert!(!is_here(node, released).await, "nothing is on its way");
        assert!(node.frees.waiting.borrow().is_empty());
    });
}
