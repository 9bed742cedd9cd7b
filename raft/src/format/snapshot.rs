//! The whole state in a snapshot.
//!
//! | version | fields |
//! |---|---|
//! | 1 | all up to `edited`; one that was written between the builds of feature levels 0 and 2 ends after `lives` |
//! | 2 | `lives` and `levels` as well |
//! | 3 | the nodes that were removed as well |
//! | 4 | the nodes that are cordoned as well |
//! | 5 | the last rotation of the token as well |
//! | 6 | what is set for the cluster as well; retries may be told that the metadata was full |
//!
//! A state is written in the lowest version that holds it: until every member knows feature level 1 there are no
//! lives, until a node is removed or cordoned, or the token rotated, nothing that needs level 4, and until something is
//! set nothing that needs level 5, so members of older builds can read what they are sent.

use std::borrow::Cow;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, NodeId, ObjectId, Signature};

use super::Malformed;
use super::codec::{Reader, Writer};
use super::outcome::Outcome;
use super::rows::{BlobRow, Cordon, Hidden, Instance, Record, Settings};
use crate::command;
use crate::state::dedup::{Dedup, Window};
use crate::state::instances::{self, Instances};
use crate::state::locks::{Lock, Locks};
use crate::state::names::{Names, Target};
use crate::state::nodes::{Node, Nodes};
use crate::state::objects::{self, Objects};
use crate::state::{Namespace, Rotation, Space, State};

/// The newest version.
pub(crate) const VERSION: u8 = 6;

pub(crate) fn encode(state: &State) -> Vec<u8> {
    let State {
        applied,
        cluster,
        nodes,
        instances,
        dedup,
        spaces,
        edited,
        lives,
        levels,
        rotation,
        settings,
    } = state;
    let version = lowest(state);
    let mut out = Writer::new(version);
    out.put(applied);
    out.put(cluster);
    put_nodes(&mut out, nodes);
    put_instances(&mut out, instances);
    put_dedup(&mut out, dedup);
    out.put(&(spaces.len() as u64));
    for (namespace, space) in spaces {
        out.put(&namespace.0);
        put_objects(&mut out, &space.objects);
        put_names(&mut out, &space.names);
        put_locks(&mut out, &space.locks);
    }
    out.rows(
        edited.len(),
        edited.iter().map(|(space, id)| (space.0, id.0)),
    );
    if version > 1 {
        out.rows(
            lives.len(),
            lives.iter().map(|(node, life)| (node.0, *life)),
        );
        out.rows(
            levels.len(),
            levels.iter().map(|(node, level)| (node.0, *level)),
        );
    }
    if version > 2 {
        let removed = &instances.removed;
        out.rows(removed.len(), removed.iter().map(|node| node.0));
    }
    if version > 3 {
        let cordoned = &instances.cordoned;
        let rows = cordoned.iter();
        out.rows(
            cordoned.len(),
            rows.map(|(node, cordon)| (node.0, Cordon::from(*cordon))),
        );
    }
    if version > 4 {
        let known = rotation.iter();
        let rows = known.map(|known| (Hidden::from(known.hidden), known.until_unix_ms));
        out.rows(usize::from(rotation.is_some()), rows);
    }
    if version > 5 {
        out.put(&Settings::from(*settings));
    }
    out.end()
}

/// The lowest version that holds the state.
fn lowest(state: &State) -> u8 {
    let instances = &state.instances;
    // By version, whether the state has what that one brought.
    let has = [
        (
            VERSION,
            !state.settings.is_empty() || has_full(&state.dedup),
        ),
        (5, state.rotation.is_some()),
        (4, !instances.cordoned.is_empty()),
        (3, !instances.removed.is_empty()),
        (2, !state.lives.is_empty() || !state.levels.is_empty()),
    ];
    has.iter()
        .find(|(_, has)| *has)
        .map_or(1, |(version, _)| *version)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<State, Malformed> {
    let (version, mut input) = Reader::new(bytes, VERSION)?;
    let mut state = State {
        applied: input.take()?,
        cluster: input.take()?,
        nodes: take_nodes(&mut input)?,
        instances: take_instances(&mut input)?,
        dedup: take_dedup(&mut input)?,
        spaces: take_spaces(&mut input)?,
        edited: input.rows(|(space, id)| (Namespace(space), ObjectId(id)))?,
        ..State::default()
    };
    if version > 1 || !input.is_empty() {
        state.lives = input.rows(|(node, life): (u64, u128)| (NodeId(node), life))?;
    }
    if version > 1 {
        state.levels = input.rows(|(node, level): (u64, u8)| (NodeId(node), level))?;
    }
    if version > 2 {
        state.instances.removed = input.rows(NodeId)?;
    }
    if version > 3 {
        state.instances.cordoned = input
            .rows(|(node, cordon): (u64, Cordon)| (NodeId(node), command::Cordon::from(cordon)))?;
    }
    if version > 4 {
        let rows: Vec<Rotation> =
            input.rows(|(hidden, until_unix_ms): (Hidden, u64)| Rotation {
                hidden: hidden.into(),
                until_unix_ms,
            })?;
        state.rotation = rows.into_iter().next();
    }
    if version > 5 {
        state.settings = input.take::<Settings>()?.into();
    }
    input.end()?;
    Ok(state)
}

#[derive(Serialize, Deserialize)]
struct NodeRow<'a> {
    node: u64,
    id: u64,
    key: u128,
    endpoint: Cow<'a, str>,
}

fn put_nodes(out: &mut Writer, nodes: &Nodes) {
    let rows = nodes
        .rows
        .iter()
        .map(|(node, Node { id, key, endpoint })| NodeRow {
            node: node.0,
            id: id.0,
            key: *key,
            endpoint: endpoint.into(),
        });
    out.rows(nodes.rows.len(), rows);
    let by_key = nodes.by_key.iter().map(|(key, node)| (*key, node.0));
    out.rows(nodes.by_key.len(), by_key);
}

fn take_nodes(input: &mut Reader) -> Result<Nodes, Malformed> {
    Ok(Nodes {
        rows: input.rows(|row: NodeRow| {
            let node = Node {
                id: NodeId(row.id),
                key: row.key,
                endpoint: row.endpoint.into_owned(),
            };
            (NodeId(row.node), node)
        })?,
        by_key: input.rows(|(key, node): (u128, u64)| (key, NodeId(node)))?,
    })
}

fn put_instances(out: &mut Writer, instances: &Instances) {
    let Instances {
        rows,
        current,
        removed: _,
        cordoned: _,
    } = instances;
    out.rows(
        rows.len(),
        rows.iter().map(|(id, row)| (id.0, Instance::from(row))),
    );
    out.rows(
        current.len(),
        current.iter().map(|(node, id)| (node.0, id.0)),
    );
}

fn take_instances(input: &mut Reader) -> Result<Instances, Malformed> {
    Ok(Instances {
        rows: input
            .rows(|(id, row): (u64, Instance)| (InstanceId(id), instances::Instance::from(row)))?,
        current: input.rows(|(node, id)| (NodeId(node), InstanceId(id)))?,
        removed: OrdSet::new(),
        cordoned: OrdMap::new(),
    })
}

/// Whether a retry would be told that the metadata was full: builds of before version 6 cannot read that.
fn has_full(dedup: &Dedup) -> bool {
    let windows = dedup.windows.values();
    let mut outcomes = windows.flat_map(|window| window.outcomes.values());
    outcomes.any(|outcome| matches!(**outcome, Err(command::Refusal::MetadataFull { .. })))
}

fn put_dedup(out: &mut Writer, dedup: &Dedup) {
    out.put(&(dedup.windows.len() as u64));
    for (instance, window) in &dedup.windows {
        let Window { from, outcomes } = window.as_ref();
        out.put(&(instance.0, *from));
        let rows = outcomes.iter();
        out.rows(
            outcomes.len(),
            rows.map(|(sequence, outcome)| (*sequence, Outcome::from(outcome.as_ref()))),
        );
    }
}

fn take_dedup(input: &mut Reader) -> Result<Dedup, Malformed> {
    let len: u64 = input.take()?;
    let mut windows = OrdMap::new();
    for _ in 0..len {
        let (instance, from) = input.take()?;
        let outcomes = input.rows(|(sequence, outcome): (u64, Outcome)| {
            (sequence, Arc::new(command::Outcome::from(outcome)))
        })?;
        windows.insert(InstanceId(instance), Arc::new(Window { from, outcomes }));
    }
    Ok(Dedup { windows })
}

fn take_spaces(input: &mut Reader) -> Result<OrdMap<Namespace, Arc<Space>>, Malformed> {
    let len: u64 = input.take()?;
    let mut spaces = OrdMap::new();
    for _ in 0..len {
        let namespace = Namespace(input.take()?);
        let space = Space {
            objects: take_objects(input)?,
            names: take_names(input)?,
            locks: take_locks(input)?,
        };
        spaces.insert(namespace, Arc::new(space));
    }
    Ok(spaces)
}

fn put_objects(out: &mut Writer, objects: &Objects) {
    let Objects {
        records,
        signatures,
        edges,
        blobs,
        held,
        bytes: _,
    } = objects;
    let rows = records.iter();
    out.rows(
        records.len(),
        rows.map(|(id, record)| (id.0, Record::from(record.as_ref()))),
    );
    let rows = signatures.iter();
    out.rows(
        signatures.len(),
        rows.map(|(signature, at, id)| (signature.0, at.0, id.0)),
    );
    out.rows(
        edges.len(),
        edges.iter().map(|(member, parent)| (member.0, parent.0)),
    );
    let rows = blobs.iter();
    out.rows(
        blobs.len(),
        rows.map(|(id, row)| (id.0, BlobRow::from(row.as_ref()))),
    );
    out.rows(held.len(), held.iter().map(|(at, blob)| (at.0, blob.0)));
}

fn take_objects(input: &mut Reader) -> Result<Objects, Malformed> {
    let mut objects = Objects {
        records: input.rows(|(id, record): (u64, Record)| {
            (ObjectId(id), Arc::new(objects::Record::from(record)))
        })?,
        signatures: input
            .rows(|(signature, at, id)| (Signature(signature), InstanceId(at), ObjectId(id)))?,
        edges: input.rows(|(member, parent)| (ObjectId(member), ObjectId(parent)))?,
        blobs: input.rows(|(id, row): (u64, BlobRow)| {
            (ObjectId(id), Arc::new(objects::BlobRow::from(row)))
        })?,
        held: input.rows(|(at, blob)| (InstanceId(at), ObjectId(blob)))?,
        bytes: 0,
    };
    objects.bytes = objects.count();
    Ok(objects)
}

fn put_names(out: &mut Writer, names: &Names) {
    let Names {
        targets,
        by_object,
        bytes: _,
    } = names;
    let rows = targets.iter();
    out.rows(
        targets.len(),
        rows.map(|(name, Target { id, set_at })| (name.as_ref(), id.0, *set_at)),
    );
    let rows = by_object.iter();
    out.rows(
        by_object.len(),
        rows.map(|(id, names)| (id.0, names.iter().map(AsRef::as_ref).collect::<Vec<&str>>())),
    );
}

fn take_names(input: &mut Reader) -> Result<Names, Malformed> {
    let mut names = Names {
        targets: input.rows(|(name, id, set_at): (String, u64, u64)| {
            let id = ObjectId(id);
            (Arc::from(name), Target { id, set_at })
        })?,
        by_object: input.rows(|(id, names): (u64, Vec<String>)| {
            let names: OrdSet<Arc<str>> = names.into_iter().map(Arc::from).collect();
            (ObjectId(id), names)
        })?,
        bytes: 0,
    };
    names.bytes = names.count();
    Ok(names)
}

fn put_locks(out: &mut Writer, locks: &Locks) {
    let Locks {
        rows,
        by_end,
        bytes: _,
    } = locks;
    let row = |(name, lock): (&Arc<str>, &Lock)| {
        let Lock {
            owner,
            token,
            until_unix_ms,
        } = lock;
        (name.to_string(), owner.0, *token, *until_unix_ms)
    };
    out.rows(rows.len(), rows.iter().map(row));
    out.rows(
        by_end.len(),
        by_end.iter().map(|(end, name)| (*end, name.as_ref())),
    );
}

fn take_locks(input: &mut Reader) -> Result<Locks, Malformed> {
    let mut locks = Locks {
        rows: input.rows(
            |(name, owner, token, until_unix_ms): (String, u64, u64, u64)| {
                let owner = InstanceId(owner);
                let lock = Lock {
                    owner,
                    token,
                    until_unix_ms,
                };
                (Arc::from(name), lock)
            },
        )?,
        by_end: input.rows(|(end, name): (u64, String)| (end, Arc::from(name)))?,
        bytes: 0,
    };
    locks.bytes = locks.count();
    Ok(locks)
}

#[cfg(test)]
mod tests;
