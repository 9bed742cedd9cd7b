//! Requests to JSON and back: one arm per verb, each way.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::body::Body;
use super::lists::{Items, Numbered, items};
use super::parse::{Fault, all, one};
use super::table::{RequestType, not_implemented};
use crate::id::ObjectId;
use crate::meta::Tree;
use crate::request::Request;
use crate::status::Status;

pub(super) fn encode(request: &Request) -> Vec<u8> {
    let body = Body::new(RequestType::of(request).name());
    let body = match request {
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
        Request::PutName(put_name) => body.fields(put_name),
        Request::GetName(get_name) => body.fields(get_name),
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
        } => body
            .field("pattern", pattern)
            .field("regex", regex)
            .field("limit", limit),
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
        | Request::Exists { id }
        | Request::Persist { id }
        | Request::IfPersist { id } => body.field("id", id),
        Request::IncreaseReferenceCount { ids } | Request::PersistMany { ids } => {
            body.field("ids", ids)
        }
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
    };
    body.end()
}

/// How the bytes that accompany a frame travel: on the connection, never by RDMA.
fn raw_bytes(body: Body, compress: bool) -> Body {
    body.field("compress", &compress).field("use_rdma", &false)
}

pub(super) fn decode(verb: RequestType, text: &str) -> Result<Request, Status> {
    use RequestType as Verb;
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
        Verb::PutName => Request::PutName(all(text)?),
        Verb::GetName => Request::GetName(all(text)?),
        Verb::DropName => Request::DropName {
            name: one(text, "name")?,
        },
        Verb::ListData => all::<Listing>(text)?.of_data(),
        Verb::ListName => all::<Listing>(text)?.of_names(),
        Verb::CreateBuffer => Request::CreateBuffer {
            size: one(text, "size")?,
        },
        Verb::CreateBuffers => Request::CreateBuffers {
            sizes: list(text, "sizes")?,
        },
        Verb::CreateRemoteBuffer => all::<RemoteBuffer>(text)?.request()?,
        Verb::CreateRemoteBuffers => all::<RemoteBuffers>(text)?.request()?,
        Verb::GetBuffers => get_buffers(all(text)?),
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

fn list<T: DeserializeOwned>(text: &str, key: &'static str) -> Result<Vec<T>, Fault> {
    Ok(one::<Items<T>>(text, key)?.0)
}

fn get_buffers(fields: Numbered<ObjectId>) -> Request {
    Request::GetBuffers {
        ids: fields.items,
        unsafe_: fields.unsafe_,
    }
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
        ids,
        unsafe_,
        compress,
    })
}

/// With RDMA no raw bytes follow the frame, so serving such a request in part would lose the place in the stream.
fn refuse_rdma(use_rdma: bool) -> Result<(), Status> {
    if use_rdma {
        Err(not_implemented("use_rdma"))
    } else {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Listing {
    pattern: String,
    #[serde(default)]
    regex: bool,
    limit: u64,
}

impl Listing {
    fn of_data(self) -> Request {
        Request::ListData {
            pattern: self.pattern,
            regex: self.regex,
            limit: self.limit,
        }
    }

    fn of_names(self) -> Request {
        Request::ListName {
            pattern: self.pattern,
            regex: self.regex,
            limit: self.limit,
        }
    }
}

#[derive(Deserialize)]
struct RemoteBuffer {
    size: u64,
    #[serde(default)]
    compress: bool,
    #[serde(default)]
    use_rdma: bool,
}

impl RemoteBuffer {
    fn request(self) -> Result<Request, Status> {
        refuse_rdma(self.use_rdma)?;
        Ok(Request::CreateRemoteBuffer {
            size: self.size,
            compress: self.compress,
        })
    }
}

#[derive(Deserialize)]
struct RemoteBuffers {
    #[serde(deserialize_with = "items")]
    sizes: Vec<u64>,
    #[serde(default)]
    compress: bool,
    #[serde(default)]
    use_rdma: bool,
}

impl RemoteBuffers {
    fn request(self) -> Result<Request, Status> {
        refuse_rdma(self.use_rdma)?;
        Ok(Request::CreateRemoteBuffers {
            sizes: self.sizes,
            compress: self.compress,
        })
    }
}

#[derive(Deserialize)]
struct Shrink {
    id: ObjectId,
    size: u64,
}

impl Shrink {
    fn request(self) -> Request {
        Request::ShrinkBuffer {
            id: self.id,
            size: self.size,
        }
    }
}

#[derive(Deserialize)]
struct GetData {
    #[serde(rename = "id", deserialize_with = "items")]
    ids: Vec<ObjectId>,
    #[serde(default)]
    sync_remote: bool,
    #[serde(default)]
    wait: bool,
}

impl GetData {
    fn request(self) -> Request {
        Request::GetData {
            ids: self.ids,
            sync_remote: self.sync_remote,
            wait: self.wait,
        }
    }
}

#[derive(Deserialize)]
struct ShallowCopy {
    id: ObjectId,
    #[serde(default)]
    extra: Tree,
}

impl ShallowCopy {
    fn request(self) -> Request {
        Request::ShallowCopy {
            id: self.id,
            extra: self.extra,
        }
    }
}

#[derive(Deserialize)]
struct Label {
    id: ObjectId,
    #[serde(deserialize_with = "items")]
    keys: Vec<String>,
    #[serde(deserialize_with = "items")]
    values: Vec<String>,
}

impl Label {
    fn request(self) -> Request {
        Request::Label {
            id: self.id,
            keys: self.keys,
            values: self.values,
        }
    }
}
