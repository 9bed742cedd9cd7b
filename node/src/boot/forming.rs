//! Brings new nodes together: asks each address what is there, and does what the rules of `formation` say.
//!
//! Promise: nothing is decided here. An address that belongs to a member ends in a join.

use std::io;
use std::sync::Arc;

use futures::future::join_all;
use vineyard_env::Env;
use vineyard_wire::peer::{Answer, Ask, Candidate, Join as JoinAsk};
use vineyard_wire::{Code, NodeId};

use crate::boot::admission::{ask_at, copied, why_unreachable};
use crate::boot::encrypting;
use crate::boot::formation::{Address, Formation, Seen, Step};
use crate::boot::node::Error;
use crate::config::{Config, Join};
use crate::front::lobby::WaitsFor;
use crate::peer::dial::Dialer;
use crate::peer::fresh::Applicant;

/// What a round came to.
enum Round {
    /// A cluster has admitted this node.
    Joined {
        node: NodeId,
        epoch: u64,
    },
    /// The member at this address has the key of this node's directory.
    Copied(Address),
    Seen(Vec<(Address, Seen)>),
}

/// Asks the addresses of `join` until this node is a member of the cluster that they form, or founds it.
pub(crate) async fn form(
    config: &Config,
    env: &Env,
    applicant: &Applicant,
    join: &Join,
    waits_for: &WaitsFor,
) -> Result<(), Error> {
    let formation = applicant
        .formation()
        .expect("a node that was told how many to expect forms a cluster");
    let identity = applicant.identity().await;
    let (credentials, pace) = (identity.credentials(env), Arc::new(config.pace()));
    let encryption = encrypting::told(config, &credentials, false);
    let connect = config.limits.connect_deadline;
    let dialer = Dialer::new(env, credentials, encryption, pace, connect);
    let ask = JoinAsk {
        key: identity.key,
        endpoint: formation.borrow().fresh().candidate.endpoint,
    };
    let mut said = String::new();
    loop {
        let seen = match round(config, env, &dialer, join, &ask).await {
            Round::Joined { node, epoch } => {
                let admitted = applicant.change(|identity| identity.is_admitted(node, epoch));
                return admitted.await.map_err(Error::Disk);
            }
            Round::Copied(at) => return Err(copied(&at.to_string())),
            Round::Seen(seen) => seen,
        };
        let reason = match act(applicant, formation, &dialer, seen).await? {
            Acted::Founded => {
                tracing::warn!(
                    cluster = identity.cluster,
                    "all have agreed: founding the cluster"
                );
                return Ok(());
            }
            Acted::Onward => continue,
            Acted::Waits(reason) => reason,
        };
        if said != reason {
            tracing::info!(reason, "not in a cluster yet");
            said.clone_from(&reason);
        }
        waits_for.set(reason);
        tokio::time::sleep(config.limits.join_retry).await;
    }
}

enum Acted {
    Founded,
    /// The next round is due at once.
    Onward,
    Waits(String),
}

async fn act(
    applicant: &Applicant,
    formation: &std::cell::RefCell<Formation>,
    dialer: &Dialer,
    seen: Vec<(Address, Seen)>,
) -> Result<Acted, Error> {
    let step = formation.borrow_mut().round(seen);
    match step {
        Step::Wait(reason) => Ok(Acted::Waits(reason)),
        Step::Agree(set) => match applicant.agree(set).await {
            Ok(()) => Ok(Acted::Onward),
            Err(status) if status.code == Code::IoError => {
                Err(Error::Disk(io::Error::other(status.to_string())))
            }
            // It has agreed to what another node proposed meanwhile.
            Err(status) => Ok(Acted::Waits(format!(
                "not the set to agree to any more: {status}"
            ))),
        },
        Step::Propose { set, to } => {
            let asked = to.iter().map(|at| propose(dialer, at, &set));
            let refused: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
            Ok(match refused.is_empty() {
                true => Acted::Onward,
                false => Acted::Waits(format!("not all agree yet: {}", refused.join("; "))),
            })
        }
        Step::Found => {
            let founded = applicant.change(crate::boot::identity::Identity::founds);
            founded.await.map_err(Error::Disk)?;
            Ok(Acted::Founded)
        }
    }
}

/// Why the node at this address does not agree; `None` if it does.
async fn propose(dialer: &Dialer, at: &Address, set: &[Candidate]) -> Option<String> {
    let ask = Ask::Form { set: set.to_vec() };
    let asked = tokio::time::timeout(dialer.deadline(), dialer.ask(&at.dialled, &ask));
    match asked.await {
        Ok(Ok((_, Answer::Agreed))) => None,
        Ok(Ok((_, Answer::Refused(status)))) => Some(format!("{at} refuses: {status}")),
        Ok(Ok((_, other))) => Some(format!("{at} gave no answer to a proposal: {other:?}")),
        Ok(Err(error)) => Some(format!("{at} {}", why_unreachable(&error))),
        Err(_) => Some(format!("{at} did not answer in time")),
    }
}

/// Asks each address that `join` stands for now, all at once.
async fn round(config: &Config, env: &Env, dialer: &Dialer, join: &Join, ask: &JoinAsk) -> Round {
    let addresses = addresses(env, join).await;
    let asked = addresses.into_iter().map(|(at, found)| async move {
        let said = match found {
            Ok(()) => see(config, dialer, &at.dialled, ask).await,
            Err(error) => Said::Seen(Seen::Silent(format!("it has no address: {error}"))),
        };
        (at, said)
    });
    let mut all = Vec::new();
    let mut copied = None;
    for (at, said) in join_all(asked).await {
        match said {
            Said::Seen(seen) => all.push((at, seen)),
            Said::Own => copied = Some(at),
            Said::Joined(node, epoch) => return Round::Joined { node, epoch },
        }
    }
    match copied {
        Some(at) => Round::Copied(at),
        None => Round::Seen(all),
    }
}

/// Each address with what people call it. A name may stand for several, and for others in the next round.
async fn addresses(env: &Env, join: &Join) -> Vec<(Address, io::Result<()>)> {
    let resolved = join.endpoints.iter().map(|named| async move {
        let address = |dialled: &String| Address {
            named: named.clone(),
            dialled: dialled.clone(),
        };
        match env.network.resolve(named).await {
            Ok(found) if found.is_empty() => {
                vec![(address(named), Err(io::ErrorKind::NotFound.into()))]
            }
            Ok(found) => found.iter().map(|one| (address(one), Ok(()))).collect(),
            Err(error) => vec![(address(named), Err(error))],
        }
    });
    join_all(resolved).await.into_iter().flatten().collect()
}

/// What is at one address.
enum Said {
    /// The cluster has admitted this node, with this id and epoch.
    Joined(NodeId, u64),
    /// A member that has this node's key.
    Own,
    Seen(Seen),
}

async fn see(config: &Config, dialer: &Dialer, at: &str, ask: &JoinAsk) -> Said {
    let asked = ask_at(dialer, at, ask, config.feature_level);
    let answered =
        tokio::time::timeout(config.stretch(config.limits.metadata_deadline), asked).await;
    Said::Seen(match answered {
        Ok(Ok((answerer, Answer::Joined { node, .. }))) if answerer == node => return Said::Own,
        Ok(Ok((_, Answer::Joined { node, epoch, .. }))) => return Said::Joined(node, epoch),
        Ok(Ok((_, Answer::Fresh(fresh)))) => Seen::Fresh(fresh),
        Ok(Ok((_, Answer::Refused(status)))) => {
            Seen::Member(format!("does not admit this node yet: {status}"))
        }
        Ok(Ok((_, other))) => Seen::Silent(format!("not an answer to a join: {other:?}")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Seen::Closed,
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Seen::Silent(format!("it refuses this node: {error}"))
        }
        Ok(Err(error)) => Seen::Silent(why_unreachable(&error)),
        Err(_) => Seen::Silent("it did not answer in time".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use vineyard_wire::peer::Fresh;

    use super::*;
    use crate::boot::identity::Identity;
    use crate::boot::token::Token;
    use crate::system;

    #[test]
    fn a_proposal_that_comes_too_late_is_waited_out() {
        let folder = tempfile::tempdir().unwrap();
        let env = system::env(folder.path()).unwrap();
        let mut identity = Identity::join(&env, &Token::draw(env.random.as_ref()));
        identity.key = 1;
        let credentials = identity.credentials(&env);
        let config = Config::new(folder.path(), "/unused");
        let encryption = encrypting::told(&config, &credentials, false);
        let within = std::time::Duration::from_secs(1);
        let dialer = Dialer::new(&env, credentials, encryption, Arc::default(), within);
        let applicant = Applicant::new(&env, identity, "n1:1", Some(3));
        let formation = applicant.formation().unwrap();
        let candidate = |key: u128| Candidate {
            key,
            endpoint: format!("n{key}:1"),
        };
        let own = formation.borrow().fresh();
        let seen = [1, 2, 3].map(|key| {
            let fresh = Fresh {
                candidate: candidate(key),
                sees: vec![1, 2, 3],
                ..own.clone()
            };
            let (named, dialled) = (format!("n{key}:1"), format!("n{key}:1"));
            (Address { named, dialled }, Seen::Fresh(fresh))
        });
        let others = [0, 1, 2].map(candidate).to_vec();
        LocalSet::new().block_on(&system::runtime().unwrap(), async {
            // The disk takes the agreement to another set while this node is about to propose.
            let (agreed, acted) = tokio::join!(
                applicant.agree(others.clone()),
                act(&applicant, formation, &dialer, seen.to_vec()),
            );
            agreed.unwrap();
            let Acted::Waits(reason) = acted.unwrap() else {
                panic!("it has agreed to another set")
            };
            assert!(reason.contains("it has agreed to form"), "{reason}");
        });
        assert_eq!(formation.borrow().fresh().agreed, others);
    }
}
