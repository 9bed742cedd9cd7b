//! A put in the steps that vineyard 0.24 has: blobs, then members from the innermost, then the object, and so on.

use serde_json::{Value, json};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{InstanceId, ObjectId, Tree};

use super::fill_in;
use crate::client::{Client, Created};
use crate::object::blob_node;
use crate::source::BlobBytes;
use crate::{DeleteOptions, PutBlob, PutObject, Result};

impl Client {
    pub(super) async fn put_in_steps(&self, put: PutObject<'_>) -> Result<Created> {
        let mut made = Vec::new();
        let result = self.put_parts(put, &mut made).await;
        if result.is_err() && !made.is_empty() {
            // The error that matters is the first. What cannot be deleted now is transient: it goes with the node.
            let options = DeleteOptions {
                deep: false,
                ..DeleteOptions::default()
            };
            self.delete(&made, options).await.ok();
        }
        result
    }

    /// `made` collects what exists already.
    async fn put_parts(&self, put: PutObject<'_>, made: &mut Vec<ObjectId>) -> Result<Created> {
        let here = self.instance_id();
        let blobs = self.store(put.blobs, made).await?;
        let node = |at: usize| {
            blobs
                .get(at)
                .map(|(id, bytes)| blob_node(*id, *bytes, here))
        };
        let mut parts = Parts::of(fill_in(put.content, &node)?);
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
        let created = self.create_metadata(parts.nodes[0].finish(here)).await?;
        made.push(created.id);
        if put.persist {
            self.persist(created.id).await?;
        }
        if let Some(name) = put.name {
            self.put_name(created.id, &name).await?;
        }
        Ok(created)
    }

    /// The blobs' ids and sizes, in their order.
    async fn store(
        &self,
        blobs: Vec<PutBlob<'_>>,
        made: &mut Vec<ObjectId>,
    ) -> Result<Vec<(ObjectId, usize)>> {
        let bytes: Vec<BlobBytes<'_>> = blobs.iter().filter_map(PutBlob::bytes).collect();
        let stored = match bytes.is_empty() {
            true => Vec::new(),
            false => self.put_all(&bytes).await?,
        };
        let full = |id: &ObjectId| *id != ObjectId::EMPTY_BLOB;
        made.extend(stored.iter().copied().filter(full));
        let mut stored = stored.into_iter();
        let mut all = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let (id, bytes) = match (blob.bytes(), blob) {
                (None, PutBlob::Filled(writer)) => {
                    let blob = writer.seal().await?;
                    made.extend(Some(blob.id()).filter(full));
                    (blob.id(), blob.len())
                }
                (bytes, _) => {
                    let id = stored.next().expect("one was stored for each");
                    (id, bytes.map_or(0, |bytes| bytes.len()))
                }
            };
            all.push((id, bytes));
        }
        Ok(all)
    }
}

/// A tree taken apart into the objects that must be made, the root first.
struct Parts {
    nodes: Vec<Node>,
}

struct Node {
    content: Tree,
    depth: usize,
    /// Where it is linked: the node, and the member's name there.
    parent: Option<(usize, String)>,
}

impl Parts {
    fn of(root: Tree) -> Self {
        let mut parts = Self { nodes: Vec::new() };
        let mut left = vec![(root, 0, None)];
        while let Some((tree, depth, parent)) = left.pop() {
            let at = parts.nodes.len();
            let mut content = Tree::new();
            for (name, value) in tree {
                match value {
                    Value::Object(member) if is_new(&member) => {
                        left.push((member, depth + 1, Some((at, name))));
                    }
                    value => _ = content.insert(name, value),
                }
            }
            parts.nodes.push(Node {
                content,
                depth,
                parent,
            });
        }
        parts
    }

    /// Puts the made object `id` in its parent's place for it.
    fn link(&mut self, at: usize, id: ObjectId) {
        if let Some((parent, name)) = self.nodes[at].parent.take() {
            let link = json!({ key::ID: id.to_string() });
            self.nodes[parent].content.insert(name, link);
        }
    }
}

fn is_new(member: &Tree) -> bool {
    let is_blob = member.get(key::TYPENAME).and_then(Value::as_str) == Some(BLOB_TYPENAME);
    !is_blob && !member.contains_key(key::ID)
}

impl Node {
    /// The tree to send. What it said itself stands.
    fn finish(&mut self, instance: InstanceId) -> Tree {
        let mut content = std::mem::take(&mut self.content);
        content.insert(key::INSTANCE_ID.to_owned(), instance.0.into());
        content.insert(key::TRANSIENT.to_owned(), true.into());
        content.entry(key::NBYTES).or_insert_with(|| 0.into());
        content.entry(key::GLOBAL).or_insert(Value::Bool(false));
        content
    }
}
