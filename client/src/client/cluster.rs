//! The cluster, its nodes, and this one.

use std::collections::BTreeMap;
use std::time::Duration;

use vineyard_wire::describe::{DescribeNode, NodeDescription};
use vineyard_wire::reply::{
    ClusterSettings, ClusterStatus, DrainProgress, InstanceInfo, InstanceStatus, JoinToken, Left,
    ListedEvents, Recovery, RemovedNode,
};
use vineyard_wire::request::{Configure, DrainNode, RecoverCluster, RemoveNode};
use vineyard_wire::{InstanceId, NodeId, ObjectId, Reply, Request};

use super::{Client, only};
use crate::{Error, Result};

impl Client {
    /// The instances that can be reached, by id.
    pub async fn cluster_meta(&self) -> Result<BTreeMap<InstanceId, InstanceInfo>> {
        self.ask(
            Request::ClusterMeta,
            only!(Reply::ClusterMeta { meta } => meta),
        )
        .await
    }

    /// This node's figures.
    pub async fn instance_status(&self) -> Result<InstanceStatus> {
        let pick = only!(Reply::InstanceStatus(status) => status);
        self.ask(Request::InstanceStatus, pick).await
    }

    /// The cluster and every node of it.
    pub async fn cluster_status(&self) -> Result<ClusterStatus> {
        self.ask(
            Request::ClusterStatus,
            only!(Reply::ClusterStatus(status) => status),
        )
        .await
    }

    /// Takes a node that is dead out of the cluster for good, or says with `dry_run` what would be lost. Refused while
    /// the node answers, and if persisted objects lose bytes, unless `lose_objects`. Over the Unix socket only.
    pub async fn remove_node(
        &self,
        node: NodeId,
        lose_objects: bool,
        dry_run: bool,
    ) -> Result<RemovedNode> {
        let request = Request::RemoveNode(RemoveNode {
            node,
            lose_objects,
            dry_run,
        });
        // The node asks a majority, then looks whether the other one answers, then asks a majority again.
        let within = 4 * self.options().deadline;
        let pick = only!(Reply::RemoveNode(removed) => removed);
        self.ask_within(within, request, pick).await
    }

    /// Begins to empty `node`, with `all` of its transient objects too, unless a drain of it runs. Then ask
    /// `drain_node` until it is done. Over the Unix socket only, as the next three.
    pub async fn begin_drain(&self, node: NodeId, all: bool) -> Result<DrainProgress> {
        self.drain_step(node, all, true).await
    }

    /// How far the drain of `node` is, or how it ended; begins one where none was.
    pub async fn drain_node(&self, node: NodeId, all: bool) -> Result<DrainProgress> {
        self.drain_step(node, all, false).await
    }

    async fn drain_step(&self, node: NodeId, all: bool, begin: bool) -> Result<DrainProgress> {
        let request = Request::DrainNode(DrainNode { node, all, begin });
        let pick = only!(Reply::DrainNode(progress) => progress);
        self.ask(request, pick).await
    }

    /// Lets `node` take copies again.
    pub async fn uncordon_node(&self, node: NodeId) -> Result<()> {
        let request = Request::UncordonNode { node };
        self.ask(request, only!(Reply::UncordonNode => ())).await
    }

    /// Takes the node that is asked out of the cluster for good; its process ends. Refused while only it has the bytes
    /// of persisted objects, unless `discard`.
    pub async fn leave_cluster(&self, discard: bool) -> Result<Left> {
        let request = Request::LeaveCluster { discard };
        let pick = only!(Reply::LeaveCluster(left) => left);
        self.ask(request, pick).await
    }

    /// Makes the node that is asked the only one of the cluster `confirm`, whose majority is gone for ever; every other
    /// node is given up, and may come back empty alone. Without `confirm` it says what would be lost. Refused while a
    /// majority answers. Over the Unix socket only.
    pub async fn recover_cluster(&self, confirm: Option<String>) -> Result<Recovery> {
        let request = Request::RecoverCluster(RecoverCluster { confirm });
        // The node tries to reach the others first.
        let within = 4 * self.options().deadline;
        let pick = only!(Reply::RecoverCluster(recovery) => recovery);
        self.ask_within(within, request, pick).await
    }

    /// What has changed in the cluster since the event with the number `after`, as this node saw it: at most `limit`
    /// events, the oldest first.
    pub async fn list_events(&self, after: u64, limit: u64) -> Result<ListedEvents> {
        let request = Request::ListEvents { after, limit };
        let pick = only!(Reply::ListEvents(listed) => listed);
        self.ask(request, pick).await
    }

    /// What `node`, or the one that is asked, says of itself and of its clients. With `held_by`, the number of one of
    /// its sessions, only what that session holds.
    pub async fn describe_node(
        &self,
        node: Option<NodeId>,
        held_by: Option<u64>,
    ) -> Result<NodeDescription> {
        let request = Request::DescribeNode(DescribeNode { node, held_by });
        let pick = only!(Reply::DescribeNode(description) => *description);
        self.ask(request, pick).await
    }

    /// What another node needs to join the cluster. Told over the Unix socket only.
    pub async fn token(&self) -> Result<String> {
        Ok(self.join_token().await?.token)
    }

    /// As `token`, with how long the one before it is valid.
    pub async fn join_token(&self) -> Result<JoinToken> {
        self.ask(Request::Token, only!(Reply::Token(token) => token))
            .await
    }

    /// Gives the token another secret and returns it; the one before is valid for `grace` more. Over the Unix socket
    /// only.
    pub async fn rotate_token(&self, grace: Duration) -> Result<JoinToken> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let request = Request::RotateToken { grace_ms };
        self.ask(request, only!(Reply::Token(token) => token)).await
    }

    /// Sets what `told` has for the whole cluster; the answer says what is set. Nothing told only asks. Over the Unix
    /// socket only.
    pub async fn configure(&self, told: Configure) -> Result<ClusterSettings> {
        let pick = only!(Reply::Configure(settings) => settings);
        self.ask(Request::Configure(told), pick).await
    }

    /// Waits until this node has applied what the cluster agreed on so far.
    pub async fn sync_meta(&self) -> Result<()> {
        let request = Request::GetData {
            ids: vec![ObjectId::INVALID],
            sync_remote: true,
            wait: false,
        };
        match self.ask(request, only!(Reply::GetData { .. } => ())).await {
            // The id stands for no object: what counts is that the node looked.
            Err(error @ Error::Status { .. }) if error.is_not_exists() => Ok(()),
            other => other,
        }
    }

    /// Asks for nothing and gets it: the node is there.
    pub async fn debug(&self) -> Result<()> {
        self.ask(Request::DebugCommand, only!(Reply::DebugCommand => ()))
            .await
    }

    /// Deletes every object and every blob of this node, also those in use, and their names.
    pub async fn clear(&self) -> Result<()> {
        self.ask(Request::Clear, only!(Reply::Clear => ())).await
    }

    /// Gives the pages of free memory back to the system; whether there were any.
    pub async fn memory_trim(&self) -> Result<bool> {
        self.ask(
            Request::MemoryTrim,
            only!(Reply::MemoryTrim { trimmed } => trimmed),
        )
        .await
    }

    /// Brings the object or blob `id` to this node, on a second connection. The new id, or `id` if it is here.
    pub async fn migrate(&self, id: ObjectId) -> Result<ObjectId> {
        let request = Request::MigrateObject { object_id: id };
        let pick = only!(Reply::MigrateObject { object_id } => object_id);
        if let Some(after) = self.fetch_deadline() {
            let migrate = |second: Client| {
                let request = request.clone();
                async move { second.ask_within(after, request, pick).await }
            };
            return self.on_second(migrate).await;
        }
        // Its size is not known here, but what does not fit into the node's memory is refused at once. The node keeps
        // the tighter deadline.
        let most = self.instance_status().await?.memory_limit;
        let after = self
            .options()
            .transfer_deadline(most)
            .saturating_add(self.options().deadline);
        let another = self.another().await?;
        another.ask_within(after, request, pick).await
    }
}
