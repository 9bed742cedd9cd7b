//! A codec's classic bug, off unless the simulator turns it on for its thread to show that it would find it.

use std::cell::Cell;

use serde_json::Value;

use crate::meta::Tree;
use crate::request::{PutObject, Request};

thread_local! {
    static ROUNDS: Cell<bool> = const { Cell::new(false) };
}

/// Makes the request decoder of this thread pass integers of metadata through a float, so that large ones lose digits.
/// For the simulator only.
#[doc(hidden)]
pub fn plant_rounding(on: bool) {
    ROUNDS.set(on);
}

pub(super) fn maybe_round(request: Request) -> Request {
    if !ROUNDS.get() {
        return request;
    }
    match request {
        Request::CreateData { content } => Request::CreateData {
            content: rounded(content),
        },
        Request::CreateDatas { contents } => Request::CreateDatas {
            contents: contents.into_iter().map(rounded).collect(),
        },
        Request::PutObject(put) => Request::PutObject(PutObject {
            content: put.content.map(rounded),
            ..put
        }),
        other => other,
    }
}

fn rounded(tree: Tree) -> Tree {
    let round = |value: Value| match value.as_u64() {
        Some(integer) => Value::from(integer as f64 as u64),
        None => value,
    };
    tree.into_iter()
        .map(|(key, value)| (key, round(value)))
        .collect()
}
