//! Object metadata: made, read, persisted, listed and deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use vineyard_wire::request::DelData;
use vineyard_wire::{InstanceId, ObjectId, Reply, Request, Signature, Tree, TreeText};

use super::{Client, not_exists, only};
use crate::{DeleteOptions, Error, Result};

/// What the node made of a metadata tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// The new object.
    pub id: ObjectId,
    /// What it and its migrated copies share.
    pub signature: Signature,
    /// Where it is; unspecified for a global object with members elsewhere.
    pub instance_id: InstanceId,
}

impl Client {
    /// Makes an object of `content`: members are objects or blobs that exist, or whole trees.
    pub async fn create_metadata(&self, content: Tree) -> Result<Created> {
        let pick = only!(Reply::CreateData { id, signature, instance_id }
            => Created { id, signature, instance_id });
        self.ask(Request::CreateData { content }, pick).await
    }

    /// Makes one object of each tree.
    pub async fn create_metadatas(&self, contents: Vec<Tree>) -> Result<Vec<Created>> {
        let pick = only!(Reply::CreateDatas { ids, signatures, instance_ids }
            => ids.into_iter().zip(signatures).zip(instance_ids)
                .map(|((id, signature), instance_id)| Created { id, signature, instance_id })
                .collect());
        self.ask(Request::CreateDatas { contents }, pick).await
    }

    /// The tree of `id`, after this node has caught up with the cluster; code `ObjectNotExists` if there is none.
    pub async fn get_metadata(&self, id: ObjectId) -> Result<Tree> {
        let found = self.get_metadatas(&[id], true).await?.remove(&id);
        found.ok_or_else(|| not_exists(format!("failed to get the metadata of {id}")))
    }

    /// The trees of those of `ids` that exist. With `sync_remote` this node first catches up with the cluster.
    pub async fn get_metadatas(
        &self,
        ids: &[ObjectId],
        sync_remote: bool,
    ) -> Result<BTreeMap<ObjectId, Tree>> {
        read(self.get_tree_texts(ids, sync_remote).await?)
    }

    /// The trees of those of `ids` that exist, as text.
    pub(super) async fn get_tree_texts(
        &self,
        ids: &[ObjectId],
        sync_remote: bool,
    ) -> Result<BTreeMap<ObjectId, TreeText>> {
        let request = Request::GetData {
            ids: ids.to_vec(),
            sync_remote,
            wait: false,
        };
        self.ask(request, only!(Reply::GetData { content } => content))
            .await
    }

    /// Waits until all of `ids` exist, for at most `timeout`, on a connection of its own.
    pub async fn wait_metadata(
        &self,
        ids: &[ObjectId],
        timeout: Duration,
    ) -> Result<BTreeMap<ObjectId, Tree>> {
        let request = Request::GetData {
            ids: ids.to_vec(),
            sync_remote: true,
            wait: true,
        };
        let pick = only!(Reply::GetData { content } => content);
        let another = self.another().await?;
        read(another.ask_within(timeout, request, pick).await?)
    }

    /// Objects whose type name matches `pattern` (a glob, or with `regex` a regular expression for the whole name), at
    /// most `limit`; oldest first on the node, by id here.
    pub async fn list_metadatas(
        &self,
        pattern: &str,
        regex: bool,
        limit: u64,
    ) -> Result<BTreeMap<ObjectId, Tree>> {
        let request = Request::ListData {
            pattern: pattern.to_owned(),
            regex,
            limit,
        };
        let pick = only!(Reply::GetData { content } => content);
        read(self.ask(request, pick).await?)
    }

    /// Whether the object or blob `id` exists.
    pub async fn exists(&self, id: ObjectId) -> Result<bool> {
        self.ask(
            Request::Exists { id },
            only!(Reply::Exists { exists } => exists),
        )
        .await
    }

    /// Makes the object `id` and its members known to the whole cluster, durably.
    pub async fn persist(&self, id: ObjectId) -> Result<()> {
        self.ask(Request::Persist { id }, only!(Reply::Persist => ()))
            .await
    }

    /// Persists all of `ids`, or none.
    pub async fn persist_many(&self, ids: &[ObjectId]) -> Result<()> {
        let request = Request::PersistMany { ids: ids.to_vec() };
        self.ask(request, only!(Reply::PersistMany => ())).await
    }

    /// Whether the object `id` is persisted. Blobs never are: their bytes belong to one node.
    pub async fn is_persisted(&self, id: ObjectId) -> Result<bool> {
        self.ask(
            Request::IfPersist { id },
            only!(Reply::IfPersist { persist } => persist),
        )
        .await
    }

    /// Deletes objects and blobs. Ids of nothing are ignored.
    pub async fn delete(&self, ids: &[ObjectId], options: DeleteOptions) -> Result<()> {
        let request = Request::DelData(deletion(ids, options));
        self.ask(request, only!(Reply::DelData => ())).await
    }

    /// Deletes as `delete` does, and says which blobs went.
    pub async fn delete_with_feedback(
        &self,
        ids: &[ObjectId],
        options: DeleteOptions,
    ) -> Result<Vec<ObjectId>> {
        let request = Request::DelDataWithFeedbacks(deletion(ids, options));
        let pick = only!(Reply::DelDataWithFeedbacks { deleted_bids } => deleted_bids);
        self.ask(request, pick).await
    }

    /// A copy of the object `id` with the same members and with `extra` attributes over its own.
    pub async fn shallow_copy(&self, id: ObjectId, extra: Tree) -> Result<ObjectId> {
        let pick = only!(Reply::ShallowCopy { target_id } => target_id);
        self.ask(Request::ShallowCopy { id, extra }, pick).await
    }

    /// Adds `labels` to those of the object `id`.
    pub async fn label(&self, id: ObjectId, labels: BTreeMap<String, String>) -> Result<()> {
        let (keys, values) = labels.into_iter().unzip();
        self.ask(
            Request::Label { id, keys, values },
            only!(Reply::Label => ()),
        )
        .await
    }
}

fn read(texts: BTreeMap<ObjectId, TreeText>) -> Result<BTreeMap<ObjectId, Tree>> {
    let malformed =
        |error: serde_json::Error| Error::malformed("get_data_request", error.to_string());
    let texts = texts.into_iter();
    texts
        .map(|(id, text)| Ok((id, text.read().map_err(malformed)?)))
        .collect()
}

fn deletion(ids: &[ObjectId], options: DeleteOptions) -> DelData {
    let DeleteOptions {
        force,
        deep,
        memory_trim,
    } = options;
    DelData {
        ids: ids.to_vec(),
        force,
        deep,
        memory_trim,
        fastpath: false,
    }
}
