//! One example of each peer message. A new variant does not compile until it is listed here.

use vineyard_wire::peer::{
    About, Answer, Ask, Candidate, Challenge, Fresh, Hello, Introduced, Join, Life, Moved,
    OpenRelay, PROOF_BYTES, PullRelay, Purpose, Range, RelayFrom, RelayedChunk, Response, VERSION,
    Welcome, Whereabouts,
};
use vineyard_wire::stream::{OnReaderGone, ReadersKind};
use vineyard_wire::{InstanceId, NodeId, ObjectId, Status, Trace};

use crate::reply_samples::{drain_progress, pieces, stats, streams};

/// Calls the macro `$use` with the name and the value of each sample (their types differ, so no closure can).
macro_rules! each_peer_sample {
    ($use:ident) => {{
        for hello in crate::peer_samples::hellos() {
            $use!(&format!("hello.{:?}", hello.purpose), &hello);
        }
        for challenge in crate::peer_samples::challenges() {
            $use!(crate::peer_samples::challenge_name(&challenge), &challenge);
        }
        $use!("response", &crate::peer_samples::response());
        for welcome in crate::peer_samples::welcomes() {
            $use!(crate::peer_samples::welcome_name(&welcome), &welcome);
        }
        $use!("life", &crate::peer_samples::life());
        for introduced in crate::peer_samples::introductions() {
            $use!(
                crate::peer_samples::introduced_name(&introduced),
                &introduced
            );
        }
        for ask in crate::peer_samples::asks() {
            $use!(crate::peer_samples::ask_name(&ask), &ask);
        }
        for answer in crate::peer_samples::answers() {
            $use!(crate::peer_samples::answer_name(&answer), &answer);
        }
    }};
}
pub(crate) use each_peer_sample;

/// The names of an enum's variants, and the name of a value: adding a variant without a name does not compile.
macro_rules! names {
    ($list:ident $of:ident($message:ident) { $($pattern:pat => $name:literal,)* }) => {
        pub(crate) const $list: &[&str] = &[$($name,)*];

        pub(crate) fn $of(message: &$message) -> &'static str {
            match message {
                $($pattern => $name,)*
            }
        }
    };
}

names! { CHALLENGES challenge_name(Challenge) {
    Challenge::Proceed { .. } => "challenge.proceed",
    Challenge::Refused(_) => "challenge.refused",
} }

names! { WELCOMES welcome_name(Welcome) {
    Welcome::Welcome { .. } => "welcome.welcome",
    Welcome::Refused(_) => "welcome.refused",
} }

names! { INTRODUCTIONS introduced_name(Introduced) {
    Introduced::Welcome(_) => "introduced.welcome",
    Introduced::Outlived => "introduced.outlived",
    Introduced::Removed => "introduced.removed",
} }

names! { ASKS ask_name(Ask) {
    Ask::Join(_) => "ask.join",
    Ask::Stats => "ask.figures",
    Ask::Read { .. } => "ask.read",
    Ask::JoinAt { .. } => "ask.join_at",
    Ask::ReadTraced { .. } => "ask.read_traced",
    Ask::MemoryStats => "ask.memory_stats",
    Ask::OpenRelay(_) => "ask.open_relay",
    Ask::PullRelay(_) => "ask.pull_relay",
    Ask::LeaveRelay { .. } => "ask.leave_relay",
    Ask::StreamStats => "ask.stream_stats",
    Ask::About => "ask.about",
    Ask::Moved(_) => "ask.moved",
    Ask::Drain { .. } => "ask.drain",
    Ask::TakeCopies { .. } => "ask.take_copies",
    Ask::Form { .. } => "ask.form",
    Ask::Describe { .. } => "ask.describe",
    Ask::BeginDrain { .. } => "ask.begin_drain",
} }

names! { ANSWERS answer_name(Answer) {
    Answer::Joined { .. } => "answer.joined",
    Answer::Stats { .. } => "answer.figures",
    Answer::Bytes { .. } => "answer.bytes",
    Answer::Refused(_) => "answer.refused",
    Answer::MemoryStats { .. } => "answer.memory_stats",
    Answer::RelayOpened { .. } => "answer.relay_opened",
    Answer::Relayed { .. } => "answer.relayed",
    Answer::RelayLeft => "answer.relay_left",
    Answer::StreamStats { .. } => "answer.stream_stats",
    Answer::About { .. } => "answer.about",
    Answer::Places { .. } => "answer.places",
    Answer::Outlived => "answer.outlived",
    Answer::Removed => "answer.removed",
    Answer::Drain(_) => "answer.drain",
    Answer::CopiesTaken => "answer.copies_taken",
    Answer::Fresh(_) => "answer.fresh",
    Answer::Agreed => "answer.agreed",
    Answer::Described(_) => "answer.described",
} }

pub(crate) fn hellos() -> Vec<Hello> {
    let hello = |from, purpose| Hello {
        version: VERSION,
        cluster: "c1".into(),
        epoch: 1,
        from,
        purpose,
        nonce: [7; PROOF_BYTES],
    };
    vec![
        hello(Some(NodeId(300)), Purpose::Raft),
        hello(None, Purpose::Node),
        hello(Some(NodeId(300)), Purpose::IntroducedRaft),
    ]
}

pub(crate) fn challenges() -> Vec<Challenge> {
    vec![
        Challenge::Proceed {
            nonce: [1; PROOF_BYTES],
            proof: [2; PROOF_BYTES],
        },
        Challenge::Refused("another cluster".into()),
    ]
}

pub(crate) fn response() -> Response {
    Response {
        proof: [3; PROOF_BYTES],
    }
}

pub(crate) fn welcomes() -> Vec<Welcome> {
    vec![
        Welcome::Welcome {
            node: NodeId(2),
            epoch: 1,
        },
        Welcome::Refused("wrong proof".into()),
    ]
}

pub(crate) fn life() -> Life {
    Life {
        instance: InstanceId(65_537),
        key: u128::MAX - 2,
        before: vec![1, u128::MAX],
    }
}

pub(crate) fn introductions() -> Vec<Introduced> {
    vec![
        Introduced::Welcome(life()),
        Introduced::Outlived,
        Introduced::Removed,
    ]
}

fn range(offset: u64, len: u64) -> Range {
    Range {
        blob: ObjectId::EMPTY_BLOB,
        offset,
        len,
    }
}

pub(crate) fn asks() -> Vec<Ask> {
    vec![
        Ask::Join(Join {
            key: u128::MAX - 1,
            endpoint: "127.0.0.1:9601".into(),
        }),
        Ask::Stats,
        Ask::Read {
            ranges: vec![range(0, 4_096), range(1 << 40, u64::MAX)],
        },
        Ask::JoinAt {
            join: Join {
                key: u128::MAX - 1,
                endpoint: "127.0.0.1:9601".into(),
            },
            level: 2,
        },
        Ask::ReadTraced {
            trace: Trace(0xfeed_0000_0000_0001),
            ranges: vec![range(0, 4_096)],
        },
        Ask::MemoryStats,
        Ask::OpenRelay(OpenRelay {
            reader: InstanceId(65_537),
            stream: ObjectId(7),
            cursor: "c".into(),
            from: RelayFrom::Number(300),
        }),
        Ask::PullRelay(PullRelay {
            reader: InstanceId(65_537),
            stream: ObjectId(7),
            copied: 3,
            read: 2,
            credit_bytes: 4 << 20,
        }),
        Ask::LeaveRelay {
            reader: InstanceId(65_537),
            stream: ObjectId(7),
        },
        Ask::StreamStats,
        Ask::About,
        Ask::Moved(Moved {
            life: life(),
            endpoint: "n1.test:9600".into(),
        }),
        Ask::Drain { all: true },
        Ask::TakeCopies {
            blobs: vec![ObjectId::EMPTY_BLOB],
        },
        Ask::Form {
            set: vec![candidate()],
        },
        Ask::Describe { held_by: Some(7) },
        Ask::BeginDrain { all: true },
    ]
}

fn about() -> About {
    About {
        version: "0.1.0".into(),
        uptime_ms: 300_000,
        commit_index: 300,
        applied_index: 299,
        failure: Some("the disk failed".into()),
        unix_ms: 1_790_000_000_000,
        shortage: Some("12 MiB free".into()),
        transient_bytes: 300,
        transient_quota_bytes: 1 << 30,
    }
}

pub(crate) fn answers() -> Vec<Answer> {
    vec![
        Answer::Joined {
            node: NodeId(3),
            cluster: "c1".into(),
            epoch: 1,
        },
        Answer::Stats {
            instance: InstanceId(65_537),
            stats: stats(),
        },
        Answer::Bytes { len: 64 << 20 },
        Answer::Refused(Status::not_exists("o8000000000000001")),
        Answer::MemoryStats {
            instance: InstanceId(65_537),
            stats: stats(),
            pieces: pieces(),
        },
        Answer::RelayOpened {
            next_number: 300,
            window_bytes_max: Some(4 << 20),
            readers: ReadersKind::Each,
            on_reader_gone: OnReaderGone::Wait,
        },
        Answer::Relayed {
            chunks: vec![
                RelayedChunk {
                    id: ObjectId::EMPTY_BLOB,
                    tree: None,
                    blobs: vec![(ObjectId::EMPTY_BLOB, 0)],
                },
                RelayedChunk {
                    id: ObjectId(7),
                    tree: Some("{}".into()),
                    blobs: Vec::new(),
                },
            ],
            is_last: true,
        },
        Answer::RelayLeft,
        Answer::StreamStats {
            instance: InstanceId(65_537),
            stats: stats(),
            pieces: pieces(),
            streams: streams(),
        },
        Answer::About {
            instance: InstanceId(65_537),
            about: about(),
            stats: stats(),
            pieces: pieces(),
            streams: streams(),
        },
        Answer::Places {
            places: vec![Whereabouts {
                instance: InstanceId(65_537),
                endpoint: "n1.test:9600".into(),
            }],
        },
        Answer::Outlived,
        Answer::Removed,
        Answer::Drain(drain_progress()),
        Answer::CopiesTaken,
        Answer::Fresh(fresh()),
        Answer::Agreed,
        Answer::Described("{}".into()),
    ]
}

fn fresh() -> Fresh {
    Fresh {
        candidate: candidate(),
        expect: 3,
        sees: vec![7, u128::MAX - 1],
        agreed: vec![candidate()],
        process: 5,
    }
}

fn candidate() -> Candidate {
    Candidate {
        key: u128::MAX - 1,
        endpoint: "n1.test:9600".into(),
    }
}
