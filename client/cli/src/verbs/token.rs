//! `token`: what another node needs to join, of a cluster that is there or of one that is yet to be founded.

use std::io;
use std::time::Duration;

use serde_json::json;
use vineyard_client::{Client, JoinToken};
use vineyard_node::{Authority, ParseTokenError, Token};

use crate::args::{ConnectArgs, Format, TokenVerb};
use crate::failure::{Failure, Tried};
use crate::{find, output, time};

pub(crate) async fn run(
    place: &ConnectArgs,
    verb: Option<&TokenVerb>,
    format: Format,
) -> Result<(), Failure> {
    match verb {
        Some(TokenVerb::New) => new(format),
        Some(TokenVerb::Show { expires }) => show(place, *expires, format).await,
        Some(TokenVerb::Ca { pem }) => authority(place, *pem, format).await,
        Some(TokenVerb::Rotate { grace }) => rotate(place, *grace, format).await,
        None => show(place, false, format).await,
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

async fn show(place: &ConnectArgs, expires: bool, format: Format) -> Result<(), Failure> {
    let client = connect(place).await?;
    let token = client
        .join_token()
        .await
        .tried(|| "ask for the join token".to_owned())?;
    print(&client, &token, expires, format)
}

async fn authority(place: &ConnectArgs, pem: bool, format: Format) -> Result<(), Failure> {
    let client = connect(place).await?;
    let told = client.join_token().await;
    let told = told.tried(|| "ask for the join token".to_owned())?;
    let token: Token = told.token.parse().map_err(|error| {
        Failure::local(
            "read the node's token",
            io::Error::other::<ParseTokenError>(error),
        )
    })?;
    let authority = Authority::of(&token);
    let fingerprint = authority.fingerprint().to_string();
    match (format, pem) {
        (Format::Json, _) => output::print_json(&json!({
            "fingerprint": fingerprint,
            "pem": authority.pem(),
        })),
        (Format::Table, true) => authority.pem().lines().try_for_each(output::print),
        (Format::Table, false) => output::print(&fingerprint),
    }
}

async fn rotate(place: &ConnectArgs, grace: Duration, format: Format) -> Result<(), Failure> {
    let client = connect(place).await?;
    let token = client
        .rotate_token(grace)
        .await
        .tried(|| "rotate the join token".to_owned())?;
    print(&client, &token, true, format)
}

async fn connect(place: &ConnectArgs) -> Result<Client, Failure> {
    let client = find::connect(place).await?;
    if client.is_ipc() {
        return Ok(client);
    }
    let text =
        "the token is a secret and told over the Unix socket only; run this on a node's machine";
    Err(Failure::Usage(text.to_owned()))
}

/// The token alone is on stdout, so that it can be sent into a file; what else is to say is on stderr.
fn print(client: &Client, token: &JoinToken, expires: bool, format: Format) -> Result<(), Failure> {
    let until = token.old_until_unix_ms.map(time::utc);
    if format == Format::Json {
        return output::print_json(&json!({
            "token": token.token,
            "endpoint": client.rpc_endpoint(),
            "old_until": until,
        }));
    }
    output::print(&token.token)?;
    if expires {
        output::show(&match until {
            Some(until) => format!(
                "It does not expire. The token before it is valid until {until}; put the new one into the --token-file \
                 of each node."
            ),
            None => "It does not expire, and no other one is valid.".to_owned(),
        });
    }
    Ok(())
}
