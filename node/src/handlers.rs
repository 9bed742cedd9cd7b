//! One function per verb of the client protocol. A handler translates: it asks the owners and makes the reply.
//!
//! Checks that decide for the cluster (does it exist? is the name free?) live in the replicated state, not here.

mod agree;
mod blobs;
mod configure;
mod delete;
mod get_object;
mod leaving;
mod members;
mod metadata;
mod names;
mod persist;
mod put_object;
mod recover;
mod remote;
mod rotate;
mod session;
mod status;
mod streams;

use std::io;

use tracing::{Instrument, Span};
use vineyard_raft::state::State;
use vineyard_wire::{Code, ObjectId, Reply, Request, Status};

use crate::context::call;
use crate::local::Local;
use crate::peer::describe;
use crate::session::Session;
use crate::session::connection::Connection;

/// Serves every verb that needs no raw bytes on its connection.
#[expect(clippy::too_many_lines, reason = "one arm for each verb")]
pub(crate) async fn answer(session: &Session, request: Request) -> Result<Reply, Status> {
    let node = &session.node;
    match request {
        Request::Register(register) => session::register(session, register).await,
        Request::Exit => unreachable!("the session ends its connection itself"),
        Request::ReleaseNotice { .. } => {
            unreachable!("`note_release` takes it, and nothing is answered")
        }
        Request::DebugCommand => Ok(Reply::DebugCommand),

        Request::CreateBuffer { size } => blobs::create_buffer(session, size).await,
        Request::CreateBuffers { sizes } => blobs::create_buffers(session, sizes).await,
        Request::CreateRemoteBuffer { .. }
        | Request::CreateRemoteBuffers { .. }
        | Request::GetRemoteBuffers { .. } => remote::refuse_on_ipc(),
        Request::Seal { object_id } => blobs::seal(session, object_id).await,
        Request::GetBuffers { ids, unsafe_ } => blobs::get_buffers(session, ids, unsafe_).await,
        Request::DropBuffer { id } => delete::drop_buffer(session, id).await,
        Request::ShrinkBuffer { id, size } => blobs::shrink_buffer(session, id, size).await,
        Request::IncreaseReferenceCount { ids } => {
            blobs::increase_reference_count(session, ids).await
        }
        Request::Release { object_id } => blobs::release(session, object_id).await,
        Request::IsInUse { id } => blobs::is_in_use(session, id).await,
        Request::MemoryTrim => blobs::memory_trim(session).await,

        Request::PutObject(put) => put_object::put_object(session, put).await,
        Request::GetObject(get) => get_object::get_object(session, get).await,

        Request::CreateData { content } => metadata::create_data(node, content).await,
        Request::CreateDatas { contents } => metadata::create_datas(node, contents).await,
        Request::GetData {
            ids,
            sync_remote: true,
            ..
        } if ids == [ObjectId::INVALID] => metadata::sync_meta(node).await,
        Request::GetData { ids, wait, .. } => metadata::get_data(node, ids, wait).await,
        Request::ListData {
            pattern,
            regex,
            limit,
        } => metadata::list_data(node, &pattern, regex, limit).await,
        Request::Exists { id } => metadata::exists(node, id).await,
        Request::ShallowCopy { id, extra } => metadata::shallow_copy(node, id, extra).await,
        Request::Label { id, keys, values } => metadata::label(node, id, keys, values).await,

        Request::DelData(request) => delete::del_data(session, request).await,
        Request::DelDataWithFeedbacks(request) => {
            delete::del_data_with_feedbacks(session, request).await
        }
        Request::Clear => delete::clear(session).await,

        Request::Persist { id } => persist::persist(node, id).await,
        Request::PersistMany { ids } => persist::persist_many(node, ids).await,
        Request::IfPersist { id } => persist::if_persist(node, id).await,
        Request::MigrateObject { object_id } => persist::migrate_object(node, object_id).await,

        Request::PutName(request) => names::put_name(node, request).await,
        Request::GetName(request) => names::get_name(node, request).await,
        Request::ListName {
            pattern,
            regex,
            limit,
        } => names::list_name(node, &pattern, regex, limit).await,
        Request::DropName { name } => names::drop_name(node, name).await,

        Request::CreateStream(create) => streams::create_stream(session, create).await,
        Request::OpenStream(open) => streams::open_stream(session, open).await,
        Request::GetNextStreamChunk(get) => streams::get_next(session, get).await,
        Request::PushNextStreamChunk(push) => streams::push_next(session, push).await,
        Request::PullNextStreamChunk(pull) => streams::pull_next(session, pull).await,
        Request::StopStream(stop) => streams::stop_stream(session, stop).await,
        Request::DropStream { id } => streams::drop_stream(session, id).await,
        Request::StreamStatus { id } => streams::stream_status(session, id).await,

        Request::ClusterMeta => status::cluster_meta(node).await,
        Request::InstanceStatus => status::instance_status(node).await,
        Request::ClusterStatus => status::cluster_status(session).await,
        Request::Token => status::token(session),
        Request::Configure(told) => configure::configure(session, told).await,
        Request::RotateToken { grace_ms } => rotate::rotate_token(session, grace_ms).await,
        Request::RemoveNode(remove) => members::remove_node(session, remove).await,
        Request::DrainNode(drain) => leaving::drain_node(session, drain).await,
        Request::UncordonNode { node } => leaving::uncordon_node(session, node).await,
        Request::ListEvents { after, limit } => Ok(status::list_events(node, after, limit)),
        Request::DescribeNode(request) => describe::answer(node, request).await,
        Request::LeaveCluster { discard } => leaving::leave_cluster(session, discard).await,
        Request::RecoverCluster(recover) => recover::recover_cluster(session, recover).await,
    }
}

/// A notice that the client dropped its last handle of each blob. There is no reply, and nothing waits for it: the
/// client's next request has its turn after it.
pub(crate) async fn note_release(session: &Session, ids: Vec<ObjectId>) -> Result<(), Status> {
    let holder = session.holder.get();
    let release = move |local: &mut Local, state: &State| local.release_all(state, holder, &ids);
    session.node.local.tell(release).await
}

/// Whether the verb moves raw bytes on a TCP connection, before or after its reply.
pub(crate) fn moves_bytes(request: &Request) -> bool {
    match request {
        Request::CreateRemoteBuffer { .. }
        | Request::CreateRemoteBuffers { .. }
        | Request::GetRemoteBuffers { .. }
        | Request::GetObject(_) => true,
        Request::PutObject(put) => put_object::waits_for_go_ahead(put),
        _ => false,
    }
}

/// The result of a verb that moves bytes. Its replies are written already.
pub(crate) struct Answered {
    pub(crate) connection: Connection,
    pub(crate) outcome: Result<(), Status>,
}

/// Serves the verbs of `moves_bytes`.
pub(crate) async fn answer_with_bytes(
    session: &Session,
    connection: Connection,
    request: Request,
) -> io::Result<Answered> {
    match request {
        Request::CreateRemoteBuffer { size, compress } => {
            remote::create_remote_buffer(session, connection, size, compress).await
        }
        Request::CreateRemoteBuffers { sizes, compress } => {
            remote::create_remote_buffers(session, connection, sizes, compress).await
        }
        Request::GetRemoteBuffers { ids, compress, .. } => {
            remote::get_remote_buffers(session, connection, ids, compress).await
        }
        Request::GetObject(get) => get_object::get_remote(session, connection, get).await,
        Request::PutObject(put) => put_object::put_remote(session, connection, put).await,
        other => unreachable!("no bytes come with {other:?}"),
    }
}

/// Writes the reply of a verb that moves no more bytes.
async fn reply_with(
    session: &Session,
    mut connection: Connection,
    outcome: Result<Reply, Status>,
) -> io::Result<Answered> {
    connection.write(session, &outcome).await?;
    Ok(Answered {
        connection,
        outcome: outcome.map(drop),
    })
}

/// Runs `work` to its end even if the session ends, because it must not be dropped half way.
async fn to_its_end<T: 'static>(
    what: &str,
    work: impl Future<Output = Result<T, Status>> + 'static,
) -> Result<T, Status> {
    let abandoned = |_| {
        let message = format!("{what} was abandoned; it may or may not hold");
        Err(Status::new(Code::UnknownError, message))
    };
    let work = call::carried(work).instrument(Span::current());
    tokio::task::spawn_local(work)
        .await
        .unwrap_or_else(abandoned)
}
