//! Round trips take 300 ms, and one packet of five is lost. At the usual pace no leader stays. Set to such round trips,
//! by its founder or later, the cluster keeps its leader and acknowledges, replaces a leader that dies, and one that is
//! cut off says so; each in proportion.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use vineyard_raft::{ROUND_TRIP_MS, features, state};
use vineyard_wire::request::Configure;

use crate::cluster::ip;
use crate::network::Link;
use crate::scenarios::{PATIENCE_MS, insist, publish};
use crate::stage::{Outcome, Settings, Stage, run};

const NODES: usize = 3;
const SLOW_MS: u64 = 300;
const SLOW: Link = Link {
    delay_ms: SLOW_MS / 2,
    jitter_ms: 20,
    loss_per_mille: 200,
    ..Link::NORMAL
};
/// For so long a leader is watched.
const WATCHED: Duration = Duration::from_secs(30);
/// Names that are acknowledged meanwhile at least: each takes a few round trips, and some are tried again.
const NAMES_MIN: usize = 3;
/// At the usual pace another leads after one or two elections, or some 2 s.
const REPLACED_MS_MAX: u64 = 3_000 * SLOW_MS / ROUND_TRIP_MS;

pub fn play(settings: Settings) -> Outcome {
    run(settings, direct)
}

async fn direct(stage: Stage) {
    let is_founded_so = !stage.world.seed.is_multiple_of(2);
    if is_founded_so {
        stage.cluster.found_with(state::Settings {
            round_trip_ms: Some(SLOW_MS),
            ..state::Settings::default()
        });
        slow_down(&stage);
    }
    stage.form_of(NODES, 0, features::LATEST).await;
    let three = || stage.cluster.board(2).borrow().voters.len() == NODES;
    let formed = stage.until(2 * PATIENCE_MS, three).await;
    stage.demand(formed, "three vote");
    if !is_founded_so {
        slow_down(&stage);
        let terms = terms_in(&stage, WATCHED).await;
        stage.demand(terms > 1, "at the usual pace no leader stays");
        stage.world.net.heal();
        set(&stage).await;
        slow_down(&stage);
    }
    let leads = || stage.cluster.leader().is_some();
    let leads = stage.until(REPLACED_MS_MAX, leads).await;
    stage.demand(leads, "somebody leads");
    stage.world.schedule.start("writer", write(stage.clone()));
    let terms = terms_in(&stage, WATCHED).await;
    stage.demand(terms == 0, &format!("the leader stays: {terms} more terms"));
    let ended = || !stage.world.schedule.runs("writer");
    let ended = stage.until(PATIENCE_MS, ended).await;
    stage.demand(ended, "the writer ends");
    replace_leader(&stage, true).await;
    replace_leader(&stage, false).await;
    stage.world.net.heal();
}

fn slow_down(stage: &Stage) {
    for from in 1..=NODES {
        for to in (1..=NODES).filter(|to| *to != from) {
            stage.world.net.set_link(&ip(from), &ip(to), SLOW);
        }
    }
}

/// By how many terms the nodes go on in this time.
async fn terms_in(stage: &Stage, time: Duration) -> u64 {
    let term = || {
        let terms = (1..=NODES).map(|node| stage.cluster.board(node).borrow().term);
        terms.max().unwrap_or_default()
    };
    let before = term();
    sleep(time).await;
    term() - before
}

async fn set(stage: &Stage) {
    let there = stage.clone();
    let told = Configure {
        round_trip_ms: Some(SLOW_MS),
        ..Configure::default()
    };
    let set = stage.act("operator", async move {
        let client = there.client("operator", 2).await;
        insist(|| client.configure(told)).await
    });
    let set = set.await.and_then(Result::ok);
    let is_set = set.is_some_and(|set| set.round_trip_ms == SLOW_MS);
    stage.demand(is_set, "the round trip is set");
    stage.cluster.found_with(state::Settings {
        round_trip_ms: Some(SLOW_MS),
        ..state::Settings::default()
    });
    sleep(Duration::from_secs(2)).await;
}

/// Publishes one name after the other.
async fn write(stage: Stage) {
    let client = stage.client("writer", 3).await;
    let until = Instant::now() + WATCHED;
    let mut names = 0;
    while Instant::now() < until {
        let name = format!("name {names}");
        let published = insist(|| publish(&client, &name)).await;
        stage.demand(published.is_ok(), &format!("{name}: {published:?}"));
        names += 1;
    }
    stage.demand(names >= NAMES_MIN, &format!("{names} names were published"));
}

/// The leader dies, or is cut off; another one leads, and it comes back.
async fn replace_leader(stage: &Stage, dies: bool) {
    let Some(leader) = stage.cluster.leader() else {
        return stage.demand(false, "somebody leads");
    };
    let others: Vec<usize> = (1..=NODES).filter(|node| *node != leader).collect();
    match dies {
        true => stage.cluster.kill(leader, true),
        false => {
            for other in &others {
                stage.world.net.cut(&ip(leader), &ip(*other));
                stage.world.net.cut(&ip(*other), &ip(leader));
            }
        }
    }
    let another = || {
        let boards = others.iter().map(|node| stage.cluster.board(*node));
        boards.into_iter().any(|board| board.borrow().leads)
    };
    let replaced = stage.until(REPLACED_MS_MAX, another).await;
    stage.demand(replaced, &format!("n{leader} is replaced, dead: {dies}"));
    // What the lone one says is looked at by the invariant.
    sleep(Duration::from_secs(20)).await;
    stage.world.net.heal();
    slow_down(stage);
    if dies {
        stage.cluster.restart(leader);
        stage.serves(leader).await;
    }
    let there = stage.clone();
    let name = format!("after {leader} {dies}");
    let published = stage.act("after", async move {
        let client = there.client("after", leader).await;
        insist(|| publish(&client, &name)).await
    });
    let published = published.await;
    let holds = matches!(published, Some(Ok(_)));
    stage.demand(holds, &format!("n{leader} goes on: {published:?}"));
}
