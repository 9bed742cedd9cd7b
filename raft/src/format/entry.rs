//! A command as it stands in the log. Fields are only ever appended, and commands come at the end of their list;
//! `version` names the layout, and each entry has the oldest that knows its command, so that builds of before read
//! what they can.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use vineyard_wire::{InstanceId, NodeId, ObjectId};

use super::codec::Writer;
use super::rows::{BlobRow, Cordon, Hidden, Instance, Pairs, Record, Settings, map, pairs};
use crate::command;

#[derive(Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    version: u8,
    request: Option<RequestKey>,
    at_unix_ms: u64,
    command: Command<'a>,
}

/// Bytes of a command as the log stores it.
pub(crate) fn command_bytes(command: &command::Command) -> usize {
    let mut bytes = Writer::new(command.version());
    bytes.put(&Command::from(command));
    bytes.end().len()
}

impl<'a> From<&'a command::Entry> for Entry<'a> {
    fn from(entry: &'a command::Entry) -> Self {
        let command::Entry {
            version,
            request,
            at_unix_ms,
            command,
        } = entry;
        Self {
            version: *version,
            request: request.map(RequestKey::from),
            at_unix_ms: *at_unix_ms,
            command: command.into(),
        }
    }
}

impl From<Entry<'_>> for command::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            version: entry.version,
            request: entry.request.map(Into::into),
            at_unix_ms: entry.at_unix_ms,
            command: entry.command.into(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RequestKey {
    instance: u64,
    sequence: u64,
    answered_below: u64,
}

impl From<command::RequestKey> for RequestKey {
    fn from(key: command::RequestKey) -> Self {
        let command::RequestKey {
            instance,
            sequence,
            answered_below,
        } = key;
        Self {
            instance: instance.0,
            sequence,
            answered_below,
        }
    }
}

impl From<RequestKey> for command::RequestKey {
    fn from(key: RequestKey) -> Self {
        Self {
            instance: InstanceId(key.instance),
            sequence: key.sequence,
            answered_below: key.answered_below,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Command<'a> {
    Found {
        cluster: Cow<'a, str>,
    },
    Admit {
        key: u128,
        endpoint: Cow<'a, str>,
    },
    Register {
        instance: Instance<'a>,
    },
    Watch {
        instance: u64,
        reachable: bool,
    },
    Persist {
        records: Vec<Record<'a>>,
        blobs: Vec<BlobRow>,
    },
    Delete {
        ids: Vec<u64>,
        force: bool,
        deep: bool,
    },
    SetAttributes {
        id: u64,
        attributes: Pairs<'a>,
    },
    Label {
        id: u64,
        labels: Pairs<'a>,
    },
    PutName {
        name: Cow<'a, str>,
        id: u64,
        condition: Condition,
    },
    DropName {
        name: Cow<'a, str>,
    },
    AcquireLock {
        name: Cow<'a, str>,
        owner: u64,
        lease_ms: u64,
    },
    ReleaseLock {
        name: Cow<'a, str>,
        token: u64,
    },
    DropLocations {
        instance: u64,
        blobs: Vec<u64>,
    },
    FoundBy {
        cluster: Cow<'a, str>,
        key: u128,
        endpoint: Cow<'a, str>,
    },
    Boot {
        instance: Instance<'a>,
        life: u128,
        before: Cow<'a, [u128]>,
    },
    Publish {
        records: Vec<Record<'a>>,
        blobs: Vec<BlobRow>,
        name: Cow<'a, str>,
        id: u64,
        condition: Condition,
    },
    AdmitAt {
        key: u128,
        endpoint: Cow<'a, str>,
        level: u8,
    },
    Stopped {
        instance: u64,
    },
    Remove {
        node: u64,
    },
    Cordon {
        node: u64,
        cordon: Option<Cordon>,
    },
    Leave {
        node: u64,
        discard: bool,
    },
    RotateToken {
        hidden: Hidden,
        after_unix_ms: u64,
        grace_ms: u64,
    },
    Configure {
        settings: Settings,
        if_unset: bool,
    },
}

impl<'a> From<&'a command::Command> for Command<'a> {
    #[allow(clippy::too_many_lines, reason = "a table: one arm for each command")]
    fn from(command: &'a command::Command) -> Self {
        match command {
            command::Command::Found { cluster } => Self::Found {
                cluster: cluster.into(),
            },
            command::Command::Admit { key, endpoint } => Self::Admit {
                key: *key,
                endpoint: endpoint.into(),
            },
            command::Command::Register { instance } => Self::Register {
                instance: instance.into(),
            },
            command::Command::Watch {
                instance,
                reachable,
            } => Self::Watch {
                instance: instance.0,
                reachable: *reachable,
            },
            command::Command::Persist { records, blobs } => Self::Persist {
                records: records.iter().map(Record::from).collect(),
                blobs: blobs.iter().map(BlobRow::from).collect(),
            },
            command::Command::Delete { ids, force, deep } => Self::Delete {
                ids: ids.iter().map(|id| id.0).collect(),
                force: *force,
                deep: *deep,
            },
            command::Command::SetAttributes { id, attributes } => Self::SetAttributes {
                id: id.0,
                attributes: pairs(attributes),
            },
            command::Command::Label { id, labels } => Self::Label {
                id: id.0,
                labels: pairs(labels),
            },
            command::Command::PutName {
                name,
                id,
                condition,
            } => Self::PutName {
                name: name.into(),
                id: id.0,
                condition: (*condition).into(),
            },
            command::Command::DropName { name } => Self::DropName { name: name.into() },
            command::Command::AcquireLock {
                name,
                owner,
                lease_ms,
            } => Self::AcquireLock {
                name: name.into(),
                owner: owner.0,
                lease_ms: *lease_ms,
            },
            command::Command::ReleaseLock { name, token } => Self::ReleaseLock {
                name: name.into(),
                token: *token,
            },
            command::Command::DropLocations { instance, blobs } => Self::DropLocations {
                instance: instance.0,
                blobs: blobs.iter().map(|id| id.0).collect(),
            },
            command::Command::FoundBy {
                cluster,
                key,
                endpoint,
            } => Self::FoundBy {
                cluster: cluster.into(),
                key: *key,
                endpoint: endpoint.into(),
            },
            command::Command::Boot {
                instance,
                life,
                before,
            } => Self::Boot {
                instance: instance.into(),
                life: *life,
                before: before.into(),
            },
            command::Command::Publish {
                records,
                blobs,
                name,
                id,
                condition,
            } => Self::Publish {
                records: records.iter().map(Record::from).collect(),
                blobs: blobs.iter().map(BlobRow::from).collect(),
                name: name.into(),
                id: id.0,
                condition: (*condition).into(),
            },
            command::Command::AdmitAt {
                key,
                endpoint,
                level,
            } => Self::AdmitAt {
                key: *key,
                endpoint: endpoint.into(),
                level: *level,
            },
            command::Command::Stopped { instance } => Self::Stopped {
                instance: instance.0,
            },
            command::Command::Remove { node } => Self::Remove { node: node.0 },
            command::Command::Cordon { node, cordon } => Self::Cordon {
                node: node.0,
                cordon: cordon.map(Cordon::from),
            },
            command::Command::Leave { node, discard } => Self::Leave {
                node: node.0,
                discard: *discard,
            },
            command::Command::RotateToken {
                hidden,
                after_unix_ms,
                grace_ms,
            } => Self::RotateToken {
                hidden: Hidden::from(*hidden),
                after_unix_ms: *after_unix_ms,
                grace_ms: *grace_ms,
            },
            command::Command::Configure { settings, if_unset } => Self::Configure {
                settings: Settings::from(*settings),
                if_unset: *if_unset,
            },
        }
    }
}

impl From<Command<'_>> for command::Command {
    #[allow(clippy::too_many_lines, reason = "a table: one arm for each command")]
    fn from(command: Command) -> Self {
        match command {
            Command::Found { cluster } => Self::Found {
                cluster: cluster.into_owned(),
            },
            Command::Admit { key, endpoint } => Self::Admit {
                key,
                endpoint: endpoint.into_owned(),
            },
            Command::Register { instance } => Self::Register {
                instance: instance.into(),
            },
            Command::Watch {
                instance,
                reachable,
            } => Self::Watch {
                instance: InstanceId(instance),
                reachable,
            },
            Command::Persist { records, blobs } => Self::Persist {
                records: records.into_iter().map(Into::into).collect(),
                blobs: blobs.into_iter().map(Into::into).collect(),
            },
            Command::Delete { ids, force, deep } => Self::Delete {
                ids: ids.into_iter().map(ObjectId).collect(),
                force,
                deep,
            },
            Command::SetAttributes { id, attributes } => Self::SetAttributes {
                id: ObjectId(id),
                attributes: map(attributes),
            },
            Command::Label { id, labels } => Self::Label {
                id: ObjectId(id),
                labels: map(labels),
            },
            Command::PutName {
                name,
                id,
                condition,
            } => Self::PutName {
                name: name.into_owned(),
                id: ObjectId(id),
                condition: condition.into(),
            },
            Command::DropName { name } => Self::DropName {
                name: name.into_owned(),
            },
            Command::AcquireLock {
                name,
                owner,
                lease_ms,
            } => Self::AcquireLock {
                name: name.into_owned(),
                owner: InstanceId(owner),
                lease_ms,
            },
            Command::ReleaseLock { name, token } => Self::ReleaseLock {
                name: name.into_owned(),
                token,
            },
            Command::DropLocations { instance, blobs } => Self::DropLocations {
                instance: InstanceId(instance),
                blobs: blobs.into_iter().map(ObjectId).collect(),
            },
            Command::FoundBy {
                cluster,
                key,
                endpoint,
            } => Self::FoundBy {
                cluster: cluster.into_owned(),
                key,
                endpoint: endpoint.into_owned(),
            },
            Command::Boot {
                instance,
                life,
                before,
            } => Self::Boot {
                instance: instance.into(),
                life,
                before: before.into_owned(),
            },
            Command::Publish {
                records,
                blobs,
                name,
                id,
                condition,
            } => Self::Publish {
                records: records.into_iter().map(Into::into).collect(),
                blobs: blobs.into_iter().map(Into::into).collect(),
                name: name.into_owned(),
                id: ObjectId(id),
                condition: condition.into(),
            },
            Command::AdmitAt {
                key,
                endpoint,
                level,
            } => Self::AdmitAt {
                key,
                endpoint: endpoint.into_owned(),
                level,
            },
            Command::Stopped { instance } => Self::Stopped {
                instance: InstanceId(instance),
            },
            Command::Remove { node } => Self::Remove { node: NodeId(node) },
            Command::Cordon { node, cordon } => Self::Cordon {
                node: NodeId(node),
                cordon: cordon.map(Into::into),
            },
            Command::Leave { node, discard } => Self::Leave {
                node: NodeId(node),
                discard,
            },
            Command::RotateToken {
                hidden,
                after_unix_ms,
                grace_ms,
            } => Self::RotateToken {
                hidden: hidden.into(),
                after_unix_ms,
                grace_ms,
            },
            Command::Configure { settings, if_unset } => Self::Configure {
                settings: settings.into(),
                if_unset,
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Condition {
    Always,
    IfAbsent,
    IfEquals(u64),
}

impl From<command::Condition> for Condition {
    fn from(condition: command::Condition) -> Self {
        match condition {
            command::Condition::Always => Self::Always,
            command::Condition::IfAbsent => Self::IfAbsent,
            command::Condition::IfEquals(id) => Self::IfEquals(id.0),
        }
    }
}

impl From<Condition> for command::Condition {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Always => Self::Always,
            Condition::IfAbsent => Self::IfAbsent,
            Condition::IfEquals(id) => Self::IfEquals(ObjectId(id)),
        }
    }
}

#[cfg(test)]
mod tests;
