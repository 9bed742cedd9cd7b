//! What the clients of the nodes hold, as each node tells it.

use std::collections::BTreeSet;

use vineyard_client::Client;
use vineyard_wire::describe::{NodeDescription, SessionHolds};
use vineyard_wire::reply::NodeStatus;
use vineyard_wire::{NodeId, ObjectId};

use crate::failure::{Failure, Tried};
use crate::find;

/// What each of `nodes` says of itself, or why it says nothing.
pub(crate) async fn descriptions<'a>(
    client: &Client,
    nodes: &'a [NodeStatus],
) -> Vec<(&'a NodeStatus, Result<NodeDescription, Failure>)> {
    let mut all = Vec::new();
    for one in nodes {
        let node = one.instance_id.node();
        let told = client.describe_node(Some(node), None).await;
        all.push((one, told.tried(|| format!("ask {node} what it is"))));
    }
    all
}

/// A session as people name it.
pub(crate) fn label(holds: &SessionHolds) -> String {
    let SessionHolds {
        session, caller, ..
    } = holds;
    match holds.user {
        Some(user) => format!("s{session} {caller} of user {user}"),
        None => format!("s{session} {caller}"),
    }
}

/// Whose blobs are wanted.
#[derive(Debug, PartialEq, Eq)]
enum Who {
    Session(u64),
    Process(u64),
}

/// `[NODE/]s7`, a session as `du --by client` prints it, or `[NODE/]4711`, all sessions of that process.
fn who(text: &str) -> Result<(Option<&str>, Who), Failure> {
    let (node, who) = match text.rsplit_once('/') {
        Some((node, who)) => (Some(node), who),
        None => (None, text),
    };
    let number = |digits: &str| {
        let wrong = || {
            Failure::Usage(format!(
                "{text:?} is no client: s7 is a session as `du --by client` prints it, 4711 a process, n2/s7 one of \
                 another node"
            ))
        };
        digits.parse::<u64>().map_err(|_| wrong())
    };
    Ok((
        node,
        match who.strip_prefix('s') {
            Some(session) => Who::Session(number(session)?),
            None => Who::Process(number(who)?),
        },
    ))
}

/// The blobs that a client holds.
pub(crate) async fn held_by(client: &Client, text: &str) -> Result<BTreeSet<ObjectId>, Failure> {
    let (node, who) = who(text)?;
    let node: NodeId = match node {
        Some(told) => find::node(client, told).await?,
        None => client.instance_id().node(),
    };
    let tried = || format!("ask {node} what {text} holds");
    let sessions = match who {
        Who::Session(session) => vec![session],
        Who::Process(process) => {
            let told = client.describe_node(Some(node), None).await.tried(tried)?;
            let caller = format!("process {process}");
            let its = told.sessions.iter().filter(|holds| holds.caller == caller);
            its.map(|holds| holds.session).collect()
        }
    };
    let mut held = BTreeSet::new();
    for session in sessions {
        let told = client.describe_node(Some(node), Some(session)).await;
        held.extend(told.tried(tried)?.held);
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_a_session_or_a_process_of_this_or_another_node() {
        let is = |text, node, expected| assert_eq!(who(text).unwrap(), (node, expected), "{text}");
        is("s7", None, Who::Session(7));
        is("4711", None, Who::Process(4711));
        is("n2/s7", Some("n2"), Who::Session(7));
        is("blue:9600/1", Some("blue:9600"), Who::Process(1));
        for wrong in ["", "s", "n2/", "process 4711", "-1"] {
            assert!(matches!(who(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
