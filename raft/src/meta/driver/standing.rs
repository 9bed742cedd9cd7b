//! A node that does not lead asks the leader from time to time whether a majority follows it, and who answers it. The
//! leader's heartbeats do not say so, and a leader that has lost its majority goes on to send them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_wire::NodeId;

use super::Driver;
use crate::features::MEMBERS;
use crate::options::{STANDING_TICK, STANDING_WITHIN};
use crate::peers::message::{Answer, Question, Standing};
use crate::published::contact::Said;

/// Asks until the group stops; idle while this node leads.
pub(super) async fn keep(driver: Rc<Driver>) {
    loop {
        tokio::time::sleep(driver.stretch(STANDING_TICK)).await;
        if let Some(leader) = whom_to_ask(&driver) {
            let asked = Instant::now();
            let asking =
                driver
                    .links
                    .ask(leader, &Question::Standing, driver.stretch(STANDING_WITHIN));
            // No answer is what `Contact` takes for silence.
            if let Ok(Answer::Standing(standing)) = asking.await {
                driver.shared.contact.learn(said(leader, standing, asked));
            }
        }
    }
}

/// The leader that this node believes in, if it is another one and knows the question.
fn whom_to_ask(driver: &Driver) -> Option<NodeId> {
    let leader = driver.shared.view.load().status.leader?;
    let level = driver.shared.state.load().level_of(leader);
    let knows = level.min(driver.options.feature_level) >= MEMBERS;
    (leader != driver.me && knows).then_some(leader)
}

/// The answer, counted from the time of the question: what is told is that old at least.
fn said(by: NodeId, standing: Standing, asked: Instant) -> Said {
    let before = |ms| asked.checked_sub(Duration::from_millis(ms));
    let members = standing.members_ms.into_iter();
    Said {
        by,
        quorum: standing.quorum_ms.and_then(before),
        has_quorum: standing.has_quorum,
        members: members
            .filter_map(|(node, ms)| Some((node, before(ms)?)))
            .collect::<BTreeMap<_, _>>(),
    }
}

impl Driver {
    /// The answer to `Question::Standing`.
    pub(crate) fn standing_here(&self) -> Answer {
        let Some(said) = self.shared.standing() else {
            return Answer::NotLeader(self.shared.status().leader.filter(|node| *node != self.me));
        };
        let ms = |at: Instant| at.elapsed().as_millis() as u64;
        let members = said.members.into_iter();
        Answer::Standing(Standing {
            quorum_ms: said.quorum.map(ms),
            has_quorum: said.has_quorum,
            members_ms: members.map(|(node, at)| (node, ms(at))).collect(),
        })
    }
}
