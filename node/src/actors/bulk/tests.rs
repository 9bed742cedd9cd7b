//! Workers as tasks of one thread, as the simulator runs them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use tokio::task::LocalSet;
use vineyard_env::Main;

use super::*;

/// Starts each thread as a task, and records the names.
#[derive(Default)]
struct Tasks(Mutex<Vec<String>>);

impl Threads for Tasks {
    fn start(&self, name: &str, main: Main) {
        self.0.lock().unwrap().push(name.to_owned());
        tokio::task::spawn_local(main());
    }
}

async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn a_jobs_result_comes_back() {
    local(async {
        let bulk = Bulk::start(&Tasks::default(), 2, 4);
        for n in 0..10 {
            assert_eq!(
                bulk.run(move || Box::pin(async move { n * n })).await,
                Ok(n * n)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn workers_are_named_and_take_turns() {
    local(async {
        let tasks = Tasks::default();
        let bulk = Bulk::start(&tasks, 3, 4);
        assert_eq!(*tasks.0.lock().unwrap(), ["bulk-0", "bulk-1", "bulk-2"]);
        for expected in [1, 2, 0, 1] {
            bulk.run(|| Box::pin(async {})).await.unwrap();
            assert_eq!(bulk.next.get(), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_job_does_not_hold_up_the_next_one() {
    local(async {
        let bulk = Rc::new(Bulk::start(&Tasks::default(), 1, 4));
        let (release, held) = oneshot::channel::<()>();
        let order = Rc::new(RefCell::new(Vec::new()));
        let (slow, seen) = (bulk.clone(), order.clone());
        let slow = tokio::task::spawn_local(async move {
            slow.run(|| Box::pin(async { held.await.unwrap() }))
                .await
                .unwrap();
            seen.borrow_mut().push("slow");
        });
        tokio::task::yield_now().await;
        bulk.run(|| Box::pin(async {})).await.unwrap();
        order.borrow_mut().push("quick");
        release.send(()).unwrap();
        slow.await.unwrap();
        assert_eq!(*order.borrow(), ["quick", "slow"]);
    })
    .await;
}

#[tokio::test]
async fn a_job_goes_on_when_its_asker_leaves() {
    local(async {
        let bulk = Rc::new(Bulk::start(&Tasks::default(), 1, 4));
        let (release, held) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel::<()>();
        let asker = bulk.clone();
        let asker = tokio::task::spawn_local(async move {
            let job = || -> LocalBoxFuture<'static, ()> {
                Box::pin(async {
                    held.await.unwrap();
                    done.send(()).unwrap();
                })
            };
            asker.run(job).await
        });
        bulk.run(|| Box::pin(async {})).await.unwrap();
        asker.abort();
        assert!(asker.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        finished.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn stopped_workers_are_an_error_not_a_hang() {
    struct Stillborn;
    impl Threads for Stillborn {
        fn start(&self, _: &str, _: Main) {}
    }
    let bulk = Bulk::start(&Stillborn, 1, 4);
    let status = bulk.run(|| Box::pin(async {})).await.expect_err("stopped");
    assert_eq!(status.code, Code::VineyardServerNotReady);
    let kept = Arc::new(());
    let job = kept.clone();
    assert!(
        bulk.run(move || Box::pin(async move { drop(job) }))
            .await
            .is_err()
    );
    assert_eq!(
        Arc::strong_count(&kept),
        1,
        "a job that never ran is dropped"
    );
}
