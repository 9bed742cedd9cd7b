//! Every machine loses its power at once, again and again, while a client writes. What was acknowledged is there after.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::chance::Chance;
use crate::invariants::nothing_acknowledged_is_lost;
use crate::scenarios::{insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const LOSSES: usize = 4;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    stage.form(3).await;
    let mut chance = Chance::stream(stage.world.seed, "power");
    let published = Rc::new(RefCell::new(Vec::new()));
    for loss in 0..LOSSES {
        let (there, list) = (stage.clone(), Rc::clone(&published));
        let node = 1 + chance.index(3);
        stage.world.schedule.start("writer", async move {
            let client = there.client("writer", node).await;
            for count in 0.. {
                let name = format!("name {loss}.{count}");
                match publish(&client, &name).await {
                    Ok(id) => list.borrow_mut().push((name, id)),
                    Err(_) => sleep(Duration::from_millis(50)).await,
                }
            }
        });
        sleep(Duration::from_millis(chance.between(500, 4000))).await;
        stage.world.schedule.kill("writer");
        for node in 1..=3 {
            stage.cluster.kill(node, false);
        }
        sleep(Duration::from_millis(chance.between(10, 1000))).await;
        for node in 1..=3 {
            stage.cluster.restart(node);
        }
        for node in 1..=3 {
            stage.serves(node).await;
        }
    }
    let published = published.take();
    stage.demand(!published.is_empty(), "something was acknowledged");
    let there = stage.clone();
    let read = stage.act("reader", async move {
        let client = there.client("reader", 1).await;
        for (name, id) in published {
            let found = insist(|| client.get_name(&name)).await;
            let kept = matches!(&found, Ok(found) if *found == id);
            if !kept {
                let lost = format!("{name} pointed to {id}: {found:?}");
                let mut oracle = there.oracle.borrow_mut();
                oracle.hold(nothing_acknowledged_is_lost::NAME, Err(lost));
            }
        }
    });
    read.await;
}
