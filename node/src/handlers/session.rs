//! `register`.

use std::time::Duration;

use vineyard_wire::reply::Registered;
use vineyard_wire::request::Register;
use vineyard_wire::{Code, Reply, Status};

use super::get_object;
use crate::context::audit::{self, Source};
use crate::session::{Kind, Session};

/// The version of vineyard whose protocol this is.
const PROTOCOL_VERSION: &str = "0.24.2";
/// A client with this feature releases what it no longer reads, so its references are never ended by the node.
const RELEASES: &str = "release";
/// Features of this node. A client is told those that it asked for, so old clients see none.
const FEATURES: [&str; 6] = [RELEASES, "objects", FETCH, TRACE, STREAMS, STATES];
/// `get_object` with `fetch`.
const FETCH: &str = "fetch";
/// A request has its `trace`.
const TRACE: &str = "trace";
/// What we added to streams.
const STREAMS: &str = "streams";
/// A node's `state` may be `stopped`.
const STATES: &str = "states";
/// `store_type` of a plasma client, which this node does not serve.
const PLASMA: u64 = 2;

pub(super) async fn register(session: &Session, register: Register) -> Result<Reply, Status> {
    let node = &session.node;
    if session.kind == Kind::Rpc && register.session_id != 0 {
        let message = format!("Session (sid = S{:016x}) not exit", register.session_id);
        return Err(Status::invalid(message));
    }
    admit(session, &register).await?;
    if !session.registered.get() && register.features.iter().any(|feature| feature == RELEASES) {
        let (old, user) = (session.holder.get(), session.user);
        let opened = node.local.ask(move |local, _| {
            local.store.close_holder(old);
            local.store.open_holder_of(user, true)
        });
        session.hold_by(opened.await?);
        session.releases.set(true);
    }
    let offered = |feature: &&&str| register.features.iter().any(|asked| asked == **feature);
    let features = FEATURES.iter().filter(offered);
    let features: Vec<String> = features.map(|feature| (*feature).to_owned()).collect();
    session
        .knows_streams
        .set(features.iter().any(|feature| feature == STREAMS));
    session
        .knows_stopped
        .set(features.iter().any(|feature| feature == STATES));
    session.patience.set(register.deadline_ms.map(|ms| {
        let deadline = Duration::from_millis(ms);
        let earlier = deadline.saturating_sub(node.config.limits.answer_before);
        earlier.max(deadline / 2)
    }));
    let fetch_ms_max = match features.iter().any(|feature| feature == FETCH) {
        true => {
            let deadline = get_object::fetch_deadline(node);
            u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX)
        }
        false => 0,
    };
    let first_trace = match features.iter().any(|feature| feature == TRACE) {
        true => node.env.random.next_u64(),
        false => 0,
    };
    session.enter();
    Ok(Reply::Register(Registered {
        ipc_socket: node.config.ipc_socket.clone(),
        rpc_endpoint: node.endpoint.clone(),
        instance_id: node.instance,
        session_id: 0,
        version: PROTOCOL_VERSION.to_owned(),
        store_match: register.store_type != PLASMA,
        support_rpc_compression: node.config.compression,
        features,
        fetch_ms_max,
        first_trace,
    }))
}

/// Refuses a client without the right password, or whose user may not use TCP.
async fn admit(session: &Session, register: &Register) -> Result<(), Status> {
    if let Some(refusal) = session.refused() {
        return Err(refusal);
    }
    let Some(logins) = &session.node.logins else {
        return Ok(());
    };
    let (name, password) = (register.username.clone(), register.password.clone());
    if logins.admits(session.kind, name, password).await? {
        return Ok(());
    }
    session.note_wrong_password();
    let source = match session.kind {
        Kind::Ipc => Source::UnixSocket,
        Kind::Rpc => Source::Machine,
    };
    audit::refused_login(source, &session.caller, &register.username);
    Err(Status::new(
        Code::ConnectionError,
        "IOError: Incorrect username or password; this node lets in the users of its --htpasswd file only",
    ))
}

#[cfg(test)]
mod tests;
