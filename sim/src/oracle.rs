//! What the clients know: what they put, what they were told, and what that forbids from now on.
//!
//! The oracle believes clients only. It never looks into a node; it judges each answer against the answers before it
//! and keeps the violations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vineyard_client::Created;
use vineyard_wire::meta::key;
use vineyard_wire::{InstanceId, ObjectId, Signature, Tree};

use crate::content;
use crate::history::{Ask, Call, Moments, Told};
use crate::invariants::nothing_acknowledged_is_lost::{self as lost, Certainty};
use crate::invariants::one_content_per_id::{self as one_content, OneContentPerId};
use crate::invariants::{Judged, global_objects_are_whole as whole};
use crate::violation::Violation;

/// An object that some client made.
#[derive(Clone, Debug)]
pub struct Known {
    pub signature: Signature,
    /// Hash of its attributes and bytes.
    pub content: u64,
    /// Whose memory holds the bytes.
    pub home: InstanceId,
    /// Who have all of the bytes together since the home was drained; none if it was not.
    pub copies: BTreeSet<InstanceId>,
    pub persisted: Certainty,
    pub deleted: Certainty,
    /// Names point to it, or a global object has it: nobody deletes it.
    pub kept: bool,
}

impl Known {
    /// What a client made just now.
    pub fn new(created: &Created, content: u64) -> Self {
        Self {
            signature: created.signature,
            content,
            home: created.instance_id,
            copies: BTreeSet::new(),
            persisted: Certainty::No,
            deleted: Certainty::No,
            kept: false,
        }
    }

    /// A copy of it, made just now at `home`.
    pub fn copied_to(self, home: InstanceId) -> Self {
        Self {
            home,
            copies: BTreeSet::new(),
            persisted: Certainty::No,
            deleted: Certainty::No,
            kept: false,
            ..self
        }
    }

    /// Whether its bytes must be there while these go on.
    pub fn is_held(&self, alive: &BTreeSet<InstanceId>) -> bool {
        let elsewhere = !self.copies.is_empty() && self.copies.is_subset(alive);
        elsewhere || alive.contains(&self.home)
    }
}

/// A put that also names its object, whose id the client that asked does not know until it is told.
struct Publication {
    name: String,
    /// The call in the history of the name.
    index: usize,
    content: u64,
}

/// How many operations were asked, and how many got an answer that tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub asked: u64,
    pub answered: u64,
}

/// See the module.
#[derive(Default)]
pub struct Oracle {
    pub objects: BTreeMap<ObjectId, Known>,
    /// Global objects that were acknowledged, with the signatures of their members.
    pub globals: BTreeMap<ObjectId, BTreeSet<Signature>>,
    pub names: BTreeMap<String, Vec<Call>>,
    pub tally: BTreeMap<&'static str, Tally>,
    /// Migrations that were acknowledged.
    pub migrations: u64,
    pub violations: Vec<Violation>,
    /// Objects that were published under a name, by their mark, until it is known which they are.
    publications: BTreeMap<u64, Publication>,
    contents: OneContentPerId,
    moments: Moments,
    /// Simulated milliseconds, kept up to date by the clients.
    pub now_ms: u64,
}

impl Oracle {
    /// Keeps what an invariant objects to.
    pub fn hold(&mut self, invariant: &'static str, judged: Judged) {
        if let Err(detail) = judged {
            self.violations.push(Violation {
                invariant,
                detail,
                at_ms: self.now_ms,
            });
        }
    }

    /// A client made an object, or a migration did.
    pub fn made(&mut self, who: &str, id: ObjectId, known: Known) {
        let judged = self.contents.observe(who, id, known.content);
        self.hold(one_content::NAME, judged);
        self.objects.entry(id).or_insert(known);
    }

    /// A client read this content.
    pub fn read(&mut self, who: &str, id: ObjectId, content: u64) {
        let judged = self.contents.observe(who, id, content);
        self.hold(one_content::NAME, judged);
    }

    /// What was certain of `id` when a call began.
    pub fn persisted(&self, id: ObjectId) -> Certainty {
        self.objects
            .get(&id)
            .map_or(Certainty::No, |known| known.persisted)
    }

    pub fn deleted(&self, id: ObjectId) -> Certainty {
        self.objects
            .get(&id)
            .map_or(Certainty::No, |known| known.deleted)
    }

    /// A confirmed answer to "is it there?". `persisted` and `deleted` are what was certain when the call began;
    /// a deletion asked for meanwhile excuses an absence.
    pub fn seen(
        &mut self,
        who: &str,
        id: ObjectId,
        persisted: Certainty,
        deleted: Certainty,
        there: bool,
    ) {
        let deleted = if there {
            deleted
        } else {
            deleted.max(self.deleted(id))
        };
        let judged = lost::judge(&format!("{id}, asked by {who},"), persisted, deleted, there);
        self.hold(lost::NAME, judged);
    }

    /// A client read a global object and saw these members.
    pub fn seen_whole(&mut self, id: ObjectId, seen: &BTreeSet<Signature>) {
        if let Some(made_of) = self.globals.get(&id) {
            let judged = whole::judge(id, made_of, seen);
            self.hold(whole::NAME, judged);
        }
    }

    /// Raises how sure we are that these were persisted.
    pub fn persist(&mut self, ids: &[ObjectId], certainty: Certainty) {
        for id in ids {
            if let Some(known) = self.objects.get_mut(id) {
                known.persisted = known.persisted.max(certainty);
            }
        }
    }

    pub fn delete(&mut self, id: ObjectId, certainty: Certainty) {
        if let Some(known) = self.objects.get_mut(&id) {
            known.deleted = known.deleted.max(certainty);
        }
    }

    /// Objects that are surely persistent and that nobody asked to delete.
    pub fn safe(&self) -> Vec<ObjectId> {
        let safe = |(_, known): &(&ObjectId, &Known)| {
            known.persisted == Certainty::Yes && known.deleted == Certainty::No
        };
        self.objects
            .iter()
            .filter(safe)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Objects whose bytes `instance` has, that are as surely persistent, and that nobody asked to delete.
    pub fn held_by(&self, instance: InstanceId, persisted: Certainty) -> Vec<ObjectId> {
        let is_held = |(id, known): &(&ObjectId, &Known)| {
            let has_bytes = known.home == instance || known.copies.contains(&instance);
            let is_plain = !self.globals.contains_key(id);
            has_bytes && is_plain && known.persisted == persisted && known.deleted == Certainty::No
        };
        let held = self.objects.iter().filter(is_held);
        held.map(|(id, _)| *id).collect()
    }

    /// A node that has the bytes of `id` was drained: from now on these have them.
    pub fn copied(&mut self, id: ObjectId, copies: BTreeSet<InstanceId>) {
        if let Some(known) = self.objects.get_mut(&id) {
            known.copies = copies;
        }
    }

    /// A client asks something of a name. Until `told`, the outcome is unknown.
    pub fn ask(&mut self, client: usize, name: &str, ask: Ask) -> usize {
        let invoked = self.moments.later();
        let calls = self.names.entry(name.to_owned()).or_default();
        calls.push(Call {
            client,
            ask,
            told: Told::Unknown,
            invoked,
            returned: u64::MAX,
        });
        calls.len() - 1
    }

    /// A client puts an object under a name. Until it is known which object that is, its mark stands for its id.
    pub fn publish(&mut self, client: usize, name: &str, mark: u64, content: u64) {
        let index = self.ask(client, name, Ask::Put(ObjectId(mark)));
        let publication = Publication {
            name: name.to_owned(),
            index,
            content,
        };
        self.publications.insert(mark, publication);
    }

    /// How the put ended of the object with this mark, if it was published.
    pub fn publish_told(&mut self, mark: u64, told: Told) {
        if let Some(Publication { name, index, .. }) = self.publications.get(&mark) {
            let (name, index) = (name.clone(), *index);
            self.told(&name, index, told);
        }
    }

    /// The object with this mark is `id`, if it was published. From now on nobody deletes it: a deletion would drop its
    /// names, behind the register's back.
    pub fn published_as(&mut self, mark: u64, id: ObjectId) {
        let Some(Publication { name, index, .. }) = self.publications.get(&mark) else {
            return;
        };
        if let Some(call) = self
            .names
            .get_mut(name)
            .and_then(|calls| calls.get_mut(*index))
        {
            call.ask = Ask::Put(id);
        }
        if let Some(known) = self.objects.get_mut(&id) {
            known.kept = true;
        }
    }

    /// A client found `id` under a name, with this metadata. If nobody had been told that id, it was published without
    /// an answer; then it is persistent. A copy that is known has the mark of another object.
    pub fn recognize(&mut self, id: ObjectId, tree: &Tree) {
        if self.objects.contains_key(&id) {
            return;
        }
        let mark = content::mark(tree);
        let Some(publication) = self.publications.get(&mark) else {
            return;
        };
        let number = |name: &str| tree.get(name).and_then(Value::as_u64);
        let (Some(signature), Some(home)) = (number(key::SIGNATURE), number(key::INSTANCE_ID))
        else {
            return;
        };
        self.objects.entry(id).or_insert(Known {
            signature: Signature(signature),
            content: publication.content,
            home: InstanceId(home),
            copies: BTreeSet::new(),
            persisted: Certainty::Yes,
            deleted: Certainty::No,
            kept: true,
        });
        self.published_as(mark, id);
    }

    /// What clients found under names and nobody knows: neither made, nor published.
    pub fn unknown_under_names(&self) -> BTreeSet<ObjectId> {
        let found = |call: &Call| match call.told {
            Told::Found(id) => id,
            _ => None,
        };
        let found = self.names.values().flatten().filter_map(found);
        found.filter(|id| !self.objects.contains_key(id)).collect()
    }

    pub fn told(&mut self, name: &str, index: usize, told: Told) {
        if told == Told::Unknown {
            return;
        }
        let returned = self.moments.later();
        if let Some(call) = self
            .names
            .get_mut(name)
            .and_then(|calls| calls.get_mut(index))
        {
            call.told = told;
            call.returned = returned;
        }
    }

    /// Counts an operation as it begins.
    pub fn begins(&mut self, operation: &'static str) {
        self.tally.entry(operation).or_default().asked += 1;
    }

    /// Counts its answer.
    pub fn answered(&mut self, operation: &'static str) {
        self.tally.entry(operation).or_default().answered += 1;
    }
}
