//! `create_data`: turns a client's metadata tree into flat records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use vineyard_raft::state::objects::{Link, Record, is_reserved};
use vineyard_raft::state::{State, cost};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{Code, InstanceId, ObjectId, Signature, Status, Tree};

use super::super::pending::Pending;
use super::Catalog;

/// Deepest tree a client may create.
pub(crate) const DEPTH_MAX: usize = 100;
/// Most nodes of one tree, blobs included, so that every tree that can be created can be read. A node takes about a KiB
/// while it is read.
pub(crate) const NODES_MAX: usize = 1 << 18;

/// An object that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    pub(crate) id: ObjectId,
    pub(crate) signature: Signature,
    pub(crate) instance: InstanceId,
    /// New members that came with it.
    pub(crate) brought: Vec<ObjectId>,
}

impl Catalog {
    /// Stores the trees as new transient objects, all or none. The caller checks whether their blobs are here and
    /// sealed.
    pub(crate) fn create_all(
        &mut self,
        pending: &Pending,
        state: &State,
        contents: &[Tree],
        now_ms: u64,
    ) -> Result<Vec<Created>, Status> {
        let mut made = Vec::with_capacity(contents.len());
        for content in contents {
            match self.create(pending, state, content, now_ms) {
                Ok(created) => made.push(created),
                Err(status) => {
                    self.rollback(&made);
                    return Err(status);
                }
            }
        }
        Ok(made)
    }

    /// Removes what was just created.
    pub(crate) fn rollback(&mut self, made: &[Created]) {
        for created in made {
            self.remove(created.id);
            for member in &created.brought {
                self.remove(*member);
            }
        }
    }

    /// Stores the tree as a new transient object. All or nothing: a refused member leaves nothing behind.
    pub(crate) fn create(
        &mut self,
        pending: &Pending,
        state: &State,
        content: &Tree,
        now_ms: u64,
    ) -> Result<Created, Status> {
        let instance = root_instance(content)?;
        let id = self.fresh_id(state);
        let signature = match signature_of(content) {
            Some(signature) => signature,
            None => self.ids.signature(),
        };
        let mut root = blank_record(content, id, signature, instance, now_ms)?;
        let mut walk = Walk {
            catalog: self,
            pending,
            state,
            now_ms,
            records: BTreeMap::new(),
            open: vec![id],
            nodes_left: NODES_MAX - 1,
        };
        walk.members(content, &mut root)?;
        let members = walk.records;
        let brings: u64 = members.values().map(cost::of_record).sum();
        self.quota.check(brings + cost::of_record(&root))?;
        let brought = members.keys().copied().collect();
        members.into_values().for_each(|record| self.insert(record));
        let created = Created {
            id,
            signature,
            instance: root.instance,
            brought,
        };
        self.insert(root);
        Ok(created)
    }
}

/// One walk down a client's tree. It only reads the catalog, so a refusal anywhere leaves nothing to undo.
struct Walk<'a> {
    catalog: &'a Catalog,
    pending: &'a Pending,
    state: &'a State,
    now_ms: u64,
    /// New members.
    records: BTreeMap<ObjectId, Record>,
    /// The ids of the nodes above, the root first.
    open: Vec<ObjectId>,
    /// How many more nodes the tree may have.
    nodes_left: usize,
}

impl Walk<'_> {
    fn members(&mut self, content: &Tree, record: &mut Record) -> Result<(), Status> {
        if self.open.len() > DEPTH_MAX {
            return Err(Status::invalid(format!(
                "failed to diff meta tree: the tree is deeper than {DEPTH_MAX} levels"
            )));
        }
        let home = record.instance;
        for (name, value) in content {
            let Value::Object(node) = value else { continue };
            if is_reserved(name) {
                return Err(invalid_tree(format!(
                    "{name:?} is reserved and cannot be a member"
                )));
            }
            let member = self.member(name, node, home)?;
            check_locality(record.global, home, &member)?;
            if record.global && member.instance != home {
                record.instance = InstanceId::UNSPECIFIED;
            }
            record.members.insert(name.clone(), member.link);
        }
        Ok(())
    }

    fn member(&mut self, name: &str, node: &Tree, home: InstanceId) -> Result<Member, Status> {
        if node.is_empty() {
            let message = format!("failed to diff meta tree: the member {name:?} is empty");
            return Err(Status::new(Code::MetaTreeNameNotExists, message));
        }
        let left = self.nodes_left.checked_sub(1);
        self.nodes_left = left.ok_or_else(|| {
            Status::invalid(format!(
                "failed to diff meta tree: it has more than {NODES_MAX} nodes"
            ))
        })?;
        let id = member_id(name, node)?;
        self.pending.check_member(id)?;
        if id.is_blob() {
            return blob_member(name, node, id, home);
        }
        if self.open.contains(&id) {
            return Err(invalid_tree(format!(
                "the member {name:?} ({id}) contains itself"
            )));
        }
        let known = self.catalog.record(self.state, id).map(Arc::as_ref);
        if let Some(known) = known.or_else(|| self.records.get(&id)) {
            return Ok(Member::of(known));
        }
        if node.len() == 1 {
            return Err(super::unknown_subtree(id));
        }
        let instance = instance_of(node)?.unwrap_or(home);
        let signature = signature_of(node)
            .ok_or_else(|| invalid_tree(format!("no 'signature' in the member {name:?}")))?;
        let mut record = blank_record(node, id, signature, instance, self.now_ms)?;
        self.open.push(id);
        self.members(node, &mut record)?;
        self.open.pop();
        let member = Member::of(&record);
        self.records.insert(id, record);
        Ok(member)
    }
}

/// A member as its parent sees it.
struct Member {
    link: Link,
    instance: InstanceId,
    global: bool,
}

impl Member {
    fn of(record: &Record) -> Self {
        Self {
            link: Link::Object {
                id: record.id,
                signature: record.signature,
            },
            instance: record.instance,
            global: record.global,
        }
    }
}

fn check_locality(parent_global: bool, home: InstanceId, member: &Member) -> Result<(), Status> {
    let refuse = |text: &str| {
        let message = format!("failed to diff meta tree: {text}");
        Err(Status::new(Code::GlobalObjectInvalid, message))
    };
    if parent_global && member.global {
        return refuse("Global object cannot have nested structure");
    }
    if !parent_global && member.instance != home {
        return refuse("Local object cannot refer remote objects");
    }
    Ok(())
}

fn blob_member(name: &str, node: &Tree, id: ObjectId, home: InstanceId) -> Result<Member, Status> {
    if node.len() == 1 {
        return Err(invalid_tree(format!(
            "the blob member {name:?} is only an id"
        )));
    }
    let instance = instance_of(node)?.unwrap_or(home);
    // The empty blob exists everywhere, so it never makes an object remote.
    let instance = if id == ObjectId::EMPTY_BLOB {
        home
    } else {
        instance
    };
    Ok(Member {
        link: Link::Blob { id, instance },
        instance,
        global: false,
    })
}

/// A record with the plain attributes of `content`, and no members yet.
fn blank_record(
    content: &Tree,
    id: ObjectId,
    signature: Signature,
    instance: InstanceId,
    now_ms: u64,
) -> Result<Record, Status> {
    let typename = match content.get(key::TYPENAME) {
        Some(Value::String(typename)) if typename == BLOB_TYPENAME => {
            return Err(Status::new(Code::AssertionFailed, "Blob has no metadata"));
        }
        Some(Value::String(typename)) => typename.clone(),
        _ => return Err(invalid_tree("No 'typename' field in incoming metadata")),
    };
    let attributes = content
        .iter()
        .filter(|(name, value)| !value.is_object() && !is_reserved(name))
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect();
    let labels = match content.get(key::LABELS) {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Default::default(),
    };
    let global = content.get(key::GLOBAL) == Some(&Value::Bool(true));
    Ok(Record {
        id,
        signature,
        instance,
        typename,
        global,
        timestamp_ms: now_ms,
        attributes,
        members: Default::default(),
        labels,
    })
}

fn root_instance(content: &Tree) -> Result<InstanceId, Status> {
    match instance_of(content)? {
        Some(instance) => Ok(instance),
        None => Err(Status::new(
            Code::AssertionFailed,
            "No 'instance_id' field in incoming metadata",
        )),
    }
}

fn instance_of(node: &Tree) -> Result<Option<InstanceId>, Status> {
    match node.get(key::INSTANCE_ID) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(InstanceId(number))),
            None => Err(invalid_tree(format!("'instance_id' is not an id: {value}"))),
        },
    }
}

fn signature_of(node: &Tree) -> Option<Signature> {
    node.get(key::SIGNATURE)
        .and_then(Value::as_u64)
        .map(Signature)
}

fn member_id(name: &str, node: &Tree) -> Result<ObjectId, Status> {
    node.get(key::ID)
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid_tree(format!("the member {name:?} has no id")))
}

fn invalid_tree(message: impl std::fmt::Display) -> Status {
    Status::new(
        Code::MetaTreeInvalid,
        format!("failed to diff meta tree: {message}"),
    )
}

/// The blobs of `content` with the instance `me`, so that the caller can check first whether they exist. A node without
/// an instance has that of its parent.
pub(crate) fn local_blobs(content: &Tree, me: InstanceId, found: &mut Vec<ObjectId>) {
    let said = |node: &Tree| {
        node.get(key::INSTANCE_ID)
            .and_then(Value::as_u64)
            .map(InstanceId)
    };
    let mut left = vec![(content, said(content).unwrap_or(me))];
    while let Some((content, home)) = left.pop() {
        for value in content.values() {
            let Value::Object(node) = value else { continue };
            let home = said(node).unwrap_or(home);
            match member_id("", node) {
                Ok(id) if id == ObjectId::EMPTY_BLOB => {}
                Ok(id) if id.is_blob() => {
                    if home == me {
                        found.push(id);
                    }
                }
                _ => left.push((node, home)),
            }
        }
    }
}

/// The first object that `content` names, at any depth, of which `wanted` is true.
pub(crate) fn named_object(content: &Tree, wanted: impl Fn(ObjectId) -> bool) -> Option<ObjectId> {
    let mut left = vec![content];
    while let Some(content) = left.pop() {
        for node in content.values().filter_map(Value::as_object) {
            match member_id("", node) {
                Ok(id) if wanted(id) => return Some(id),
                _ => left.push(node),
            }
        }
    }
    None
}
