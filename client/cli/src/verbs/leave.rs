//! `leave`: takes the node that is asked out of its cluster, once others have what only it had.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use vineyard_client::Error;
use vineyard_node::config::size;
use vineyard_wire::Code;
use vineyard_wire::reply::Left;

use super::drain;
use crate::args::{ConnectArgs, Format, Leave};
use crate::failure::{Failure, Tried};
use crate::{find, output};

/// How long it is tried, if no time was given, once nothing is left to be moved.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(place: &ConnectArgs, leave: &Leave, format: Format) -> Result<(), Failure> {
    let until = place.timeout.map(|timeout| Instant::now() + timeout);
    let client = find::connect(place).await?;
    let node = client.instance_id().node();
    let tried = || format!("let {node} leave");
    let mut patience = until;
    let (moved, left) = loop {
        let moved = match leave.discard {
            true => None,
            false => Some(drain::follow(&client, node, false, until).await?),
        };
        let give_up = *patience.get_or_insert_with(|| Instant::now() + PATIENCE);
        match client.leave_cluster(leave.discard).await {
            // Something was persisted since, or the vote is not another one's yet.
            Err(Error::Status { code, .. })
                if code == Code::VineyardServerNotReady && Instant::now() + PAUSE < give_up =>
            {
                sleep(PAUSE).await;
            }
            left => break (moved, left.tried(tried)?),
        }
    };
    let Left {
        blobs_lost,
        bytes_lost,
    } = left;
    let bytes_moved = moved.map_or(0, |moved| moved.bytes_moved);
    match format {
        Format::Json => output::print_json(&json!({
            "node": node,
            "bytes_moved": bytes_moved,
            "blobs_lost": blobs_lost,
            "bytes_lost": bytes_lost,
        })),
        Format::Table => output::print(&format!(
            "{node} is no member any more, and its process ends; {} moved, {blobs_lost} blobs, {} given up",
            size::show(bytes_moved),
            size::show(bytes_lost)
        )),
    }
}
