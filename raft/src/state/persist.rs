//! Persist: many records and blob rows, all or nothing.
//!
//! Promise: every check is made before the first write.

use std::collections::BTreeMap;

use vineyard_wire::{InstanceId, ObjectId};

use crate::command::Refusal;

use super::objects::{BlobRow, Link, Lost, Objects, Record, is_reserved, members_of};

/// A persist that passed its checks.
pub(super) struct Plan<'a> {
    fresh: BTreeMap<ObjectId, &'a Record>,
    rows: BTreeMap<ObjectId, BlobRow>,
}

impl<'a> Plan<'a> {
    /// Checks everything, changes nothing. Records that are already persistent are left out, once it is clear that they
    /// are the same. `is_edited` tells the objects whose attributes were set after they were persisted.
    pub(super) fn new(
        objects: &Objects,
        records: &'a [Record],
        rows: &[BlobRow],
        is_edited: impl Fn(ObjectId) -> bool,
    ) -> Result<Self, Refusal> {
        let mut fresh: BTreeMap<ObjectId, &Record> = BTreeMap::new();
        for record in records {
            if let Some(known) = objects.get(record.id) {
                check_same(known, record, is_edited(record.id))?;
            } else if let Some(first) = fresh.get(&record.id) {
                check_same(first, record, false)?;
            } else {
                check_shape(record)?;
                fresh.insert(record.id, record);
            }
        }
        for record in fresh.values() {
            let members = record
                .members
                .values()
                .map(Link::id)
                .filter(|id| !id.is_blob());
            for member in members {
                if !fresh.contains_key(&member) && !objects.contains(member) {
                    return Err(Refusal::NoMember {
                        id: record.id,
                        member,
                    });
                }
            }
        }
        check_acyclic(&fresh)?;
        Ok(Self {
            fresh,
            rows: merged(objects, rows)?,
        })
    }

    /// Whether `id` is persistent because of this, and was not.
    pub(super) fn makes(&self, id: ObjectId) -> bool {
        self.fresh.contains_key(&id)
    }

    /// Writes it all. Returns the objects that are now persistent and were not.
    pub(super) fn write(
        self,
        objects: &mut Objects,
        is_replaced: impl Fn(InstanceId) -> bool,
    ) -> Vec<ObjectId> {
        for record in self.fresh.values() {
            objects.insert((*record).clone());
        }
        for mut row in self.rows.into_values() {
            // A row nothing refers to would never be cleaned up.
            if !objects.is_referred_to(row.id) {
                continue;
            }
            let gone = row
                .locations
                .iter()
                .rfind(|&&holder| is_replaced(holder))
                .copied();
            // Nobody had bytes to give back: such a location was written down before they were deleted.
            let deleted_at = match row.lost {
                Lost::Deleted(instance) => Some(instance),
                Lost::No | Lost::Ended(_) => None,
            };
            row.locations
                .retain(|&holder| !is_replaced(holder) && Some(holder) != deleted_at);
            row.lost = match (row.locations.is_empty(), deleted_at, gone) {
                (false, ..) => Lost::No,
                (true, None, Some(instance)) => Lost::Ended(instance),
                (true, ..) => row.lost,
            };
            objects.put_blob(row);
        }
        self.fresh.into_keys().collect()
    }
}

/// Whether `given` is the object that `known` is. What may have changed since it was persisted does not count: labels,
/// attributes that were set, and members of a global object that gave way to an equivalent.
fn check_same(known: &Record, given: &Record, is_edited: bool) -> Result<(), Refusal> {
    let known_is_global = known.global;
    let is_same = |known: &Link, given: &Link| match (known, given) {
        (
            Link::Object { id, signature },
            Link::Object {
                id: of,
                signature: by,
            },
        ) => signature == by && (id == of || known_is_global),
        _ => known.id() == given.id(),
    };
    let mut pairs = known.members.iter().zip(&given.members);
    let same_members = known.members.len() == given.members.len()
        && pairs.all(|((a, known), (b, given))| a == b && is_same(known, given));
    let parts = [
        ("typename", known.typename == given.typename),
        ("signature", known.signature == given.signature),
        ("scope", known.global == given.global),
        ("set of members", same_members),
        (
            "set of attributes",
            is_edited || known.attributes == given.attributes,
        ),
    ];
    match parts.iter().find(|(_, is_same)| !is_same) {
        Some((part, _)) => Err(Refusal::OtherContent {
            id: known.id,
            part: (*part).to_owned(),
        }),
        None => Ok(()),
    }
}

fn check_shape(record: &Record) -> Result<(), Refusal> {
    let id = record.id;
    if id.is_blob() {
        return Err(Refusal::NotAnObject { id });
    }
    match record.attributes.keys().find(|key| is_reserved(key)) {
        Some(key) => Err(Refusal::ReservedKey {
            id,
            key: key.clone(),
        }),
        None => Ok(()),
    }
}

/// Settles records whose members are settled until none is left; those on a circle never are. What is persistent
/// already cannot refer to what is fresh, so a circle lies within the request.
fn check_acyclic(fresh: &BTreeMap<ObjectId, &Record>) -> Result<(), Refusal> {
    let mut waits: BTreeMap<ObjectId, usize> = BTreeMap::new();
    let mut parents: BTreeMap<ObjectId, Vec<ObjectId>> = BTreeMap::new();
    for (&id, record) in fresh {
        let members = members_of(record);
        let members: Vec<_> = members
            .into_iter()
            .filter(|m| fresh.contains_key(m))
            .collect();
        waits.insert(id, members.len());
        for member in members {
            parents.entry(member).or_default().push(id);
        }
    }
    let mut settled: Vec<ObjectId> = waits
        .iter()
        .filter(|&(_, &open)| open == 0)
        .map(|(&id, _)| id)
        .collect();
    while let Some(id) = settled.pop() {
        waits.remove(&id);
        for parent in parents.remove(&id).unwrap_or_default() {
            let open = waits
                .get_mut(&parent)
                .expect("a parent waits until its members settled");
            *open -= 1;
            if *open == 0 {
                settled.push(parent);
            }
        }
    }
    match waits.first_key_value() {
        Some((&id, _)) => Err(Refusal::Cycle { id }),
        None => Ok(()),
    }
}

/// The rows as they will stand: what is known, and what each given row adds.
fn merged(objects: &Objects, given: &[BlobRow]) -> Result<BTreeMap<ObjectId, BlobRow>, Refusal> {
    let mut rows: BTreeMap<ObjectId, BlobRow> = BTreeMap::new();
    for row in given {
        let id = row.id;
        let known = rows
            .entry(id)
            .or_insert_with(|| objects.blob(id).unwrap_or(row).clone());
        if known.size != row.size {
            return Err(Refusal::BlobSize {
                id,
                known: known.size,
                given: row.size,
            });
        }
        if let (Some(known), Some(given)) = (known.checksum, row.checksum)
            && known != given
        {
            return Err(Refusal::BlobChecksum { id, known, given });
        }
        known.checksum = known.checksum.or(row.checksum);
        known.locations.extend(&row.locations);
    }
    Ok(rows)
}
