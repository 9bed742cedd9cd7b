//! `token`: what another node needs to join, of a cluster that is there or of one that is yet to be founded.

use serde_json::json;
use vineyard_node::Token;

use crate::args::{ConnectArgs, Format, TokenVerb};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(
    place: &ConnectArgs,
    verb: Option<&TokenVerb>,
    format: Format,
) -> Result<(), Failure> {
    match verb {
        Some(TokenVerb::New) => new(format),
        Some(TokenVerb::Show) | None => show(place, format).await,
    }
}

/// Asks no node.
fn new(format: Format) -> Result<(), Failure> {
    let token = Token::of_new_cluster();
    match format {
        Format::Json => output::print_json(&json!({
            "token": token.to_string(),
            "cluster": token.cluster,
        })),
        Format::Table => output::print(&token.to_string()),
    }
}

async fn show(place: &ConnectArgs, format: Format) -> Result<(), Failure> {
    let client = find::connect(place).await?;
    if !client.is_ipc() {
        let text = "the token is a secret and told over the Unix socket only; run this on a node's machine";
        return Err(Failure::Usage(text.to_owned()));
    }
    let token = client
        .token()
        .await
        .tried(|| "ask for the join token".to_owned())?;
    match format {
        Format::Json => {
            output::print_json(&json!({ "token": token, "endpoint": client.rpc_endpoint() }))
        }
        Format::Table => output::print(&token),
    }
}
