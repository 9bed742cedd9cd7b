//! Logs and counts each request.
//!
//! Each request has one span, at `debug`. At the default level only requests are logged that were slow, or failed for a
//! reason that is not the caller's.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument, Span};
use vineyard_wire::{Code, ObjectId, Request, Status, Trace, json};

use super::Served;
use crate::context::call::Call;
use crate::session::Session;

pub(super) struct Record {
    call: Rc<Call>,
    span: Span,
    begun: Instant,
    verb: &'static str,
    request: u64,
    trace: Trace,
    ids: Ids,
}

/// The first object that a request names, and how many more.
#[derive(Clone, Copy, Debug, Default)]
struct Ids {
    first: Option<ObjectId>,
    more: usize,
}

impl Record {
    /// Begins the record of the next request of `session`. A request without a trace gets one here.
    pub(super) fn begin(
        session: &Session,
        admitted: &Result<(Request, Option<Trace>), Status>,
    ) -> Self {
        let request = session.requests.get() + 1;
        session.requests.set(request);
        let (verb, ids, told) = match admitted {
            Ok((request, trace)) => (json::request_type(request), Ids::of(request), *trace),
            Err(_) => ("a malformed request", Ids::default(), None),
        };
        let trace = told.unwrap_or_else(|| session.node.next_trace());
        let span = tracing::debug_span!(
            "request",
            session = session.number,
            request,
            verb,
            id = ids.first.map(tracing::field::display),
            more_ids = (ids.more > 0).then_some(ids.more),
            %trace,
        );
        Self {
            call: Call::new(trace, session.patience.get()),
            span,
            begun: Instant::now(),
            verb,
            request,
            trace,
            ids,
        }
    }

    pub(super) fn call(&self) -> Rc<Call> {
        self.call.clone()
    }

    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        work.instrument(self.span.clone()).await
    }

    /// `served` is `None` if the connection broke. Counts the request, and logs it once if it was slow or failed.
    pub(super) fn end(self, session: &Session, served: Option<&Served>) {
        let outcome = served.and_then(|served| served.outcome.as_ref());
        let took = self.begun.elapsed();
        let delayed = took.saturating_sub(self.call.asked());
        let is_slow = delayed >= session.node.config.limits.slow_request;
        let failure = match outcome {
            Some(Err(status)) => Some(status),
            _ => None,
        };
        let is_fault = failure.is_some_and(|status| is_fault(status.code));
        let has_failed = is_fault && !self.call.timed_out();
        session.node.counters.count_request(has_failed, is_slow);
        if has_failed || is_slow {
            self.warn(session, delayed, failure);
        }
        let _entered = self.span.enter();
        match outcome {
            None => tracing::debug!(ms = ms(took), "the client left before the answer"),
            Some(Ok(())) => tracing::debug!(ms = ms(took), "answered"),
            Some(Err(status)) => tracing::debug!(ms = ms(took), %status, "refused"),
        }
    }

    fn warn(&self, session: &Session, delayed: Duration, failure: Option<&Status>) {
        let Some(unsaid) = session.node.counters.warnings.allow() else {
            return;
        };
        tracing::warn!(
            session = session.number,
            request = self.request,
            verb = self.verb,
            id = self.ids.first.map(tracing::field::display),
            trace = %self.trace,
            ms = ms(delayed),
            waited_for = %self.call.waits(),
            error = failure.map(tracing::field::display),
            unsaid = (unsaid > 0).then_some(unsaid),
            "{}",
            match failure {
                Some(_) => "a request failed",
                None => "a request was slow",
            },
        );
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_micros() as f64) / 1000.0
}

/// Whether the node, its cluster or its machine is at fault. All other codes tell the caller what is wrong with its
/// request, which is a normal answer.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::IoError | Code::VineyardServerNotReady | Code::NotEnoughMemory | Code::UnknownError
    )
}

impl Ids {
    fn of(request: &Request) -> Self {
        let one = |id: &ObjectId| Self {
            first: Some(*id),
            more: 0,
        };
        let many = |ids: &[ObjectId]| Self {
            first: ids.first().copied(),
            more: ids.len().saturating_sub(1),
        };
        match request {
            Request::Seal { object_id }
            | Request::Release { object_id }
            | Request::MigrateObject { object_id } => one(object_id),
            Request::DropBuffer { id }
            | Request::ShrinkBuffer { id, .. }
            | Request::IsInUse { id }
            | Request::Exists { id }
            | Request::Persist { id }
            | Request::IfPersist { id }
            | Request::ShallowCopy { id, .. }
            | Request::Label { id, .. } => one(id),
            Request::CreateStream(create) => one(&create.object_id),
            Request::OpenStream(open) => one(&open.object_id),
            Request::GetNextStreamChunk(get) => one(&get.id),
            Request::PushNextStreamChunk(push) => one(&push.id),
            Request::PullNextStreamChunk(pull) => one(&pull.id),
            Request::StopStream(stop) => one(&stop.id),
            Request::DropStream { id } | Request::StreamStatus { id } => one(id),
            Request::PutName(put_name) => one(&put_name.object_id),
            Request::GetBuffers { ids, .. }
            | Request::GetRemoteBuffers { ids, .. }
            | Request::IncreaseReferenceCount { ids }
            | Request::ReleaseNotice { ids }
            | Request::GetData { ids, .. }
            | Request::PersistMany { ids } => many(ids),
            Request::GetObject(get_object) => many(&get_object.ids),
            Request::DelData(delete) | Request::DelDataWithFeedbacks(delete) => many(&delete.ids),
            Request::PutObject(put_object) => many(&put_object.seal),
            _ => Self::default(),
        }
    }
}
