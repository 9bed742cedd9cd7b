//! Replies to JSON and back: one arm per kind, each way.

mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::body::Body;
use super::lists::{Numbered, items};
use super::parse::{Fault, all, one};
use super::table::ReplyType as Kind;
use crate::id::{InstanceId, ObjectId, Signature};
use crate::meta::TreeText;
use crate::reply::{GotObjects, Payload, Reply};

pub(super) fn encode(reply: &Reply) -> Vec<u8> {
    with_fields(Body::new(Kind::of(reply).name()), reply).end()
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
fn with_fields(body: Body, reply: &Reply) -> Body {
    match reply {
        Reply::Seal
        | Reply::DropBuffer
        | Reply::ShrinkBuffer
        | Reply::IncreaseReferenceCount
        | Reply::Release
        | Reply::DelData
        | Reply::Persist
        | Reply::PersistMany
        | Reply::Label
        | Reply::Clear
        | Reply::PutName
        | Reply::DropName
        | Reply::CreateStream
        | Reply::OpenStream
        | Reply::PushNextStreamChunk
        | Reply::StopStream
        | Reply::DropStream
        | Reply::UncordonNode => body,
        Reply::DebugCommand => body.field("result", &()),
        Reply::Register(registered) => body.fields(registered),
        Reply::InstanceStatus(status) => body.field("meta", status),
        Reply::ClusterStatus(status) => body.fields(status),
        Reply::Configure(settings) => body.fields(settings),
        Reply::CreateBuffer { id, created, fd } => body
            .field("id", id)
            .field("created", created)
            .field("fd", fd),
        Reply::CreateBuffers { ids, payloads, fds } => body
            .field("ids", ids)
            .field("fds", fds)
            .field("payloads", payloads)
            .numbered(payloads),
        Reply::GetBuffers {
            payloads,
            fds,
            compress,
        } => body
            .field("payloads", payloads)
            .numbered(payloads)
            .field("fds", fds)
            .field("compress", compress),
        Reply::PutObject(done) => body.fields(done),
        Reply::GetObject(got) => body
            .trees("content", &got.content)
            .field("payloads", &got.payloads)
            .field("fds", &got.fds)
            .field("compress", &got.compress),
        Reply::IsInUse { is_in_use } => body.field("is_in_use", is_in_use),
        Reply::CreateData {
            id,
            signature,
            instance_id,
        } => body
            .field("id", id)
            .field("signature", signature)
            .field("instance_id", instance_id),
        Reply::CreateDatas {
            ids,
            signatures,
            instance_ids,
        } => body
            .list("ids", ids)
            .field("signatures", signatures)
            .field("instance_ids", instance_ids),
        Reply::GetData { content } if content.is_empty() => body.field("content", &()),
        Reply::GetData { content } => body.trees("content", content),
        Reply::DelDataWithFeedbacks { deleted_bids } => body.field("deleted_bids", deleted_bids),
        Reply::Exists { exists } => body.field("exists", exists),
        Reply::IfPersist { persist } => body.field("persist", persist),
        Reply::ShallowCopy { target_id } => body.field("target_id", target_id),
        Reply::MemoryTrim { trimmed } => body.field("trimmed", trimmed),
        Reply::MigrateObject { object_id } | Reply::GetName { object_id } => {
            body.field("object_id", object_id)
        }
        Reply::ListName { names } => body.field("names", names).field("size", &names.len()),
        Reply::GetNextStreamChunk { buffer, fd } => body.field("buffer", buffer).field("fd", fd),
        Reply::PullNextStreamChunk(pulled) => stream::encode(body, pulled),
        Reply::StreamStatus(status) => body.fields(status),
        Reply::ClusterMeta { meta } => body.field("meta", &ByText(meta)),
        Reply::RemoveNode(removed) => body.fields(removed),
        Reply::DrainNode(progress) => body.fields(progress),
        Reply::LeaveCluster(left) => body.fields(left),
        Reply::RecoverCluster(recovery) => body.fields(recovery),
        Reply::ListEvents(listed) => body.fields(listed),
        Reply::DescribeNode(description) => body.fields(description),
        Reply::Token(token) => body.fields(token),
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of reply")]
pub(super) fn decode(kind: Kind, text: &str) -> Result<Reply, Fault> {
    Ok(match kind {
        Kind::Seal => Reply::Seal,
        Kind::DropBuffer => Reply::DropBuffer,
        Kind::ShrinkBuffer => Reply::ShrinkBuffer,
        Kind::IncreaseReferenceCount => Reply::IncreaseReferenceCount,
        Kind::Release => Reply::Release,
        Kind::DelData => Reply::DelData,
        Kind::Persist => Reply::Persist,
        Kind::PersistMany => Reply::PersistMany,
        Kind::Label => Reply::Label,
        Kind::Clear => Reply::Clear,
        Kind::PutName => Reply::PutName,
        Kind::DropName => Reply::DropName,
        Kind::CreateStream => Reply::CreateStream,
        Kind::OpenStream => Reply::OpenStream,
        Kind::PushNextStreamChunk => Reply::PushNextStreamChunk,
        Kind::StopStream => Reply::StopStream,
        Kind::DropStream => Reply::DropStream,
        Kind::GetNextStreamChunk => stream::next_chunk(all(text)?),
        Kind::PullNextStreamChunk => stream::pulled(all(text)?),
        Kind::StreamStatus => Reply::StreamStatus(all(text)?),
        Kind::RemoveNode => Reply::RemoveNode(all(text)?),
        Kind::DrainNode => Reply::DrainNode(all(text)?),
        Kind::UncordonNode => Reply::UncordonNode,
        Kind::Configure => Reply::Configure(all(text)?),
        Kind::LeaveCluster => Reply::LeaveCluster(all(text)?),
        Kind::RecoverCluster => Reply::RecoverCluster(all(text)?),
        Kind::ListEvents => Reply::ListEvents(all(text)?),
        Kind::DescribeNode => Reply::DescribeNode(Box::new(all(text)?)),
        Kind::DebugCommand => Reply::DebugCommand,
        Kind::Register => Reply::Register(all(text)?),
        Kind::InstanceStatus => Reply::InstanceStatus(one(text, "meta")?),
        Kind::ClusterStatus => Reply::ClusterStatus(all(text)?),
        Kind::CreateBuffer => all::<CreateBuffer>(text)?.reply(),
        Kind::CreateBuffers => create_buffers(one(text, "ids")?, all(text)?),
        Kind::GetBuffers => get_buffers(all(text)?),
        Kind::IsInUse => Reply::IsInUse {
            is_in_use: one(text, "is_in_use")?,
        },
        Kind::PutObject => Reply::PutObject(all(text)?),
        Kind::GetObject => Reply::GetObject(all::<GotObject>(text)?.got()),
        Kind::CreateData => all::<CreateData>(text)?.reply(),
        Kind::CreateDatas => all::<CreateDatas>(text)?.reply(),
        Kind::GetData => Reply::GetData {
            content: one::<Option<_>>(text, "content")?.map_or_else(BTreeMap::new, keyed),
        },
        Kind::DelDataWithFeedbacks => Reply::DelDataWithFeedbacks {
            deleted_bids: one(text, "deleted_bids")?,
        },
        Kind::Exists => Reply::Exists {
            exists: one(text, "exists")?,
        },
        Kind::IfPersist => Reply::IfPersist {
            persist: one(text, "persist")?,
        },
        Kind::ShallowCopy => Reply::ShallowCopy {
            target_id: one(text, "target_id")?,
        },
        Kind::MemoryTrim => Reply::MemoryTrim {
            trimmed: one(text, "trimmed")?,
        },
        Kind::MigrateObject => Reply::MigrateObject {
            object_id: one(text, "object_id")?,
        },
        Kind::GetName => Reply::GetName {
            object_id: one(text, "object_id")?,
        },
        Kind::ListName => Reply::ListName {
            names: one(text, "names")?,
        },
        Kind::ClusterMeta => Reply::ClusterMeta {
            meta: keyed(one(text, "meta")?),
        },
        Kind::Token => Reply::Token(all(text)?),
    })
}

/// A map whose keys are ids, which JSON has as texts.
struct ByText<'a, K, V>(&'a BTreeMap<K, V>);

impl<K: fmt::Display, V: Serialize> Serialize for ByText<'_, K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key.to_string(), value)))
    }
}

struct Keyed<K, V>(BTreeMap<K, V>);

impl<'de, K, V> Deserialize<'de> for Keyed<K, V>
where
    K: FromStr<Err: fmt::Display> + Ord,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, V>::deserialize(deserializer)?;
        let parsed = texts
            .into_iter()
            .map(|(key, value)| Ok((key.parse()?, value)));
        parsed
            .collect::<Result<_, K::Err>>()
            .map(Self)
            .map_err(D::Error::custom)
    }
}

fn keyed<K, V>(map: Keyed<K, V>) -> BTreeMap<K, V> {
    map.0
}

fn create_buffers(ids: Vec<ObjectId>, fields: Numbered<Payload>) -> Reply {
    Reply::CreateBuffers {
        ids,
        payloads: fields.items,
        fds: fields.fds,
    }
}

fn get_buffers(fields: Numbered<Payload>) -> Reply {
    let Numbered {
        items: payloads,
        fds,
        compress,
        ..
    } = fields;
    Reply::GetBuffers {
        payloads,
        fds,
        compress,
    }
}

#[derive(Deserialize)]
struct GotObject {
    content: Keyed<ObjectId, TreeText>,
    #[serde(deserialize_with = "items")]
    payloads: Vec<Payload>,
    #[serde(deserialize_with = "items")]
    fds: Vec<i32>,
    compress: bool,
}

impl GotObject {
    fn got(self) -> GotObjects {
        GotObjects {
            content: keyed(self.content),
            payloads: self.payloads,
            fds: self.fds,
            compress: self.compress,
        }
    }
}

#[derive(Deserialize)]
struct CreateBuffer {
    id: ObjectId,
    created: Payload,
    #[serde(default = "no_fd")]
    fd: i32,
}

fn no_fd() -> i32 {
    -1
}

impl CreateBuffer {
    fn reply(self) -> Reply {
        Reply::CreateBuffer {
            id: self.id,
            created: self.created,
            fd: self.fd,
        }
    }
}

#[derive(Deserialize)]
struct CreateData {
    id: ObjectId,
    signature: Signature,
    instance_id: InstanceId,
}

impl CreateData {
    fn reply(self) -> Reply {
        let Self {
            id,
            signature,
            instance_id,
        } = self;
        Reply::CreateData {
            id,
            signature,
            instance_id,
        }
    }
}

#[derive(Deserialize)]
struct CreateDatas {
    ids: Vec<ObjectId>,
    signatures: Vec<Signature>,
    instance_ids: Vec<InstanceId>,
}

impl CreateDatas {
    fn reply(self) -> Reply {
        let Self {
            ids,
            signatures,
            instance_ids,
        } = self;
        Reply::CreateDatas {
            ids,
            signatures,
            instance_ids,
        }
    }
}
