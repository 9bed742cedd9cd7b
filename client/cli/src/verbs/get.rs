//! `get`: an object's bytes become a file, whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

use serde_json::json;

use crate::args::{ConnectArgs, Format, Get};
use crate::failure::{Failure, Tried};
use crate::file::Contents;
use crate::{file, find, output, progress};

pub(crate) async fn run(place: &ConnectArgs, format: Format, get: &Get) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let id = find::object(&client, &get.object).await?;
    let tree = client
        .get_metadata(id)
        .await
        .tried(|| format!("look at {id}"))?;
    let contents = file::contents(id, &tree)?;
    if get.file == Path::new("-") {
        let bar = indicatif::ProgressBar::hidden();
        file::write(
            &client,
            &contents,
            &mut BufWriter::new(io::stdout().lock()),
            &bar,
        )
        .await?;
        return Ok(());
    }
    let bytes = match fs::metadata(&get.file) {
        Ok(about) if !about.is_file() => to_device(&client, &contents, &get.file).await?,
        _ => to_file(&client, &contents, &get.file).await?,
    };
    match format {
        Format::Json => output::print_json(&json!({
            "id": id.to_string(), "file": get.file.display().to_string(), "bytes": bytes,
        })),
        Format::Table => Ok(()),
    }
}

/// Beside `path` first, then in its place: a reader of `path` never sees half of it. A draft whose writing failed or
/// was interrupted is removed when it is dropped.
async fn to_file(
    client: &vineyard_client::Client,
    contents: &Contents,
    path: &Path,
) -> Result<u64, Failure> {
    let fault = |e| Failure::local(format!("write {}", path.display()), e);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    let builder = builder
        .prefix(".vineyardctl-")
        .permissions(permissions(path));
    let draft = builder
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(fault)?;
    let bar = progress::bytes("get", contents.bytes);
    let mut out: &File = draft.as_file();
    let bytes = file::write(client, contents, &mut out, &bar).await?;
    bar.finish_and_clear();
    draft.as_file().sync_data().map_err(fault)?;
    draft.persist(path).map_err(|e| fault(e.error))?;
    Ok(bytes)
}

/// A pipe or a device is written to, not replaced.
async fn to_device(
    client: &vineyard_client::Client,
    contents: &Contents,
    path: &Path,
) -> Result<u64, Failure> {
    let fault = |e| Failure::local(format!("write {}", path.display()), e);
    let mut out = File::options().write(true).open(path).map_err(fault)?;
    let bar = progress::bytes("get", contents.bytes);
    let bytes = file::write(client, contents, &mut out, &bar).await?;
    bar.finish_and_clear();
    Ok(bytes)
}

/// Those of the file that is replaced, else what the user's mask leaves of 0666.
fn permissions(path: &Path) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(path) {
        Ok(about) => about.permissions(),
        Err(_) => fs::Permissions::from_mode(0o666),
    }
}
