//! Operations on names, each recorded as a call on one register.

use std::cell::RefCell;

use vineyard_client::{Client, Error, GetOptions, Result};
use vineyard_wire::{Code, ObjectId};

use super::{End, NAMES, Worker};
use crate::history::{Ask, Told};
use crate::oracle::Oracle;

impl Worker {
    pub(super) async fn use_name(&mut self, client: &Client) -> End {
        let name = self.draw_name();
        let Some(ask) = self.draw_ask(&name) else {
            return End::Skipped;
        };
        let index = self.oracle.borrow_mut().ask(self.number, &name, ask);
        let (told, text) = match ask {
            Ask::Read => self.read_name(client, &name).await,
            Ask::Put(id) => put(client.put_name(id, &name).await, Code::Ok),
            Ask::PutIfAbsent(id) => put(
                client.put_name_if_absent(id, &name).await,
                Code::ObjectExists,
            ),
            Ask::PutIfEquals(expected, id) => put(
                client.put_name_if_equals(id, &name, expected).await,
                Code::KeyError,
            ),
            Ask::Drop => put(client.drop_name(&name).await, Code::ObjectNotExists),
        };
        self.world.trace.note(
            crate::trace::Kind::Operation,
            &self.name,
            format_args!("{name} {ask:?}: {text}"),
        );
        self.oracle.borrow_mut().told(&name, index, told);
        if told == Told::Unknown {
            End::Unknown
        } else {
            End::Told
        }
    }

    pub(super) fn draw_name(&mut self) -> String {
        format!("name{}", self.chance.below(NAMES))
    }

    /// What the name points to: the id alone, or the object in the same request.
    async fn read_name(&mut self, client: &Client, name: &str) -> (Told, String) {
        let mut named = None;
        if self.chance.happens(500) {
            named = client
                .get_object_named(name, &GetOptions::default())
                .await
                .ok();
        }
        let result = match named {
            Some(object) => {
                self.oracle.borrow_mut().recognize(object.id, &object.meta);
                Ok(object.id)
            }
            // Bytes that are lost say nothing of the name.
            None => client.get_name(name).await,
        };
        if let Ok(id) = &result {
            recognize(&self.oracle, client, *id).await;
        }
        (read(&result), text(&result))
    }

    fn draw_ask(&mut self, name: &str) -> Option<Ask> {
        let kind = self.chance.below(20);
        if kind < 9 {
            return Some(Ask::Read);
        }
        if kind == 19 {
            return Some(Ask::Drop);
        }
        let mut oracle = self.oracle.borrow_mut();
        let safe = oracle.safe();
        let id = *self.chance.pick(&safe)?;
        // From now on nobody deletes it: a deletion would drop its names, behind the register's back.
        oracle.objects.get_mut(&id)?.kept = true;
        let expected = last_put(oracle.names.get(name).map_or(&[], Vec::as_slice));
        Some(match kind {
            9..=12 => Ask::Put(id),
            13..=14 => Ask::PutIfAbsent(id),
            _ => Ask::PutIfEquals(expected.unwrap_or(id), id),
        })
    }
}

/// Learns which publication an object is that no client has been told the id of. What gets no answer is learned at
/// rest.
pub(crate) async fn recognize(oracle: &RefCell<Oracle>, client: &Client, id: ObjectId) {
    let is_new = !oracle.borrow().objects.contains_key(&id);
    if is_new && let Ok(tree) = client.get_metadata(id).await {
        oracle.borrow_mut().recognize(id, &tree);
    }
}

/// What the name most likely points to.
fn last_put(calls: &[crate::history::Call]) -> Option<ObjectId> {
    calls
        .iter()
        .rev()
        .find_map(|call| match (call.ask, call.told) {
            (Ask::Put(id) | Ask::PutIfAbsent(id) | Ask::PutIfEquals(_, id), Told::Done) => Some(id),
            (_, Told::Found(Some(id))) => Some(id),
            _ => None,
        })
}

fn read(result: &Result<ObjectId>) -> Told {
    match result {
        Ok(id) => Told::Found(Some(*id)),
        Err(error) if error.code() == Some(Code::ObjectNotExists) => Told::Found(None),
        Err(_) => Told::Unknown,
    }
}

/// `refusal` is the code that says that the condition did not hold.
fn put(result: Result<()>, refusal: Code) -> (Told, String) {
    let text = text(&result);
    let told = match result {
        Ok(()) => Told::Done,
        Err(Error::Status { code, .. }) if code == refusal => Told::Refused,
        Err(_) => Told::Unknown,
    };
    (told, text)
}

fn text<T: std::fmt::Debug>(result: &Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}
