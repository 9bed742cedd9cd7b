//! Streams under arbitrary orders of writes, reads and departures, against a plain model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use vineyard_shm::HeapMemory;
use vineyard_store::{HolderId, Store};
use vineyard_wire::id::IdMaker;
use vineyard_wire::stream::{OnReaderGone, OpenStream, ReadersKind, StreamRules};
use vineyard_wire::{Code, InstanceId, ObjectId};

use super::{Chunk, Pull, Stream, Who};

const CURSORS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Write { bytes: u64 },
    Read { cursor: usize, max: u64 },
    Leave { cursor: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..20_u64).prop_map(|bytes| Step::Write { bytes }),
        4 => (0..3_usize, 1..4_u64).prop_map(|(cursor, max)| Step::Read { cursor, max }),
        1 => (0..3_usize).prop_map(|cursor| Step::Leave { cursor }),
    ]
}

fn holders() -> Vec<HolderId> {
    let ids = IdMaker::new(InstanceId(0), 1);
    let mut store = Store::new(&HeapMemory, 4096, ids).expect("a small arena");
    (0..5).map(|_| store.open_holder(true)).collect()
}

/// What must hold of one stream.
struct Model {
    stream: Stream,
    readers: Vec<Who>,
    is_shared: bool,
    written: u64,
    /// By cursor: the number that it gets next, and what it has got since its last pull.
    next: [u64; 3],
    in_flight: [BTreeSet<u64>; 3],
    /// Of shared cursors: what has been read, and is never given out again.
    done: BTreeSet<u64>,
    freed: BTreeSet<ObjectId>,
}

impl Model {
    fn new(readers: ReadersKind, retain_bytes_max: u64) -> Self {
        let holders = holders();
        let rules = StreamRules {
            readers,
            readers_min: 3,
            retain_bytes_max,
            on_reader_gone: OnReaderGone::Wait,
            ..StreamRules::default()
        };
        let who = |holder: &HolderId| Who {
            holder: *holder,
            is_ours: true,
        };
        let mut model = Self {
            stream: Stream::new(rules, holders[0], holders[1]),
            readers: holders[2..].iter().map(who).collect(),
            is_shared: readers == ReadersKind::Share,
            written: 0,
            next: [0; 3],
            in_flight: Default::default(),
            done: BTreeSet::new(),
            freed: BTreeSet::new(),
        };
        (0..3).for_each(|cursor| model.open(cursor));
        model
    }

    fn open(&mut self, cursor: usize) {
        let open = OpenStream {
            object_id: ObjectId(1),
            mode: 1,
            cursor: Some(CURSORS[cursor].to_owned()),
            from: None,
        };
        self.stream
            .open(self.readers[cursor], &open)
            .expect("nobody has it");
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Write { bytes } => {
                self.stream.push(Chunk {
                    id: ObjectId(self.written),
                    bytes,
                });
                self.written += 1;
            }
            Step::Read { cursor, max } => drop(self.read(cursor, max)),
            Step::Leave { cursor } => self.leave(cursor),
        }
    }

    fn read(&mut self, cursor: usize, max: u64) -> bool {
        let (pull, freed) = self
            .stream
            .pull(self.readers[cursor], CURSORS[cursor], max)
            .expect("it is open");
        self.done
            .extend(std::mem::take(&mut self.in_flight[cursor]));
        self.check_freed(freed);
        let chunks = match pull {
            Pull::Chunks(chunks) => chunks,
            Pull::Waits => return true,
            Pull::Ended(_) => return false,
        };
        assert!(chunks.len() as u64 <= max);
        for (number, chunk) in chunks {
            assert_eq!(chunk.id, ObjectId(number), "the number of its writing");
            assert!(!self.freed.contains(&chunk.id), "{number} was freed");
            match self.is_shared {
                true => {
                    assert!(!self.done.contains(&number), "{number} was read already");
                    assert!(
                        self.in_flight
                            .iter()
                            .all(|others| !others.contains(&number))
                    );
                }
                false => {
                    assert_eq!(number, self.next[cursor], "in order, once");
                    self.next[cursor] += 1;
                }
            }
            self.in_flight[cursor].insert(number);
        }
        true
    }

    fn leave(&mut self, cursor: usize) {
        let departure = self.stream.leave(self.readers[cursor].holder);
        assert!(!departure.is_over, "it is waited for");
        self.check_freed(departure.freed);
        let returned = std::mem::take(&mut self.in_flight[cursor]);
        self.next[cursor] = returned.first().copied().unwrap_or(self.next[cursor]);
        self.open(cursor);
    }

    fn check_freed(&mut self, freed: Vec<Chunk>) {
        for chunk in freed {
            assert!(self.freed.insert(chunk.id), "{} is freed once", chunk.id);
            let number = chunk.id.0;
            assert!(
                self.in_flight.iter().all(|got| !got.contains(&number)),
                "{number} is being read"
            );
            match self.is_shared {
                true => assert!(self.done.contains(&number), "{number} was not read"),
                false => assert!(
                    self.next.iter().all(|next| number < *next),
                    "{number} was not read"
                ),
            }
        }
    }

    /// All read all, to the end.
    fn finish(mut self, retain_bytes_max: u64) {
        self.stream
            .stop(self.readers[0].holder, false, None)
            .expect("it is open");
        let mut open: BTreeMap<usize, bool> = (0..3).map(|cursor| (cursor, true)).collect();
        while open.values().any(|open| *open) {
            for cursor in 0..3 {
                if open[&cursor] {
                    let goes_on = self.read(cursor, 2);
                    open.insert(cursor, goes_on);
                }
            }
        }
        if self.is_shared {
            assert_eq!(self.done.len() as u64, self.written);
        }
        let status = self.stream.status(ObjectId(1), InstanceId(0));
        assert_eq!(
            (
                status.window_bytes,
                status.waiting_chunks,
                status.in_flight_chunks
            ),
            (0, 0, 0)
        );
        assert!(status.retained_bytes <= retain_bytes_max);
        if retain_bytes_max == 0 {
            assert_eq!(self.freed.len() as u64, self.written, "nothing is left");
        }
    }
}

proptest! {
    #[test]
    fn chunks_are_read_in_order_once_and_freed_when_all_have_read_them(
        is_shared in any::<bool>(),
        retain in prop_oneof![Just(0_u64), Just(50)],
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let kind = if is_shared { ReadersKind::Share } else { ReadersKind::Each };
        let mut model = Model::new(kind, retain);
        for step in &steps {
            model.run(step);
        }
        model.finish(retain);
    }
}

#[test]
fn one_reader_and_one_writer_wait_at_a_time() {
    let holders = holders();
    let mut stream = Stream::new(StreamRules::default(), holders[0], holders[1]);
    let who = |at: usize| Who {
        holder: holders[at],
        is_ours: false,
    };
    let pulled = stream.pull(who(2), "", 1).expect("nobody reads");
    assert_eq!(pulled.0, Pull::Waits);
    assert_eq!(
        stream.pull(who(3), "", 1).expect_err("one waits").code,
        Code::InvalidStreamState
    );
    stream.check_writer(holders[2]).expect("nobody writes");
    stream.wait_to_write(holders[2], true);
    assert_eq!(
        stream.check_writer(holders[3]).expect_err("one waits").code,
        Code::InvalidStreamState
    );
    let stopped = stream.stop(holders[3], false, None);
    assert_eq!(
        stopped.expect_err("one waits").code,
        Code::InvalidStreamState
    );
    stream.end_wait(holders[2]);
    stream.check_writer(holders[3]).expect("it waits no longer");
}

#[test]
fn a_released_reader_takes_the_stream_with_it_and_its_open_mark_stays() {
    let holders = holders();
    let mut stream = Stream::new(StreamRules::default(), holders[0], holders[1]);
    let who = Who {
        holder: holders[2],
        is_ours: false,
    };
    let open = OpenStream {
        object_id: ObjectId(1),
        mode: 1,
        cursor: None,
        from: None,
    };
    stream.open(who, &open).expect("nobody reads");
    // It opened and left; nothing happens.
    assert!(!stream.leave(who.holder).is_changed);
    assert_eq!(
        stream.open(who, &open).expect_err("the mark stays").code,
        Code::StreamOpened
    );
    stream.push(Chunk {
        id: ObjectId(7),
        bytes: 5,
    });
    stream.pull(who, "", 1).expect("there is one");
    assert!(stream.leave(who.holder).is_over);
    assert_eq!(stream.clear().len(), 1);
}

#[test]
fn the_last_writer_that_leaves_without_a_stop_fails_the_stream() {
    let holders = holders();
    let mut stream = Stream::new(StreamRules::default(), holders[0], holders[1]);
    let reader = Who {
        holder: holders[4],
        is_ours: true,
    };
    for writer in &holders[2..4] {
        stream.check_writer(*writer).expect("nobody waits");
    }
    stream.push(Chunk {
        id: ObjectId(7),
        bytes: 5,
    });
    stream.leave(holders[2]);
    assert!(
        matches!(stream.pull(reader, "", 9).expect("one reads").0, Pull::Chunks(chunks) if chunks.len() == 1)
    );
    assert_eq!(
        stream.pull(reader, "", 9).expect("one reads").0,
        Pull::Waits
    );
    stream.leave(holders[3]);
    let Pull::Ended(status) = stream.pull(reader, "", 9).expect("one reads").0 else {
        panic!("it has ended");
    };
    assert_eq!(status.message, "Stream source failed: the writer left");
    assert!(stream.leave(reader.holder).is_over);
}

#[test]
fn after_the_last_reader_left_there_is_nothing_but_the_failure() {
    for kind in [ReadersKind::Each, ReadersKind::Share] {
        let holders = holders();
        let rules = StreamRules {
            readers: kind,
            ..StreamRules::default()
        };
        let mut stream = Stream::new(rules, holders[0], holders[1]);
        let who = |at: usize, is_ours| Who {
            holder: holders[at],
            is_ours,
        };
        let open = OpenStream {
            object_id: ObjectId(1),
            mode: 1,
            cursor: None,
            from: None,
        };
        // A released client opens, and will read by another connection.
        stream.open(who(2, false), &open).expect("nobody reads");
        for number in 0..3 {
            stream.push(Chunk {
                id: ObjectId(number),
                bytes: 5,
            });
        }
        stream.pull(who(3, true), "a", 1).expect("there are three");
        assert_eq!(stream.leave(holders[3]).freed.len(), 3);
        for _ in 0..3 {
            let (pull, freed) = stream.pull(who(4, false), "", 1).expect("nobody waits");
            assert!(matches!(pull, Pull::Ended(_)), "{pull:?}");
            assert_eq!(freed, []);
        }
    }
}

#[test]
fn a_stream_has_so_many_cursors_and_no_more() {
    let holders = holders();
    let rules = StreamRules {
        readers: ReadersKind::Each,
        ..StreamRules::default()
    };
    let mut stream = Stream::new(rules, holders[0], holders[1]);
    let who = Who {
        holder: holders[2],
        is_ours: true,
    };
    let mut pull = |name: &str| stream.pull(who, name, 1).map(|(pull, _)| pull);
    for number in 0..1024 {
        assert_eq!(pull(&number.to_string()), Ok(Pull::Waits));
    }
    assert_eq!(pull("one more").expect_err("enough").code, Code::Invalid);
    assert_eq!(pull("7"), Ok(Pull::Waits));
    let mut other = Stream::new(StreamRules::default(), holders[0], holders[1]);
    let long = "n".repeat(1025);
    let refused = other.pull(who, &long, 1).expect_err("it is too long");
    assert_eq!(refused.code, Code::Invalid);
}
