//! The parts that entries of the log and snapshots are made of.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, ObjectId, Signature};

use crate::command;
use crate::state::instances::{self, Liveness as Seen};
use crate::state::{self, objects};

/// A map of strings, as `BTreeMap` has it.
pub(super) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

pub(super) fn pairs(map: &BTreeMap<String, String>) -> Pairs<'_> {
    map.iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

pub(super) fn map(pairs: Pairs) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

#[derive(Serialize, Deserialize)]
pub(super) struct Record<'a> {
    id: u64,
    signature: u64,
    instance: u64,
    typename: Cow<'a, str>,
    global: bool,
    timestamp_ms: u64,
    attributes: Pairs<'a>,
    members: Vec<(Cow<'a, str>, Link)>,
    labels: Pairs<'a>,
}

impl<'a> From<&'a objects::Record> for Record<'a> {
    fn from(record: &'a objects::Record) -> Self {
        let objects::Record {
            id,
            signature,
            instance,
            typename,
            global,
            timestamp_ms,
            attributes,
            members,
            labels,
        } = record;
        let members = members.iter();
        Self {
            id: id.0,
            signature: signature.0,
            instance: instance.0,
            typename: typename.into(),
            global: *global,
            timestamp_ms: *timestamp_ms,
            attributes: pairs(attributes),
            members: members
                .map(|(key, link)| (key.into(), Link::from(*link)))
                .collect(),
            labels: pairs(labels),
        }
    }
}

impl From<Record<'_>> for objects::Record {
    fn from(record: Record) -> Self {
        let members = record.members.into_iter();
        Self {
            id: ObjectId(record.id),
            signature: Signature(record.signature),
            instance: InstanceId(record.instance),
            typename: record.typename.into_owned(),
            global: record.global,
            timestamp_ms: record.timestamp_ms,
            attributes: map(record.attributes),
            members: members
                .map(|(key, link)| (key.into_owned(), link.into()))
                .collect(),
            labels: map(record.labels),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Link {
    Object { id: u64, signature: u64 },
    Blob { id: u64, instance: u64 },
}

impl From<objects::Link> for Link {
    fn from(link: objects::Link) -> Self {
        match link {
            objects::Link::Object { id, signature } => Self::Object {
                id: id.0,
                signature: signature.0,
            },
            objects::Link::Blob { id, instance } => Self::Blob {
                id: id.0,
                instance: instance.0,
            },
        }
    }
}

impl From<Link> for objects::Link {
    fn from(link: Link) -> Self {
        match link {
            Link::Object { id, signature } => Self::Object {
                id: ObjectId(id),
                signature: Signature(signature),
            },
            Link::Blob { id, instance } => Self::Blob {
                id: ObjectId(id),
                instance: InstanceId(instance),
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct BlobRow {
    id: u64,
    size: u64,
    checksum: Option<u64>,
    locations: Vec<u64>,
    lost: Lost,
}

impl From<&objects::BlobRow> for BlobRow {
    fn from(row: &objects::BlobRow) -> Self {
        let objects::BlobRow {
            id,
            size,
            checksum,
            locations,
            lost,
        } = row;
        Self {
            id: id.0,
            size: *size,
            checksum: *checksum,
            locations: locations.iter().map(|at| at.0).collect(),
            lost: (*lost).into(),
        }
    }
}

impl From<BlobRow> for objects::BlobRow {
    fn from(row: BlobRow) -> Self {
        Self {
            id: ObjectId(row.id),
            size: row.size,
            checksum: row.checksum,
            locations: row.locations.into_iter().map(InstanceId).collect(),
            lost: row.lost.into(),
        }
    }
}

/// The first two have the bytes of an `Option`, which this was before.
#[derive(Serialize, Deserialize)]
enum Lost {
    No,
    Ended(u64),
    Deleted(u64),
}

impl From<objects::Lost> for Lost {
    fn from(lost: objects::Lost) -> Self {
        match lost {
            objects::Lost::No => Self::No,
            objects::Lost::Ended(instance) => Self::Ended(instance.0),
            objects::Lost::Deleted(instance) => Self::Deleted(instance.0),
        }
    }
}

impl From<Lost> for objects::Lost {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::No => Self::No,
            Lost::Ended(instance) => Self::Ended(InstanceId(instance)),
            Lost::Deleted(instance) => Self::Deleted(InstanceId(instance)),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Instance<'a> {
    id: u64,
    hostid: u64,
    hostname: Cow<'a, str>,
    ipc_socket: Cow<'a, str>,
    endpoint: Cow<'a, str>,
    liveness: Liveness,
    since_unix_ms: u64,
}

impl<'a> From<&'a instances::Instance> for Instance<'a> {
    fn from(instance: &'a instances::Instance) -> Self {
        let instances::Instance {
            id,
            hostid,
            hostname,
            ipc_socket,
            endpoint,
            liveness,
            since_unix_ms,
        } = instance;
        Self {
            id: id.0,
            hostid: *hostid,
            hostname: hostname.into(),
            ipc_socket: ipc_socket.into(),
            endpoint: endpoint.into(),
            liveness: (*liveness).into(),
            since_unix_ms: *since_unix_ms,
        }
    }
}

impl From<Instance<'_>> for instances::Instance {
    fn from(instance: Instance) -> Self {
        Self {
            id: InstanceId(instance.id),
            hostid: instance.hostid,
            hostname: instance.hostname.into_owned(),
            ipc_socket: instance.ipc_socket.into_owned(),
            endpoint: instance.endpoint.into_owned(),
            liveness: instance.liveness.into(),
            since_unix_ms: instance.since_unix_ms,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum Cordon {
    Drains,
    Leaves,
}

impl From<command::Cordon> for Cordon {
    fn from(cordon: command::Cordon) -> Self {
        match cordon {
            command::Cordon::Drains => Self::Drains,
            command::Cordon::Leaves => Self::Leaves,
        }
    }
}

impl From<Cordon> for command::Cordon {
    fn from(cordon: Cordon) -> Self {
        match cordon {
            Cordon::Drains => Self::Drains,
            Cordon::Leaves => Self::Leaves,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Liveness {
    Up,
    Unreachable,
    Gone,
    /// From feature level 4 on.
    Stopped,
}

impl From<Seen> for Liveness {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Up => Self::Up,
            Seen::Unreachable => Self::Unreachable,
            Seen::Gone => Self::Gone,
            Seen::Stopped => Self::Stopped,
        }
    }
}

impl From<Liveness> for Seen {
    fn from(liveness: Liveness) -> Self {
        match liveness {
            Liveness::Up => Self::Up,
            Liveness::Unreachable => Self::Unreachable,
            Liveness::Gone => Self::Gone,
            Liveness::Stopped => Self::Stopped,
        }
    }
}

/// Two secrets, each hidden by the other one.
#[derive(Serialize, Deserialize)]
pub(super) struct Hidden {
    nonce: [u8; 32],
    forward: [u8; 32],
    backward: [u8; 32],
}

impl From<command::Hidden> for Hidden {
    fn from(hidden: command::Hidden) -> Self {
        let command::Hidden {
            nonce,
            forward,
            backward,
        } = hidden;
        Self {
            nonce,
            forward,
            backward,
        }
    }
}

impl From<Hidden> for command::Hidden {
    fn from(hidden: Hidden) -> Self {
        let Hidden {
            nonce,
            forward,
            backward,
        } = hidden;
        Self {
            nonce,
            forward,
            backward,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Settings {
    round_trip_ms: Option<u64>,
    metadata_quota_bytes: Option<u64>,
}

impl From<state::Settings> for Settings {
    fn from(settings: state::Settings) -> Self {
        let state::Settings {
            round_trip_ms,
            metadata_quota_bytes,
        } = settings;
        Self {
            round_trip_ms,
            metadata_quota_bytes,
        }
    }
}

impl From<Settings> for state::Settings {
    fn from(settings: Settings) -> Self {
        let Settings {
            round_trip_ms,
            metadata_quota_bytes,
        } = settings;
        Self {
            round_trip_ms,
            metadata_quota_bytes,
        }
    }
}
