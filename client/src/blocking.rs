//! The client without async: the same verbs under the same names, each waiting for its answer.
//!
//! Promise: nothing but waiting is added. Not for use inside an async runtime, where waiting would stop other tasks;
//! use [`crate::Client`] there.

pub mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use vineyard_wire::describe::NodeDescription;
use vineyard_wire::reply::{
    ClusterSettings, ClusterStatus, DrainProgress, InstanceInfo, InstanceStatus, JoinToken, Left,
    ListedEvents, Recovery, RemovedNode,
};
use vineyard_wire::request::Configure;
use vineyard_wire::{InstanceId, NodeId, ObjectId, Trace, Tree};

use crate::stream::{StreamOptions, StreamStatus};
use crate::{
    Blob, BlobSource, Created, DeleteOptions, Draft, Error, GetOptions, Object, Options, PutObject,
    RawObject, ReadOptions, Result,
};

/// A connection to a node. Cloning it is cheap and shares the connection; threads may share it and take turns.
#[derive(Clone)]
pub struct Client {
    client: crate::Client,
    driver: Arc<Driver>,
}

/// The runtime that calls wait on.
struct Driver(Option<Runtime>);

impl Driver {
    fn block_on<T>(&self, call: impl Future<Output = T>) -> T {
        let runtime = self.0.as_ref().expect("it is taken at the drop alone");
        runtime.block_on(call)
    }
}

impl Drop for Driver {
    /// The last blob may go anywhere, also where a runtime must not wait for its threads. It has none to wait for.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    /// Connects to the node that listens on the Unix socket `path`.
    pub fn connect_ipc(path: &str, options: &Options) -> Result<Self> {
        Self::on_runtime(crate::Client::connect_ipc(path, options))
    }

    /// Connects to the node that listens on `endpoint`, `host:port`.
    pub fn connect_rpc(endpoint: &str, options: &Options) -> Result<Self> {
        Self::on_runtime(crate::Client::connect_rpc(endpoint, options))
    }

    /// Connects to the node that the environment names; see [`crate::Client::connect_default`].
    pub fn connect_default(options: &Options) -> Result<Self> {
        Self::on_runtime(crate::Client::connect_default(options))
    }

    fn on_runtime(connect: impl Future<Output = Result<crate::Client>>) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let during = || "starting a runtime".to_owned();
        let runtime = runtime.map_err(|source| Error::Io {
            during: during(),
            source,
        })?;
        let driver = Arc::new(Driver(Some(runtime)));
        let client = driver.block_on(connect)?;
        // A blob that outlives this face still tells the node when it is dropped.
        client.keep(driver.clone());
        Ok(Self { client, driver })
    }

    /// See [`crate::Client::last_trace`].
    pub fn last_trace(&self) -> Option<Trace> {
        self.client.last_trace()
    }

    /// How the connection to the node is protected.
    pub fn security(&self) -> crate::Security {
        self.client.security()
    }

    /// The instance this client is connected to.
    pub fn instance_id(&self) -> InstanceId {
        self.client.instance_id()
    }

    /// The node's Unix socket, as the node names it.
    pub fn ipc_socket(&self) -> &str {
        self.client.ipc_socket()
    }

    /// The node's `host:port`.
    pub fn rpc_endpoint(&self) -> &str {
        self.client.rpc_endpoint()
    }

    /// The protocol version the node speaks.
    pub fn version(&self) -> &str {
        self.client.version()
    }

    /// Whether blobs are read in place, over a Unix socket.
    pub fn is_ipc(&self) -> bool {
        self.client.is_ipc()
    }

    /// A fresh blob of `size` bytes to fill.
    pub fn create_blob(&self, size: usize) -> Result<BlobWriter> {
        let writer = self.driver.block_on(self.client.create_blob(size))?;
        Ok(self.writer(writer))
    }

    /// Fresh blobs of `sizes` bytes, all or none.
    pub fn create_blobs(&self, sizes: &[usize]) -> Result<Vec<BlobWriter>> {
        let writers = self.driver.block_on(self.client.create_blobs(sizes))?;
        Ok(writers
            .into_iter()
            .map(|writer| self.writer(writer))
            .collect())
    }

    fn writer(&self, writer: crate::BlobWriter) -> BlobWriter {
        BlobWriter {
            writer,
            driver: self.driver.clone(),
        }
    }
}

/// One method per verb, each the async one driven to its end.
macro_rules! verbs {
    ($($verb:ident($($name:ident: $type:ty),*) -> $value:ty;)*) => {
        impl Client {
            $(
                #[doc = concat!("See [`crate::Client::", stringify!($verb), "`].")]
                pub fn $verb(&self, $($name: $type),*) -> $value {
                    self.driver.block_on(self.client.$verb($($name),*))
                }
            )*
        }
    };
}

verbs! {
    has_ended() -> bool;
    put_blob(bytes: &[u8]) -> Result<ObjectId>;
    put_blobs(blobs: &[&[u8]]) -> Result<Vec<ObjectId>>;
    put_source(source: &dyn BlobSource) -> Result<ObjectId>;
    get_blob(id: ObjectId) -> Result<Blob>;
    get_blobs(ids: &[ObjectId]) -> Result<Vec<Option<Blob>>>;
    get_unsealed_blobs(ids: &[ObjectId]) -> Result<Vec<Option<Blob>>>;
    seal(id: ObjectId) -> Result<()>;
    drop_blob(id: ObjectId) -> Result<()>;
    shrink_blob(id: ObjectId, size: usize) -> Result<()>;
    retain(ids: &[ObjectId]) -> Result<()>;
    release(id: ObjectId) -> Result<()>;
    is_in_use(id: ObjectId) -> Result<bool>;

    create_metadata(content: Tree) -> Result<Created>;
    create_metadatas(contents: Vec<Tree>) -> Result<Vec<Created>>;
    get_metadata(id: ObjectId) -> Result<Tree>;
    get_metadatas(ids: &[ObjectId], sync_remote: bool) -> Result<BTreeMap<ObjectId, Tree>>;
    wait_metadata(ids: &[ObjectId], timeout: Duration) -> Result<BTreeMap<ObjectId, Tree>>;
    list_metadatas(pattern: &str, regex: bool, limit: u64) -> Result<BTreeMap<ObjectId, Tree>>;
    exists(id: ObjectId) -> Result<bool>;
    persist(id: ObjectId) -> Result<()>;
    persist_many(ids: &[ObjectId]) -> Result<()>;
    is_persisted(id: ObjectId) -> Result<bool>;
    delete(ids: &[ObjectId], options: DeleteOptions) -> Result<()>;
    delete_with_feedback(ids: &[ObjectId], options: DeleteOptions) -> Result<Vec<ObjectId>>;
    shallow_copy(id: ObjectId, extra: Tree) -> Result<ObjectId>;
    label(id: ObjectId, labels: BTreeMap<String, String>) -> Result<()>;
    put(draft: Draft) -> Result<Created>;
    put_object(put: PutObject<'_>) -> Result<Created>;
    get(id: ObjectId) -> Result<Object>;
    get_objects(ids: &[ObjectId], options: &GetOptions) -> Result<Vec<Object>>;
    get_object_named(name: &str, options: &GetOptions) -> Result<Object>;
    get_raw(id: ObjectId, options: &GetOptions) -> Result<RawObject>;
    get_raw_named(name: &str, options: &GetOptions) -> Result<RawObject>;
    complete(object: &mut Object) -> Result<()>;
    complete_with(object: &mut Object, options: &ReadOptions<'_>) -> Result<()>;
    read_blob(object: ObjectId, blob: ObjectId, instance: InstanceId) -> Result<Blob>;

    create_stream(options: StreamOptions) -> Result<ObjectId>;
    create_stream_of(id: ObjectId, options: &StreamOptions) -> Result<()>;
    migrate_stream(id: ObjectId) -> Result<ObjectId>;
    stop_stream(id: ObjectId, failed: bool, reason: Option<&str>) -> Result<()>;
    drop_stream(id: ObjectId) -> Result<()>;
    forget_stream(id: ObjectId) -> Result<()>;
    stream_status(id: ObjectId) -> Result<StreamStatus>;

    put_name(id: ObjectId, name: &str) -> Result<()>;
    put_name_if_absent(id: ObjectId, name: &str) -> Result<()>;
    put_name_if_equals(id: ObjectId, name: &str, expected: ObjectId) -> Result<()>;
    get_name(name: &str) -> Result<ObjectId>;
    wait_name(name: &str, timeout: Duration) -> Result<ObjectId>;
    list_names(pattern: &str, regex: bool, limit: u64) -> Result<BTreeMap<String, ObjectId>>;
    drop_name(name: &str) -> Result<()>;

    migrate(id: ObjectId) -> Result<ObjectId>;
    cluster_meta() -> Result<BTreeMap<InstanceId, InstanceInfo>>;
    instance_status() -> Result<InstanceStatus>;
    cluster_status() -> Result<ClusterStatus>;
    remove_node(node: NodeId, lose_objects: bool, dry_run: bool) -> Result<RemovedNode>;
    begin_drain(node: NodeId, all: bool) -> Result<DrainProgress>;
    drain_node(node: NodeId, all: bool) -> Result<DrainProgress>;
    uncordon_node(node: NodeId) -> Result<()>;
    leave_cluster(discard: bool) -> Result<Left>;
    recover_cluster(confirm: Option<String>) -> Result<Recovery>;
    list_events(after: u64, limit: u64) -> Result<ListedEvents>;
    describe_node(node: Option<NodeId>, held_by: Option<u64>) -> Result<NodeDescription>;
    token() -> Result<String>;
    join_token() -> Result<JoinToken>;
    rotate_token(grace: Duration) -> Result<JoinToken>;
    configure(told: Configure) -> Result<ClusterSettings>;
    sync_meta() -> Result<()>;
    debug() -> Result<()>;
    clear() -> Result<()>;
    memory_trim() -> Result<bool>;
    close() -> ();
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocking {:?}", self.client)
    }
}

/// A blob that is being filled; see [`crate::BlobWriter`].
pub struct BlobWriter {
    writer: crate::BlobWriter,
    driver: Arc<Driver>,
}

impl BlobWriter {
    /// What was written so far.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.writer.as_mut_slice()
    }

    /// Gives the bytes past `size` back.
    pub fn shrink(self, size: usize) -> Result<Self> {
        let Self { writer, driver } = self;
        let writer = driver.block_on(writer.shrink(size))?;
        Ok(Self { writer, driver })
    }

    /// Makes the bytes immutable and visible to others.
    pub fn seal(self) -> Result<Blob> {
        self.driver.block_on(self.writer.seal())
    }

    /// Gives the memory back.
    pub fn abort(self) -> Result<()> {
        self.driver.block_on(self.writer.abort())
    }
}

/// `id`, `len` and the like are the async writer's.
impl Deref for BlobWriter {
    type Target = crate::BlobWriter;

    fn deref(&self) -> &crate::BlobWriter {
        &self.writer
    }
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.writer.fmt(f)
    }
}
