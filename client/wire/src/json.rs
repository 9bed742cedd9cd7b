//! The JSON codec of the client protocol: `Request` and `Reply` to bytes and back.
//!
//! Promise: any bytes decode to a message or to a refusal in the original server's words; nothing a frame says makes
//! the decoder allocate more than the frame's own length warrants. It must never know what a message does.

mod body;
mod lists;
mod parse;
mod reply;
mod request;
mod table;

pub(crate) use lists::items;
pub use parse::count;
pub use table::{ReplyType, RequestType};

use crate::id::Trace;
use crate::reply::Reply;
use crate::request::Request;
use crate::status::Status;

/// A reply that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed reply: {reason}")]
pub struct Malformed {
    /// What is wrong with it.
    pub reason: String,
}

/// A request from a frame's body. The error is what to answer: code 1 for what is malformed or unknown, code 6 for
/// verbs that exist in the protocol but not in this node.
pub fn decode_request(body: &[u8]) -> Result<Request, Status> {
    Ok(decode_traced_request(body)?.0)
}

/// The same, with the trace that the client gave it.
pub fn decode_traced_request(body: &[u8]) -> Result<(Request, Option<Trace>), Status> {
    let (text, bytes) = parse::text_and_bytes(body);
    let head = parse::request_head(text)?;
    let verb = RequestType::named(&head.type_).ok_or_else(|| table::unknown(&head.type_))?;
    Ok((request::decode(verb, head.text, bytes)?, head.trace))
}

/// The body of a request, without the frame's header.
pub fn encode_request(request: &Request) -> Vec<u8> {
    request::encode(request, None)
}

/// The same, with a trace: for a node that offers the feature.
pub fn encode_traced_request(request: &Request, trace: Trace) -> Vec<u8> {
    request::encode(request, Some(trace))
}

/// The value of a request's `type`, as error texts name it.
pub fn request_type(request: &Request) -> &'static str {
    RequestType::of(request).name()
}

/// A reply, or the server's refusal, from a frame's body.
pub fn decode_reply(body: &[u8]) -> Result<Result<Reply, Status>, Malformed> {
    let head = match parse::reply_head(body)? {
        Ok(head) => head,
        Err(status) => return Ok(Err(status)),
    };
    let unexpected = || Malformed {
        reason: format!("unexpected type {}", head.type_),
    };
    let kind = ReplyType::named(&head.type_).ok_or_else(unexpected)?;
    Ok(Ok(reply::decode(kind, head.text)?))
}

/// The body of a reply, without the frame's header.
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    reply::encode(reply)
}

/// The body of an error reply: it has a `code` and no `type`.
pub fn encode_status(status: &Status) -> Vec<u8> {
    serde_json::to_vec(status).expect("a number and a text are always JSON")
}
