//! What `stream_status` and `cluster_status` tell of a stream.

use vineyard_wire::reply::StreamTotals;
use vineyard_wire::stream::{CursorStatus, StreamState, StreamStatus};
use vineyard_wire::{InstanceId, ObjectId};

use super::{End, Stream};

impl Stream {
    pub(crate) fn add_to(&self, totals: &mut StreamTotals) {
        totals.stream_chunks += self.queue.needed_chunks();
        totals.stream_bytes += self.window_bytes() + self.queue.retained_bytes();
        totals.stream_waits += self.waiting().len() as u64;
    }

    pub(crate) fn status(&self, id: ObjectId, instance_id: InstanceId) -> StreamStatus {
        let (state, reason) = match &self.end {
            End::Open => (StreamState::Open, None),
            End::Drained => (StreamState::Drained, None),
            End::Failed { reason, .. } => (StreamState::Failed, reason.clone()),
            End::Told(status) => (StreamState::Failed, Some(status.message.clone())),
        };
        let instance_id = self.origin.map_or(instance_id, |origin| origin.owner);
        let in_flight_chunks = self.readers.in_flight();
        let cursor = |name: &String| {
            let cursor = &self.readers.cursors[name];
            CursorStatus {
                name: name.clone(),
                next_number: self.readers.next_number(name),
                is_open: cursor.reader.is_some(),
                waits: cursor.waits,
            }
        };
        StreamStatus {
            id,
            state,
            reason,
            instance_id,
            rules: self.rules.clone(),
            next_number: self.queue.end(),
            oldest_number: self.queue.oldest(),
            waiting_chunks: self.queue.needed_chunks().saturating_sub(in_flight_chunks),
            in_flight_chunks,
            window_bytes: self.window_bytes(),
            retained_bytes: self.queue.retained_bytes(),
            writer_waits: self.waiting_writer.is_some(),
            writers: self.writers.len() as u64,
            cursors: self.readers.cursors.keys().map(cursor).collect(),
        }
    }
}
