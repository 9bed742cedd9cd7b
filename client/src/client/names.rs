//! Names: texts that point to one persisted object each, the same in the whole cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use vineyard_wire::request::{GetName, PutName};
use vineyard_wire::{ObjectId, Reply, Request};

use super::{Client, only};
use crate::Result;

impl Client {
    /// Points `name` to the persisted object `id`, whatever it pointed to before.
    pub async fn put_name(&self, id: ObjectId, name: &str) -> Result<()> {
        self.put_name_request(id, name, false, None).await
    }

    /// Points `name` to `id` unless the name exists (code `ObjectExists`).
    pub async fn put_name_if_absent(&self, id: ObjectId, name: &str) -> Result<()> {
        self.put_name_request(id, name, true, None).await
    }

    /// Points `name` to `id` if it points to `expected` now; refused otherwise.
    pub async fn put_name_if_equals(
        &self,
        id: ObjectId,
        name: &str,
        expected: ObjectId,
    ) -> Result<()> {
        self.put_name_request(id, name, false, Some(expected)).await
    }

    async fn put_name_request(
        &self,
        object_id: ObjectId,
        name: &str,
        if_absent: bool,
        if_equals: Option<ObjectId>,
    ) -> Result<()> {
        let put = PutName {
            object_id,
            name: name.to_owned(),
            if_absent,
            if_equals,
        };
        self.ask(Request::PutName(put), only!(Reply::PutName => ()))
            .await
    }

    /// What `name` points to; code `ObjectNotExists` if there is no such name.
    pub async fn get_name(&self, name: &str) -> Result<ObjectId> {
        let get = GetName {
            name: name.to_owned(),
            wait: false,
            timeout_ms: None,
        };
        let pick = only!(Reply::GetName { object_id } => object_id);
        self.ask(Request::GetName(get), pick).await
    }

    /// Waits until `name` exists, for at most `timeout`, on a connection of its own: other calls go on meanwhile.
    pub async fn wait_name(&self, name: &str, timeout: Duration) -> Result<ObjectId> {
        let timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let get = GetName {
            name: name.to_owned(),
            wait: true,
            timeout_ms,
        };
        let pick = only!(Reply::GetName { object_id } => object_id);
        // The node answers when the time is up; the deadline is for a node that does not.
        let after = timeout.saturating_add(self.options().deadline);
        let another = self.another().await?;
        another.ask_within(after, Request::GetName(get), pick).await
    }

    /// Names that match `pattern` (a glob, or with `regex` a regular expression for the whole name), in order, at most
    /// `limit`.
    pub async fn list_names(
        &self,
        pattern: &str,
        regex: bool,
        limit: u64,
    ) -> Result<BTreeMap<String, ObjectId>> {
        let request = Request::ListName {
            pattern: pattern.to_owned(),
            regex,
            limit,
        };
        self.ask(request, only!(Reply::ListName { names } => names))
            .await
    }

    /// Forgets `name`, if it exists. The object stays.
    pub async fn drop_name(&self, name: &str) -> Result<()> {
        let request = Request::DropName {
            name: name.to_owned(),
        };
        self.ask(request, only!(Reply::DropName => ())).await
    }
}
