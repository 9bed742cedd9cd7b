//! `create_data`: turns a client's metadata tree into flat records.

use serde_json::Value;
use vineyard_raft::state::State;
use vineyard_raft::state::objects::{Link, Record, is_reserved};
use vineyard_wire::meta::{BLOB_TYPENAME, key};
use vineyard_wire::{Code, InstanceId, ObjectId, Signature, Status, Tree};

use super::Catalog;

/// Deepest tree a client may create.
pub(crate) const DEPTH_MAX: usize = 100;

/// What `create_data` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    pub(crate) id: ObjectId,
    pub(crate) signature: Signature,
    pub(crate) instance: InstanceId,
}

impl Catalog {
    /// Stores the tree as a new transient object. All or nothing: a refused member leaves nothing behind.
    pub(crate) fn create(
        &mut self,
        state: &State,
        content: &Tree,
        now_ms: u64,
    ) -> Result<Created, Status> {
        let mut records = Vec::new();
        let root = self.absorb_root(state, content, now_ms, &mut records)?;
        records.into_iter().for_each(|record| self.insert(record));
        let created =
            Created { id: root.id, signature: root.signature, instance: root.instance };
        self.insert(root);
        Ok(created)
    }

    fn absorb_root(
        &mut self,
        state: &State,
        content: &Tree,
        now_ms: u64,
        records: &mut Vec<Record>,
    ) -> Result<Record, Status> {
        let instance = root_instance(content)?;
        let id = self.ids.object();
        let signature = match signature_of(content) {
            Some(signature) => signature,
            None => self.ids.signature(),
        };
        let mut record = blank_record(content, id, signature, instance, now_ms)?;
        self.absorb_members(state, content, &mut record, now_ms, records, 1)?;
        Ok(record)
    }

    fn absorb_members(
        &mut self,
        state: &State,
        content: &Tree,
        record: &mut Record,
        now_ms: u64,
        records: &mut Vec<Record>,
        depth: usize,
    ) -> Result<(), Status> {
        if depth > DEPTH_MAX {
            return Err(Status::invalid(format!(
                "failed to diff meta tree: the tree is deeper than {DEPTH_MAX} levels"
            )));
        }
        let home = record.instance;
        for (name, value) in content {
            let Value::Object(node) = value else { continue };
            let member = self.absorb_member(state, name, node, home, now_ms, records, depth)?;
            check_locality(record.global, home, &member)?;
            if record.global && member.instance != home {
                record.instance = InstanceId::UNSPECIFIED;
            }
            record.members.insert(name.clone(), member.link);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one recursive walk that carries its accumulators")]
    fn absorb_member(
        &mut self,
        state: &State,
        name: &str,
        node: &Tree,
        home: InstanceId,
        now_ms: u64,
        records: &mut Vec<Record>,
        depth: usize,
    ) -> Result<Member, Status> {
        if node.is_empty() {
            let message = format!("failed to diff meta tree: the member {name:?} is empty");
            return Err(Status::new(Code::MetaTreeNameNotExists, message));
        }
        let id = member_id(name, node)?;
        if id.is_blob() {
            return blob_member(name, node, id, home);
        }
        if let Some(existing) = self.record(state, id) {
            return Ok(Member::of(existing));
        }
        if let Some(sibling) = records.iter().find(|record| record.id == id) {
            return Ok(Member::of(sibling));
        }
        if node.len() == 1 {
            return Err(super::unknown_subtree(id));
        }
        let instance = instance_of(node)?.unwrap_or(home);
        let signature = signature_of(node).ok_or_else(|| {
            invalid_tree(format!("no 'signature' in the member {name:?}"))
        })?;
        let mut record = blank_record(node, id, signature, instance, now_ms)?;
        self.absorb_members(state, node, &mut record, now_ms, records, depth + 1)?;
        let member = Member::of(&record);
        records.push(record);
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
            link: Link::Object { id: record.id, signature: record.signature },
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

fn blob_member(
    name: &str,
    node: &Tree,
    id: ObjectId,
    home: InstanceId,
) -> Result<Member, Status> {
    if node.len() == 1 {
        return Err(invalid_tree(format!("the blob member {name:?} is only an id")));
    }
    let instance = instance_of(node)?.unwrap_or(home);
    // The empty blob exists everywhere, so it never makes an object remote.
    let instance = if id == ObjectId::EMPTY_BLOB { home } else { instance };
    Ok(Member { link: Link::Blob { id, instance }, instance, global: false })
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
    node.get(key::SIGNATURE).and_then(Value::as_u64).map(Signature)
}

fn member_id(name: &str, node: &Tree) -> Result<ObjectId, Status> {
    node.get(key::ID)
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid_tree(format!("the member {name:?} has no id")))
}

fn invalid_tree(message: impl std::fmt::Display) -> Status {
    Status::new(Code::MetaTreeInvalid, format!("failed to diff meta tree: {message}"))
}

/// The blobs of `content` that are said to live on `me`, so that their existence can be checked first.
pub(crate) fn local_blobs(content: &Tree, me: InstanceId, found: &mut Vec<ObjectId>) {
    for value in content.values() {
        let Value::Object(node) = value else { continue };
        match member_id("", node) {
            Ok(id) if id == ObjectId::EMPTY_BLOB => {}
            Ok(id) if id.is_blob() => {
                if node.get(key::INSTANCE_ID).and_then(Value::as_u64) == Some(me.0) {
                    found.push(id);
                }
            }
            _ => local_blobs(node, me, found),
        }
    }
}
