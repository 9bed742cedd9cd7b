//! Random commands over a few ids, so that they meet: replicas agree, and every promise holds after every command.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::command::Cordon;
use crate::format::snapshot;

const IDS: u64 = 12;

/// A state out of its snapshot.
fn reread(state: &State) -> State {
    let bytes = snapshot::encode(state);
    snapshot::decode(&bytes).expect("what was written can be read")
}

fn object() -> impl Strategy<Value = ObjectId> {
    (1..=IDS).prop_map(o)
}

fn member() -> impl Strategy<Value = ObjectId> {
    prop_oneof![3 => object(), 4 => (1..=IDS).prop_map(b), 1 => Just(ObjectId::EMPTY_BLOB)]
}

fn boot() -> impl Strategy<Value = InstanceId> {
    (0..4u64, 0..4u64).prop_map(|(node, boot)| InstanceId::new(NodeId(node), boot))
}

prop_compose! {
    /// Signatures are few, so that equivalents are common.
    fn any_record()(
        id in 1..=IDS,
        members in vec(member(), 0..4),
        is_global in any::<bool>(),
        signature in 0..4u64,
        at in boot(),
    ) -> Record {
        let shape = if is_global { global(id, &members) } else { record(id, &members) };
        let instance = if is_global { shape.instance } else { at };
        Record { signature: Signature(signature), instance, ..shape }
    }
}

fn any_row() -> impl Strategy<Value = BlobRow> {
    let size = prop_oneof![20 => Just(8u64), 1 => Just(9)];
    (1..=IDS, size, vec(boot(), 0..3)).prop_map(|(id, size, at)| row(b(id), size, &at))
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Always),
        Just(Condition::IfAbsent),
        object().prop_map(Condition::IfEquals)
    ]
}

fn name() -> impl Strategy<Value = String> {
    (0..5u8).prop_map(|n| format!("n{n}"))
}

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    (0..3u8, 0..3u8).prop_map(|(k, v)| BTreeMap::from([(format!("k{k}"), v.to_string())]))
}

fn command() -> impl Strategy<Value = Command> {
    let persists = (vec(any_record(), 0..4), vec(any_row(), 0..4))
        .prop_map(|(records, blobs)| Command::Persist { records, blobs });
    let deletes = (
        vec(prop_oneof![object(), member()], 0..4),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(ids, force, deep)| Command::Delete { ids, force, deep });
    prop_oneof![
        8 => persists,
        4 => deletes,
        4 => (vec(any_record(), 0..4), vec(any_row(), 0..4), name(), object(), condition()).prop_map(
            |(records, blobs, name, id, condition)| Command::Publish { records, blobs, name, id, condition }
        ),
        3 => (name(), object(), condition())
            .prop_map(|(name, id, condition)| Command::PutName { name, id, condition }),
        1 => name().prop_map(|name| Command::DropName { name }),
        1 => (object(), pairs())
            .prop_map(|(id, attributes)| Command::SetAttributes { id, attributes }),
        1 => (object(), pairs()).prop_map(|(id, labels)| Command::Label { id, labels }),
        1 => boot().prop_map(|id| Command::Register { instance: instance(id) }),
        1 => (boot(), 0..3u128)
            .prop_map(|(id, life)| Command::Boot { instance: instance(id), life, before: vec![life + 1] }),
        1 => (0..5u8).prop_map(|key| Command::FoundBy {
            cluster: "c".to_owned(),
            key: key.into(),
            endpoint: String::new(),
        }),
        1 => (boot(), any::<bool>())
            .prop_map(|(instance, reachable)| Command::Watch { instance, reachable }),
        1 => (0..5u8).prop_map(|key| Command::Admit { key: key.into(), endpoint: String::new() }),
        1 => (0..5u8, 0..4u8).prop_map(|(key, level)| Command::AdmitAt {
            key: key.into(),
            endpoint: String::new(),
            level,
        }),
        1 => (0..5u64).prop_map(|node| Command::Remove { node: NodeId(node) }),
        1 => (0..5u64, 0..3u8).prop_map(|(node, cordon)| Command::Cordon {
            node: NodeId(node),
            cordon: [None, Some(Cordon::Drains), Some(Cordon::Leaves)][usize::from(cordon)],
        }),
        1 => (0..5u64, any::<bool>()).prop_map(|(node, discard)| Command::Leave {
            node: NodeId(node),
            discard,
        }),
        2 => (boot(), 0..4u8).prop_map(|(by, level)| crate::features::announcement(by, level)),
        1 => (name(), boot(), 0..50u64)
            .prop_map(|(name, owner, lease_ms)| Command::AcquireLock { name, owner, lease_ms }),
        1 => (boot(), vec(member(), 0..4))
            .prop_map(|(instance, blobs)| Command::DropLocations { instance, blobs }),
        1 => (name(), 0..60u64).prop_map(|(name, token)| Command::ReleaseLock { name, token }),
    ]
}

fn request() -> impl Strategy<Value = Option<RequestKey>> {
    let some = (boot(), 0..20u64, 0..6u64).prop_map(|(instance, sequence, answered_below)| {
        Some(RequestKey {
            instance,
            sequence,
            answered_below,
        })
    });
    prop_oneof![Just(None), some]
}

type Step = (Option<RequestKey>, Command, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((request(), command(), 0..30u64), 1..60)
}

impl Replica {
    fn step(&mut self, (request, command, passed_ms): &Step) -> (Outcome, Vec<Event>) {
        self.now_unix_ms += passed_ms;
        self.entry(*request, command.clone())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replicas_that_apply_the_same_entries_agree(steps in steps(), cut in 0..60usize) {
        let mut one = Replica::of_three();
        let mut two = one.clone();
        for (n, step) in steps.iter().enumerate() {
            if n == cut {
                two.state = reread(&two.state);
                prop_assert_eq!(one.state.digest(), two.state.digest(), "a snapshot changes nothing");
            }
            prop_assert_eq!(one.step(step), two.step(step));
            prop_assert_eq!(one.state.digest(), two.state.digest());
        }
    }

    #[test]
    fn a_publish_does_what_a_persist_and_then_a_name_do(
        steps in steps(),
        records in vec(any_record(), 0..4),
        blobs in vec(any_row(), 0..4),
        name in name(),
        id in object(),
        condition in condition(),
    ) {
        let mut one = Replica::of_three();
        for step in &steps {
            let _ = one.step(step);
        }
        // The entry before counts for the second one, so that both replicas are at the same index.
        let mut two = one.clone();
        one.state.advance(one.state.applied() + 1);
        let untouched = one.state.clone();
        let persist = Command::Persist { records: records.clone(), blobs: blobs.clone() };
        let (persisted, mut events) = two.run(persist);
        let (named, more) = two.run(Command::PutName { name: name.clone(), id, condition });
        events.extend(more);
        let (published, caused) = one.run(Command::Publish { records, blobs, name, id, condition });
        prop_assert_eq!(&published, &persisted.and(named));
        if published.is_ok() {
            prop_assert_eq!(one.state.digest(), two.state.digest());
            prop_assert_eq!(caused, events);
        } else {
            let mut untouched = untouched;
            untouched.advance(one.state.applied());
            prop_assert_eq!(one.state.digest(), untouched.digest());
            prop_assert_eq!(caused, vec![]);
        }
    }

    #[test]
    fn an_entry_survives_the_codec(request in request(), command in command(), at in any::<u64>()) {
        let entry = Entry { version: VERSION, request, at_unix_ms: at, command };
        let bytes = vineyard_wire::peer::encode(&entry);
        prop_assert_eq!(vineyard_wire::peer::decode::<Entry>(&bytes), Ok(entry));
    }

    #[test]
    fn a_refused_command_changes_nothing(steps in steps()) {
        let mut replica = Replica::of_three();
        for (_, command, passed_ms) in &steps {
            let mut before = replica.clone();
            let (outcome, events) = replica.step(&(None, command.clone(), *passed_ms));
            // Leases that ended go with the next acquisition, also with one that is refused.
            if outcome.is_err() && !matches!(command, Command::AcquireLock { .. }) {
                before.state.advance(replica.state.applied());
                prop_assert_eq!(before.state.digest(), replica.state.digest());
                prop_assert_eq!(events, vec![]);
            }
        }
    }

    #[test]
    fn a_second_application_of_a_request_changes_only_the_index(steps in steps()) {
        let mut replica = Replica::of_three();
        for (n, (_, command, passed_ms)) in steps.iter().enumerate() {
            let request = Some(key(i(0), n as u64, n as u64));
            let (first, _) = replica.step(&(request, command.clone(), *passed_ms));
            let mut after = replica.state.clone();
            let (again, events) = replica.step(&(request, command.clone(), 0));
            after.advance(replica.state.applied());
            // A replaced writer has no window; of its requests only the register that replaced it is heard.
            if !replica.state.instances.is_replaced(i(0)) {
                prop_assert_eq!(first, again);
                prop_assert_eq!(events, vec![]);
            }
            prop_assert_eq!(after.digest(), replica.state.digest());
        }
    }

    #[test]
    fn what_events_tell_is_what_happened(steps in steps()) {
        let mut replica = Replica::of_three();
        let mut objects = std::collections::BTreeSet::new();
        let mut names = BTreeMap::new();
        for step in &steps {
            for event in replica.step(step).1 {
                match event {
                    Event::Persisted(ids) => objects.extend(ids),
                    Event::ObjectsDeleted(ids) => ids.iter().for_each(|id| assert!(objects.remove(id))),
                    Event::NameSet { name, id } => { names.insert(name, id); }
                    Event::NameDropped { name } => assert!(names.remove(&name).is_some()),
                    Event::BlobsReleased(ids) => {
                        for id in ids {
                            prop_assert_eq!(replica.state.parents(id).count(), 0);
                            prop_assert_eq!(replica.state.blob(id), None);
                        }
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(objects.iter().copied().collect::<Vec<_>>(), replica.ids());
            let told: Vec<_> = names.iter().map(|(name, &id)| (name.as_str(), id)).collect();
            prop_assert_eq!(told, replica.state.names().collect::<Vec<_>>());
        }
    }

    #[test]
    fn deleting_everything_leaves_no_row(steps in steps()) {
        let mut replica = Replica::of_three();
        for step in &steps {
            let _ = replica.step(step);
        }
        let all = replica.ids();
        replica.delete(&all, false, true);
        prop_assert_eq!(replica.ids(), vec![]);
        prop_assert_eq!(replica.state.blobs().count(), 0);
        prop_assert_eq!(replica.state.names().count(), 0);
        let space = replica.state.root();
        prop_assert_eq!(&space.objects, &crate::state::objects::Objects::default());
        prop_assert_eq!(&space.names, &crate::state::names::Names::default());
    }
}
