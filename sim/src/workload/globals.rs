//! Operations on global objects: one object whose members are on several nodes.

use std::collections::BTreeSet;

use serde_json::Value;
use vineyard_client::{Client, Draft};
use vineyard_wire::meta::key;
use vineyard_wire::{Signature, Tree};

use super::{End, Worker, ending};
use crate::content::GLOBAL_TYPENAME;
use crate::invariants::nothing_acknowledged_is_lost::Certainty;
use crate::oracle::Known;

/// Members of one global object.
const MEMBERS_MAX: usize = 4;

impl Worker {
    pub(super) async fn make_global(&mut self, client: &Client) -> End {
        let (draft, made_of) = {
            let mut oracle = self.oracle.borrow_mut();
            let mut ids = oracle.safe();
            ids.retain(|id| !oracle.globals.contains_key(id));
            self.chance.shuffle(&mut ids);
            ids.truncate(2 + self.chance.index(MEMBERS_MAX - 1));
            if ids.len() < 2 {
                return End::Skipped;
            }
            let mut draft = Draft::new(GLOBAL_TYPENAME).global();
            let mut made_of = BTreeSet::new();
            for (at, id) in ids.iter().enumerate() {
                let known = oracle.objects.get_mut(id).expect("what is safe is known");
                known.kept = true;
                made_of.insert(known.signature);
                draft = draft.link(format!("part_{at}"), *id);
            }
            (draft, made_of)
        };
        let result = client.put(draft).await;
        self.note(format_args!("put global of {}", made_of.len()), &result);
        let created = match result {
            Ok(created) => created,
            Err(error) => return ending(&error),
        };
        let known = Known {
            persisted: Certainty::Maybe,
            kept: true,
            ..Known::new(&created, 0)
        };
        {
            let mut oracle = self.oracle.borrow_mut();
            oracle.objects.insert(created.id, known);
            oracle.globals.insert(created.id, made_of);
        }
        let result = client.persist(created.id).await;
        self.note(format_args!("persist global {}", created.id), &result);
        match result {
            Ok(()) => {
                self.oracle
                    .borrow_mut()
                    .persist(&[created.id], Certainty::Yes);
                End::Told
            }
            Err(error) => ending(&error),
        }
    }

    pub(super) async fn get_global(&mut self, client: &Client) -> End {
        let globals: Vec<_> = self.oracle.borrow().globals.keys().copied().collect();
        let Some(&id) = self.chance.pick(&globals) else {
            return End::Skipped;
        };
        let persisted = self.oracle.borrow().persisted(id);
        let result = client.get_metadata(id).await;
        self.note(format_args!("get_metadata of global {id}"), &result);
        let mut oracle = self.oracle.borrow_mut();
        match result {
            Ok(tree) => {
                oracle.seen_whole(id, &members(&tree));
                End::Told
            }
            Err(error) => {
                if error.is_not_exists() {
                    oracle.seen(&self.name, id, persisted, Certainty::No, false);
                }
                ending(&error)
            }
        }
    }
}

/// The signatures of a tree's members.
pub(crate) fn members(tree: &Tree) -> BTreeSet<Signature> {
    let signature = |member: &Value| {
        let signature = member.as_object()?.get(key::SIGNATURE)?;
        signature.as_u64().map(Signature)
    };
    tree.values().filter_map(signature).collect()
}
