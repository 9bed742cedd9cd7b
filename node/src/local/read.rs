//! Reading metadata, with the blobs that are here.

use std::collections::BTreeSet;

use vineyard_raft::state::State;
use vineyard_store::{Blob, HolderId};
use vineyard_wire::meta::BLOB_TYPENAME;
use vineyard_wire::{ObjectId, Status};

use super::catalog::{BlobNode, LostBlobs, Pattern, Texts};
use super::{Attempt, Local, not_sealed};

/// Trees, and the blobs of this node below them.
pub(crate) struct Found {
    pub(crate) texts: Texts,
    /// The blobs, held for the session. `None` if some that should be here are not: then none is held, and `texts`
    /// still lists them.
    pub(crate) blobs: Option<Vec<Blob>>,
}

/// The trees, or the first id that is unknown or not readable here.
pub(crate) type Known<T> = Result<T, ObjectId>;

impl Local {
    /// Those of `ids` that can be read now.
    pub(crate) fn read(&self, state: &State, ids: &[ObjectId]) -> Result<Texts, Status> {
        let texts = self.catalog.expand(state, ids, LostBlobs::Here)?;
        self.with_blobs(state, ids, texts)
    }

    /// All of `ids`, or a wait for the first one that is missing.
    pub(crate) fn read_or_wait(
        &mut self,
        state: &State,
        ids: &[ObjectId],
    ) -> Attempt<Result<Texts, Status>> {
        let texts = match self.read(state, ids) {
            Ok(texts) => texts,
            Err(status) => return Ok(Err(status)),
        };
        match ids.iter().find(|id| !texts.trees.contains_key(id)) {
            None => Ok(Ok(texts)),
            Some(id) => Err(match self.catalog.missing_member(state, *id) {
                None => self.waiters.wait_for(*id),
                Some(member) => self.waiters.wait_for_member(member),
            }),
        }
    }

    /// The object that `name` points to, or a wait for the name.
    pub(crate) fn name_or_wait(&mut self, state: &State, name: &str) -> Attempt<ObjectId> {
        state
            .name(name)
            .ok_or_else(|| self.waiters.wait_for_name(name))
    }

    /// The trees of `ids`, for a reply with the payloads of what is here.
    pub(crate) fn read_with_payloads(
        &self,
        state: &State,
        ids: &[ObjectId],
    ) -> Result<Known<Texts>, Status> {
        let texts = self.catalog.expand_with_payloads(state, ids)?;
        let texts = self.with_blobs(state, ids, texts)?;
        let unknown = ids.iter().find(|id| !texts.trees.contains_key(id)).copied();
        Ok(unknown.map_or(Ok(texts), Err))
    }

    /// The same with the blobs, which `holder` holds from now on.
    pub(crate) fn get(
        &mut self,
        state: &State,
        ids: &[ObjectId],
        holder: HolderId,
    ) -> Result<Known<Found>, Status> {
        let texts = match self.read_with_payloads(state, ids)? {
            Ok(texts) => texts,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let here: Vec<_> = texts.here.iter().flatten().copied().collect();
        let blobs = match here.iter().all(|id| self.store.exists(*id)) {
            true => Some(self.store.get(holder, &here, false)?),
            false => None,
        };
        Ok(Ok(Found { texts, blobs }))
    }

    /// The error for an id that cannot be read, after the cluster was asked.
    pub(crate) fn why_unreadable(&self, state: &State, id: ObjectId) -> Status {
        if id.is_blob() && self.store.exists(id) {
            return not_sealed(id);
        }
        Status::not_exists(match self.catalog.missing_member(state, id) {
            None => format!("no such object: {id}"),
            Some(member) => format!("no such object: {member}, which {id} is made of"),
        })
    }

    /// At most `limit` objects whose type matches, and blobs if the pattern is one of theirs.
    pub(crate) fn list(
        &self,
        state: &State,
        pattern: &str,
        regex: bool,
        limit: usize,
    ) -> Result<Texts, Status> {
        let objects = Pattern::new(pattern, regex);
        let mut found = self.catalog.list(state, &objects, limit)?;
        // Blobs are matched by wildcards even when the pattern is a regular expression.
        if Pattern::new(pattern, false).matches(BLOB_TYPENAME) {
            let left = limit.saturating_sub(found.trees.len());
            for blob in self.store.list_sealed().into_iter().take(left) {
                found.add_blob(self.bare(&blob))?;
            }
        }
        Ok(found)
    }

    /// Adds the blobs among `ids`: sealed blobs of this node, and persistent blobs of other nodes.
    fn with_blobs(
        &self,
        state: &State,
        ids: &[ObjectId],
        mut texts: Texts,
    ) -> Result<Texts, Status> {
        let blobs: BTreeSet<_> = ids.iter().copied().filter(|id| id.is_blob()).collect();
        for id in blobs {
            if let Some(blob) = self.store.info(id) {
                if blob.sealed {
                    texts.add_blob(self.bare(&blob))?;
                }
                continue;
            }
            let Some(row) = state.blob(id) else { continue };
            let me = self.catalog.me();
            texts.add_blob(BlobNode {
                id,
                instance: state.best_place(row, me).unwrap_or(me),
                size: row.size,
            })?;
        }
        Ok(texts)
    }

    fn bare(&self, blob: &Blob) -> BlobNode {
        let (id, size) = (blob.id, blob.size);
        BlobNode {
            id,
            instance: self.catalog.me(),
            size,
        }
    }
}
