//! `put`: a file becomes an object.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use serde_json::json;

use crate::args::{ConnectArgs, Format, Put};
use crate::failure::{Failure, Tried};
use crate::{file, find, output, progress};

pub(crate) async fn run(place: &ConnectArgs, format: Format, put: &Put) -> Result<(), Failure> {
    let path = &put.file;
    let fault = |e| Failure::local(format!("read {}", path.display()), e);
    let mut input = match path == Path::new("-") {
        true => standard_input().map_err(fault)?,
        false => File::open(path).map_err(fault)?,
    };
    let about = input.metadata().map_err(fault)?;
    if about.is_dir() {
        return Err(Failure::Usage(format!("{} is a folder", path.display())));
    }
    let is_whole = about.is_file() && path != Path::new("-");
    let length = is_whole.then_some(about.len());
    let client = find::connect(place).await?;
    let bar = match length {
        Some(length) => progress::bytes("put", length),
        None => indicatif::ProgressBar::hidden(),
    };
    let (id, bytes) = file::store(&client, path, &mut input, length, &bar).await?;
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
            "bytes": bytes,
            "persisted": put.persist || put.name.is_some(),
        })),
        Format::Table => output::print(&id.to_string()),
    }
}

/// A descriptor of its own: what is read ahead of it is lost to nobody.
fn standard_input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}
