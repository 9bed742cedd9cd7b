//! The log's record of who was refused.
//!
//! Promise: a refused join, node or login is a warning with its source, its user or endpoint, and the reason. A source
//! is a machine, or the Unix socket: the log writes one line for each source and minute and counts the others, so that
//! guessing passwords fills no log. No password is written, right or wrong.

use std::fmt::Display;

/// Characters of a user's name in a line; the caller chooses the name.
const USER_CHARS_MAX: usize = 64;

/// Where a client called from.
pub(crate) enum Source {
    UnixSocket,
    Machine,
}

/// The machine of `host:port`.
fn machine(caller: &str) -> &str {
    caller.rsplit_once(':').map_or(caller, |(host, _)| host)
}

/// A client gave a wrong name or password.
pub(crate) fn refused_login(source: Source, caller: &str, user: &str) {
    let source = match source {
        Source::UnixSocket => "the Unix socket",
        Source::Machine => machine(caller),
    };
    let user: String = user.chars().take(USER_CHARS_MAX).collect();
    tracing::warn!(
        source,
        caller,
        user,
        "refused a login: wrong name or password"
    );
}

/// A process that called as a node has another secret or cluster, or is another process than it says.
pub(crate) fn refused_node(caller: &str, reason: &dyn Display) {
    tracing::warn!(source = machine(caller), caller, %reason, "refused a node");
}

/// A caller and this node do not trust each other's certificates; a node called, or a client.
pub(crate) fn refused_tls(caller: &str, reason: &dyn Display) {
    tracing::warn!(source = machine(caller), caller, %reason, "refused an encrypted connection");
}

/// A node with the right token was not admitted.
pub(crate) fn refused_join(caller: &str, endpoint: &str, reason: &dyn Display) {
    tracing::warn!(source = machine(caller), caller, endpoint, %reason, "refused a join");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_machine_without_its_port() {
        assert_eq!(machine("10.0.0.1:4711"), "10.0.0.1");
        assert_eq!(machine("[::1]:4711"), "[::1]");
        assert_eq!(machine("process 7"), "process 7");
    }
}
