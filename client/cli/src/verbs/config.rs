//! `config show`: the settings of a node on this machine, or of one that is yet to be started.

use std::path::Path;

use vineyard_node::config::machine::Machine;
use vineyard_node::config::settings::{Settings, settings};

use crate::args::{Config, ConfigVerb, ConnectArgs, Format};
use crate::failure::Failure;
use crate::process::Process;
use crate::{find, output};

pub(crate) async fn run(
    place: &ConnectArgs,
    format: Format,
    config: &Config,
) -> Result<(), Failure> {
    let ConfigVerb::Show { origin, flags } = &config.verb;
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
