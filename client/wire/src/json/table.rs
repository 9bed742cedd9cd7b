//! The one table of `type` values. A new verb is one line here and one arm in each match of the codec.

use crate::reply::Reply;
use crate::request::Request;
use crate::status::{Code, Status};

macro_rules! table {
    ($(#[$doc:meta])* $kind:ident of $message:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl $kind {
            /// Every kind, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The value of `type` on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The kind whose `type` is `name`.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The kind of `message`.
            pub fn of(message: &$message) -> Self {
                match message {
                    $($message::$variant { .. } => Self::$variant,)*
                }
            }
        }
    };
}

table! {
    /// Which request: one for each variant of `Request`.
    RequestType of Request {
        Register = "register_request",
        Exit = "exit_request",
        DebugCommand = "debug_command",
        CreateBuffer = "create_buffer_request",
        CreateBuffers = "create_buffers_request",
        CreateRemoteBuffer = "create_remote_buffer_request",
        CreateRemoteBuffers = "create_remote_buffers_request",
        Seal = "seal_request",
        GetBuffers = "get_buffers_request",
        GetRemoteBuffers = "get_remote_buffers_request",
        DropBuffer = "drop_buffer_request",
        ShrinkBuffer = "shrink_buffer_request",
        IncreaseReferenceCount = "increase_reference_count_request",
        Release = "release_request",
        ReleaseNotice = "let_go_notice",
        IsInUse = "is_in_use_request",
        PutObject = "put_object_request",
        GetObject = "get_object_request",
        CreateData = "create_data_request",
        CreateDatas = "create_datas_request",
        GetData = "get_data_request",
        ListData = "list_data_request",
        DelData = "del_data_request",
        DelDataWithFeedbacks = "del_data_with_feedbacks_request",
        Exists = "exists_request",
        Persist = "persist_request",
        PersistMany = "persist_many_request",
        IfPersist = "if_persist_request",
        ShallowCopy = "shallow_copy_request",
        Label = "label_request",
        Clear = "clear_request",
        MemoryTrim = "memory_trim_request",
        MigrateObject = "migrate_object_request",
        PutName = "put_name_request",
        GetName = "get_name_request",
        ListName = "list_name_request",
        DropName = "drop_name_request",
        CreateStream = "create_stream_request",
        OpenStream = "open_stream_request",
        GetNextStreamChunk = "get_next_stream_chunk_request",
        PushNextStreamChunk = "push_next_stream_chunk_request",
        PullNextStreamChunk = "pull_next_stream_chunk_request",
        StopStream = "stop_stream_request",
        DropStream = "drop_stream_request",
        StreamStatus = "stream_status_request",
        ClusterMeta = "cluster_meta",
        InstanceStatus = "instance_status_request",
        ClusterStatus = "cluster_status_request",
        Token = "token_request",
        RotateToken = "rotate_token_request",
        RemoveNode = "remove_node_request",
        DrainNode = "drain_node_request",
        UncordonNode = "uncordon_node_request",
        LeaveCluster = "leave_cluster_request",
        RecoverCluster = "recover_cluster_request",
        ListEvents = "list_events_request",
        DescribeNode = "describe_node_request",
        Configure = "configure_request",
    }
}

table! {
    /// Which reply: one for each variant of `Reply`. Some answer more than one request.
    ReplyType of Reply {
        Register = "register_reply",
        DebugCommand = "debug_reply",
        CreateBuffer = "create_buffer_reply",
        CreateBuffers = "create_buffers_reply",
        Seal = "seal_reply",
        GetBuffers = "get_buffers_reply",
        DropBuffer = "drop_buffer_reply",
        ShrinkBuffer = "shrink_buffer_reply",
        IncreaseReferenceCount = "increase_reference_count_reply",
        Release = "release_reply",
        IsInUse = "is_in_use_reply",
        PutObject = "put_object_reply",
        GetObject = "get_object_reply",
        CreateData = "create_data_reply",
        CreateDatas = "create_datas_reply",
        GetData = "get_data_reply",
        DelData = "del_data_reply",
        DelDataWithFeedbacks = "del_data_with_feedbacks_reply",
        Exists = "exists_reply",
        Persist = "persist_reply",
        PersistMany = "persist_many_reply",
        IfPersist = "if_persist_reply",
        ShallowCopy = "shallow_copy_reply",
        Label = "label_reply",
        Clear = "clear_reply",
        MemoryTrim = "memory_trim_reply",
        MigrateObject = "migrate_object_reply",
        PutName = "put_name_reply",
        GetName = "get_name_reply",
        ListName = "list_name_reply",
        DropName = "drop_name_reply",
        CreateStream = "create_stream_reply",
        OpenStream = "open_stream_reply",
        GetNextStreamChunk = "get_next_stream_chunk_reply",
        PushNextStreamChunk = "push_next_stream_chunk_reply",
        PullNextStreamChunk = "pull_next_stream_chunk_reply",
        StopStream = "stop_stream_reply",
        DropStream = "drop_stream_reply",
        StreamStatus = "stream_status_reply",
        ClusterMeta = "cluster_meta",
        InstanceStatus = "instance_status_reply",
        ClusterStatus = "cluster_status_reply",
        Token = "token_reply",
        RemoveNode = "remove_node_reply",
        DrainNode = "drain_node_reply",
        UncordonNode = "uncordon_node_reply",
        LeaveCluster = "leave_cluster_reply",
        RecoverCluster = "recover_cluster_reply",
        ListEvents = "list_events_reply",
        DescribeNode = "describe_node_reply",
        Configure = "configure_reply",
    }
}

/// Verbs of the protocol that this node does not serve.
const NOT_IMPLEMENTED: &[&str] = &[
    "create_disk_buffer_request",
    "is_spilled_request",
    "make_arena_request",
    "finalize_arena_request",
    "release_blobs_with_rdma_request",
    "acquire_lock_request",
    "release_lock_request",
    "evict_request",
    "load_request",
    "unpin_request",
    "new_session_request",
    "delete_session_request",
    "move_buffers_ownership_request",
    "create_buffer_by_plasma_request",
    "get_buffers_by_plasma_request",
    "plasma_seal_request",
    "plasma_release_request",
    "plasma_delete_data_request",
];

/// Longest part of an unknown `type` that the answer repeats, characters.
const ECHO_CHARS_MAX: usize = 128;

/// The answer to a `type` that is in no table.
pub(super) fn unknown(type_: &str) -> Status {
    if matches!(
        type_,
        "create_gpu_buffer_request" | "get_gpu_buffers_request"
    ) {
        return Status::invalid("GPU support is not enabled");
    }
    if NOT_IMPLEMENTED.contains(&type_) {
        return not_implemented(type_);
    }
    let echo: String = type_.chars().take(ECHO_CHARS_MAX).collect();
    Status::invalid(format!("Got unexpected command: {echo}"))
}

pub(super) fn not_implemented(what: &str) -> Status {
    Status::new(Code::NotImplemented, format!("{what} is not implemented"))
}
