//! `wait`: returns once the node serves and a majority of its cluster agrees.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use vineyard_client::{ClusterStatus, Liveness};
use vineyard_wire::InstanceId;

use crate::args::{ConnectArgs, Format, Wait};
use crate::failure::{Failure, Tried};
use crate::{find, health, output};

/// The wait, unless `--timeout` says another.
const WAIT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest that one look may take.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) async fn run(place: &ConnectArgs, format: Format, wait: &Wait) -> Result<(), Failure> {
    let after = place.timeout.unwrap_or(WAIT);
    let until = Instant::now() + after;
    let (mut missing, mut looked) = ("it has not been asked yet".to_owned(), false);
    while Instant::now() < until {
        match timeout_at(until, look(place, until)).await {
            Ok(Ok((asked, status))) => match lacks(&status, asked, wait.nodes) {
                None => return ready(format, &status),
                Some(what) => (missing, looked) = (what, true),
            },
            Ok(Err(usage @ Failure::Usage(_))) => return Err(usage),
            // A look that the end cut short tells less than the one before it.
            Ok(Err(_)) if Instant::now() >= until && looked => break,
            Ok(Err(failure)) => missing = failure.to_string(),
            Err(_) => break,
        }
        sleep(PAUSE.min(until.saturating_duration_since(Instant::now()))).await;
    }
    Err(Failure::NotReady { after, missing })
}

fn ready(format: Format, status: &ClusterStatus) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(status),
        Format::Table => output::print(&super::status::headline(status)),
    }
}

/// What the node knows now, and which instance it is.
async fn look(place: &ConnectArgs, until: Instant) -> Result<(InstanceId, ClusterStatus), Failure> {
    let place = ConnectArgs {
        timeout: Some(LOOK.min(until.saturating_duration_since(Instant::now()))),
        ..place.clone()
    };
    let client = find::connect(&place).await?;
    let status = client
        .cluster_status()
        .await
        .tried(|| "ask for the cluster's status".to_owned())?;
    Ok((client.instance_id(), status))
}

/// What is still missing, in words.
fn lacks(status: &ClusterStatus, asked: InstanceId, nodes: Option<usize>) -> Option<String> {
    let serves = |node: &vineyard_client::NodeStatus| {
        node.instance_id == asked && node.state == Liveness::Up
    };
    let up = health::up(status);
    match nodes {
        _ if !health::has_quorum(status) => Some(super::status::headline(status)),
        _ if !status.nodes.iter().any(serves) => {
            Some(format!("the cluster does not know {asked} as up yet"))
        }
        Some(wanted) if up < wanted => Some(format!("{up} of {wanted} nodes are up")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::status::tests::status;

    #[test]
    fn ready_is_a_majority_the_node_itself_and_as_many_as_were_asked_for() {
        let mut status = status();
        let me = InstanceId(0);
        assert_eq!(lacks(&status, me, None), None);
        let two = lacks(&status, me, Some(2)).unwrap();
        assert_eq!(two, "1 of 2 nodes are up");
        assert!(lacks(&status, InstanceId(9), None).is_some());
        status.cluster.quorum.as_mut().unwrap().quorum = false;
        let text = lacks(&status, me, None).unwrap();
        assert!(text.contains("NO QUORUM"), "{text}");
    }
}
