//! How a node whose disk has no cluster yet becomes part of one: it founds a cluster, or joins one.
//!
//! Promise: a data directory gets one node id, which never changes and is never the id of the node that answers the
//! join.

use std::io;

use vineyard_env::Env;
use vineyard_raft::features;
use vineyard_wire::NodeId;
use vineyard_wire::peer::{Answer, Ask, Join as JoinAsk};

use crate::boot::identity::Identity;
use crate::boot::node::Error;
use crate::config::{Config, Join};
use crate::peer::dial::Dialer;

/// The identity on the disk, or a new one that was saved when this returns.
pub(crate) async fn load_or_create_identity(config: &Config, env: &Env) -> Result<Identity, Error> {
    let known = Identity::load(env.disk.as_ref()).map_err(Error::Disk)?;
    let identity = match (known, &config.join) {
        // No cluster has admitted this node yet, so a token that was mistyped at the last start is replaced.
        (Some(known), Some(join)) if known.node.is_none() => known.invited_by(join.token.parse()?),
        (Some(known), join) => {
            if join.as_ref().is_some_and(|join| !known.is_invited_by(join)) {
                tracing::warn!(
                    cluster = known.cluster,
                    "--join is ignored: this data directory belongs to another cluster than the token"
                );
            }
            return Ok(known);
        }
        (None, Some(join)) => Identity::join(env, &join.token.parse()?),
        (None, None) if config.found => Identity::found(env),
        (None, None) => return Err(Error::NoNode(config.data_dir.clone())),
    };
    let data_dir = config.data_dir.display();
    match identity.founder {
        true => {
            tracing::warn!(%data_dir, cluster = identity.cluster, "founding a new cluster: no node was here");
        }
        false => tracing::warn!(%data_dir, "joining as a new node: no node was here"),
    }
    save(&identity, env).await?;
    Ok(identity)
}

/// Asks the cluster for a node id and retries until it gets one. Ends with an error at a refusal that a retry cannot
/// change.
pub(crate) async fn join(
    config: &Config,
    env: &Env,
    identity: &mut Identity,
    endpoint: &str,
) -> Result<NodeId, Error> {
    let Some(Join { endpoints, .. }) = &config.join else {
        let reason =
            "this data directory belongs to a node that never joined; start it with --join";
        return Err(Error::Refused {
            endpoint: endpoint.to_owned(),
            reason: reason.to_owned(),
        });
    };
    let deadline = config.limits.metadata_deadline;
    let dialer = Dialer::new(env, identity.credentials(), deadline);
    let ask = JoinAsk {
        key: identity.key,
        endpoint: endpoint.to_owned(),
    };
    loop {
        for at in endpoints {
            match tokio::time::timeout(deadline, ask_at(&dialer, at, &ask, config.feature_level))
                .await
            {
                Ok(Ok((answerer, Answer::Joined { node, .. }))) if answerer == node => {
                    tracing::warn!(%at, %node, "not admitted: the node that answered gave its own id");
                }
                Ok(Ok((_, Answer::Joined { node, epoch, .. }))) => {
                    identity.node = Some(node);
                    identity.epoch = epoch;
                    save(identity, env).await?;
                    return Ok(node);
                }
                Ok(Ok((_, Answer::Refused(status)))) => {
                    tracing::warn!(%at, %status, "not admitted yet");
                }
                Ok(Ok((_, other))) => tracing::warn!(%at, ?other, "not an answer to a join"),
                Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(Error::Refused {
                        endpoint: at.clone(),
                        reason: error.to_string(),
                    });
                }
                Ok(Err(error)) => tracing::warn!(%at, %error, "cannot reach the cluster"),
                Err(_) => tracing::warn!(%at, "the cluster did not answer in time"),
            }
        }
        tokio::time::sleep(config.limits.join_retry).await;
    }
}

/// A build without feature levels closes the connection when a join contains one. Then the join is repeated without it.
async fn ask_at(
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
