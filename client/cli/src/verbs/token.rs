//! `token`: what another node needs to join.

use serde_json::json;

use crate::args::{ConnectArgs, Format};
use crate::failure::{Failure, Tried};
use crate::{find, output};

pub(crate) async fn run(place: &ConnectArgs, format: Format) -> Result<(), Failure> {
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
