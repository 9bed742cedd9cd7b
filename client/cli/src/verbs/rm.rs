//! `rm`: objects go, each with the name it was called by.

use serde_json::json;
use vineyard_client::{Client, DeleteOptions};
use vineyard_wire::{Code, ObjectId};

use crate::args::{ConnectArgs, Format, Rm};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(place: &ConnectArgs, format: Format, rm: &Rm) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    let mut codes = Vec::new();
    for text in &rm.objects {
        match remove(&client, text, rm.force).await {
            Ok(id) => {
                removed.push(json!({ "object": text, "id": id.to_string() }));
                if format == Format::Table {
                    output::print(&format!("{text} removed"))?;
                }
            }
            Err(failure) if rm.objects.len() == 1 => return Err(failure),
            Err(failure) => {
                match format {
                    Format::Table => output::complain(&format!("{text}: {failure}")),
                    Format::Json => {
                        failed.push(json!({ "object": text, "failure": failure.json() }));
                    }
                }
                codes.push(failure.code());
            }
        }
    }
    if format == Format::Json {
        output::print_json(&json!({ "removed": removed, "failed": failed }))?;
    }
    match codes.first() {
        None => Ok(()),
        Some(code) => Err(Failure::Some {
            failed: codes.len(),
            all: rm.objects.len(),
            code: *code,
        }),
    }
}

/// The object first, then its name: what is interrupted between the two is finished by the same command again.
async fn remove(client: &Client, text: &str, force: bool) -> Result<ObjectId, Failure> {
    let id = find::object(client, text).await?;
    let named = id.to_string() != text;
    let exists = client.exists(id).await.tried(|| format!("look for {id}"))?;
    if !exists && !named {
        return Err(Failure::NotFound(text.to_owned()));
    }
    if exists {
        let mut options = DeleteOptions::default();
        options.force = force;
        client
            .delete(&[id], options)
            .await
            .tried(|| format!("delete {id}"))?;
        if client.exists(id).await.tried(|| format!("look for {id}"))? {
            let message =
                "it is part of another object; --force deletes that one as well".to_owned();
            let kept = vineyard_client::Error::Status {
                code: Code::Invalid,
                message,
            };
            return Err(Failure::Call {
                tried: format!("delete {id}"),
                source: kept,
            });
        }
    }
    if named {
        client
            .drop_name(text)
            .await
            .tried(|| format!("remove the name {text:?}"))?;
    }
    Ok(id)
}
