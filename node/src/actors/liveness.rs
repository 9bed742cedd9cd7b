//! The leader's watch: tells the cluster when an instance falls silent and when it is back.
//!
//! Only transitions go through the log. Silence deletes nothing: a pause is not a death.

use std::rc::Rc;

use vineyard_raft::command::Command;
use vineyard_wire::reply::Liveness;

use crate::shared::Shared;

/// Watches until the node stops; idle while another node leads.
pub(crate) async fn watch(node: Rc<Shared>) {
    loop {
        tokio::time::sleep(node.config.limits.liveness_period).await;
        for command in transitions(&node) {
            let deadline = node.config.limits.metadata_deadline;
            if let Err(error) = node.meta.submit(node.instance, command, deadline).await {
                // The next round sees the same silence and tries again.
                tracing::debug!(%error, "could not record who is reachable");
            }
        }
    }
}

fn transitions(node: &Shared) -> Vec<Command> {
    let group = node.meta.status();
    if !group.is_leader {
        return Vec::new();
    }
    let state = node.meta.state();
    let limit_ms = node.config.limits.unreachable_after.as_millis() as u64;
    let mut commands = Vec::new();
    for (member, silent_ms) in &group.silent_ms {
        let Some(instance) = state.current_instance_of(*member) else {
            continue;
        };
        let reachable = *silent_ms < limit_ms;
        match (instance.liveness, reachable) {
            (Liveness::Up, false) | (Liveness::Unreachable, true) => {
                commands.push(Command::Watch {
                    instance: instance.id,
                    reachable,
                });
            }
            _ => {}
        }
    }
    if let Some(me) = state.instance(node.instance)
        && me.liveness == Liveness::Unreachable
    {
        commands.push(Command::Watch {
            instance: node.instance,
            reachable: true,
        });
    }
    commands
}
