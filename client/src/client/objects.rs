//! Whole objects, put and got with their bytes.
//!
//! Promise: a put that fails leaves nothing behind if the node still answers; a get has every byte or is an error that
//! names what is missing and where it was.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::{Value, json};
use vineyard_wire::meta::key;
use vineyard_wire::{InstanceId, ObjectId, Tree};

use super::{Client, Created};
use crate::object::{blob_node, blobs_in};
use crate::{Blob, DeleteOptions, Draft, Error, Member, Object, Result};

impl Client {
    /// Stores the draft's blobs, then its members from the innermost, then the object itself, on this node.
    pub async fn put(&self, draft: Draft) -> Result<Created> {
        let mut made = Vec::new();
        let result = self.put_parts(Parts::of(draft), &mut made).await;
        if result.is_err() && !made.is_empty() {
            // The error that matters is the first. What cannot be deleted now is transient: it goes with the node.
            self.delete(&made, DeleteOptions::default()).await.ok();
        }
        result
    }

    /// `made` collects what exists already.
    async fn put_parts(&self, mut parts: Parts, made: &mut Vec<ObjectId>) -> Result<Created> {
        let here = self.instance_id();
        let bytes: Vec<&[u8]> = parts.blobs.iter().map(|blob| &blob.bytes[..]).collect();
        let ids = if bytes.is_empty() {
            Vec::new()
        } else {
            self.put_blobs(&bytes).await?
        };
        made.extend(ids.iter().filter(|id| **id != ObjectId::EMPTY_BLOB));
        for (blob, id) in parts.blobs.iter().zip(ids) {
            let node = &mut parts.nodes[blob.node];
            node.nbytes += blob.bytes.len();
            node.content
                .insert(blob.name.clone(), blob_node(id, blob.bytes.len(), here));
        }
        let depth = parts.nodes.iter().map(|node| node.depth).max().unwrap_or(0);
        for depth in (1..=depth).rev() {
            let level: Vec<usize> = (0..parts.nodes.len())
                .filter(|at| parts.nodes[*at].depth == depth)
                .collect();
            let contents = level
                .iter()
                .map(|at| parts.nodes[*at].finish(here))
                .collect();
            let created = self.create_metadatas(contents).await?;
            made.extend(created.iter().map(|one| one.id));
            for (at, one) in level.into_iter().zip(created) {
                parts.link(at, one.id);
            }
        }
        self.create_metadata(parts.nodes[0].finish(here)).await
    }

    /// The object `id` with all its bytes: those of this node in place (over the Unix socket), those of others over
    /// TCP, from their owners. It stays where it is; `migrate` moves it.
    pub async fn get(&self, id: ObjectId) -> Result<Object> {
        let meta = self.get_metadata(id).await?;
        let mut by_owner: BTreeMap<InstanceId, Vec<ObjectId>> = BTreeMap::new();
        for (blob, instance) in blobs_in(&meta) {
            by_owner.entry(instance).or_default().push(blob);
        }
        let mut blobs = BTreeMap::new();
        if let Some(ids) = by_owner.remove(&self.instance_id()) {
            let found = self.get_blobs(&ids).await?;
            blobs.extend(whole(id, self.instance_id(), ids, found)?);
        }
        if !by_owner.is_empty() {
            let cluster = self.cluster_meta().await?;
            let fetches = by_owner.into_iter().map(|(instance, ids)| {
                let endpoint = cluster.get(&instance).map(|info| info.rpc_endpoint.clone());
                self.fetch(id, instance, endpoint, ids)
            });
            blobs.extend(try_join_all(fetches).await?.into_iter().flatten());
        }
        Ok(Object { id, meta, blobs })
    }

    async fn fetch(
        &self,
        object: ObjectId,
        instance: InstanceId,
        endpoint: Option<String>,
        ids: Vec<ObjectId>,
    ) -> Result<Vec<(ObjectId, Blob)>> {
        let out_of_reach = |cause: Option<Error>| Error::OutOfReach {
            object,
            blob: ids[0],
            instance,
            cause: cause.map(Box::new),
        };
        let endpoint = endpoint.ok_or_else(|| out_of_reach(None))?;
        let found = match self.ask_owner(instance, &endpoint, &ids).await {
            Err(error @ (Error::Io { .. } | Error::Closed { .. } | Error::Deadline { .. })) => {
                return Err(out_of_reach(Some(error)));
            }
            other => other?,
        };
        whole(object, instance, ids, found)
    }

    async fn ask_owner(
        &self,
        instance: InstanceId,
        endpoint: &str,
        ids: &[ObjectId],
    ) -> Result<Vec<Option<Blob>>> {
        let known = self.inner.owners.lock().await.remove(&instance);
        let reused = known.is_some();
        let mut owner = match known {
            Some(owner) => owner,
            None => self.connect_owner(endpoint).await?,
        };
        let mut found = owner.get_blobs(ids).await;
        if reused && matches!(found, Err(Error::Closed { .. })) {
            // It was closed while nobody used it; a fresh one tells whether the owner is there.
            owner = self.connect_owner(endpoint).await?;
            found = owner.get_blobs(ids).await;
        }
        let found = found?;
        self.inner.owners.lock().await.insert(instance, owner);
        Ok(found)
    }

    async fn connect_owner(&self, endpoint: &str) -> Result<Client> {
        // Boxed: a client that connects a client would be a future of infinite size.
        Box::pin(Client::connect_rpc(
            &self.inner.world,
            endpoint,
            self.options(),
        ))
        .await
    }
}

/// The blobs by id, if none is missing.
fn whole(
    object: ObjectId,
    instance: InstanceId,
    ids: Vec<ObjectId>,
    found: Vec<Option<Blob>>,
) -> Result<Vec<(ObjectId, Blob)>> {
    let lost = |blob| Error::Lost {
        object,
        blob,
        instance,
    };
    let pairs = ids.into_iter().zip(found);
    pairs
        .map(|(id, blob)| Ok((id, blob.ok_or_else(|| lost(id))?)))
        .collect()
}

/// A draft taken apart: its objects, the root first, and its blobs.
struct Parts {
    nodes: Vec<Node>,
    blobs: Vec<BlobPart>,
}

struct Node {
    content: Tree,
    depth: usize,
    /// Where it is linked: the node, and the member's name there.
    parent: Option<(usize, String)>,
    nbytes: usize,
}

struct BlobPart {
    node: usize,
    name: String,
    bytes: Vec<u8>,
}

impl Parts {
    fn of(draft: Draft) -> Self {
        let mut parts = Self {
            nodes: Vec::new(),
            blobs: Vec::new(),
        };
        let mut left = vec![(draft, 0, None)];
        while let Some((draft, depth, parent)) = left.pop() {
            let at = parts.nodes.len();
            let mut content = draft.attributes;
            content.insert(key::TYPENAME.to_owned(), draft.typename.into());
            for (name, member) in draft.members {
                match member {
                    Member::Object(inner) => left.push((inner, depth + 1, Some((at, name)))),
                    Member::Blob(bytes) => parts.blobs.push(BlobPart {
                        node: at,
                        name,
                        bytes,
                    }),
                    Member::Link(id) => _ = content.insert(name, placeholder(id)),
                }
            }
            parts.nodes.push(Node {
                content,
                depth,
                parent,
                nbytes: 0,
            });
        }
        parts
    }

    /// Puts the made object `id` in its parent's place for it.
    fn link(&mut self, at: usize, id: ObjectId) {
        let nbytes = self.nodes[at].nbytes;
        if let Some((parent, name)) = self.nodes[at].parent.take() {
            self.nodes[parent].nbytes += nbytes;
            self.nodes[parent].content.insert(name, placeholder(id));
        }
    }
}

impl Node {
    /// The tree to send. What the draft said itself stands.
    fn finish(&mut self, instance: InstanceId) -> Tree {
        let mut content = std::mem::take(&mut self.content);
        content.insert(key::INSTANCE_ID.to_owned(), instance.0.into());
        content.insert(key::TRANSIENT.to_owned(), true.into());
        content
            .entry(key::NBYTES)
            .or_insert_with(|| self.nbytes.into());
        content.entry(key::GLOBAL).or_insert(Value::Bool(false));
        content
    }
}

/// "The object with this id", as a member.
fn placeholder(id: ObjectId) -> Value {
    json!({ key::ID: id.to_string() })
}
