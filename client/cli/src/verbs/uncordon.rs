//! `uncordon`: lets a node take copies again, and ends its drain.

use serde_json::json;

use crate::args::{ConnectArgs, Format, Uncordon};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(
    place: &ConnectArgs,
    uncordon: &Uncordon,
    format: Format,
) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let node = match &uncordon.node {
        Some(told) => find::node(&client, told).await?,
        None => client.instance_id().node(),
    };
    let ended = client.uncordon_node(node).await;
    ended.tried(|| format!("uncordon {node}"))?;
    match format {
        Format::Json => output::print_json(&json!({ "node": node })),
        Format::Table => output::print(&format!("{node} takes copies again")),
    }
}
