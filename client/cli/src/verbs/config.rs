//! `config show`: the settings of a node on this machine, or of one that is yet to be started. `config set`: what holds
//! for the whole cluster.

use std::path::Path;

use vineyard_client::ClusterSettings;
use vineyard_node::config::machine::Machine;
use vineyard_node::config::settings::{Settings, settings};
use vineyard_node::config::{flags, size};
use vineyard_wire::request::Configure;

use crate::args::{Config, ConfigVerb, ConnectArgs, ForAll, Format};
use crate::failure::{Failure, Tried};
use crate::process::Process;
use crate::{find, output};

pub(crate) async fn run(
    place: &ConnectArgs,
    format: Format,
    config: &Config,
) -> Result<(), Failure> {
    let (origin, flags) = match &config.verb {
        ConfigVerb::Show { origin, flags } => (origin, flags),
        ConfigVerb::Set { setting, value } => return set(place, format, *setting, value).await,
    };
    let found = match flags.is_empty() {
        true => of_running(place).await?,
        false => settings(flags.clone(), &Machine::here())
            .map_err(|error| Failure::Usage(error.to_string()))?,
    };
    match format {
        Format::Json => output::print_json(&found.list),
        Format::Table => output::print_table(&table(&found, *origin)),
    }
}

async fn set(
    place: &ConnectArgs,
    format: Format,
    setting: ForAll,
    value: &str,
) -> Result<(), Failure> {
    let usage = |reason: String| Failure::Usage(format!("{value}: {reason}"));
    let told = match setting {
        ForAll::RoundTripMs => Configure {
            round_trip_ms: Some(flags::round_trip_ms(value).map_err(usage)?),
            ..Configure::default()
        },
        ForAll::MetadataQuota => Configure {
            metadata_quota_bytes: Some(flags::quota(value).map_err(usage)?),
            ..Configure::default()
        },
    };
    let client = find::connect(place).await?;
    let set = client.configure(told).await;
    let set = set.tried(|| "set what holds for the cluster".to_owned())?;
    match format {
        Format::Json => output::print_json(&set),
        Format::Table => output::print(&all(&set)),
    }
}

/// What holds for the cluster, on one line.
pub(crate) fn all(set: &ClusterSettings) -> String {
    format!(
        "round trips of {} ms; metadata {} of {}",
        set.round_trip_ms,
        size::show(set.metadata_bytes),
        size::show(set.metadata_quota_bytes),
    )
}

async fn of_running(place: &ConnectArgs) -> Result<Settings, Failure> {
    let client = find::connect(place).await?;
    if !client.is_ipc() {
        let text =
            "settings are read from the process; run this on the node's machine, with --socket";
        return Err(Failure::Usage(text.to_owned()));
    }
    let socket = client.ipc_socket();
    let unseen = |source| Failure::local(format!("look at the process behind {socket}"), source);
    let process = Process::at(Path::new(socket)).await.map_err(unseen)?;
    process
        .settings()
        .map_err(|reason| unseen(std::io::Error::other(reason)))
}

fn table(found: &Settings, origin: bool) -> output::Table {
    let mut headers = vec!["SETTING", "VALUE"];
    headers.extend(origin.then_some("ORIGIN"));
    let mut table = output::Table::new(&headers, &[]);
    for one in &found.list {
        let value = match one.value.is_empty() {
            true => "-".to_owned(),
            false => one.value.clone(),
        };
        let cells = [one.name.to_owned(), value];
        let origin = origin.then(|| one.origin.to_string());
        table.row(cells.into_iter().chain(origin));
    }
    table
}
