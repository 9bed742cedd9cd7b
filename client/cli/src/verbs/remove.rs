//! `remove`: takes a dead node out of the cluster.

use std::io::{self, IsTerminal, Write};

use serde_json::json;
use vineyard_client::Client;
use vineyard_wire::{InstanceId, NodeId};

use crate::args::{ConnectArgs, Format, Remove};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(
    place: &ConnectArgs,
    remove: &Remove,
    format: Format,
) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let node = which(&client, &remove.node).await?;
    let tried = || format!("remove {node}");
    let dry_run = client.remove_node(node, remove.lose_objects, true);
    let seen = dry_run.await.tried(tried)?;
    let lost = format!(
        "{} persisted objects lose their only copy",
        seen.objects_lost
    );
    if !remove.yes && (seen.objects_lost == 0 || remove.lose_objects) {
        ask(&format!(
            "{node} at {} is forgotten for good, and {lost}",
            seen.endpoint
        ))?;
    }
    let removing = client.remove_node(node, remove.lose_objects, false);
    let removed = removing.await.tried(tried)?;
    match format {
        Format::Json => output::print_json(&json!({
            "node": removed.node,
            "endpoint": removed.endpoint,
            "objects_lost": removed.objects_lost,
        })),
        Format::Table => output::print(&format!(
            "{node} at {} is no member any more; {lost}",
            removed.endpoint
        )),
    }
}

/// The node that a person means: `n2`, an instance as `status` prints it, or an endpoint.
async fn which(client: &Client, told: &str) -> Result<NodeId, Failure> {
    let number = told.trim_start_matches(['n', 'i']).parse::<u64>();
    if let Ok(number) = number {
        return Ok(InstanceId(number).node());
    }
    let status = client.cluster_status().await;
    let status = status.tried(|| "ask for the cluster's status".to_owned())?;
    let known = status.nodes.iter().find(|node| node.endpoint == told);
    let known = known.map(|node| node.instance_id.node());
    known.ok_or_else(|| {
        Failure::Usage(format!(
            "{told:?} is no node: write n2, an instance as in i65538, or an endpoint that `status` prints"
        ))
    })
}

fn ask(what: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{what}: say --yes")));
    }
    let local = |source| Failure::local("ask on the terminal", source);
    let mut answer = String::new();
    print!("{what}. Remove it? [y/N] ");
    io::stdout().flush().map_err(local)?;
    io::stdin().read_line(&mut answer).map_err(local)?;
    match answer.trim() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Interrupted),
    }
}
