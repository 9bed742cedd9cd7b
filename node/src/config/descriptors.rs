//! How many connections fit under the process's limit of open descriptors.
//!
//! Promise: the descriptors that the disk, the members and the node itself need stay free, however many connections
//! there are. Each kind of connection has a share of the rest, so that too many of one kind do not exclude the others.

use super::Limits;

/// Descriptors of the node itself: threads, listeners, the database and its reserve, the arena, and files that are open
/// briefly.
const OWN: u64 = 64;
/// The least number of open descriptors to assume at the start, so that a check before the disk is opened counts the
/// disk too.
const OPEN_MIN: u64 = 24;
/// Links to and from the other members, and the connections that migrations move bytes on.
const MEMBERS_MIN: u64 = 64;
const MEMBERS_MAX: u64 = 2048;
/// With fewer there are not enough for some connections of each kind.
const CONNECTIONS_MIN: u64 = 32;

/// The process may open so few files that a node cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a process that may open {limit} files has no room for a node and its clients: raise the limit to {needed} at least \
     (ulimit -n, or LimitNOFILE of systemd)"
)]
pub struct TooFewDescriptors {
    pub limit: u64,
    pub needed: u64,
}

impl Limits {
    /// These limits, lowered to what a process with at most `limit` descriptors, `open` of them in use, can serve.
    pub fn within(self, limit: u64, open: u64) -> Result<Self, TooFewDescriptors> {
        let open = open.max(OPEN_MIN);
        let needed = open + OWN + MEMBERS_MIN + CONNECTIONS_MIN;
        if limit < needed {
            return Err(TooFewDescriptors { limit, needed });
        }
        let rest = limit - open - OWN;
        let members = (limit / 4)
            .clamp(MEMBERS_MIN, MEMBERS_MAX)
            .min(rest - CONNECTIONS_MIN);
        let room = usize::try_from(rest - members).unwrap_or(usize::MAX);
        let unregistered_max = self.unregistered_max.min(room / 8);
        let refusals_max = self.refusals_max.min(room / 16);
        let clients = (room - unregistered_max - refusals_max) / 2;
        let migrations = members as usize / 4 / self.bulk_connections.max(1);
        Ok(Self {
            ipc_connections_max: self.ipc_connections_max.min(clients),
            rpc_connections_max: self.rpc_connections_max.min(clients),
            unregistered_max,
            refusals_max,
            migrations_max: self.migrations_max.min(migrations.max(1)),
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: u64 = OPEN_MIN;

    fn connections(limits: &Limits) -> u64 {
        let Limits {
            ipc_connections_max,
            rpc_connections_max,
            unregistered_max,
            refusals_max,
            ..
        } = limits;
        (ipc_connections_max + rpc_connections_max + unregistered_max + refusals_max) as u64
    }

    #[test]
    fn at_65536_nothing_is_lowered() {
        let limits = Limits::default();
        assert_eq!(limits.clone().within(65_536, OPEN), Ok(limits));
    }

    #[test]
    fn whatever_the_limit_the_reserve_is_not_touched() {
        let least = OPEN + OWN + MEMBERS_MIN + CONNECTIONS_MIN;
        for limit in (least..3000).chain([4096, 20_000, 65_536, 1 << 20, u64::MAX]) {
            let limits = Limits::default().within(limit, OPEN).unwrap();
            let reserve = limit - OPEN - connections(&limits);
            let members = (limit / 4)
                .clamp(MEMBERS_MIN, MEMBERS_MAX)
                .min(limit - OPEN - OWN - CONNECTIONS_MIN);
            assert!(reserve >= OWN + members, "{limit}: {reserve}");
            let bulk = (limits.migrations_max * limits.bulk_connections) as u64;
            assert!(bulk <= members / 4, "{limit}: {bulk} for migrations");
        }
    }

    #[test]
    fn at_256_there_is_room_for_some_of_each_kind() {
        let limits = Limits::default().within(256, OPEN).unwrap();
        assert_eq!(
            [limits.ipc_connections_max, limits.rpc_connections_max],
            [42, 42]
        );
        assert_eq!([limits.unregistered_max, limits.refusals_max], [13, 6]);
        assert_eq!(limits.migrations_max, 4);
    }

    #[test]
    fn a_limit_that_is_too_low_names_the_one_that_would_do() {
        let refused = Limits::default().within(64, OPEN).unwrap_err();
        assert_eq!((refused.limit, refused.needed), (64, 184));
        assert!(Limits::default().within(refused.needed, OPEN).is_ok());
        let said = refused.to_string();
        assert!(said.contains("64") && said.contains("184"), "{said}");
    }
}
