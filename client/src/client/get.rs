//! Whole objects, got with their bytes.
//!
//! Promise: what is on this node comes in one message, from a node that offers it; a `get` has every byte or is an
//! error that names what is missing and where it was.

use std::collections::BTreeMap;
use std::time::Duration;

use vineyard_wire::meta::key;
use vineyard_wire::reply::GotObjects;
use vineyard_wire::{InstanceId, ObjectId, Reply, Request, Tree, TreeText, request};

use super::{Client, only};
use crate::connection::{FETCH, OBJECTS, data_size};
use crate::object::blobs_in;
use crate::{Blob, Error, GetOptions, Object, RawObject, ReadOptions, Result};

/// Trees, and the blobs of this node below them.
type Found = (BTreeMap<ObjectId, TreeText>, BTreeMap<ObjectId, Blob>);

/// One object to get.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Id(ObjectId),
    Name(&'a str),
}

impl Wanted<'_> {
    fn request(self) -> request::GetObject {
        let mut request = request::GetObject::default();
        match self {
            Self::Id(id) => request.ids.push(id),
            Self::Name(name) => request.name = Some(name.to_owned()),
        }
        request
    }
}

/// As errors name it.
const REQUEST: &str = "get_object_request";

impl Client {
    /// The object `id` with all its bytes: those of this node in place (over the Unix socket), those of others over
    /// TCP, from their owners. It stays where it is; `migrate` moves it.
    pub async fn get(&self, id: ObjectId) -> Result<Object> {
        let mut found = self.get_objects(&[id], &GetOptions::default()).await?;
        let mut object = found.pop().expect("one is found for each id");
        self.complete(&mut object).await?;
        Ok(object)
    }

    /// The objects and blobs `ids`, in their order, each with those of its blobs that are on this node. Code
    /// `ObjectNotExists` if one is unknown; `Lost` if bytes that should be here are not.
    pub async fn get_objects(&self, ids: &[ObjectId], options: &GetOptions) -> Result<Vec<Object>> {
        if options.fetch {
            let mut objects = Vec::with_capacity(ids.len());
            for id in ids {
                let RawObject { id, tree, blobs } = self.get_raw(*id, options).await?;
                objects.push(self.object(id, &tree, &blobs)?);
            }
            return Ok(objects);
        }
        let (trees, blobs) = self.find_or_wait(ids, options).await?;
        let object = |id: &ObjectId| {
            let tree = trees.get(id).ok_or_else(|| unknown(*id))?;
            self.object(*id, tree, &blobs)
        };
        ids.iter().map(object).collect()
    }

    /// The object that `name` points to, as `get_objects` has it. Code `ObjectNotExists` if there is no such name.
    pub async fn get_object_named(&self, name: &str, options: &GetOptions) -> Result<Object> {
        let RawObject { id, tree, blobs } = self.get_raw_named(name, options).await?;
        self.object(id, &tree, &blobs)
    }

    /// The object `id` as `get_objects` has it, with its tree as the text that came.
    pub async fn get_raw(&self, id: ObjectId, options: &GetOptions) -> Result<RawObject> {
        match (self.find_one(Wanted::Id(id), options).await, options.wait) {
            (Err(error), Some(timeout)) if error.is_not_exists() => {
                self.wait_metadata(&[id], timeout).await?;
                self.find_one(Wanted::Id(id), options).await
            }
            (found, _) => found,
        }
    }

    /// The object that `name` points to, as `get_raw` has it.
    pub async fn get_raw_named(&self, name: &str, options: &GetOptions) -> Result<RawObject> {
        let wanted = Wanted::Name(name);
        match (self.find_one(wanted, options).await, options.wait) {
            (Err(error), Some(timeout)) if error.is_not_exists() => {
                self.wait_name(name, timeout).await?;
                self.find_one(wanted, options).await
            }
            (found, _) => found,
        }
    }

    async fn find_one(&self, wanted: Wanted<'_>, options: &GetOptions) -> Result<RawObject> {
        match (options.fetch, self.fetch_deadline()) {
            (false, _) => self.find_here(wanted, options).await,
            (true, Some(after)) => self.fetch_at_once(wanted, after).await,
            (true, None) => {
                let found = self.find_here(wanted, options).await?;
                if read(&found.tree)?.get(key::INSTANCE_ID) == Some(&self.instance_id().0.into()) {
                    return Ok(found);
                }
                let id = self.migrate(found.id).await?;
                self.find_here(Wanted::Id(id), options).await
            }
        }
    }

    /// By when a node that offers `fetch` answers one.
    pub(super) fn fetch_deadline(&self) -> Option<Duration> {
        let at_node = Duration::from_millis(self.inner.registered.fetch_ms_max.into());
        let after = at_node.saturating_add(self.options().deadline);
        self.offers(FETCH).then_some(after)
    }

    /// One message: the node migrates the object and answers with the copy.
    async fn fetch_at_once(&self, wanted: Wanted<'_>, after: Duration) -> Result<RawObject> {
        let request = request::GetObject {
            fetch: true,
            ..wanted.request()
        };
        let fetch = |second: Client| {
            let request = request.clone();
            async move { second.get_at_once(request, after).await }
        };
        only_one(self.on_second(fetch).await?)
    }

    async fn find_here(&self, wanted: Wanted<'_>, options: &GetOptions) -> Result<RawObject> {
        let id = match wanted {
            Wanted::Id(id) => id,
            Wanted::Name(_) if self.offers(OBJECTS) => {
                let after = self.options().deadline;
                return only_one(self.get_at_once(wanted.request(), after).await?);
            }
            Wanted::Name(name) => self.get_name(name).await?,
        };
        let (mut trees, blobs) = self.find(&[id], options.sync_remote).await?;
        let tree = trees.remove(&id).ok_or_else(|| unknown(id))?;
        Ok(RawObject { id, tree, blobs })
    }

    async fn find_or_wait(&self, ids: &[ObjectId], options: &GetOptions) -> Result<Found> {
        match (self.find(ids, options.sync_remote).await, options.wait) {
            (Err(error), Some(timeout)) if error.is_not_exists() => {
                self.wait_metadata(ids, timeout).await?;
                self.find(ids, options.sync_remote).await
            }
            (found, _) => found,
        }
    }

    async fn find(&self, ids: &[ObjectId], sync_remote: bool) -> Result<Found> {
        if self.offers(OBJECTS) {
            let request = request::GetObject {
                ids: ids.to_vec(),
                ..request::GetObject::default()
            };
            return self.get_at_once(request, self.options().deadline).await;
        }
        let trees = self.get_tree_texts(ids, sync_remote).await?;
        if let Some(id) = ids.iter().find(|id| !trees.contains_key(id)) {
            return Err(unknown(*id));
        }
        let mut here: BTreeMap<ObjectId, ObjectId> = BTreeMap::new();
        for (object, tree) in &trees {
            let blobs = blobs_in(&read(tree)?).into_iter();
            let blobs = blobs.filter(|(_, at)| *at == self.instance_id());
            here.extend(blobs.map(|(blob, _)| (blob, *object)));
        }
        here.remove(&ObjectId::EMPTY_BLOB);
        let ids: Vec<ObjectId> = here.keys().copied().collect();
        let found = match ids.is_empty() {
            true => Vec::new(),
            false => self.get_blobs(&ids).await?,
        };
        let found = here.into_iter().zip(found);
        let blob = |((id, object), blob): (_, Option<Blob>)| {
            Ok((id, blob.ok_or_else(|| self.lost(object, id))?))
        };
        let blobs = found.map(blob).collect::<Result<_>>()?;
        Ok((trees, blobs))
    }

    /// One message: trees, and what is here of their blobs.
    async fn get_at_once(&self, mut request: request::GetObject, after: Duration) -> Result<Found> {
        let compress = self.options().compression && !self.is_ipc();
        request.compress = compress;
        let mut call = self.begin(after).await?;
        let pick = only!(Reply::GetObject(got) => got);
        let got = call.ask(&Request::GetObject(request), pick).await?;
        let GotObjects {
            content,
            payloads,
            fds,
            ..
        } = got;
        if !self.is_ipc() {
            let mut total = 0_u64;
            for payload in &payloads {
                total = total.saturating_add(data_size(REQUEST, payload)?);
            }
            call.extend(self.options().transfer_deadline(total));
            let received = call.receive_blobs(&payloads, compress).await?;
            call.done();
            let owned = received.into_iter();
            let blobs = owned.map(|(id, bytes)| (id, Blob::owned(id, bytes)));
            return Ok((content, blobs.collect()));
        }
        call.receive_arenas(&fds, &payloads).await?;
        let mut held = Vec::with_capacity(payloads.len());
        for payload in payloads.iter().filter(|payload| payload.data_size > 0) {
            let (id, slice) = (payload.object_id, call.slice(payload));
            held.push((id, slice, self.hold(id, payload.data_size as u64)));
        }
        call.done();
        let blob = |(id, slice, hold): (_, Result<_>, _)| Ok((id, Blob::shared(id, slice?, hold)));
        let blobs = held.into_iter().map(blob).collect::<Result<_>>()?;
        Ok((content, blobs))
    }

    /// What `tree` says, with those of `blobs` that are its own. What should be here is.
    fn object(
        &self,
        id: ObjectId,
        tree: &TreeText,
        blobs: &BTreeMap<ObjectId, Blob>,
    ) -> Result<Object> {
        let meta = read(tree)?;
        let mut own = BTreeMap::new();
        for (blob, at) in blobs_in(&meta) {
            if blob == ObjectId::EMPTY_BLOB {
                own.insert(blob, Blob::empty());
            } else if let Some(found) = blobs.get(&blob) {
                own.insert(blob, found.clone());
            } else if at == self.instance_id() {
                return Err(self.lost(id, blob));
            }
        }
        Ok(Object {
            id,
            meta,
            blobs: own,
        })
    }

    fn lost(&self, object: ObjectId, blob: ObjectId) -> Error {
        let instance = self.instance_id();
        Error::Lost {
            object,
            blob,
            instance,
        }
    }

    /// Reads the object's blobs that are on other instances, from those. They are stored nowhere.
    pub async fn complete(&self, object: &mut Object) -> Result<()> {
        self.complete_with(object, &ReadOptions::default()).await
    }

    /// As `complete`, with a choice of how.
    pub async fn complete_with(
        &self,
        object: &mut Object,
        options: &ReadOptions<'_>,
    ) -> Result<()> {
        let mut by_owner: BTreeMap<InstanceId, Vec<ObjectId>> = BTreeMap::new();
        for (blob, instance) in blobs_in(&object.meta) {
            if blob == ObjectId::EMPTY_BLOB {
                object.blobs.entry(blob).or_insert_with(Blob::empty);
            } else if !object.blobs.contains_key(&blob) {
                by_owner.entry(instance).or_default().push(blob);
            }
        }
        object
            .blobs
            .extend(self.fetch_all(object.id, by_owner, options).await?);
        Ok(())
    }
}

/// What was found of one object.
fn only_one((mut trees, blobs): Found) -> Result<RawObject> {
    let (id, tree) = trees
        .pop_first()
        .ok_or_else(|| Error::malformed(REQUEST, "no object was found for one that was asked"))?;
    Ok(RawObject { id, tree, blobs })
}

fn read(tree: &TreeText) -> Result<Tree> {
    let malformed = |error: serde_json::Error| Error::malformed(REQUEST, error.to_string());
    tree.read().map_err(malformed)
}

fn unknown(id: ObjectId) -> Error {
    super::not_exists(format!("failed to get {id}"))
}
