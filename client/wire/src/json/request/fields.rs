//! The fields of requests that have several, as the wire has them.

use serde::Deserialize;

use crate::id::ObjectId;
use crate::json::lists::items;
use crate::json::parse::Fault;
use crate::json::table::not_implemented;
use crate::limits::BUFFERS_MAX;
use crate::meta::Tree;
use crate::request::Request;
use crate::status::Status;

/// With RDMA no raw bytes follow the frame, so serving such a request in part would lose the place in the stream.
pub(super) fn refuse_rdma(use_rdma: bool) -> Result<(), Status> {
    if use_rdma {
        Err(not_implemented("use_rdma"))
    } else {
        Ok(())
    }
}

/// `blobs`, ids or sizes, if the reply that tells of each fits into a frame.
pub(super) fn few_enough<T>(blobs: Vec<T>) -> Result<Vec<T>, Fault> {
    match blobs.len() {
        0..=BUFFERS_MAX => Ok(blobs),
        asked => Err(Fault::Shape(format!(
            "{asked} blobs at once; the reply has room for {BUFFERS_MAX}: ask for them in parts"
        ))),
    }
}

#[derive(Deserialize)]
pub(super) struct Listing {
    pattern: String,
    #[serde(default)]
    regex: bool,
    limit: u64,
}

impl Listing {
    pub(super) fn of_data(self) -> Request {
        Request::ListData {
            pattern: self.pattern,
            regex: self.regex,
            limit: self.limit,
        }
    }

    pub(super) fn of_names(self) -> Request {
        Request::ListName {
            pattern: self.pattern,
            regex: self.regex,
            limit: self.limit,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct RemoteBuffer {
    size: u64,
    #[serde(default)]
    compress: bool,
    #[serde(default)]
    use_rdma: bool,
}

impl RemoteBuffer {
    pub(super) fn request(self) -> Result<Request, Status> {
        refuse_rdma(self.use_rdma)?;
        Ok(Request::CreateRemoteBuffer {
            size: self.size,
            compress: self.compress,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct RemoteBuffers {
    #[serde(deserialize_with = "items")]
    sizes: Vec<u64>,
    #[serde(default)]
    compress: bool,
    #[serde(default)]
    use_rdma: bool,
}

impl RemoteBuffers {
    pub(super) fn request(self) -> Result<Request, Status> {
        refuse_rdma(self.use_rdma)?;
        Ok(Request::CreateRemoteBuffers {
            sizes: few_enough(self.sizes)?,
            compress: self.compress,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Shrink {
    id: ObjectId,
    size: u64,
}

impl Shrink {
    pub(super) fn request(self) -> Request {
        Request::ShrinkBuffer {
            id: self.id,
            size: self.size,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct GetData {
    #[serde(rename = "id", deserialize_with = "items")]
    ids: Vec<ObjectId>,
    #[serde(default)]
    sync_remote: bool,
    #[serde(default)]
    wait: bool,
}

impl GetData {
    pub(super) fn request(self) -> Request {
        Request::GetData {
            ids: self.ids,
            sync_remote: self.sync_remote,
            wait: self.wait,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ShallowCopy {
    id: ObjectId,
    #[serde(default)]
    extra: Tree,
}

impl ShallowCopy {
    pub(super) fn request(self) -> Request {
        Request::ShallowCopy {
            id: self.id,
            extra: self.extra,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Label {
    id: ObjectId,
    #[serde(deserialize_with = "items")]
    keys: Vec<String>,
    #[serde(deserialize_with = "items")]
    values: Vec<String>,
}

impl Label {
    pub(super) fn request(self) -> Request {
        Request::Label {
            id: self.id,
            keys: self.keys,
            values: self.values,
        }
    }
}
