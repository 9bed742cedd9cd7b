//! Where members listen: what the log says, and what they have said since, until the log says it too.
//!
//! Promise: of each node the word of its latest boot counts. What an older boot says, or is said to have said, is
//! refused, so that a process that has been replaced draws nobody to its address. It opens no connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vineyard_env::{Fault, Faults};
use vineyard_wire::{InstanceId, NodeId};

use crate::state::State;

/// Where a process of a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    pub instance: InstanceId,
    /// `host:port`; the host may be a name.
    pub endpoint: String,
}

/// What members have said beside the log.
pub(crate) struct Places {
    said: Mutex<Said>,
    faults: Arc<dyn Faults>,
}

#[derive(Default)]
struct Said {
    by_boot: BTreeMap<NodeId, Whereabouts>,
    /// What another member takes for the address of a node; it did not say of which boot.
    hearsay: BTreeMap<NodeId, String>,
}

impl Places {
    pub(crate) fn new(faults: Arc<dyn Faults>) -> Self {
        Self {
            said: Mutex::default(),
            faults,
        }
    }

    /// Notes where a process listens.
    ///
    /// # Errors
    /// The later boot of the same node that is known.
    pub(crate) fn say(&self, state: &State, place: Whereabouts) -> Result<(), InstanceId> {
        let node = place.instance.node();
        let registered = state.current_instance_of(node).map(|known| known.id);
        let mut said = self.lock();
        let announced = said.by_boot.get(&node).map(|known| known.instance);
        let latest = registered.max(announced);
        if !self.faults.has(Fault::OlderBootAccepted) {
            if let Some(latest) = latest.filter(|latest| *latest > place.instance) {
                return Err(latest);
            }
            if registered == Some(place.instance) {
                said.by_boot.remove(&node);
                return Ok(());
            }
        }
        said.by_boot.insert(node, place);
        Ok(())
    }

    /// Notes where another member takes `node` to listen.
    pub(crate) fn hear(&self, node: NodeId, endpoint: String) {
        self.lock().hearsay.insert(node, endpoint);
    }

    /// Where to dial `node`, the best first. `elsewhere` is what the membership says.
    pub(crate) fn of(&self, state: &State, elsewhere: Option<String>, node: NodeId) -> Vec<String> {
        let said = self.lock();
        let registered = state.current_instance_of(node);
        let announced = self.announced(&said, state, node);
        let logged = registered.map(|instance| instance.endpoint.clone());
        let admitted = || state.node(node).map(|node| node.endpoint.clone());
        let logged = logged.or_else(admitted).or(elsewhere);
        let announced = announced.map(|place| place.endpoint.clone());
        let heard = said.hearsay.get(&node).cloned();
        let mut all: Vec<String> = Vec::new();
        for endpoint in [announced, logged, heard].into_iter().flatten() {
            if !all.contains(&endpoint) {
                all.push(endpoint);
            }
        }
        all
    }

    /// Where each node is dialled first, for those of which a boot is known.
    pub(crate) fn all(&self, state: &State) -> Vec<Whereabouts> {
        let said = self.lock();
        let registered = state.nodes().map(|node| node.id);
        let nodes = registered.chain(said.by_boot.keys().copied());
        let nodes: std::collections::BTreeSet<NodeId> = nodes.collect();
        let place = |node| match self.announced(&said, state, node) {
            Some(place) => Some(place.clone()),
            None => state.current_instance_of(node).map(|instance| Whereabouts {
                instance: instance.id,
                endpoint: instance.endpoint.clone(),
            }),
        };
        nodes.into_iter().filter_map(place).collect()
    }

    /// What was said of a later boot of `node` than the log has. Of a node that was removed, no boot is later.
    fn announced<'a>(
        &self,
        said: &'a Said,
        state: &State,
        node: NodeId,
    ) -> Option<&'a Whereabouts> {
        let registered = state.current_instance_of(node).map(|known| known.id);
        let is_later =
            |place: &&Whereabouts| Some(place.instance) > registered && !state.is_removed(node);
        let place = said.by_boot.get(&node)?;
        Some(place)
            .filter(is_later)
            .or_else(|| self.faults.has(Fault::OlderBootAccepted).then_some(place))
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use vineyard_env::NoFaults;

    use super::*;
    use crate::command::{Command, Entry, VERSION};
    use crate::state::instances::{Instance, Liveness};

    const NODE: NodeId = NodeId(0);

    fn place(boot: u64, endpoint: &str) -> Whereabouts {
        Whereabouts {
            instance: InstanceId::new(NODE, boot),
            endpoint: endpoint.to_owned(),
        }
    }

    fn apply(state: &mut State, command: Command) {
        let entry = Entry {
            version: VERSION,
            request: None,
            at_unix_ms: 0,
            command,
        };
        let (outcome, _) = state.apply(state.applied() + 1, &entry, &NoFaults);
        outcome.unwrap();
    }

    fn register(state: &mut State, boot: u64, endpoint: &str) {
        let instance = Instance {
            id: InstanceId::new(NODE, boot),
            hostid: 0,
            hostname: String::new(),
            ipc_socket: String::new(),
            endpoint: endpoint.to_owned(),
            liveness: Liveness::Up,
            since_unix_ms: 0,
        };
        let (life, before) = (u128::from(boot), (0..u128::from(boot)).collect());
        apply(
            state,
            Command::Boot {
                instance,
                life,
                before,
            },
        );
    }

    fn founded() -> State {
        let mut state = State::default();
        let command = Command::FoundBy {
            cluster: "c".to_owned(),
            key: 1,
            endpoint: "admitted:1".to_owned(),
        };
        apply(&mut state, command);
        state
    }

    #[test]
    fn the_word_of_the_latest_boot_counts() {
        let (mut state, places) = (founded(), Places::new(Arc::new(NoFaults)));
        places.hear(NODE, "heard:1".to_owned());
        assert_eq!(places.of(&state, None, NODE), ["admitted:1", "heard:1"]);
        register(&mut state, 0, "first:1");
        assert_eq!(places.of(&state, None, NODE), ["first:1", "heard:1"]);
        places.say(&state, place(2, "third:1")).unwrap();
        let known = ["third:1", "first:1", "heard:1"];
        assert_eq!(places.of(&state, None, NODE), known);
        assert_eq!(places.all(&state), [place(2, "third:1")]);
        // An older boot is refused, registered or not.
        let third = InstanceId::new(NODE, 2);
        assert_eq!(places.say(&state, place(1, "second:1")), Err(third));
        assert_eq!(places.say(&state, place(0, "elsewhere:1")), Err(third));
        assert_eq!(places.of(&state, None, NODE), known);
        // What the log says comes before all that is not newer.
        register(&mut state, 3, "fourth:1");
        assert_eq!(places.of(&state, None, NODE), ["fourth:1", "heard:1"]);
        places.say(&state, place(3, "a copy:1")).unwrap();
        assert_eq!(places.all(&state), [place(3, "fourth:1")]);
    }
}
