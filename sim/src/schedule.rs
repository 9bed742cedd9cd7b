//! Processes as futures: who runs next is drawn from the seed, who is paused does not run, who is killed is dropped.
//!
//! Promise: one thread, one order. A process is a `LocalSet`; killing it drops every task it had at whatever await they
//! stood. It knows nothing of what the processes do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::trace::{Kind, Trace};

/// Turns at one simulated instant before we conclude that it will never pass.
const TURNS_MAX: u64 = 300_000;
/// How often, in a thousand, a process that could run lets the others go first.
const DAWDLE_PER_MILLE: u64 = 100;

struct Flag {
    woken: AtomicBool,
    main: Arc<AtomicWaker>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.main.wake();
    }
}

struct Process {
    set: LocalSet,
    flag: Arc<Flag>,
    waker: Waker,
    paused: bool,
    last_ran: Option<Instant>,
    /// Its main has returned, and it ends with it.
    exits: Rc<Cell<bool>>,
}

/// The processes of one world.
#[derive(Clone)]
pub struct Schedule {
    inner: Rc<Inner>,
}

struct Inner {
    processes: RefCell<BTreeMap<String, Process>>,
    chance: RefCell<Chance>,
    main: Arc<AtomicWaker>,
    trace: Trace,
}

impl Schedule {
    pub fn new(seed: u64, trace: Trace) -> Self {
        let inner = Inner {
            processes: RefCell::default(),
            chance: RefCell::new(Chance::stream(seed, "schedule")),
            main: Arc::new(AtomicWaker::new()),
            trace,
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// Starts a process that runs `main`; it lives until it is killed, or every task of it has ended.
    pub fn start(&self, name: &str, main: impl Future<Output = ()> + 'static) {
        self.start_as(name, Rc::default(), main);
    }

    /// Starts a process that ends when `main` does, with whatever other tasks it has.
    pub fn start_program(&self, name: &str, main: impl Future<Output = ()> + 'static) {
        let exits: Rc<Cell<bool>> = Rc::default();
        let exit = Rc::clone(&exits);
        let program = async move {
            main.await;
            exit.set(true);
        };
        self.start_as(name, exits, program);
    }

    fn start_as(
        &self,
        name: &str,
        exits: Rc<Cell<bool>>,
        main: impl Future<Output = ()> + 'static,
    ) {
        let set = LocalSet::new();
        set.spawn_local(main);
        let flag = Arc::new(Flag {
            woken: AtomicBool::new(true),
            main: Arc::clone(&self.inner.main),
        });
        let waker = Waker::from(Arc::clone(&flag));
        let process = Process {
            set,
            flag,
            waker,
            paused: false,
            last_ran: None,
            exits,
        };
        self.inner
            .trace
            .note(Kind::Event, name, format_args!("starts"));
        let before = self
            .inner
            .processes
            .borrow_mut()
            .insert(name.to_owned(), process);
        assert!(before.is_none(), "process {name} runs already");
        self.inner.main.wake();
    }

    /// Ends a process at once, wherever its tasks stand.
    pub fn kill(&self, name: &str) {
        let process = self.inner.processes.borrow_mut().remove(name);
        if let Some(process) = process {
            self.inner
                .trace
                .note(Kind::Event, name, format_args!("ends"));
            drop(process);
        }
    }

    pub fn runs(&self, name: &str) -> bool {
        self.inner.processes.borrow().contains_key(name)
    }

    /// Stops or continues a process as SIGSTOP and SIGCONT do: its timers go on, it does not.
    pub fn pause(&self, name: &str, paused: bool) {
        if let Some(process) = self.inner.processes.borrow_mut().get_mut(name) {
            process.paused = paused;
        }
        self.inner.main.wake();
    }

    /// Runs `controller` to its end, and the processes beside it.
    pub async fn drive<T>(&self, controller: impl Future<Output = T>) -> T {
        let mut controller = pin!(controller);
        let (mut instant, mut turns) = (Instant::now(), 0);
        poll_fn(|cx| {
            if std::mem::replace(&mut instant, Instant::now()) != instant {
                turns = 0;
            }
            turns += 1;
            assert!(
                turns < TURNS_MAX,
                "time stands still: {:?} never rest",
                self.awake()
            );
            self.inner.main.register(cx.waker());
            if let Poll::Ready(value) = controller.as_mut().poll(cx) {
                return Poll::Ready(value);
            }
            if self.poll_woken() {
                // One pass per turn: tokio's own timers and yields get theirs in between.
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    fn awake(&self) -> Vec<String> {
        let processes = self.inner.processes.borrow();
        let awake = processes
            .iter()
            .filter(|(_, p)| p.flag.woken.load(Ordering::Relaxed));
        awake.map(|(name, _)| name.clone()).collect()
    }

    /// Lets each process that was woken run once, in a drawn order. True if any ran or is still to run.
    fn poll_woken(&self) -> bool {
        let mut ready: Vec<String> = {
            let processes = self.inner.processes.borrow();
            let woken = |p: &Process| !p.paused && p.flag.woken.load(Ordering::Relaxed);
            processes
                .iter()
                .filter(|(_, p)| woken(p))
                .map(|(name, _)| name.clone())
                .collect()
        };
        if ready.is_empty() {
            return false;
        }
        if ready.len() > 1 {
            self.inner.chance.borrow_mut().shuffle(&mut ready);
        }
        for name in ready {
            if !self.inner.chance.borrow_mut().happens(DAWDLE_PER_MILLE) {
                self.poll_one(&name);
            }
        }
        true
    }

    fn poll_one(&self, name: &str) {
        // Taken out while it runs: what it does may look at the table.
        let Some(mut process) = self.inner.processes.borrow_mut().remove(name) else {
            return;
        };
        process.flag.woken.store(false, Ordering::Relaxed);
        let now = Instant::now();
        if process.last_ran != Some(now) {
            process.last_ran = Some(now);
            self.inner
                .trace
                .note(Kind::Timer, name, format_args!("runs"));
        }
        let waker = process.waker.clone();
        let ended = Pin::new(&mut process.set)
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        if ended || process.exits.get() {
            self.inner
                .trace
                .note(Kind::Event, name, format_args!("ends by itself"));
        } else {
            self.inner
                .processes
                .borrow_mut()
                .insert(name.to_owned(), process);
        }
    }

    /// Ends every process, in the order of their names.
    pub fn kill_all(&self) {
        let names: Vec<String> = self.inner.processes.borrow().keys().cloned().collect();
        for name in names {
            self.kill(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    /// A process that counts milliseconds.
    fn count(schedule: &Schedule, name: &str) -> Rc<Cell<u64>> {
        let counted = Rc::new(Cell::new(0));
        let counter = Rc::clone(&counted);
        schedule.start(name, async move {
            loop {
                sleep(Duration::from_millis(1)).await;
                counter.set(counter.get() + 1);
            }
        });
        counted
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_process_stands_still_and_a_killed_one_is_dropped() {
        let schedule = Schedule::new(1, Trace::new(None));
        let (one, other) = (count(&schedule, "n1"), count(&schedule, "n2"));
        let control = schedule.clone();
        let director = async {
            sleep(Duration::from_millis(100)).await;
            control.pause("n1", true);
            let stood = one.get();
            sleep(Duration::from_millis(100)).await;
            assert_eq!(one.get(), stood);
            control.pause("n1", false);
            control.kill("n2");
            assert_eq!(Rc::strong_count(&other), 1);
            sleep(Duration::from_millis(100)).await;
            assert!(one.get() > stood);
        };
        schedule.drive(director).await;
        assert!(schedule.runs("n1") && !schedule.runs("n2"));
        schedule.kill_all();
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_ends_with_its_main_and_drops_its_other_tasks() {
        let schedule = Schedule::new(1, Trace::new(None));
        let task = Rc::new(());
        let held = Rc::clone(&task);
        schedule.start_program("n1", async move {
            tokio::task::spawn_local(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
        });
        schedule.drive(sleep(Duration::from_millis(1))).await;
        assert!(!schedule.runs("n1"));
        assert_eq!(Rc::strong_count(&task), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_runs_first_is_drawn_from_the_seed() {
        let mut hashes = Vec::new();
        for seed in [1, 1, 2] {
            let trace = Trace::new(None);
            let schedule = Schedule::new(seed, trace.clone());
            for name in ["n1", "n2", "n3"] {
                count(&schedule, name);
            }
            schedule.drive(sleep(Duration::from_millis(50))).await;
            hashes.push(trace.close().0);
            schedule.kill_all();
        }
        assert_eq!(hashes[0], hashes[1]);
        assert_ne!(hashes[0], hashes[2]);
    }
}
