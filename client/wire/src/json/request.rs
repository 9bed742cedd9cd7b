//! Requests to JSON and back: one arm per verb, each way.

mod fields;

use serde::de::DeserializeOwned;

use self::fields::{
    GetData, Label, Listing, RemoteBuffer, RemoteBuffers, ShallowCopy, Shrink, few_enough,
    refuse_rdma,
};
use super::body::Body;
use super::lists::{Items, Numbered};
use super::parse::{Fault, all, one};
use super::table::RequestType as Verb;
use crate::describe::DescribeNode;
use crate::id::{ObjectId, Trace};
use crate::limits::INLINE_BYTES_MAX;
use crate::meta::Tree;
use crate::request::{Configure, PutObject, RecoverCluster, Request};
use crate::status::Status;
use crate::stream::PushNextStreamChunk;

pub(super) fn encode(request: &Request, trace: Option<Trace>) -> Vec<u8> {
    let body = Body::new(Verb::of(request).name());
    let body = match trace {
        Some(trace) => body.field("trace", &trace),
        None => body,
    };
    let mut body = with_fields(body, request).end();
    if let Request::PutObject(PutObject { bytes, .. })
    | Request::PushNextStreamChunk(PushNextStreamChunk { bytes, .. }) = request
        && !bytes.is_empty()
    {
        body.push(0);
        body.extend_from_slice(bytes);
    }
    body
}

#[expect(clippy::too_many_lines, reason = "one arm for each verb")]
fn with_fields(body: Body, request: &Request) -> Body {
    match request {
        Request::Exit
        | Request::Clear
        | Request::MemoryTrim
        | Request::ClusterMeta
        | Request::InstanceStatus
        | Request::ClusterStatus
        | Request::Token => body,
        Request::DebugCommand => body.field("debug", &Tree::new()),
        Request::Register(register) => body.fields(register),
        Request::DelData(del_data) | Request::DelDataWithFeedbacks(del_data) => {
            body.fields(del_data)
        }
        Request::PutObject(put_object) => body.fields(put_object),
        Request::GetObject(get_object) => body.fields(get_object),
        Request::PutName(put_name) => body.fields(put_name),
        Request::RemoveNode(remove) => body.fields(remove),
        Request::DrainNode(drain) => body.fields(drain),
        Request::RotateToken { grace_ms } => body.field("grace_ms", grace_ms),
        Request::UncordonNode { node } => body.field("node", node),
        Request::LeaveCluster { discard } => body.field("discard", discard),
        Request::RecoverCluster(RecoverCluster { confirm }) => match confirm {
            Some(confirm) => body.field("confirm", confirm),
            None => body,
        },
        Request::Configure(configure) if *configure == Configure::default() => body,
        Request::Configure(configure) => body.fields(configure),
        Request::ListEvents { after, limit } => body.field("after", after).field("limit", limit),
        Request::DescribeNode(DescribeNode {
            node: None,
            held_by: None,
        }) => body,
        Request::DescribeNode(describe) => body.fields(describe),
        Request::GetName(get_name) => body.fields(get_name),
        Request::CreateStream(create) => body.fields(create),
        Request::OpenStream(open) => body.fields(open),
        Request::GetNextStreamChunk(get_next) => body.fields(get_next),
        Request::PushNextStreamChunk(push) => body.fields(push),
        Request::PullNextStreamChunk(pull) => body.fields(pull),
        Request::StopStream(stop) => body.fields(stop),
        Request::DropName { name } => body.field("name", name),
        Request::ListData {
            pattern,
            regex,
            limit,
        }
        | Request::ListName {
            pattern,
            regex,
            limit,
        } => listing(body, pattern, *regex, *limit),
        Request::CreateBuffer { size } => body.field("size", size),
        Request::CreateBuffers { sizes } => body.list("sizes", sizes),
        Request::CreateRemoteBuffer { size, compress } => {
            raw_bytes(body.field("size", size), *compress)
        }
        Request::CreateRemoteBuffers { sizes, compress } => {
            raw_bytes(body.list("sizes", sizes), *compress)
        }
        Request::GetBuffers { ids, unsafe_ } => body.numbered(ids).field("unsafe", unsafe_),
        Request::GetRemoteBuffers {
            ids,
            unsafe_,
            compress,
        } => raw_bytes(body.numbered(ids).field("unsafe", unsafe_), *compress),
        Request::ShrinkBuffer { id, size } => body.field("id", id).field("size", size),
        Request::Seal { object_id }
        | Request::Release { object_id }
        | Request::MigrateObject { object_id } => body.field("object_id", object_id),
        Request::DropBuffer { id }
        | Request::IsInUse { id }
        | Request::DropStream { id }
        | Request::StreamStatus { id }
        | Request::Exists { id }
        | Request::Persist { id }
        | Request::IfPersist { id } => body.field("id", id),
        Request::IncreaseReferenceCount { ids }
        | Request::ReleaseNotice { ids }
        | Request::PersistMany { ids } => body.field("ids", ids),
        Request::CreateData { content } => body.field("content", content),
        Request::CreateDatas { contents } => body.list("contents", contents),
        Request::GetData {
            ids,
            sync_remote,
            wait,
        } => body
            .field("id", ids)
            .field("sync_remote", sync_remote)
            .field("wait", wait),
        Request::ShallowCopy { id, extra } => body.field("id", id).field("extra", extra),
        Request::Label { id, keys, values } => body
            .field("id", id)
            .field("keys", keys)
            .field("values", values),
    }
}

fn listing(body: Body, pattern: &str, regex: bool, limit: u64) -> Body {
    body.field("pattern", pattern)
        .field("regex", &regex)
        .field("limit", &limit)
}

/// How the bytes that accompany a frame travel: on the connection, never by RDMA.
fn raw_bytes(body: Body, compress: bool) -> Body {
    body.field("compress", &compress).field("use_rdma", &false)
}

/// `bytes` followed the text.
#[expect(clippy::too_many_lines, reason = "one arm for each verb")]
pub(super) fn decode(verb: Verb, text: &str, bytes: &[u8]) -> Result<Request, Status> {
    let takes_bytes = matches!(verb, Verb::PutObject | Verb::PushNextStreamChunk);
    if !takes_bytes && !bytes.is_empty() {
        return Err(Fault::Syntax("bytes after the end".to_owned()).into());
    }
    Ok(match verb {
        Verb::Exit => Request::Exit,
        Verb::DebugCommand => Request::DebugCommand,
        Verb::Clear => Request::Clear,
        Verb::MemoryTrim => Request::MemoryTrim,
        Verb::ClusterMeta => Request::ClusterMeta,
        Verb::InstanceStatus => Request::InstanceStatus,
        Verb::ClusterStatus => Request::ClusterStatus,
        Verb::Token => Request::Token,
        Verb::Register => Request::Register(all(text)?),
        Verb::DelData => Request::DelData(all(text)?),
        Verb::DelDataWithFeedbacks => Request::DelDataWithFeedbacks(all(text)?),
        Verb::PutObject => put_object(all(text)?, bytes)?,
        Verb::GetObject => Request::GetObject(all(text)?),
        Verb::PutName => Request::PutName(all(text)?),
        Verb::RemoveNode => Request::RemoveNode(all(text)?),
        Verb::DrainNode => Request::DrainNode(all(text)?),
        Verb::RotateToken => Request::RotateToken {
            grace_ms: one(text, "grace_ms")?,
        },
        Verb::UncordonNode => Request::UncordonNode {
            node: one(text, "node")?,
        },
        Verb::LeaveCluster => Request::LeaveCluster {
            discard: one(text, "discard")?,
        },
        Verb::RecoverCluster => Request::RecoverCluster(all(text)?),
        Verb::Configure => Request::Configure(all(text)?),
        Verb::ListEvents => Request::ListEvents {
            after: one(text, "after")?,
            limit: one(text, "limit")?,
        },
        Verb::DescribeNode => Request::DescribeNode(all(text)?),
        Verb::GetName => Request::GetName(all(text)?),
        Verb::CreateStream => Request::CreateStream(all(text)?),
        Verb::OpenStream => Request::OpenStream(all(text)?),
        Verb::GetNextStreamChunk => Request::GetNextStreamChunk(all(text)?),
        Verb::PushNextStreamChunk => push_chunk(all(text)?, bytes)?,
        Verb::PullNextStreamChunk => Request::PullNextStreamChunk(all(text)?),
        Verb::StopStream => Request::StopStream(all(text)?),
        Verb::DropStream => Request::DropStream {
            id: one(text, "id")?,
        },
        Verb::StreamStatus => Request::StreamStatus {
            id: one(text, "id")?,
        },
        Verb::DropName => Request::DropName {
            name: one(text, "name")?,
        },
        Verb::ListData => all::<Listing>(text)?.of_data(),
        Verb::ListName => all::<Listing>(text)?.of_names(),
        Verb::CreateBuffer => Request::CreateBuffer {
            size: one(text, "size")?,
        },
        Verb::CreateBuffers => Request::CreateBuffers {
            sizes: few_enough(list(text, "sizes")?)?,
        },
        Verb::CreateRemoteBuffer => all::<RemoteBuffer>(text)?.request()?,
        Verb::CreateRemoteBuffers => all::<RemoteBuffers>(text)?.request()?,
        Verb::GetBuffers => get_buffers(all(text)?)?,
        Verb::GetRemoteBuffers => get_remote_buffers(all(text)?)?,
        Verb::ShrinkBuffer => all::<Shrink>(text)?.request(),
        Verb::Seal => Request::Seal {
            object_id: one(text, "object_id")?,
        },
        Verb::Release => Request::Release {
            object_id: one(text, "object_id")?,
        },
        Verb::MigrateObject => Request::MigrateObject {
            object_id: one(text, "object_id")?,
        },
        Verb::DropBuffer => Request::DropBuffer {
            id: one(text, "id")?,
        },
        Verb::IsInUse => Request::IsInUse {
            id: one(text, "id")?,
        },
        Verb::Exists => Request::Exists {
            id: one(text, "id")?,
        },
        Verb::Persist => Request::Persist {
            id: one(text, "id")?,
        },
        Verb::IfPersist => Request::IfPersist {
            id: one(text, "id")?,
        },
        Verb::IncreaseReferenceCount => Request::IncreaseReferenceCount {
            ids: list(text, "ids")?,
        },
        Verb::ReleaseNotice => Request::ReleaseNotice {
            ids: list(text, "ids")?,
        },
        Verb::PersistMany => Request::PersistMany {
            ids: list(text, "ids")?,
        },
        Verb::CreateData => Request::CreateData {
            content: one(text, "content")?,
        },
        Verb::CreateDatas => Request::CreateDatas {
            contents: list(text, "contents")?,
        },
        Verb::GetData => all::<GetData>(text)?.request(),
        Verb::ShallowCopy => all::<ShallowCopy>(text)?.request(),
        Verb::Label => all::<Label>(text)?.request(),
    })
}

fn push_chunk(mut push: PushNextStreamChunk, bytes: &[u8]) -> Result<Request, Fault> {
    let found = bytes.len() as u64;
    if found > INLINE_BYTES_MAX {
        return Err(too_many_bytes(found));
    }
    if push.inline.unwrap_or(0) != found {
        let reason = format!("inline announces other than the {found} bytes in the frame");
        return Err(Fault::Shape(reason));
    }
    push.bytes = bytes.to_vec();
    Ok(Request::PushNextStreamChunk(push))
}

fn too_many_bytes(found: u64) -> Fault {
    Fault::Shape(format!(
        "{found} bytes in the frame; at most {INLINE_BYTES_MAX} are allowed"
    ))
}

fn put_object(mut put: PutObject, bytes: &[u8]) -> Result<Request, Fault> {
    let announced = put
        .inline
        .iter()
        .try_fold(0_u64, |sum, size| sum.checked_add(*size));
    let found = bytes.len() as u64;
    if found > INLINE_BYTES_MAX {
        return Err(too_many_bytes(found));
    }
    if found > 0 && announced != Some(found) {
        let reason = format!("inline announces other than the {found} bytes in the frame");
        return Err(Fault::Shape(reason));
    }
    put.bytes = bytes.to_vec();
    Ok(Request::PutObject(put))
}

fn list<T: DeserializeOwned>(text: &str, key: &'static str) -> Result<Vec<T>, Fault> {
    Ok(one::<Items<T>>(text, key)?.0)
}

fn get_buffers(fields: Numbered<ObjectId>) -> Result<Request, Fault> {
    Ok(Request::GetBuffers {
        ids: few_enough(fields.items)?,
        unsafe_: fields.unsafe_,
    })
}

fn get_remote_buffers(fields: Numbered<ObjectId>) -> Result<Request, Status> {
    refuse_rdma(fields.use_rdma)?;
    let Numbered {
        items: ids,
        unsafe_,
        compress,
        ..
    } = fields;
    Ok(Request::GetRemoteBuffers {
        ids: few_enough(ids)?,
        unsafe_,
        compress,
    })
}
