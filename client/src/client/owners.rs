//! Bytes of objects, read from the instances they are on and stored nowhere.
//!
//! Promise: every byte, or an error that names what is missing and where it was. Several instances are read at once,
//! each in batches, so that no exchange is longer than its deadline allows.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use vineyard_wire::reply::InstanceInfo;
use vineyard_wire::{InstanceId, ObjectId};

use super::Client;
use crate::{Blob, Error, ReadOptions, Result};

/// Instances that are read from at the same time.
const OWNERS_AT_ONCE_MAX: usize = 8;
/// What one exchange aims at: small enough that progress shows, large enough that round trips do not count.
const BATCH_BYTES: u64 = 64 << 20;
/// The first exchange with an owner: metadata need not say how large blobs are.
const BATCH_BLOBS_FIRST: usize = 64;
const BATCH_BLOBS_MAX: usize = 1024;

/// Blobs of one object that are on one instance.
#[derive(Clone)]
struct Part {
    object: ObjectId,
    instance: InstanceId,
    ids: Vec<ObjectId>,
}

impl Client {
    /// The blobs of `object` from the instances they are on, or an error that names one.
    pub(super) async fn fetch_all(
        &self,
        object: ObjectId,
        by_owner: BTreeMap<InstanceId, Vec<ObjectId>>,
        options: &ReadOptions<'_>,
    ) -> Result<Vec<(ObjectId, Blob)>> {
        if by_owner.is_empty() {
            return Ok(Vec::new());
        }
        let cluster = self.cluster_meta().await?;
        let fetches = by_owner.into_iter().map(|(instance, ids)| {
            let endpoint = cluster.get(&instance).map(endpoint_of);
            let part = Part {
                object,
                instance,
                ids,
            };
            self.fetch(part, endpoint, options)
        });
        let mut fetches = stream::iter(fetches).buffer_unordered(OWNERS_AT_ONCE_MAX);
        let mut all = Vec::new();
        while let Some(found) = fetches.try_next().await? {
            all.extend(found);
        }
        Ok(all)
    }

    /// The blob `blob` of `object` from the instance it is on: for reading what is too large to get whole.
    pub async fn read_blob(
        &self,
        object: ObjectId,
        blob: ObjectId,
        instance: InstanceId,
    ) -> Result<Blob> {
        let part = Part {
            object,
            instance,
            ids: vec![blob],
        };
        let found = if instance == self.instance_id() {
            let found = self.get_blobs(&part.ids).await?;
            part.whole(found)?
        } else {
            let cluster = self.cluster_meta().await?;
            let endpoint = cluster.get(&instance).map(endpoint_of);
            self.fetch(part, endpoint, &ReadOptions::default()).await?
        };
        let [(_, blob)] = <[_; 1]>::try_from(found).expect("one was asked for and none is missing");
        Ok(blob)
    }

    async fn fetch(
        &self,
        part: Part,
        endpoint: Option<String>,
        options: &ReadOptions<'_>,
    ) -> Result<Vec<(ObjectId, Blob)>> {
        let Some(endpoint) = endpoint else {
            return Err(part.out_of_reach(None, None));
        };
        match self.ask_owner(&part, &endpoint, options).await {
            Err(error @ (Error::Io { .. } | Error::Closed { .. } | Error::Deadline { .. })) => {
                Err(part.out_of_reach(Some(endpoint), Some(error)))
            }
            found => part.whole(found?),
        }
    }

    /// Asks on the kept connection to the owner, if there is one that works.
    async fn ask_owner(
        &self,
        part: &Part,
        endpoint: &str,
        options: &ReadOptions<'_>,
    ) -> Result<Vec<Option<Blob>>> {
        let known = self.inner.owners.lock().await.remove(&part.instance);
        let reused = known.is_some();
        let mut owner = match known {
            Some(owner) => owner,
            None => self.connect_owner(part, endpoint).await?,
        };
        let mut all = Vec::with_capacity(part.ids.len());
        let mut read = owner.read_in_batches(&part.ids, &mut all, options).await;
        if reused && all.is_empty() && matches!(read, Err(Error::Closed { .. })) {
            // It was closed while idle; a new connection shows whether the owner is there.
            owner = self.connect_owner(part, endpoint).await?;
            read = owner.read_in_batches(&part.ids, &mut all, options).await;
        }
        read?;
        self.inner.owners.lock().await.insert(part.instance, owner);
        Ok(all)
    }

    async fn connect_owner(&self, part: &Part, endpoint: &str) -> Result<Client> {
        let (world, options) = (&self.inner.world, self.options());
        // Boxed: a client that connects a client would be a future of infinite size.
        let connecting = Box::pin(world.connect_rpc(endpoint, options));
        let refused = |error| part.out_of_reach(Some(endpoint.to_owned()), Some(error));
        connecting.await.map_err(refused)
    }

    /// Appends the blobs `ids` of this node to `all`, as many in one exchange as the sizes of those before allow.
    async fn read_in_batches(
        &self,
        ids: &[ObjectId],
        all: &mut Vec<Option<Blob>>,
        options: &ReadOptions<'_>,
    ) -> Result<()> {
        let compress = options.compression.unwrap_or(self.options().compression);
        let mut count = BATCH_BLOBS_FIRST;
        while all.len() < ids.len() {
            let batch = &ids[all.len()..ids.len().min(all.len() + count)];
            let received = self.receive_blobs(batch.to_vec(), false, compress).await;
            let found = match received {
                // The released server refuses them all for one that it does not have.
                Err(error) if error.is_not_exists() => BTreeMap::new(),
                found => found?,
            };
            let bytes: u64 = found.values().map(|blob| blob.len() as u64).sum();
            if let Some(progress) = options.progress {
                progress(bytes);
            }
            count = next_count(batch.len(), bytes);
            all.extend(batch.iter().map(|id| found.get(id).cloned()));
        }
        Ok(())
    }
}

/// How many blobs to ask for next, when `blobs` had `bytes` together.
fn next_count(blobs: usize, bytes: u64) -> usize {
    let fit = blobs as u64 * BATCH_BYTES / bytes.max(1);
    usize::try_from(fit)
        .unwrap_or(BATCH_BLOBS_MAX)
        .clamp(1, BATCH_BLOBS_MAX)
}

/// Where the instance can be reached: a node that listens on all addresses names none, but its host has a name.
fn endpoint_of(info: &InstanceInfo) -> String {
    let first = info.rpc_endpoint.split(',').next().unwrap_or_default();
    let first = first.trim();
    match first.rsplit_once(':') {
        Some(("0.0.0.0" | "::" | "[::]", port)) => format!("{}:{port}", info.hostname),
        _ => first.to_owned(),
    }
}

impl Part {
    /// The blobs by id, if none is missing.
    fn whole(self, found: Vec<Option<Blob>>) -> Result<Vec<(ObjectId, Blob)>> {
        let Self {
            object,
            instance,
            ids,
        } = self;
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

    fn out_of_reach(&self, endpoint: Option<String>, cause: Option<Error>) -> Error {
        Error::OutOfReach {
            object: self.object,
            blob: self.ids[0],
            instance: self.instance,
            endpoint,
            cause: cause.map(Box::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_aim_at_a_size_and_have_a_bound() {
        for (blobs, bytes, next) in [
            (64, 0, BATCH_BLOBS_MAX),
            (64, 640, BATCH_BLOBS_MAX),
            (64, 64 * BATCH_BYTES, 1),
            (64, 32 * BATCH_BYTES, 2),
            (1, 2 * BATCH_BYTES, 1),
        ] {
            assert_eq!(next_count(blobs, bytes), next, "{blobs} of {bytes}");
        }
    }

    #[test]
    fn an_instance_that_listens_everywhere_is_reached_by_its_host() {
        let info = |rpc_endpoint: &str| InstanceInfo {
            hostid: 0,
            hostname: "vm".to_owned(),
            nodename: "vm".to_owned(),
            ipc_socket: String::new(),
            rpc_endpoint: rpc_endpoint.to_owned(),
            timestamp: 0,
        };
        for (said, endpoint) in [
            ("10.0.0.1:9600", "10.0.0.1:9600"),
            ("0.0.0.0:9600", "vm:9600"),
            ("[::]:9600,10.0.0.1:9600", "vm:9600"),
            ("[fd00::1]:9600", "[fd00::1]:9600"),
        ] {
            assert_eq!(endpoint_of(&info(said)), endpoint);
        }
    }
}
