//! `drain`: empties a node, and shows how far that is.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use vineyard_client::Client;
use vineyard_node::config::size;
use vineyard_wire::NodeId;
use vineyard_wire::reply::DrainProgress;

use crate::args::{ConnectArgs, Drain, Format};
use crate::failure::{Failure, Tried};
use crate::{find, output, progress};

pub(crate) async fn run(place: &ConnectArgs, drain: &Drain, format: Format) -> Result<(), Failure> {
    let until = place.timeout.map(|timeout| Instant::now() + timeout);
    let client = find::connect(place).await?;
    let node = match &drain.node {
        Some(told) => find::node(&client, told).await?,
        None => client.instance_id().node(),
    };
    let done = follow(&client, node, drain.all, until).await?;
    match format {
        Format::Json => output::print_json(&json!({
            "node": node,
            "blobs_moved": done.blobs_moved,
            "bytes_moved": done.bytes_moved,
            "blobs_left": done.blobs_left,
            "bytes_left": done.bytes_left,
            "objects_persisted": done.objects_persisted,
            "objects_kept": done.objects_kept,
            "loose_blobs": done.loose_blobs,
            "loose_bytes": done.loose_bytes,
        })),
        Format::Table => {
            output::print(&format!(
                "{node} is drained: {} blobs, {} moved; it takes no copies until `vineyardctl uncordon {node}`",
                done.blobs_moved,
                size::show(done.bytes_moved)
            ))?;
            if done.blobs_left > 0 {
                output::print(&format!(
                    "clients persisted {} more blobs, {}, while it ran: drain it again once they have stopped",
                    done.blobs_left,
                    size::show(done.bytes_left)
                ))?;
            }
            if done.objects_kept + done.loose_blobs > 0 {
                output::print(&format!(
                    "a stop of {node} ends {} transient objects, and {} blobs of no object, {}",
                    done.objects_kept,
                    done.loose_blobs,
                    size::show(done.loose_bytes)
                ))?;
            }
            Ok(())
        }
    }
}

/// Asks until the drain is done, has failed, or `until` has passed.
pub(super) async fn follow(
    client: &Client,
    node: NodeId,
    all: bool,
    until: Option<Instant>,
) -> Result<DrainProgress, Failure> {
    let mut last = DrainProgress::default();
    let asking = async {
        let bar = progress::bytes(&format!("draining {node}"), 0);
        let mut begins = true;
        loop {
            let asked = match begins {
                true => client.begin_drain(node, all).await,
                false => client.drain_node(node, all).await,
            };
            begins = false;
            last = asked.tried(|| format!("drain {node}"))?;
            bar.set_length(last.bytes_moved + last.bytes_left);
            bar.set_position(last.bytes_moved);
            if last.done {
                bar.finish_and_clear();
                return Ok(last);
            }
        }
    };
    let Some(until) = until else {
        return asking.await;
    };
    let begun = Instant::now();
    match tokio::time::timeout_at(until, asking).await {
        Ok(outcome) => outcome,
        Err(_) => Err(not_drained(
            node,
            last,
            until.saturating_duration_since(begun),
        )),
    }
}

fn not_drained(node: NodeId, last: DrainProgress, after: Duration) -> Failure {
    Failure::NotReady {
        after,
        missing: format!(
            "{} blobs, {} of {node} are still to be moved; that goes on",
            last.blobs_left,
            size::show(last.bytes_left)
        ),
    }
}
