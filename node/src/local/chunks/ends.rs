//! How the writing of a chunk ends, and how a chunk ends.

use vineyard_raft::state::State;
use vineyard_store::{Error, HolderId};
use vineyard_wire::{ObjectId, Status};

use crate::local::streams::{Chunk, Writing};
use crate::local::{Attempt, Deleted, Deletion, Local};

impl Local {
    /// Makes an unsealed blob shorter. A chunk is its stream's, and only the connection that fills it may.
    pub(crate) fn shrink(&mut self, by: HolderId, id: ObjectId, size: u64) -> Result<(), Error> {
        let stream = self.streams.filled_by(by, id);
        let Some(stream) = stream.and_then(|stream| self.streams.get_mut(stream)) else {
            return self.store.shrink(by, id, size);
        };
        self.store.shrink(stream.holder, id, size)?;
        if let Some(Writing { by, .. }) = stream.writing() {
            let chunk = Chunk { id, bytes: size };
            stream.begin_writing(Writing { chunk, by });
        }
        Ok(())
    }

    /// Seals and queues the chunk that is being written, unless it was deleted meanwhile.
    pub(super) fn end_writing(&mut self, id: ObjectId) -> Result<(), Status> {
        let Some(stream) = self.streams.get_mut(id) else {
            return Ok(());
        };
        let Some(Writing { chunk, by }) = stream.end_writing() else {
            return Ok(());
        };
        let holder = stream.holder;
        if !self.store.exists(chunk.id) {
            // It was deleted, and stays in place while the stream holds it.
            self.store.release_all(holder, &[chunk.id]);
        } else {
            self.seal(holder, chunk.id)?;
            if !by.is_ours {
                // Its client never releases, and will not write any more.
                self.store.release_all(by.holder, &[chunk.id]);
            }
            if let Some(stream) = self.streams.get_mut(id) {
                stream.push(chunk);
            }
        }
        self.waiters.wake(&[id]);
        Ok(())
    }

    pub(super) fn discard_writing(&mut self, state: &State, id: ObjectId) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let (holder, writing) = (stream.holder, stream.end_writing());
        self.free_chunks(
            state,
            holder,
            writing.map(|writing| writing.chunk).into_iter().collect(),
        );
        self.waiters.wake(&[id]);
    }

    /// Blobs go unless something else refers to them; objects go with all that only they refer to.
    pub(in crate::local) fn free_chunks(
        &mut self,
        state: &State,
        holder: HolderId,
        chunks: Vec<Chunk>,
    ) {
        for Chunk { id, .. } in chunks {
            if !id.is_blob() {
                self.discard_object(state, id);
            } else if self.free_unreferred(state, [id], holder, false).is_empty() {
                self.store.release_all(holder, &[id]);
            }
        }
    }

    /// Deletes an object, now or as soon as what is pending for it or the cluster allows.
    pub(super) fn discard_object(&mut self, state: &State, id: ObjectId) {
        if self.discard_here(state, id).is_err() || state.contains(id) {
            self.discards.push(id);
        }
    }

    /// Deletes an object that only this node knows, with its members.
    pub(crate) fn discard_here(&mut self, state: &State, id: ObjectId) -> Attempt<()> {
        if state.contains(id) {
            return Ok(());
        }
        let deletion = Deletion {
            by: HolderId::NOBODY,
            ids: vec![id],
            named: [].into(),
            force: false,
            deep: true,
            trim: false,
        };
        if let Deleted::Pending(pending) = self.delete(state, &deletion, true)? {
            // Members that were persisted on their own stay.
            self.end_delete(state, &deletion, pending, true);
        }
        Ok(())
    }
}
