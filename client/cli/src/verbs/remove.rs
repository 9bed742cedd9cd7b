//! `remove`: takes a dead node out of the cluster.

use std::io::{self, IsTerminal, Write};

use serde_json::json;

use crate::args::{ConnectArgs, Format, Remove};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(
    place: &ConnectArgs,
    remove: &Remove,
    format: Format,
) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let node = find::node(&client, &remove.node).await?;
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
