//! `name set|get|ls|rm`: names point to persisted objects and are the same on every node.

use serde_json::json;
use vineyard_client::Client;
use vineyard_wire::ObjectId;

use crate::args::{ConnectArgs, Format, Name, NameVerb};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(place: &ConnectArgs, format: Format, name: &Name) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    match &name.verb {
        NameVerb::Set {
            name,
            id,
            if_absent,
            if_equals,
        } => {
            let id = find::id(id)?;
            let expected = if_equals.as_deref().map(find::id).transpose()?;
            set(&client, name, id, *if_absent, expected).await?;
            print_one(format, name, id)
        }
        NameVerb::Get { name, wait } => {
            let found = match wait {
                Some(wait) => client.wait_name(name, *wait).await,
                None => client.get_name(name).await,
            };
            print_one(
                format,
                name,
                found.tried(|| format!("look up the name {name:?}"))?,
            )
        }
        NameVerb::Ls { pattern, limit } => ls(&client, format, pattern, *limit).await,
        NameVerb::Rm { names } => rm(&client, format, names).await,
    }
}

/// Persists `id` first: other nodes could not read what the name stands for.
pub(crate) async fn set(
    client: &Client,
    name: &str,
    id: ObjectId,
    if_absent: bool,
    expected: Option<ObjectId>,
) -> Result<(), Failure> {
    if !client
        .is_persisted(id)
        .await
        .tried(|| format!("look at {id}"))?
    {
        client.persist(id).await.tried(|| format!("persist {id}"))?;
    }
    let done = match expected {
        Some(expected) => client.put_name_if_equals(id, name, expected).await,
        None if if_absent => client.put_name_if_absent(id, name).await,
        None => client.put_name(id, name).await,
    };
    done.tried(|| format!("name {id} {name:?}"))
}

async fn ls(client: &Client, format: Format, pattern: &str, limit: u64) -> Result<(), Failure> {
    let names = client.list_names(pattern, false, limit).await;
    let names = names.tried(|| format!("list the names like {pattern:?}"))?;
    match format {
        Format::Json => {
            let texts: serde_json::Map<_, _> = names
                .into_iter()
                .map(|(name, id)| (name, id.to_string().into()))
                .collect();
            output::print_json(&texts)
        }
        Format::Table => {
            let mut table = output::Table::new(&["NAME", "ID"], &[]);
            for (name, id) in names {
                table.row([name, id.to_string()]);
            }
            output::print_table(&table)
        }
    }
}

async fn rm(client: &Client, format: Format, names: &[String]) -> Result<(), Failure> {
    for name in names {
        // Dropping what does not exist is no error to the node; to a person it is most likely a typing error.
        client
            .get_name(name)
            .await
            .tried(|| format!("look up the name {name:?}"))?;
        client
            .drop_name(name)
            .await
            .tried(|| format!("remove the name {name:?}"))?;
    }
    match format {
        Format::Json => output::print_json(&json!({ "removed": names })),
        Format::Table => names
            .iter()
            .try_for_each(|name| output::print(&format!("{name} removed"))),
    }
}

fn print_one(format: Format, name: &str, id: ObjectId) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(&json!({ "name": name, "id": id.to_string() })),
        Format::Table => output::print(&id.to_string()),
    }
}
