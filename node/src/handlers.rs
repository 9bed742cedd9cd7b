//! One function per verb of the client protocol. A handler translates: it asks the owners and words the answer.
//!
//! Checks that decide for the cluster (does it exist? is the name free?) live in the replicated state, not here.

mod agree;
mod blobs;
mod delete;
pub(crate) mod get_object;
pub(crate) mod metadata;
mod names;
mod persist;
pub(crate) mod put_object;
pub(crate) mod remote;
mod session;
mod status;

use vineyard_wire::{Code, ObjectId, Reply, Request, Status};

use crate::session::Session;

/// Serves every verb that needs no raw bytes on its connection.
pub(crate) async fn answer(session: &Session, request: Request) -> Result<Reply, Status> {
    let node = &session.node;
    match request {
        Request::Register(register) => session::register(session, register).await,
        Request::Exit => unreachable!("the session ends its connection itself"),
        Request::LetGo { .. } => unreachable!("the session takes note of it and answers nothing"),
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

        Request::ClusterMeta => status::cluster_meta(node).await,
        Request::InstanceStatus => status::instance_status(node).await,
        Request::ClusterStatus => status::cluster_status(node).await,
        Request::Token => status::token(session),
    }
}

/// Carries `work` through, also when its asker leaves: it must not be given up half way.
async fn to_its_end<T: 'static>(
    what: &str,
    work: impl Future<Output = Result<T, Status>> + 'static,
) -> Result<T, Status> {
    let abandoned = |_| {
        let message = format!("{what} was abandoned; it may or may not hold");
        Err(Status::new(Code::UnknownError, message))
    };
    let work = tokio::task::spawn_local(work);
    work.await.unwrap_or_else(abandoned)
}
