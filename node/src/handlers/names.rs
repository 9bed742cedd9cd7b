//! Verbs on names. The name table is the cluster's; reads of it are confirmed by the quorum.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use vineyard_env::Fault;
use vineyard_raft::command::Command;
use vineyard_raft::command::Condition;
use vineyard_raft::state::State;
use vineyard_wire::limits::{NAME_BYTES_MAX, PATTERN_BYTES_MAX};
use vineyard_wire::request::{GetName, PutName};
use vineyard_wire::{Code, ObjectId, Reply, Status};

use super::agree::{confirm, is_known, submit};
use crate::context::{Counted, NodeContext, call};
use crate::failure;
use crate::local::Local;
use crate::local::catalog::Pattern;

pub(super) async fn put_name(node: &Rc<NodeContext>, request: PutName) -> Result<Reply, Status> {
    let PutName {
        object_id: id,
        name,
        if_absent,
        if_equals,
    } = request;
    check_length(&name)?;
    if id.is_blob() {
        return Err(Status::invalid("blobs cannot have name"));
    }
    if !is_known(node, id).await? {
        return Err(Status::not_exists(format!(
            "failed to put name: no such object {id}"
        )));
    }
    if !node.meta.state().contains(id) {
        let message = "transient objects cannot have name, please persist it first";
        return Err(Status::invalid(message));
    }
    let condition = match (if_absent, if_equals) {
        (true, None) => Condition::IfAbsent,
        (false, Some(expected)) => Condition::IfEquals(expected),
        (false, None) => Condition::Always,
        (true, Some(_)) => {
            return Err(Status::invalid(
                "if_absent and if_equals exclude each other",
            ));
        }
    };
    submit(
        node,
        Command::PutName {
            name,
            id,
            condition,
        },
    )
    .await?;
    Ok(Reply::PutName)
}

/// Refuses a new name that is too long.
pub(super) fn check_length(name: &str) -> Result<(), Status> {
    let bytes = name.len();
    if bytes > NAME_BYTES_MAX {
        let message =
            format!("a name has at most {NAME_BYTES_MAX} bytes, and this one has {bytes}");
        return Err(Status::invalid(message));
    }
    Ok(())
}

/// Refuses a pattern that is too long.
pub(super) fn check_pattern(pattern: &str) -> Result<(), Status> {
    let bytes = pattern.len();
    if bytes > PATTERN_BYTES_MAX {
        let message =
            format!("a pattern has at most {PATTERN_BYTES_MAX} bytes, and this one has {bytes}");
        return Err(Status::invalid(message));
    }
    Ok(())
}

/// With `wait`, answers when the name appears: within `timeout_ms`, or without one for as long as the client is
/// connected.
pub(super) async fn get_name(node: &Rc<NodeContext>, request: GetName) -> Result<Reply, Status> {
    let GetName {
        name,
        wait,
        timeout_ms,
    } = request;
    match resolve(node, &name).await {
        Ok(object_id) => return Ok(Reply::GetName { object_id }),
        Err(status) if !wait || status.code != Code::ObjectNotExists => return Err(status),
        Err(_) => {}
    }
    let _counted = Counted::waiting(node)?;
    let appeared = call::as_asked(appearance(node, &name));
    let Some(timeout_ms) = timeout_ms else {
        return Ok(Reply::GetName {
            object_id: appeared.await?,
        });
    };
    let after = Duration::from_millis(timeout_ms);
    match tokio::time::timeout(after, appeared).await {
        Ok(object_id) => Ok(Reply::GetName {
            object_id: object_id?,
        }),
        Err(_) => {
            call::note_timeout();
            Err(failure::deadline(&format!("the name {name:?}"), after))
        }
    }
}

/// What `name` points to, as the quorum knows it.
pub(super) async fn resolve(node: &Rc<NodeContext>, name: &str) -> Result<ObjectId, Status> {
    if !node.env.faults.has(Fault::StaleNameRead) {
        confirm(node).await?;
    }
    let found = node.meta.state().name(name);
    found.ok_or_else(|| Status::not_exists(format!("failed to find name: {name}")))
}

async fn appearance(node: &NodeContext, name: &str) -> Result<ObjectId, Status> {
    loop {
        let name = name.to_owned();
        let look_up = move |local: &mut Local, state: &State| local.name_or_wait(state, &name);
        match node.local.ask(look_up).await? {
            Ok(object_id) => return Ok(object_id),
            Err(waiter) => waiter.woken().await,
        }
    }
}

pub(super) async fn list_name(
    node: &Rc<NodeContext>,
    pattern: &str,
    regex: bool,
    limit: u64,
) -> Result<Reply, Status> {
    check_pattern(pattern)?;
    confirm(node).await?;
    let pattern = Pattern::new(pattern, regex);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let state = node.meta.state();
    let mut names = BTreeMap::new();
    for (number, (name, id)) in state.names().enumerate() {
        if names.len() >= limit {
            break;
        }
        // The state that is listed does not change; other clients get their turns.
        if number % node.config.limits.turn_items_max == node.config.limits.turn_items_max - 1 {
            tokio::task::yield_now().await;
        }
        if pattern.matches(name) {
            names.insert(name.to_owned(), id);
        }
    }
    Ok(Reply::ListName { names })
}

pub(super) async fn drop_name(node: &Rc<NodeContext>, name: String) -> Result<Reply, Status> {
    confirm(node).await?;
    if node.meta.state().name(&name).is_some() {
        submit(node, Command::DropName { name }).await?;
    }
    Ok(Reply::DropName)
}
