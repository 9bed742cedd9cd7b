//! Checks of the cluster: what its nodes say of themselves and of each other.

use std::collections::BTreeSet;
use std::time::Duration;

use vineyard_client::{Liveness, NodeStatus};
use vineyard_node::config::size;
use vineyard_wire::reply::Cordon;

use super::Check;
use super::facts::Facts;
use crate::health;
use crate::verbs::status::{count, name_of, no_quorum};

/// Entries that a node may lag behind.
const LAG_MAX: u64 = 100;
/// Of the arena.
const USED_PERCENT_MAX: u64 = 90;
/// Clocks that differ by more make logs hard to compare.
const SKEW_MAX: Duration = Duration::from_secs(1);

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let name = name_of(&facts.status, facts.asked);
    let answers = format!("{name} answers at {}", facts.place);
    let mut checks = vec![Check::ok("node", answers), quorum(facts)];
    checks.extend(members(facts));
    checks.extend(back(facts));
    checks.push(versions(facts));
    checks.push(clocks(facts));
    checks.extend(names(facts));
    checks.push(lag(facts));
    checks.extend(memory(facts));
    checks
}

fn quorum(facts: &Facts) -> Check {
    let cluster = &facts.status.cluster;
    if !health::has_quorum(&facts.status) {
        let found = no_quorum(cluster.quorum, cluster.voters);
        return Check::fail(
            "quorum",
            found,
            "start the voters that are down, or mend the network between the nodes",
        );
    }
    let found = format!(
        "{}, tolerates {}",
        count(cluster.voters, "voter"),
        count(cluster.tolerates, "failure")
    );
    let could = cluster.voters.saturating_sub(cluster.voters / 2 + 1);
    match (cluster.tolerates < could, facts.status.nodes.len()) {
        (true, _) => Check::warn(
            "quorum",
            found,
            "start the voters that are down; what is lost for good is taken out by `vineyardctl remove`",
        ),
        (false, 2) => Check::warn("quorum", found, "add a third node; two tolerate no failure"),
        (false, _) => Check::ok("quorum", found),
    }
}

/// A line for each member that is not as it should be, or one that all are.
fn members(facts: &Facts) -> Vec<Check> {
    let nodes = &facts.status.nodes;
    let found: Vec<Check> = nodes
        .iter()
        .filter_map(|node| member(facts, node))
        .collect();
    match found.is_empty() {
        true => vec![Check::ok(
            "members",
            format!("{} up, and answers", count(nodes.len() as u64, "node")),
        )],
        false => found,
    }
}

fn member(facts: &Facts, node: &NodeStatus) -> Option<Check> {
    let name = name_of(&facts.status, node.instance_id);
    if let Some(failure) = &node.about.failure {
        return Some(Check::fail(
            "members",
            format!("{name} takes no part any more: {failure}"),
            "mend its disk, then restart it; if the disk is lost, start a new node and `vineyardctl remove` this one",
        ));
    }
    match (node.state, node.about.cordon) {
        (Liveness::Unreachable, _) => Some(Check::fail(
            "members",
            format!("{name} does not answer at {}", node.endpoint),
            "start it, or mend the network to it; if it is lost for good, `vineyardctl remove` it",
        )),
        (Liveness::Stopped, _) => Some(Check::warn(
            "members",
            format!("{name} was stopped"),
            "start it again with its data directory",
        )),
        (Liveness::Gone, _) => None,
        (Liveness::Up, _) if node.stats.is_none() => Some(Check::fail(
            "members",
            format!("{name} is up, and did not answer the node that was asked"),
            "look for a firewall, or loss, between the two; its log says whom it does not reach",
        )),
        (Liveness::Up, Some(Cordon::Drains)) => Some(Check::warn(
            "members",
            format!("{name} is cordoned: it takes no copies"),
            "`vineyardctl uncordon` it when its restart is done",
        )),
        (Liveness::Up, Some(Cordon::Leaves)) => Some(Check::warn(
            "members",
            format!("{name} leaves the cluster"),
            "wait until it has left; `vineyardctl leave` on it goes on with it",
        )),
        (Liveness::Up, None) => None,
    }
}

fn back(facts: &Facts) -> Vec<Check> {
    if facts.heard.is_empty() {
        return vec![Check::skip("ways back", "no other node is up")];
    }
    let asked = name_of(&facts.status, facts.asked);
    let checks = facts.heard.iter().map(|heard| {
        let name = name_of(&facts.status, heard.instance);
        match &heard.back {
            Ok(true) => Check::ok("ways back", format!("{name} reaches {asked}")),
            Ok(false) => Check::fail(
                "ways back",
                format!("{name} does not reach {asked}"),
                "look whether a firewall lets it in, and whether --advertise of the node that was asked is an address \
                 that others can dial",
            ),
            Err(reason) => {
                let reason = format!("{name} was not asked: {reason}");
                Check::skip("ways back", reason)
            }
        }
    });
    checks.collect()
}

fn versions(facts: &Facts) -> Check {
    let told = facts.status.nodes.iter();
    let nodes: BTreeSet<&str> = told.filter_map(|n| n.about.version.as_deref()).collect();
    let all: Vec<&str> = nodes.iter().copied().collect();
    let own = env!("CARGO_PKG_VERSION");
    match all.as_slice() {
        [one] if *one == own => Check::ok("versions", format!("all are {own}")),
        [] => Check::skip("versions", "no node tells its version"),
        [one] => Check::warn(
            "versions",
            format!("the nodes are {one}, this command is {own}"),
            "use the vineyardctl of the nodes' version",
        ),
        several => Check::warn(
            "versions",
            format!("the nodes are {}", several.join(", ")),
            "finish the upgrade: docs/upgrading.md says in which order",
        ),
    }
}

fn clocks(facts: &Facts) -> Check {
    let nodes = facts.status.nodes.iter();
    let told = nodes.filter_map(|node| Some((node.about.unix_ms?, node.instance_id)));
    let told: Vec<_> = told.collect();
    let (Some(first), Some(last)) = (told.iter().min(), told.iter().max()) else {
        return Check::skip("clocks", "no node tells its time");
    };
    let skew = Duration::from_millis(last.0 - first.0);
    let found = format!("{:.1} s apart at most", skew.as_secs_f64());
    match skew > SKEW_MAX {
        false => Check::ok("clocks", found),
        true => Check::warn(
            "clocks",
            format!(
                "{found}: {} is ahead of {}",
                name_of(&facts.status, last.1),
                name_of(&facts.status, first.1)
            ),
            "run a time service, such as chrony, on the machines; only the times in logs depend on it",
        ),
    }
}

fn names(facts: &Facts) -> Vec<Check> {
    let failed = facts.hosts.iter().filter_map(|host| {
        let reason = host.resolved.as_ref().err()?;
        Some(Check::fail(
            "names",
            format!("{}: {reason}", host.name),
            "mend the name in DNS or /etc/hosts, or start its node with another --advertise",
        ))
    });
    let failed: Vec<Check> = failed.collect();
    match (failed.is_empty(), facts.hosts.len()) {
        (true, 0) => vec![Check::ok("names", "members are dialled by address")],
        (true, all) => vec![Check::ok("names", format!("{all} resolve"))],
        (false, _) => failed,
    }
}

fn lag(facts: &Facts) -> Check {
    let nodes = facts.status.nodes.iter();
    let behind = nodes.filter_map(|node| Some((node.about.lag?, node.instance_id)));
    match behind.max() {
        None => Check::skip("lag", "no node tells how far it is"),
        Some((lag, _)) if lag <= LAG_MAX => Check::ok("lag", "every node keeps up"),
        Some((lag, instance)) => Check::warn(
            "lag",
            format!(
                "{} is {lag} entries behind",
                name_of(&facts.status, instance)
            ),
            "it catches up by itself if its disk and its network are fast enough: look at both",
        ),
    }
}

fn memory(facts: &Facts) -> Vec<Check> {
    let full = facts.status.nodes.iter().filter_map(|node| {
        let stats = node.stats.as_ref()?;
        let deleted = node.pieces.map_or(0, |pieces| pieces.deleted_bytes);
        let used = stats.memory_usage + deleted;
        let percent = used.saturating_mul(100) / stats.memory_limit.max(1);
        let found = format!(
            "{}: {} of {} are used, {} of these by deleted objects that are still read",
            name_of(&facts.status, node.instance_id),
            size::show(used),
            size::show(stats.memory_limit),
            size::show(deleted),
        );
        (percent >= USED_PERCENT_MAX).then(|| {
            Check::warn(
                "arena",
                found,
                "delete what is not needed (`vineyardctl du`, `ls --sort size`), or restart it with a larger --size",
            )
        })
    });
    let full: Vec<Check> = full.collect();
    match full.is_empty() {
        false => full,
        true => vec![Check::ok(
            "arena",
            format!("every node has {}% free at least", 100 - USED_PERCENT_MAX),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Grade;
    use crate::doctor::facts::{Heard, Host};
    use crate::verbs::status::tests::status;
    use vineyard_wire::InstanceId;

    /// Two nodes without a fault.
    fn facts() -> Facts {
        let mut status = status();
        status.nodes[1] = NodeStatus {
            instance_id: InstanceId(1),
            ..status.nodes[0].clone()
        };
        status.nodes[1].about.name = Some("host1".into());
        for node in &mut status.nodes {
            node.about.lag = Some(0);
            node.about.unix_ms = Some(5000);
            node.about.version = Some(env!("CARGO_PKG_VERSION").into());
        }
        status.nodes.push(status.nodes[1].clone());
        let heard = Heard {
            instance: InstanceId(1),
            back: Ok(true),
        };
        Facts {
            place: "/s".into(),
            asked: InstanceId(0),
            status,
            heard: vec![heard],
            hosts: Vec::new(),
            here: Err("a test".into()),
        }
    }

    /// The one check that is not ok.
    fn only(facts: &Facts) -> Check {
        let mut checks = checks(facts);
        checks.retain(|check| check.result != Grade::Ok);
        assert_eq!(checks.len(), 1, "{checks:#?}");
        let check = checks.remove(0);
        assert!(check.remedy.is_some() || check.result == Grade::Skip);
        check
    }

    fn planted(plant: impl FnOnce(&mut Facts)) -> (&'static str, Grade, String) {
        let mut facts = facts();
        plant(&mut facts);
        let check = only(&facts);
        (check.check, check.result, check.found)
    }

    #[test]
    fn a_cluster_without_a_fault_has_none() {
        let checks = checks(&facts());
        assert!(
            checks.iter().all(|one| one.result == Grade::Ok),
            "{checks:#?}"
        );
    }

    #[test]
    fn each_planted_fault_of_a_cluster_is_found_alone() {
        let (check, grade, found) = planted(|f| {
            let quorum = f.status.cluster.quorum.as_mut().unwrap();
            (quorum.quorum, quorum.voters_answering) = (false, 1);
        });
        assert_eq!((check, grade), ("quorum", Grade::Fail));
        assert!(found.contains("1 of 3"), "{found}");
        let (check, grade, _) = planted(|f| f.status.cluster.tolerates = 0);
        assert_eq!((check, grade), ("quorum", Grade::Warn));
        let (check, grade, found) = planted(|f| f.status.nodes[1].state = Liveness::Unreachable);
        assert_eq!((check, grade), ("members", Grade::Fail));
        assert!(found.contains("host1"), "{found}");
        let (check, grade, _) = planted(|f| f.status.nodes[1].state = Liveness::Stopped);
        assert_eq!((check, grade), ("members", Grade::Warn));
        let (check, _, found) = planted(|f| f.status.nodes[1].about.failure = Some("full".into()));
        assert!(check == "members" && found.contains("full"), "{found}");
        let (check, grade, _) = planted(|f| f.status.nodes[1].stats = None);
        assert_eq!((check, grade), ("members", Grade::Fail));
        let (check, grade, _) = planted(|f| f.status.nodes[1].about.cordon = Some(Cordon::Drains));
        assert_eq!((check, grade), ("members", Grade::Warn));
        let (check, grade, found) = planted(|f| f.heard[0].back = Ok(false));
        assert_eq!((check, grade), ("ways back", Grade::Fail));
        assert_eq!(found, "host1 (i1) does not reach host0 (i0)");
        let (check, grade, _) = planted(|f| f.heard[0].back = Err("refused".into()));
        assert_eq!((check, grade), ("ways back", Grade::Skip));
    }

    #[test]
    fn each_planted_difference_of_nodes_is_found_alone() {
        let (check, grade, found) =
            planted(|f| f.status.nodes[1].about.version = Some("9.9".into()));
        assert_eq!((check, grade), ("versions", Grade::Warn));
        assert!(found.contains("9.9"), "{found}");
        let (check, grade, found) = planted(|f| f.status.nodes[1].about.unix_ms = Some(9000));
        assert_eq!((check, grade), ("clocks", Grade::Warn));
        assert!(
            found.starts_with("4.0 s") && found.contains("host1 (i1) is ahead"),
            "{found}"
        );
        let (check, grade, _) = planted(|f| f.status.nodes[1].about.lag = Some(101));
        assert_eq!((check, grade), ("lag", Grade::Warn));
        let (check, grade, found) = planted(|f| {
            let stats = f.status.nodes[1].stats.as_mut().unwrap();
            stats.memory_usage = stats.memory_limit / 10 * 9 + 10;
        });
        assert_eq!((check, grade), ("arena", Grade::Warn));
        assert!(found.contains("of 8 GiB"), "{found}");
        let (check, grade, found) = planted(|f| {
            f.hosts.push(Host {
                name: "blue".into(),
                resolved: Err("no such host".into()),
            });
        });
        assert_eq!((check, grade), ("names", Grade::Fail));
        assert_eq!(found, "blue: no such host");
    }
}
