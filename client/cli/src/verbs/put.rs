//! `put`: a file becomes an object.

use std::fs::File;

use serde_json::json;

use crate::args::{ConnectArgs, Format, Put};
use crate::failure::{Failure, Tried};
use crate::{file, find, output, progress};

pub(crate) async fn run(place: &ConnectArgs, format: Format, put: &Put) -> Result<(), Failure> {
    let path = &put.file;
    let fault = |e| Failure::local(format!("read {}", path.display()), e);
    let mut input = File::open(path).map_err(fault)?;
    let about = input.metadata().map_err(fault)?;
    if !about.is_file() {
        return Err(Failure::Usage(format!(
            "{} is not a regular file",
            path.display()
        )));
    }
    let client = find::connect(place).await?;
    let bar = progress::bytes("put", about.len());
    let id = file::store(&client, path, &mut input, about.len(), &bar).await?;
    bar.finish_and_clear();
    if put.persist || put.name.is_some() {
        client.persist(id).await.tried(|| format!("persist {id}"))?;
    }
    if let Some(name) = &put.name {
        client
            .put_name(id, name)
            .await
            .tried(|| format!("name {id} {name:?}"))?;
    }
    match format {
        Format::Json => output::print_json(&json!({
            "id": id.to_string(),
            "name": put.name,
            "bytes": about.len(),
            "persisted": put.persist || put.name.is_some(),
        })),
        Format::Table => output::print(&id.to_string()),
    }
}
