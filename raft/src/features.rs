//! Feature levels: what every member of the cluster is known to understand.
//!
//! Promise: a command that needs a level is not proposed before every member has said that it knows that level, so no
//! member meets an entry, or a snapshot, that its build cannot decode. A node says its level before each of its boots
//! is registered; a node that never said anything is at level 0. `State::feature_level` is the lowest of all.
//!
//! A level is said as a lock that the instance holds, because every build since level 0 applies such an entry alike,
//! has it in its snapshots, and frees it when a later boot replaces the instance. So a node that goes back to an
//! older build takes its level back by registering. A build of before `LIVES` cannot go back once the level has risen:
//! what the cluster has written since names processes that it does not know.

use vineyard_wire::InstanceId;

use crate::command::Command;

/// What the first builds understand.
pub const BASE: u8 = 0;
/// `FoundBy` and `Boot`, the processes of the nodes in snapshots, and the introduction of processes to each other.
pub const LIVES: u8 = 1;
/// `Publish` and `AdmitAt`.
pub const PUBLISH: u8 = 2;
/// Streams that are read from another node, and their totals. No command needs it: a node asks another one if that one
/// has said it.
pub const RELAY: u8 = 3;
/// `Stopped`, `Remove`, `Cordon`, `Leave` and `RotateToken`; what the leader knows of its majority
/// (`Question::Standing`), and what a node says of itself for `status`. What only questions need is asked of a node
/// that has said this level.
pub const MEMBERS: u8 = 4;
/// `Configure`, and a bound of the metadata that every replica keeps.
pub const SETTINGS: u8 = 5;
/// Connections between nodes are encrypted. No command needs it.
pub const TLS: u8 = 6;
/// What this build understands.
pub const LATEST: u8 = TLS;

const PREFIX: &str = "vineyard.feature-level/";

/// The level that a command needs.
pub fn needed_by(command: &Command) -> u8 {
    match command {
        Command::Configure { .. } => SETTINGS,
        Command::Stopped { .. }
        | Command::Remove { .. }
        | Command::Cordon { .. }
        | Command::Leave { .. }
        | Command::RotateToken { .. } => MEMBERS,
        Command::Publish { .. } | Command::AdmitAt { .. } => PUBLISH,
        Command::FoundBy { .. } | Command::Boot { .. } => LIVES,
        Command::Found { .. }
        | Command::Admit { .. }
        | Command::Register { .. }
        | Command::Watch { .. }
        | Command::Persist { .. }
        | Command::Delete { .. }
        | Command::SetAttributes { .. }
        | Command::Label { .. }
        | Command::PutName { .. }
        | Command::DropName { .. }
        | Command::AcquireLock { .. }
        | Command::ReleaseLock { .. }
        | Command::DropLocations { .. } => BASE,
    }
}

/// Says that `instance` understands `level`. To say it twice is refused as `Locked`, and changes nothing.
pub(crate) fn announcement(instance: InstanceId, level: u8) -> Command {
    Command::AcquireLock {
        name: format!("{PREFIX}{}/{level}", instance.0),
        owner: instance,
        lease_ms: u64::MAX,
    }
}

/// The level that a lock of this name says, if it says one.
pub(crate) fn announced(lock: &str) -> Option<u8> {
    let (_, level) = lock.strip_prefix(PREFIX)?.rsplit_once('/')?;
    level.parse().ok()
}

/// Where the names of the locks begin that say a level.
pub(crate) fn locks_prefix() -> &'static str {
    PREFIX
}
