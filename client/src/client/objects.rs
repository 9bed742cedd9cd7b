//! Bytes of objects from the instances they are on.
//!
//! Promise: every byte, or an error that names what is missing and where it was.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use vineyard_wire::{InstanceId, ObjectId};

use super::Client;
use crate::{Blob, Error, Result};

impl Client {
    /// The blobs of `object` from the instances they are on, or an error that names one.
    pub(super) async fn fetch_all(
        &self,
        object: ObjectId,
        by_owner: BTreeMap<InstanceId, Vec<ObjectId>>,
    ) -> Result<Vec<(ObjectId, Blob)>> {
        if by_owner.is_empty() {
            return Ok(Vec::new());
        }
        let cluster = self.cluster_meta().await?;
        let fetches = by_owner.into_iter().map(|(instance, ids)| {
            let endpoint = cluster.get(&instance).map(|info| info.rpc_endpoint.clone());
            self.fetch(object, instance, endpoint, ids)
        });
        Ok(try_join_all(fetches).await?.into_iter().flatten().collect())
    }

    /// The blob `blob` of `object` from the instance it is on: for reading what is too large to get whole.
    pub async fn read_blob(
        &self,
        object: ObjectId,
        blob: ObjectId,
        instance: InstanceId,
    ) -> Result<Blob> {
        let ids = vec![blob];
        let found = if instance == self.instance_id() {
            let found = self.get_blobs(&ids).await?;
            whole(object, instance, ids, found)?
        } else {
            let cluster = self.cluster_meta().await?;
            let endpoint = cluster.get(&instance).map(|info| info.rpc_endpoint.clone());
            self.fetch(object, instance, endpoint, ids).await?
        };
        let [(_, blob)] = <[_; 1]>::try_from(found).expect("one was asked for and none is missing");
        Ok(blob)
    }

    async fn fetch(
        &self,
        object: ObjectId,
        instance: InstanceId,
        endpoint: Option<String>,
        ids: Vec<ObjectId>,
    ) -> Result<Vec<(ObjectId, Blob)>> {
        let out_of_reach = |cause: Option<Error>| Error::OutOfReach {
            object,
            blob: ids[0],
            instance,
            cause: cause.map(Box::new),
        };
        let endpoint = endpoint.ok_or_else(|| out_of_reach(None))?;
        let found = match self.ask_owner(instance, &endpoint, &ids).await {
            Err(error @ (Error::Io { .. } | Error::Closed { .. } | Error::Deadline { .. })) => {
                return Err(out_of_reach(Some(error)));
            }
            other => other?,
        };
        whole(object, instance, ids, found)
    }

    async fn ask_owner(
        &self,
        instance: InstanceId,
        endpoint: &str,
        ids: &[ObjectId],
    ) -> Result<Vec<Option<Blob>>> {
        let known = self.inner.owners.lock().await.remove(&instance);
        let reused = known.is_some();
        let mut owner = match known {
            Some(owner) => owner,
            None => self.connect_owner(endpoint).await?,
        };
        let mut found = owner.get_blobs(ids).await;
        if reused && matches!(found, Err(Error::Closed { .. })) {
            // It was closed while nobody used it; a fresh one tells whether the owner is there.
            owner = self.connect_owner(endpoint).await?;
            found = owner.get_blobs(ids).await;
        }
        let found = found?;
        self.inner.owners.lock().await.insert(instance, owner);
        Ok(found)
    }

    async fn connect_owner(&self, endpoint: &str) -> Result<Client> {
        // Boxed: a client that connects a client would be a future of infinite size.
        Box::pin(Client::connect_rpc(
            &self.inner.world,
            endpoint,
            self.options(),
        ))
        .await
    }
}

/// The blobs by id, if none is missing.
fn whole(
    object: ObjectId,
    instance: InstanceId,
    ids: Vec<ObjectId>,
    found: Vec<Option<Blob>>,
) -> Result<Vec<(ObjectId, Blob)>> {
    let lost = |blob| Error::Lost {
        object,
        blob,
        instance,
    };
    let pairs = ids.into_iter().zip(found);
    pairs
        .map(|(id, blob)| Ok((id, blob.ok_or_else(|| lost(id))?)))
        .collect()
}
