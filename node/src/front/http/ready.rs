//! Whether the node is well: questions of the HTTP thread, answered on the actor thread.
//!
//! Promise: an answer takes no turn of any owner and changes nothing. A check says what is wrong in words that an
//! operator can act on. It knows no HTTP.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use vineyard_env::Disk;
use vineyard_raft::Status;

use crate::context::NodeContext;
use crate::front::lobby::WaitsFor;

/// The checks, in their order.
pub(super) const CHECKS: [&str; 7] = [
    "joined",
    "registered",
    "caught_up",
    "quorum",
    "raft",
    "disk",
    "draining",
];
/// For how long the last answer of the disk is reused.
const DISK_FRESH: Duration = Duration::from_secs(1);

pub(super) enum Question {
    Alive(oneshot::Sender<()>),
    Ready(oneshot::Sender<Vec<Check>>),
}

/// One thing that a node needs to serve its clients, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
}

type Outcome = Result<(), String>;

/// Answers until the HTTP thread has ended.
pub(super) async fn answer(node: Rc<NodeContext>, mut asked: mpsc::Receiver<Question>) {
    let disk = Rc::new(DiskProbe::default());
    while let Some(question) = asked.recv().await {
        match question {
            // The connection may have ended meanwhile.
            Question::Alive(answer) => drop(answer.send(())),
            Question::Ready(answer) => {
                let (node, disk) = (node.clone(), disk.clone());
                tokio::task::spawn_local(async move {
                    drop(answer.send(checks(&node, &disk).await));
                });
            }
        }
    }
}

/// As `answer`, of a node that is no member yet.
pub(super) async fn answer_not_joined(waits_for: WaitsFor, mut asked: mpsc::Receiver<Question>) {
    while let Some(question) = asked.recv().await {
        match question {
            Question::Alive(answer) => drop(answer.send(())),
            Question::Ready(answer) => drop(answer.send(not_joined(&waits_for))),
        }
    }
}

fn not_joined(waits_for: &WaitsFor) -> Vec<Check> {
    let outcomes = [
        waits_for.text(),
        "no cluster has admitted this node".to_owned(),
    ];
    let named = CHECKS.into_iter().zip(outcomes);
    named
        .map(|(name, reason)| Check {
            name,
            outcome: Err(reason),
        })
        .collect()
}

async fn checks(node: &NodeContext, disk: &Rc<DiskProbe>) -> Vec<Check> {
    let limits = &node.config.limits;
    let group = node.meta.status();
    let me = node.instance.node();
    let outcomes = [
        is_so(node.meta.state().node(me).is_some(), || {
            "no cluster that this node knows has it as a member".to_owned()
        }),
        is_so(node.boot.is_registered(), || {
            "the cluster has not registered this start of the node".to_owned()
        }),
        caught_up(&group, limits.ready_behind_max),
        quorum(&group),
        match &group.failure {
            None => Ok(()),
            Some(failure) => Err(format!("this node takes no part any more: {failure}")),
        },
        match &group.shortage {
            None => {
                disk.ask(node.env.disk.as_ref(), limits.disk_answer_deadline)
                    .await
            }
            Some(shortage) => Err(format!("it is short of room: {shortage}")),
        },
        is_so(node.meta.state().cordon_of(me).is_none(), || {
            format!("{me} is to be stopped or to leave; `vineyardctl uncordon {me}` lets it stay")
        }),
    ];
    let named = CHECKS.into_iter().zip(outcomes);
    named
        .map(|(name, outcome)| Check { name, outcome })
        .collect()
}

fn is_so(it_is: bool, reason: impl FnOnce() -> String) -> Outcome {
    it_is.then_some(()).ok_or_else(reason)
}

fn caught_up(group: &Status, behind_max: u64) -> Outcome {
    let behind = group.commit_index.saturating_sub(group.applied_index);
    is_so(behind <= behind_max, || {
        format!("{behind} entries of the log are not applied here yet")
    })
}

fn quorum(group: &Status) -> Outcome {
    is_so(group.has_quorum, || {
        format!(
            "no majority has followed a leader for {:.1} s: {} of {} voters are needed",
            Duration::from_millis(group.quorum_ms).as_secs_f64(),
            group.majority(),
            group.voters.len(),
        )
    })
}

/// Asks the disk to say that all before is durable. There is one such question at a time, however many ask.
#[derive(Default)]
struct DiskProbe {
    state: RefCell<Probe>,
    answered: Notify,
}

#[derive(Default)]
struct Probe {
    asked: Option<Instant>,
    answer: Option<(Instant, Outcome)>,
}

impl DiskProbe {
    async fn ask(self: &Rc<Self>, disk: &dyn Disk, within: Duration) -> Outcome {
        if let Some((at, outcome)) = &self.state.borrow().answer
            && at.elapsed() < DISK_FRESH
        {
            return outcome.clone();
        }
        self.begin(disk);
        match tokio::time::timeout(within, self.ended()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let since = self.state.borrow().asked.map_or(within, |at| at.elapsed());
                Err(format!(
                    "it has not answered for {:.1} s",
                    since.as_secs_f64()
                ))
            }
        }
    }

    fn begin(self: &Rc<Self>, disk: &dyn Disk) {
        if self.state.borrow().asked.is_some() {
            return;
        }
        self.state.borrow_mut().asked = Some(Instant::now());
        let (done, answer) = oneshot::channel();
        // An empty batch writes nothing.
        let told = Box::new(move |result| drop(done.send(result)));
        disk.commit(Vec::new(), told);
        let probe = self.clone();
        tokio::task::spawn_local(async move {
            let outcome = match answer.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("its thread has ended".to_owned()),
            };
            *probe.state.borrow_mut() = Probe {
                asked: None,
                answer: Some((Instant::now(), outcome)),
            };
            probe.answered.notify_waiters();
        });
    }

    /// Returns when the question that was asked has its answer.
    async fn ended(&self) -> Outcome {
        loop {
            // Registered before the check, so that an answer between the two is not missed.
            let answered = self.answered.notified();
            if let Some(outcome) = self.answer() {
                return outcome;
            }
            answered.await;
        }
    }

    /// The answer to the last question, if it has one.
    fn answer(&self) -> Option<Outcome> {
        let state = self.state.borrow();
        match (state.asked, &state.answer) {
            (None, Some((_, outcome))) => Some(outcome.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use tokio::task::LocalSet;
    use vineyard_env::{Batch, Done, Files, NoFiles, Pair};

    use super::*;

    /// A disk that keeps its callers waiting.
    #[derive(Default)]
    struct Slow(Mutex<Vec<Done>>);

    impl Disk for Slow {
        fn get(&self, _: &[u8]) -> io::Result<Option<Vec<u8>>> {
            Ok(None)
        }

        fn scan(&self, _: &[u8], _: &[u8]) -> io::Result<Vec<Pair>> {
            Ok(Vec::new())
        }

        fn commit(&self, batch: Batch, done: Done) {
            assert!(batch.is_empty());
            self.0.lock().unwrap().push(done);
        }

        fn files(&self) -> &dyn Files {
            &NoFiles
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_asked_once_and_named_until_it_answers() {
        let test = async {
            let (disk, probe) = (Slow::default(), Rc::new(DiskProbe::default()));
            let within = Duration::from_secs(2);
            for expected in ["2.0 s", "4.0 s"] {
                let reason = probe.ask(&disk, within).await.unwrap_err();
                assert!(reason.contains(expected), "{reason}");
            }
            let waiting = disk.0.lock().unwrap().pop().expect("it was asked");
            assert!(disk.0.lock().unwrap().is_empty(), "it was asked twice");
            waiting(Ok(()));
            assert_eq!(probe.ask(&disk, within).await, Ok(()));
            tokio::time::advance(DISK_FRESH).await;
            probe.begin(&disk);
            let failed = disk.0.lock().unwrap().pop().expect("it was asked again");
            failed(Err(io::Error::other("worn out")));
            assert_eq!(probe.ask(&disk, within).await, Err("worn out".to_owned()));
        };
        LocalSet::new().run_until(test).await;
    }

    #[test]
    fn a_node_without_a_majority_says_for_how_long() {
        let group = Status {
            quorum_ms: 43_200,
            voters: [0, 1, 2].map(vineyard_wire::NodeId).to_vec(),
            ..Status::default()
        };
        let reason = quorum(&group).unwrap_err();
        assert!(
            reason.contains("43.2 s") && reason.contains("2 of 3"),
            "{reason}"
        );
        let group = Status {
            has_quorum: true,
            ..group
        };
        assert_eq!(quorum(&group), Ok(()));
        let behind = Status {
            commit_index: 200,
            applied_index: 99,
            ..group
        };
        assert!(caught_up(&behind, 100).unwrap_err().contains("101 entries"));
        assert_eq!(caught_up(&behind, 101), Ok(()));
    }
}
