//! Operations on names, each recorded as a call on one register.

use vineyard_client::{Client, Error, Result};
use vineyard_wire::{Code, ObjectId};

use super::{End, NAMES, Worker};
use crate::history::{Ask, Told};

impl Worker {
    pub(super) async fn use_name(&mut self, client: &Client) -> End {
        let name = format!("name{}", self.chance.below(NAMES));
        let Some(ask) = self.draw_ask(&name) else {
            return End::Skipped;
        };
        let index = self.oracle.borrow_mut().ask(self.number, &name, ask);
        let (told, text) = match ask {
            Ask::Read => {
                let result = client.get_name(&name).await;
                (read(&result), text(&result))
            }
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
