//! Finds the node to talk to, nodes that a person means, and objects by name or id.

use std::path::Path;

use vineyard_client::{Client, Options};
use vineyard_node::config::machine::Machine;
use vineyard_node::config::resolve::{SOCKET_OF_SERVICE, default_socket};
use vineyard_node::config::with_port;
use vineyard_wire::{InstanceId, NodeId, ObjectId};

use crate::args::ConnectArgs;
use crate::failure::{Failure, Tried};

/// Where a node's `host:port` may stand. The second is what the released command line reads.
const ENDPOINT_VARIABLES: [&str; 2] = ["VINEYARD_RPC_ENDPOINT", "VINEYARD_RPC_SOCKET"];

/// One place where a node may be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Candidate {
    Socket {
        path: String,
        said_by: &'static str,
    },
    Endpoint {
        address: String,
        said_by: &'static str,
    },
}

/// Connects to the node that `place` names, or to the first that answers where nodes usually are.
pub(crate) async fn connect(place: &ConnectArgs) -> Result<Client, Failure> {
    let mut options = Options::default();
    options.deadline = place.timeout.unwrap_or(options.deadline);
    options.username.clone_from(&place.username);
    options.password.clone_from(&place.password);
    options.ca.clone_from(&place.ca);
    let (mut tried, mut reached) = (Vec::new(), None);
    for candidate in candidates(place, &Machine::here(), &|path| path.exists()) {
        let (result, what) = match &candidate {
            Candidate::Socket { path, said_by } => (
                Client::connect_ipc(path, &options).await,
                format!("{path} ({said_by})"),
            ),
            Candidate::Endpoint { address, said_by } => (
                Client::connect_rpc(address, &options).await,
                format!("{address} ({said_by})"),
            ),
        };
        match result {
            Ok(client) => return Ok(client),
            Err(source) if source.has_reached_the_node() => {
                let place = what;
                reached = reached.or(Some(Failure::NotServed { place, source }));
            }
            Err(error) => tried.push(format!("{what}: {error}")),
        }
    }
    Err(reached.unwrap_or_else(|| Failure::Unreachable {
        tried: tried.join("; "),
    }))
}

/// The node that a person means: `n2`, an instance as `status` prints it, or an endpoint.
pub(crate) async fn node(client: &Client, told: &str) -> Result<NodeId, Failure> {
    let number = told.trim_start_matches(['n', 'i']).parse::<u64>();
    if let Ok(number) = number {
        return Ok(InstanceId(number).node());
    }
    let status = client.cluster_status().await;
    let status = status.tried(|| "ask for the cluster's status".to_owned())?;
    let known = status.nodes.iter().find(|node| node.endpoint == told);
    let known = known.map(|node| node.instance_id.node());
    known.ok_or_else(|| {
        Failure::Usage(format!(
            "{told:?} is no node: write n2, an instance as in i65538, or an endpoint that `status` prints"
        ))
    })
}

/// Where to look, in order. What was said is all that is tried; only nothing said leads to the default sockets.
fn candidates(
    place: &ConnectArgs,
    machine: &Machine,
    exists: &dyn Fn(&Path) -> bool,
) -> Vec<Candidate> {
    let socket = |path: &str, said_by| Candidate::Socket {
        path: path.to_owned(),
        said_by,
    };
    let endpoint = |address: &str, said_by| Candidate::Endpoint {
        // What is no address is told as such by who dials it.
        address: with_port(address).unwrap_or_else(|| address.to_owned()),
        said_by,
    };
    if let Some(path) = &place.socket {
        return vec![socket(path, "--socket")];
    }
    if let Some(address) = &place.endpoint {
        return vec![endpoint(address, "--endpoint")];
    }
    let variable = |name: &str| {
        machine
            .variables
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let mut found = Vec::new();
    let path = variable("VINEYARD_IPC_SOCKET");
    if !path.is_empty() {
        found.push(socket(path, "VINEYARD_IPC_SOCKET"));
    }
    for name in ENDPOINT_VARIABLES {
        let addresses = variable(name).split(',').map(str::trim);
        found.extend(
            addresses
                .filter(|a| !a.is_empty())
                .map(|a| endpoint(a, name)),
        );
    }
    if !found.is_empty() {
        return found;
    }
    // A node of the system may be there even if this user could not have started one there.
    let user = default_socket(machine);
    let mut defaults = vec![Path::new(SOCKET_OF_SERVICE)];
    if user != Path::new(SOCKET_OF_SERVICE) {
        defaults.push(&user);
    }
    if defaults.iter().any(|path| exists(path)) {
        defaults.retain(|path| exists(path));
    }
    defaults
        .into_iter()
        .map(|path| socket(&path.to_string_lossy(), "the default socket"))
        .collect()
}

/// The object that `text` means: an id as `ls` prints it, else a name, else a shorter id.
pub(crate) async fn object(client: &Client, text: &str) -> Result<ObjectId, Failure> {
    let id = text.parse::<ObjectId>().ok();
    // Names need the cluster's agreement; what this node holds must stay readable by id without it.
    if let Some(id) = id.filter(|id| id.to_string() == text) {
        return Ok(id);
    }
    match (client.get_name(text).await, id) {
        (Ok(id), _) => Ok(id),
        (Err(error), Some(id)) if error.is_not_exists() => Ok(id),
        (Err(error), None) if error.is_not_exists() => Err(Failure::NotFound(text.to_owned())),
        (Err(error), _) => Err(error).tried(|| format!("look up the name {text:?}")),
    }
}

/// `text` as an id.
pub(crate) fn id(text: &str) -> Result<ObjectId, Failure> {
    text.parse().map_err(|_| {
        Failure::Usage(format!(
            "{text:?} is not an id; ids look like o0000800000000001"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(socket: Option<&str>, endpoint: Option<&str>) -> ConnectArgs {
        ConnectArgs {
            socket: socket.map(Into::into),
            endpoint: endpoint.map(Into::into),
            username: String::new(),
            password: String::new(),
            ca: None,
            timeout: None,
        }
    }

    fn texts(place: &ConnectArgs, machine: &Machine, existing: &str) -> Vec<String> {
        let found = candidates(place, machine, &|path| path == Path::new(existing));
        let text = |candidate: Candidate| match candidate {
            Candidate::Socket { path, .. } => path,
            Candidate::Endpoint { address, .. } => address,
        };
        found.into_iter().map(text).collect()
    }

    #[test]
    fn what_was_said_is_all_that_is_tried() {
        let mut machine = Machine {
            home: Some("/home/u".into()),
            ..Machine::default()
        };
        let user = "/home/u/.local/vineyard/vineyard.sock";
        assert_eq!(
            texts(&place(None, None), &machine, ""),
            [SOCKET_OF_SERVICE, user]
        );
        assert_eq!(texts(&place(None, None), &machine, user), [user]);
        machine
            .variables
            .insert("VINEYARD_RPC_ENDPOINT".into(), "a:1, b:2".into());
        assert_eq!(texts(&place(None, None), &machine, user), ["a:1", "b:2"]);
        machine
            .variables
            .insert("VINEYARD_IPC_SOCKET".into(), "/s".into());
        assert_eq!(
            texts(&place(None, None), &machine, user),
            ["/s", "a:1", "b:2"]
        );
        machine
            .variables
            .insert("VINEYARD_RPC_SOCKET".into(), "d:4".into());
        assert_eq!(
            texts(&place(None, None), &machine, user),
            ["/s", "a:1", "b:2", "d:4"]
        );
        assert_eq!(texts(&place(Some("/x"), None), &machine, user), ["/x"]);
        assert_eq!(texts(&place(None, Some("c:3")), &machine, user), ["c:3"]);
        assert_eq!(texts(&place(None, Some("c")), &machine, user), ["c:9600"]);
        assert_eq!(
            texts(&place(None, Some("[::1]")), &machine, user),
            ["[::1]:9600"]
        );
    }

    #[test]
    fn a_text_that_is_no_id_is_wrong_usage() {
        assert!(matches!(id("x1"), Err(Failure::Usage(_))));
        assert_eq!(id("o1f").unwrap(), ObjectId(0x1f));
    }
}
