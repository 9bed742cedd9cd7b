//! How a node whose disk has no cluster yet becomes part of one: it founds a cluster, or joins one.
//!
//! Promise: a data directory gets one node id, which never changes and is never the id of the node that answers the
//! join.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::time::Instant;
use vineyard_env::Env;
use vineyard_raft::features;
use vineyard_wire::NodeId;
use vineyard_wire::peer::{Answer, Ask, Join as JoinAsk};

use crate::boot::encrypting;
use crate::boot::formation::CLOSED;
use crate::boot::forming;
use crate::boot::identity::Identity;
use crate::boot::node::Error;
use crate::boot::token::Token;
use crate::config::{Config, Join};
use crate::front::lobby::WaitsFor;
use crate::peer::dial::Dialer;
use crate::peer::fresh::Applicant;
use crate::peer::handshake::UNKNOWN_SECRET;

/// The identity on the disk, or a new one that was saved when this returns.
pub(crate) async fn load_or_create_identity(config: &Config, env: &Env) -> Result<Identity, Error> {
    let known = Identity::load(env.disk.as_ref()).map_err(Error::Disk)?;
    let identity = match (known, &config.join) {
        // No cluster has admitted this node yet, so a token that was mistyped at the last start is replaced.
        (Some(known), Some(join)) if known.node.is_none() => known.invited_by(join.token.parse()?),
        (Some(known), join) => {
            let given = join.as_ref().map(|join| join.token.parse::<Token>());
            match given {
                Some(Ok(token)) if known.has_replaced(&token) => tracing::info!(
                    "the token that this node was given, now or before, was replaced by `vineyardctl token rotate`; the \
                     node has the new one and goes on. Put the new one into --token-file, if there is one"
                ),
                Some(Ok(token)) if token.cluster == known.cluster => {}
                Some(_) => tracing::warn!(
                    cluster = known.cluster,
                    "--join is ignored: this data directory belongs to another cluster than the token"
                ),
                None => {}
            }
            return Ok(known);
        }
        (None, Some(join)) => Identity::join(env, &join.token.parse()?),
        (None, None) if config.found => {
            let token = match &config.founding_token {
                Some(token) => token.parse()?,
                None => Token::draw(env.random.as_ref()),
            };
            Identity::found(env, token)
        }
        (None, None) => return Err(Error::NoNode(config.data_dir.clone())),
    };
    let data_dir = config.data_dir.display();
    match identity.founder {
        true => {
            tracing::warn!(%data_dir, cluster = identity.cluster, "founding a new cluster: no node was here");
        }
        false => {
            tracing::warn!(%data_dir, expect = config.expect, "joining as a new node: no node was here");
        }
    }
    save(&identity, env).await?;
    Ok(identity)
}

/// Makes the applicant a member of the cluster that its token names: retries until the cluster admits it, or, if it was
/// told how many to expect, until they have formed the cluster. `waits_for` says why it is no member yet. Ends with an
/// error at a refusal that a retry cannot change, once no other address has taken the token.
pub(crate) async fn admit(
    config: &Config,
    env: &Env,
    applicant: &Applicant,
    endpoint: &str,
    waits_for: &WaitsFor,
) -> Result<(), Error> {
    let Some(told) = &config.join else {
        let reason =
            "this data directory belongs to a node that never joined; start it with --join";
        return Err(Error::Refused {
            endpoint: endpoint.to_owned(),
            reason: reason.to_owned(),
        });
    };
    match applicant.formation() {
        Some(_) => forming::form(config, env, applicant, told, waits_for).await,
        None => join(config, env, applicant, told, endpoint, waits_for).await,
    }
}

async fn join(
    config: &Config,
    env: &Env,
    applicant: &Applicant,
    told: &Join,
    endpoint: &str,
    waits_for: &WaitsFor,
) -> Result<(), Error> {
    let deadline = config.stretch(config.limits.metadata_deadline);
    let identity = applicant.identity().await;
    let (credentials, pace) = (identity.credentials(env), Arc::new(config.pace()));
    let encryption = encrypting::told(config, &credentials, false);
    let connect = config.limits.metadata_deadline;
    let dialer = Dialer::new(env, credentials, encryption, pace, connect);
    let ask = JoinAsk {
        key: identity.key,
        endpoint: endpoint.to_owned(),
    };
    let mut said = BTreeMap::new();
    let mut pause = config.limits.join_retry;
    let began = Instant::now();
    loop {
        let mut reasons = Vec::new();
        let mut is_known = false;
        let mut refusal: Option<(String, String)> = None;
        for at in &told.endpoints {
            let asked = ask_at(&dialer, at, &ask, config.feature_level);
            let mut is_reached = true;
            let reason = match tokio::time::timeout(deadline, asked).await {
                Ok(Ok((answerer, Answer::Joined { node, .. }))) if answerer == node => {
                    return Err(copied(at));
                }
                Ok(Ok((_, Answer::Joined { node, epoch, .. }))) => {
                    let admitted = applicant.change(|identity| identity.is_admitted(node, epoch));
                    return admitted.await.map_err(Error::Disk);
                }
                Ok(Ok((_, answer))) => {
                    is_known = true;
                    why_not_joined(&answer)
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let reason = error.to_string();
                    if refusal.is_none() || reason != UNKNOWN_SECRET {
                        refusal = Some((at.clone(), reason.clone()));
                    }
                    format!("refuses this node: {reason}")
                }
                Ok(Err(error)) => {
                    is_reached = false;
                    why_unreachable(&error)
                }
                Err(_) => {
                    is_reached = false;
                    "did not answer in time".to_owned()
                }
            };
            // It tries again and again; the same reason is worth one line.
            if said.insert(at.clone(), reason.clone()).as_ref() != Some(&reason) {
                match is_reached {
                    true => tracing::warn!(%at, reason, "not admitted yet"),
                    false => tracing::warn!(%at, reason, "cannot reach the cluster"),
                }
            }
            reasons.push(format!("{at} {reason}"));
            waits_for.set(reasons.join("; "));
        }
        if let Some((endpoint, reason)) = refusal
            && !is_known
            && (reason != UNKNOWN_SECRET
                || began.elapsed() + pause > config.limits.unknown_secret_retried)
        {
            return Err(Error::Refused { endpoint, reason });
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(config.limits.join_retry_max);
    }
}

/// A member at this address has the key of this node's directory.
pub(crate) fn copied(at: &str) -> Error {
    Error::Copied {
        reason: format!("the member at {at} has the same key as this node"),
    }
}

/// In words that follow an address.
fn why_not_joined(answer: &Answer) -> String {
    match answer {
        Answer::Fresh(_) => "waits for its cluster to form".to_owned(),
        Answer::Refused(status) => format!("does not admit it yet: {status}"),
        other => format!("not an answer to a join: {other:?}"),
    }
}

/// In words that follow an address.
pub(crate) fn why_unreachable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => CLOSED.to_owned(),
        io::ErrorKind::UnexpectedEof => "closed the connection: it may be joining too".to_owned(),
        _ => format!("cannot be reached: {error}"),
    }
}

/// A build without feature levels closes the connection when a join contains one. Then the join is repeated without it.
pub(crate) async fn ask_at(
    dialer: &Dialer,
    endpoint: &str,
    join: &JoinAsk,
    level: u8,
) -> io::Result<(NodeId, Answer)> {
    let join = || join.clone();
    if level > features::BASE {
        let ask = Ask::JoinAt {
            join: join(),
            level,
        };
        match dialer.ask(endpoint, &ask).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            asked => return asked,
        }
    }
    dialer.ask(endpoint, &Ask::Join(join())).await
}

async fn save(identity: &Identity, env: &Env) -> Result<(), Error> {
    let saved = identity.save(env.disk.as_ref()).await;
    saved.map_err(Error::Disk)
}

#[cfg(test)]
mod tests;
