//! Opens the relay that a reader needs, or a stream that gets another's chunks.

use std::io;
use std::rc::Rc;

use vineyard_raft::features;
use vineyard_raft::state::State;
use vineyard_wire::peer::{Answer, Ask, OpenRelay, RelayFrom};
use vineyard_wire::stream::{ReadFrom, ReadFromWord, StreamRules};
use vineyard_wire::{Code, InstanceId, ObjectId, Status};

use super::{Link, task};
use crate::context::{NodeContext, call};
use crate::local::{Local, RelayNeed, ended};

/// Returns once this node has the stream, or a relay of it, or knows that there is none. The cursor and where it begins
/// count if a relay is opened; then the answer is true.
pub(crate) async fn ensure(
    node: &Rc<NodeContext>,
    id: ObjectId,
    cursor: Option<&str>,
    from: Option<ReadFrom>,
) -> Result<bool, Status> {
    if id.made_by().node() == node.instance.node() {
        return Ok(false);
    }
    let from = relay_from(from);
    open(node, id, id, cursor.unwrap_or_default(), from).await
}

/// Makes the stream `id` here, which gets the chunks of `source` as they come.
pub(crate) async fn migrate(
    node: &Rc<NodeContext>,
    id: ObjectId,
    source: ObjectId,
) -> Result<(), Status> {
    match open(node, id, source, "", RelayFrom::Next).await? {
        true => Ok(()),
        false if source.made_by().node() == node.instance.node() => Err(Status::invalid(format!(
            "the stream {source} is of this node: read it by its own id"
        ))),
        false => Err(Status::not_exists(format!("no such stream: {source}"))),
    }
}

/// Opens a relay of `source` for the stream `id` of this node, unless there is one or can be none.
async fn open(
    node: &Rc<NodeContext>,
    id: ObjectId,
    source: ObjectId,
    cursor: &str,
    from: RelayFrom,
) -> Result<bool, Status> {
    loop {
        let begin = move |local: &mut Local, state: &State| local.begin_relay(state, id, source);
        let owner = match node.local.ask(begin).await?? {
            RelayNeed::Nothing => return Ok(false),
            RelayNeed::Waits(waiter) => {
                // What is being opened ends within its own deadline.
                call::waiting_for("another reader to open the stream", waiter.woken()).await;
                continue;
            }
            RelayNeed::Opening(owner) => owner,
        };
        let opening = Opening {
            node: node.clone(),
            owner,
            id,
            open: OpenRelay {
                reader: node.instance,
                stream: source,
                cursor: cursor.to_owned(),
                from,
            },
        };
        // A task of its own: what has begun is ended when its request is dropped, too.
        let opened = tokio::task::spawn_local(opening.run());
        let opened = call::waiting_for("the stream's node", opened).await;
        return match opened {
            Ok(outcome) => outcome.map(|()| true),
            Err(error) => Err(Status::new(Code::UnknownError, error.to_string())),
        };
    }
}

fn relay_from(from: Option<ReadFrom>) -> RelayFrom {
    match from {
        None | Some(ReadFrom::Word(ReadFromWord::Next)) => RelayFrom::Next,
        Some(ReadFrom::Word(ReadFromWord::Start)) => RelayFrom::Start,
        Some(ReadFrom::Number(number)) => RelayFrom::Number(number),
    }
}

struct Opening {
    node: Rc<NodeContext>,
    owner: InstanceId,
    /// Here.
    id: ObjectId,
    open: OpenRelay,
}

impl Opening {
    async fn run(self) -> Result<(), Status> {
        let (node, source) = (self.node.clone(), self.open.stream);
        let outcome = self.open().await;
        if outcome.is_err() {
            let end = move |local: &mut Local, _: &State| local.end_opening(source);
            node.local.ask(end).await?;
        }
        outcome
    }

    async fn open(self) -> Result<(), Status> {
        let Self {
            node,
            owner,
            id,
            open,
        } = self;
        let source = open.stream;
        let endpoint = reachable(&node, source, owner)?;
        let mut link = Link::new(&node, owner, endpoint);
        let answer = link.ask(&Ask::OpenRelay(open)).await;
        let (first, rules) = match answer.map_err(|error| unanswered(source, owner, &error))? {
            Answer::RelayOpened {
                next_number,
                window_bytes_max,
                readers,
                on_reader_gone,
            } => {
                let rules = StreamRules {
                    window_bytes_max,
                    readers,
                    on_reader_gone,
                    ..StreamRules::default()
                };
                (next_number, rules)
            }
            Answer::Refused(status) => return Err(status),
            other => return Err(unexpected(owner, &other)),
        };
        let make = move |local: &mut Local, _: &State| {
            local.make_relayed(id, (owner, source), rules, first)
        };
        let origin = node.local.ask(make).await?;
        tokio::task::spawn_local(task::run(link, id, origin));
        Ok(())
    }
}

/// Where the stream's node is, if it lives and knows relays.
fn reachable(node: &NodeContext, id: ObjectId, owner: InstanceId) -> Result<String, Status> {
    let state = node.meta.state();
    if let Some(status) = lost(&state, id, owner) {
        return Err(status);
    }
    let home = owner.node();
    let level = state.level_of(home);
    if level < features::RELAY {
        return Err(Status::invalid(format!(
            "the stream {id} is on node {home} (instance {owner}), whose build has feature level {level}: streams are \
             read from another node at level {} and above; connect to that node, or upgrade it",
            features::RELAY
        )));
    }
    let instance = state.instance(owner);
    let endpoint = instance.map(|instance| instance.endpoint.clone());
    endpoint.ok_or_else(|| Status::not_exists(format!("no such stream: {id}")))
}

/// The error for a stream whose process is over, as far as the cluster knows.
pub(super) fn lost(state: &State, id: ObjectId, owner: InstanceId) -> Option<Status> {
    let current = state.current_instance_of(owner.node());
    let is_over = current.is_none_or(|current| current.id != owner);
    is_over.then(|| ended(id, owner))
}

/// The error for a stream whose node does not answer.
pub(super) fn unanswered(id: ObjectId, owner: InstanceId, error: &io::Error) -> Status {
    let node = owner.node();
    Status::new(
        Code::StreamFailed,
        format!(
            "Stream source failed: {id} is lost with node {node} (instance {owner}), which does not answer: {error}"
        ),
    )
}

pub(super) fn unexpected(owner: InstanceId, answer: &Answer) -> Status {
    Status::new(
        Code::UnknownError,
        format!("instance {owner} answered a relay with {answer:?}"),
    )
}
