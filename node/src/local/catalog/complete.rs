//! `put_object`: fills in what a client's tree leaves to the node.
//!
//! Plain code over one tree: the result is a tree that `create_data` accepts. What it refers to is not checked here. A
//! tree that would be too large is refused here already, because giving ids to millions of members would block the
//! whole node.

use serde_json::Value;
use vineyard_raft::state::State;
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{Code, ObjectId, Status, Tree};

use super::absorb::NODES_MAX;
use super::{Catalog, blob_tree};

impl Catalog {
    /// Gives an id to each member without one, and puts ids and sizes of the inline blobs in the place of their
    /// placeholders. A tree without an instance gets this instance.
    pub(crate) fn complete(
        &mut self,
        state: &State,
        mut content: Tree,
        inline: &[(ObjectId, u64)],
    ) -> Result<Tree, Status> {
        content
            .entry(key::INSTANCE_ID)
            .or_insert_with(|| self.me.0.into());
        let mut left = vec![&mut content];
        let mut nodes: usize = 1;
        while let Some(tree) = left.pop() {
            for (name, value) in tree.iter_mut() {
                let Value::Object(member) = value else {
                    continue;
                };
                nodes += 1;
                if nodes > NODES_MAX {
                    return Err(too_large());
                }
                if member.is_empty() || member.contains_key(key::ID) {
                    // An empty one is refused later, by `absorb`.
                } else if member.get(key::TYPENAME).and_then(Value::as_str) == Some(BLOB_TYPENAME) {
                    let blob = member
                        .get(key::INLINE)
                        .and_then(Value::as_u64)
                        .and_then(|at| inline.get(usize::try_from(at).ok()?));
                    let blob = blob.ok_or_else(|| no_such_blob(name, member))?;
                    *member = blob_tree(blob.0, self.me, blob.1);
                } else {
                    let id = self.fresh_id(state);
                    member.insert(key::ID.into(), id.to_string().into());
                    let signature = self.ids.signature();
                    member
                        .entry(key::SIGNATURE)
                        .or_insert_with(|| signature.0.into());
                }
            }
            left.extend(tree.values_mut().filter_map(Value::as_object_mut));
        }
        Ok(content)
    }
}

fn too_large() -> Status {
    Status::invalid(format!("the tree has more than {NODES_MAX} nodes"))
}

fn no_such_blob(name: &str, member: &Tree) -> Status {
    let which = member.get(key::INLINE).unwrap_or(&Value::Null);
    Status::new(
        Code::MetaTreeInvalid,
        format!("the blob member {name:?} has no id, and the request has no blob {which}"),
    )
}
