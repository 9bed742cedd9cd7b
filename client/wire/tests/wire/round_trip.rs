//! What is encoded decodes to itself, for every message and any content.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vineyard_wire::json::{
    decode_reply, decode_request, encode_reply, encode_request, encode_status,
};
use vineyard_wire::peer::{
    self, About, Answer, Ask, Candidate, Challenge, Fresh, Hello, Introduced, Join, Life, Moved,
    OpenRelay, PROOF_BYTES, PullRelay, Purpose, Range, RelayFrom, RelayedChunk, Response, Welcome,
    Whereabouts,
};
use vineyard_wire::{InstanceId, NodeId, ObjectId};

use crate::reply_strategies::{drain_progress, pieces, reply, stats, status, streams};
use crate::strategies::request;

fn hold<T>(message: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let decoded = peer::decode::<T>(&peer::encode(message));
    prop_assert_eq!(decoded.as_ref(), Ok(message));
    Ok(())
}

fn purpose() -> impl Strategy<Value = Purpose> {
    proptest::sample::select(&[Purpose::Raft, Purpose::Node, Purpose::IntroducedRaft])
}

fn range() -> impl Strategy<Value = Range> {
    any::<[u64; 3]>().prop_map(|[blob, offset, len]| Range {
        blob: ObjectId(blob),
        offset,
        len,
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let join = (any::<u128>(), any::<String>());
    prop_oneof![
        join.prop_map(|(key, endpoint)| Ask::Join(Join { key, endpoint })),
        (join, any::<u8>()).prop_map(|((key, endpoint), level)| Ask::JoinAt {
            join: Join { key, endpoint },
            level,
        }),
        Just(Ask::Stats),
        Just(Ask::MemoryStats),
        Just(Ask::StreamStats),
        Just(Ask::About),
        (any::<u64>(), any::<u128>(), any::<String>()).prop_map(|(instance, key, endpoint)| {
            let life = Life {
                instance: InstanceId(instance),
                key,
                before: vec![key],
            };
            Ask::Moved(Moved { life, endpoint })
        }),
        (any::<[u64; 3]>(), any::<String>()).prop_map(|([reader, stream, number], cursor)| {
            Ask::OpenRelay(OpenRelay {
                reader: InstanceId(reader),
                stream: ObjectId(stream),
                cursor,
                from: RelayFrom::Number(number),
            })
        }),
        any::<[u64; 5]>().prop_map(|[reader, stream, copied, read, credit_bytes]| {
            Ask::PullRelay(PullRelay {
                reader: InstanceId(reader),
                stream: ObjectId(stream),
                copied,
                read,
                credit_bytes,
            })
        }),
        vec(range(), 0..4).prop_map(|ranges| Ask::Read { ranges }),
        any::<bool>().prop_map(|all| Ask::Drain { all }),
        any::<bool>().prop_map(|all| Ask::BeginDrain { all }),
        vec(any::<u64>().prop_map(ObjectId), 0..4).prop_map(|blobs| Ask::TakeCopies { blobs }),
        vec(candidate(), 0..4).prop_map(|set| Ask::Form { set }),
        any::<Option<u64>>().prop_map(|held_by| Ask::Describe { held_by }),
    ]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    (any::<u128>(), any::<String>()).prop_map(|(key, endpoint)| Candidate { key, endpoint })
}

fn relayed() -> impl Strategy<Value = RelayedChunk> {
    let blobs = vec(any::<[u64; 2]>(), 0..4);
    (any::<u64>(), any::<Option<String>>(), blobs).prop_map(|(id, tree, blobs)| RelayedChunk {
        id: ObjectId(id),
        tree,
        blobs: blobs
            .into_iter()
            .map(|[id, bytes]| (ObjectId(id), bytes))
            .collect(),
    })
}

fn about() -> impl Strategy<Value = About> {
    let texts = (any::<String>(), any::<[Option<String>; 2]>());
    (texts, any::<[u64; 6]>()).prop_map(|((version, [failure, shortage]), numbers)| {
        let [
            uptime_ms,
            commit_index,
            applied_index,
            unix_ms,
            transient_bytes,
            transient_quota_bytes,
        ] = numbers;
        About {
            version,
            uptime_ms,
            commit_index,
            applied_index,
            failure,
            unix_ms,
            shortage,
            transient_bytes,
            transient_quota_bytes,
        }
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (any::<[u64; 2]>(), any::<String>()).prop_map(|([node, epoch], cluster)| {
            Answer::Joined {
                node: NodeId(node),
                cluster,
                epoch,
            }
        }),
        (any::<u64>(), stats()).prop_map(|(instance, stats)| Answer::Stats {
            instance: InstanceId(instance),
            stats
        }),
        (any::<u64>(), stats(), pieces()).prop_map(|(instance, stats, pieces)| {
            Answer::MemoryStats {
                instance: InstanceId(instance),
                stats,
                pieces,
            }
        }),
        (any::<u64>(), stats(), pieces(), streams()).prop_map(
            |(instance, stats, pieces, streams)| Answer::StreamStats {
                instance: InstanceId(instance),
                stats,
                pieces,
                streams,
            }
        ),
        (any::<u64>(), about(), stats(), pieces(), streams()).prop_map(
            |(instance, about, stats, pieces, streams)| Answer::About {
                instance: InstanceId(instance),
                about,
                stats,
                pieces,
                streams,
            }
        ),
        any::<u64>().prop_map(|len| Answer::Bytes { len }),
        vec((any::<u64>(), any::<String>()), 0..4).prop_map(|places| Answer::Places {
            places: places
                .into_iter()
                .map(|(instance, endpoint)| Whereabouts {
                    instance: InstanceId(instance),
                    endpoint,
                })
                .collect(),
        }),
        (vec(relayed(), 0..4), any::<bool>())
            .prop_map(|(chunks, is_last)| Answer::Relayed { chunks, is_last }),
        status().prop_map(Answer::Refused),
        drain_progress().prop_map(Answer::Drain),
        (
            candidate(),
            any::<u8>(),
            vec(any::<u128>(), 0..4),
            vec(candidate(), 0..4),
            any::<u64>()
        )
            .prop_map(
                |(candidate, expect, sees, agreed, process)| Answer::Fresh(Fresh {
                    candidate,
                    expect,
                    sees,
                    agreed,
                    process,
                })
            ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn requests_survive_the_wire(request in request()) {
        prop_assert_eq!(decode_request(&encode_request(&request)), Ok(request));
    }

    #[test]
    fn replies_survive_the_wire(reply in reply()) {
        prop_assert_eq!(decode_reply(&encode_reply(&reply)), Ok(Ok(reply)));
    }

    #[test]
    fn refusals_survive_the_wire(status in status()) {
        prop_assert_eq!(decode_reply(&encode_status(&status)), Ok(Err(status)));
    }

    #[test]
    fn asks_and_answers_survive_the_wire(ask in ask(), answer in answer()) {
        hold(&ask)?;
        hold(&answer)?;
    }

    #[test]
    fn handshakes_survive_the_wire(
        (version, cluster, epoch) in any::<(u8, String, u64)>(),
        from in any::<Option<u64>>(),
        purpose in purpose(),
        (nonce, proof) in any::<([u8; PROOF_BYTES], [u8; PROOF_BYTES])>(),
        key in any::<u128>(),
    ) {
        let from = from.map(NodeId);
        hold(&Hello { version, cluster: cluster.clone(), epoch, from, purpose, nonce })?;
        hold(&Challenge::Proceed { nonce, proof })?;
        hold(&Challenge::Refused(cluster.clone()))?;
        hold(&Response { proof })?;
        hold(&Welcome::Welcome { node: NodeId(epoch), epoch })?;
        hold(&Welcome::Refused(cluster))?;
        let life = Life { instance: InstanceId(epoch), key, before: vec![key; 3] };
        hold(&life)?;
        hold(&Introduced::Welcome(life))?;
        hold(&Introduced::Outlived)?;
    }
}
