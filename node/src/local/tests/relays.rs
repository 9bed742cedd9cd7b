//! Both ends of a relay as turns: what was lost on the way is given again, and chunks are kept until they are read.

use std::collections::BTreeMap;

use vineyard_wire::peer::{Answer, OpenRelay, PullRelay, RelayFrom, RelayedChunk};
use vineyard_wire::stream::{CreateStream, OpenStream, ReadersKind, StreamRules};
use vineyard_wire::{Code, Status};

use super::*;
use crate::local::catalog::tests::world::B;
use crate::local::streams::Who;
use crate::local::{Awaited, PullOptions, RelayNeed};

const CREDIT: u64 = 1000;

impl Node {
    fn me(&self) -> Who {
        Who {
            holder: self.holder,
            is_ours: true,
        }
    }

    fn stream(&mut self, rules: StreamRules) -> ObjectId {
        let id = ObjectId(7);
        let create = CreateStream {
            object_id: id,
            rules,
            source: None,
        };
        self.local.create_stream(self.holder, create).unwrap();
        id
    }

    fn write(&mut self, id: ObjectId, bytes: &[u8]) {
        let (state, me) = (&self.world.state, self.me());
        let written = self.local.write_chunk(state, me, id, bytes).unwrap();
        assert!(matches!(written, Awaited::Ready(())));
    }

    fn open_relay(&mut self, id: ObjectId) -> Result<u64, Status> {
        let open = OpenRelay {
            reader: B,
            stream: id,
            cursor: String::new(),
            from: RelayFrom::Next,
        };
        match self.local.open_relay(&self.world.state, &open)? {
            Answer::RelayOpened { next_number, .. } => Ok(next_number),
            other => panic!("{other:?}"),
        }
    }

    /// The blobs given, and whether they are the last; `None` if the pull waits.
    fn pull(
        &mut self,
        id: ObjectId,
        (copied, read): (u64, u64),
        credit_bytes: u64,
    ) -> Result<Option<(Vec<ObjectId>, bool)>, Status> {
        let pull = PullRelay {
            reader: B,
            stream: id,
            copied,
            read,
            credit_bytes,
        };
        match self.local.pull_relay(&self.world.state, &pull)? {
            Awaited::Ready(Answer::Relayed { chunks, is_last }) => {
                let ids = chunks.iter().map(|chunk| chunk.id).collect();
                Ok(Some((ids, is_last)))
            }
            Awaited::Ready(other) => panic!("{other:?}"),
            Awaited::Waits { .. } => Ok(None),
        }
    }

    fn finish(&mut self, id: ObjectId) {
        let stop = vineyard_wire::stream::StopStream {
            id,
            failed: false,
            reason: None,
        };
        let me = self.me();
        self.local.stop_stream(&self.world.state, me, stop).unwrap();
    }

    fn used(&self) -> u64 {
        self.local.store.usage().memory_usage
    }
}

#[test]
fn what_did_not_arrive_is_given_again_and_what_is_unread_is_kept() {
    let mut node = Node::new();
    let id = node.stream(StreamRules::default());
    for number in 0..3 {
        node.write(id, &[number; 100]);
    }
    assert_eq!(node.open_relay(id), Ok(0));
    let (first, is_last) = node.pull(id, (0, 0), CREDIT).unwrap().unwrap();
    assert_eq!((first.len(), is_last), (3, false));
    // The answer was lost; then its first chunk was copied, and the connection was lost.
    assert_eq!(node.pull(id, (0, 0), CREDIT).unwrap().unwrap().0, first);
    assert_eq!(
        node.pull(id, (1, 0), CREDIT).unwrap().unwrap().0,
        first[1..]
    );
    assert!(node.local.store.exists(first[0]), "it is not read");
    assert_eq!(node.pull(id, (3, 1), CREDIT).unwrap().unwrap().0, []);
    assert!(!node.local.store.exists(first[0]), "it is read");
    node.finish(id);
    assert_eq!(node.pull(id, (3, 1), CREDIT), Ok(Some((vec![], true))));
    let ended = node.pull(id, (3, 3), CREDIT).unwrap_err();
    assert_eq!(ended.code, Code::StreamDrained);
    node.local.leave_relay(&node.world.state, B, id);
    let me = node.holder;
    node.local.end_session(&node.world.state, me);
    assert_eq!(node.used(), 0);
    assert!(!node.local.streams.contains(id));
}

#[test]
fn a_relay_gets_no_more_than_its_credit_but_one_chunk() {
    let mut node = Node::new();
    let id = node.stream(StreamRules::default());
    for bytes in [300, 200, 200] {
        node.write(id, &vec![1; bytes]);
    }
    node.open_relay(id).unwrap();
    let given = |node: &mut Node, at, credit| node.pull(id, at, credit).unwrap().unwrap().0.len();
    assert_eq!(given(&mut node, (0, 0), 0), 0, "no credit");
    assert_eq!(given(&mut node, (0, 0), 1), 1, "one is always given");
    assert_eq!(given(&mut node, (1, 0), 100), 0, "one is unread");
    assert_eq!(given(&mut node, (1, 0), 300), 1);
    assert_eq!(given(&mut node, (2, 2), 300), 1);
    assert_eq!(node.pull(id, (3, 3), 300), Ok(None), "it waits");
    let status = node.local.stream_status(&node.world.state, id).unwrap();
    assert!(status.cursors[0].waits, "{status:?}");
    let wrong = node.pull(id, (9, 3), 300).unwrap_err();
    assert_eq!(wrong.code, Code::Invalid, "it was not given so many");
}

#[test]
fn a_relay_is_one_reader_and_its_silence_is_a_readers_end() {
    let mut node = Node::new();
    let id = node.stream(StreamRules::default());
    node.write(id, &[1; 100]);
    node.open_relay(id).unwrap();
    assert_eq!(node.open_relay(id), Ok(0), "the answer was lost");
    let open = OpenStream {
        object_id: id,
        mode: 1,
        cursor: None,
        from: None,
    };
    let me = node.me();
    let refused = node.local.open_stream(&node.world.state, me, &open);
    assert_eq!(refused.unwrap_err().code, Code::StreamOpened);
    assert!(node.pull(id, (0, 0), CREDIT).unwrap().is_some());
    assert_eq!(node.local.relay_asks(B, id), Some(1));
    node.local.leave_relay(&node.world.state, B, id);
    assert_eq!(node.local.relay_asks(B, id), None);
    assert_eq!(node.used(), 0);
    let told = node.local.write_chunk(&node.world.state, me, id, &[2; 100]);
    let told = told.map(drop).unwrap_err();
    assert!(told.message.contains("the reader left"), "{told:?}");
    let told = node.pull(id, (1, 1), CREDIT).unwrap_err();
    assert_eq!(told.code, Code::StreamFailed);
}

#[test]
fn copies_are_read_as_the_stream_itself_and_told_its_end() {
    let mut node = Node::new();
    let id = ObjectId(1 << 47 | 9);
    assert_eq!(id.made_by(), B);
    let needs = node.local.begin_relay(&node.world.state, id, id);
    assert!(matches!(needs, Ok(RelayNeed::Opening(B))));
    let needs = node.local.begin_relay(&node.world.state, id, id);
    assert!(matches!(needs, Ok(RelayNeed::Waits(_))), "one opens it");
    let rules = StreamRules {
        window_bytes_max: Some(300),
        readers: ReadersKind::Each,
        ..StreamRules::default()
    };
    let origin = node.local.make_relayed(id, (B, id), rules, 5);
    let standing = node.local.relay_standing(id, origin).unwrap();
    assert_eq!(
        (standing.copied, standing.read, standing.credit_bytes),
        (0, 0, 300)
    );
    let (source, copy) = (ObjectId(1 << 63 | 1 << 47 | 10), node.own_blob());
    let chunk = RelayedChunk {
        id: source,
        tree: None,
        blobs: vec![(source, 8)],
    };
    let copies = BTreeMap::from([(source, copy)]);
    let queued =
        node.local
            .queue_copies(&node.world.state, (id, origin), &[chunk], &copies, NOW_MS);
    queued.unwrap();
    let standing = node.local.relay_standing(id, origin).unwrap();
    assert_eq!(
        (standing.copied, standing.read, standing.credit_bytes),
        (1, 0, 292)
    );
    let other = ObjectId(11);
    let needs = node.local.begin_relay(&node.world.state, other, id);
    let refused = needs.map(drop).unwrap_err();
    assert_eq!(refused.code, Code::StreamOpened, "one relay: {refused:?}");
    let refused = node
        .local
        .write_chunk(&node.world.state, node.me(), id, &[1]);
    let refused = refused.map(drop).unwrap_err();
    assert!(
        refused.message.contains("connect to that node"),
        "{refused:?}"
    );
    let options = PullOptions {
        cursor: None,
        max: Some(1),
        maps: false,
    };
    let me = node.me();
    let mut pull = || node.local.pull_chunks(&node.world.state, me, id, &options);
    let Ok(Awaited::Ready(pulled)) = pull() else {
        panic!("a chunk is there")
    };
    assert_eq!(pulled.chunks, [(5, copy)], "numbers go on");
    assert!(matches!(pull(), Ok(Awaited::Waits { .. })));
    assert_eq!(node.local.relay_standing(id, origin).unwrap().read, 1);
    let told = Status::not_exists("it is lost with node 1");
    node.local
        .end_relayed(&node.world.state, id, origin, told.clone());
    let end = node.local.pull_chunks(&node.world.state, me, id, &options);
    assert_eq!(end.map(drop).unwrap_err(), told);
    node.local.end_session(&node.world.state, me.holder);
    assert_eq!(node.used(), 0);
    assert!(!node.local.streams.contains(id));
    assert!(node.local.relay_standing(id, origin).is_err());
}

impl Node {
    /// A sealed blob that the node itself holds.
    fn own_blob(&mut self) -> ObjectId {
        let own = self.local.own_holder();
        let made = self.local.store.create(own, 8).expect("it fits");
        self.local.seal(own, made.id).expect("it was just made");
        made.id
    }
}
