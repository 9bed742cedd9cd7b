//! One exchange on a connection: what puts it out of step, and what brings it back.

use std::io::{self, ErrorKind};
use std::ops::DerefMut;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_wire::{Reply, Request, Trace, json};

use super::{Connection, Traces};
use crate::{Error, Result};

/// Longest part of an unexpected reply that an error quotes, characters.
const QUOTED_CHARS_MAX: usize = 120;

/// Until when to wait, and the words for it if nothing comes.
#[derive(Clone, Copy)]
pub(crate) struct Limit<'a> {
    until: Instant,
    after: Duration,
    endpoint: &'a str,
    request: &'static str,
    trace: Option<Trace>,
}

impl<'a> Limit<'a> {
    /// `after` from now.
    pub(crate) fn new(endpoint: &'a str, after: Duration) -> Self {
        Self {
            until: Instant::now() + after,
            after,
            endpoint,
            request: "",
            trace: None,
        }
    }

    /// Runs `work` until the deadline; `doing` names it in errors.
    pub(crate) async fn run<T>(
        self,
        doing: &'static str,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout_at(self.until, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(self.failed(doing, source)),
            Err(_) => Err(Error::Deadline {
                waited_for: self.words(doing),
                after: self.after,
            }),
        }
    }

    /// A connection the other side ended is closed, not broken.
    fn failed(self, doing: &'static str, source: io::Error) -> Error {
        use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match source.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Error::Closed {
                endpoint: self.endpoint.to_owned(),
            },
            _ => Error::Io {
                during: self.words(doing),
                source,
            },
        }
    }

    fn words(self, doing: &str) -> String {
        let Self {
            endpoint,
            request,
            trace,
            ..
        } = self;
        match (request, trace) {
            ("", _) => format!("{doing} {endpoint}"),
            (request, None) => format!("{doing} {request} at {endpoint}"),
            (request, Some(trace)) => format!("{doing} {request} at {endpoint} (trace {trace})"),
        }
    }
}

/// A connection in the middle of something. Dropped before `done`, it leaves the connection unusable.
pub(crate) struct Call<'a, C> {
    connection: C,
    limit: Limit<'a>,
}

impl<'a, C: DerefMut<Target = Connection>> Call<'a, C> {
    /// Begins an exchange, if the connection is in step.
    pub(crate) fn begin(connection: C, limit: Limit<'a>) -> Result<Self> {
        match connection.in_step {
            true => Ok(Self { connection, limit }),
            false => Err(Error::Closed {
                endpoint: limit.endpoint.to_owned(),
            }),
        }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Everything of this exchange was read: the connection may be used again.
    pub(crate) fn done(mut self) {
        self.connection.in_step = true;
    }

    /// Replaces the deadline by one that is `after` from now.
    pub(crate) fn extend(&mut self, after: Duration) {
        self.limit.until = Instant::now() + after;
        self.limit.after = after;
    }

    /// The connection, the limit, and the request's name.
    pub(super) fn parts(&mut self) -> (&mut Connection, Limit<'a>, &'static str) {
        (&mut self.connection, self.limit, self.limit.request)
    }

    /// Sends `request` and waits for its reply, which `pick` takes apart or gives back as unexpected.
    pub(crate) async fn ask<T>(
        &mut self,
        request: &Request,
        pick: impl FnOnce(Reply) -> Result<T, Reply>,
    ) -> Result<T> {
        self.limit.request = json::request_type(request);
        self.limit.trace = self.connection.traces.as_ref().map(Traces::next);
        let body = match self.limit.trace {
            Some(trace) => json::encode_traced_request(request, trace),
            None => json::encode_request(request),
        };
        let (connection, limit, _) = self.parts();
        connection.in_step = false;
        limit.run("sending", connection.send(&body)).await?;
        self.reply(pick).await
    }

    /// Waits for a reply. A refusal leaves the connection in step.
    pub(crate) async fn reply<T>(
        &mut self,
        pick: impl FnOnce(Reply) -> Result<T, Reply>,
    ) -> Result<T> {
        let (connection, limit, request) = self.parts();
        let body = limit.run("the reply to", connection.receive()).await?;
        match json::decode_reply(&body) {
            Ok(Ok(reply)) => pick(reply).map_err(|other| {
                let got = format!("{other:?}")
                    .chars()
                    .take(QUOTED_CHARS_MAX)
                    .collect();
                Error::Mismatch { request, got }
            }),
            Ok(Err(status)) => {
                connection.in_step = true;
                Err(status.into())
            }
            Err(malformed) => Err(Error::malformed(request, malformed.reason)),
        }
    }
}
