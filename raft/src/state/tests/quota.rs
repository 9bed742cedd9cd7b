//! The bound of the metadata: refused alike everywhere, and given back by deletes.

use super::setting::configure;
use super::*;
use crate::command::Refusal;
use crate::features;
use crate::state::{Settings, cost};

const QUOTA: u64 = 64 << 10;

/// A cluster whose nodes all know the quota, which is small.
fn small() -> Replica {
    let mut replica = Replica::of_three();
    for node in 0..3 {
        let said = replica.run(features::announcement(i(node), features::SETTINGS));
        assert!(said.0.is_ok());
    }
    let settings = Settings {
        metadata_quota_bytes: Some(QUOTA),
        ..Settings::default()
    };
    replica.done(configure(settings, false));
    replica
}

fn large(id: u64) -> Record {
    let text = "x".repeat(QUOTA as usize / 8);
    let attributes = BTreeMap::from([("text".to_owned(), text)]);
    Record {
        attributes,
        ..record(id, &[])
    }
}

/// Fills it, and returns the ids.
fn fill(replica: &mut Replica) -> Vec<ObjectId> {
    for id in 1.. {
        let digest = replica.state.digest();
        let used = replica.state.metadata_bytes();
        match replica.run(persist(&[large(id)])) {
            (Ok(_), events) => assert!(!events.is_empty()),
            (Err(refusal), events) => {
                let full = Refusal::MetadataFull {
                    wanted: cost::of_record(&large(id)),
                    used,
                    quota: QUOTA,
                };
                assert_eq!((refusal, events), (full, Vec::new()));
                assert_ne!(replica.state.digest(), digest, "the index has moved");
                assert_eq!(replica.state.metadata_bytes(), used);
                break;
            }
        }
    }
    replica.ids()
}

#[test]
fn what_does_not_fit_is_refused_whole_and_fits_after_a_delete() {
    let mut replica = small();
    let ids = fill(&mut replica);
    assert_eq!(ids.len(), 7);
    let text = large(1).attributes["text"].clone();
    let pairs = || BTreeMap::from([("more".to_owned(), text.clone())]);
    let (id, name) = (ids[0], text.clone());
    let grows = [
        Command::SetAttributes {
            id,
            attributes: pairs(),
        },
        Command::Label {
            id,
            labels: pairs(),
        },
        put_name(&name, id, Condition::Always),
        Command::AcquireLock {
            name,
            owner: i(0),
            lease_ms: 1,
        },
        Command::Publish {
            records: vec![large(100)],
            blobs: Vec::new(),
            name: "n".to_owned(),
            id: o(100),
            condition: Condition::Always,
        },
    ];
    for command in grows.clone() {
        let refused = replica.run(command).0;
        let is_full = matches!(refused, Err(Refusal::MetadataFull { .. }));
        assert!(is_full, "{refused:?}");
    }
    assert_eq!(replica.delete(&ids[..2], false, false).0, ids[..2]);
    replica.done(persist(&[large(100)]));
    for id in &ids[2..] {
        replica.delete(&[*id], false, false);
    }
    for command in grows {
        let command = match command {
            Command::SetAttributes { attributes, .. } => Command::SetAttributes {
                id: o(100),
                attributes,
            },
            Command::Label { labels, .. } => Command::Label { id: o(100), labels },
            Command::PutName { name, .. } => put_name(&name, o(100), Condition::Always),
            other => other,
        };
        assert!(replica.run(command).0.is_ok());
    }
}

#[test]
fn what_frees_and_what_replaces_is_never_refused() {
    let mut replica = small();
    let id = fill(&mut replica)[0];
    let settings = Settings {
        metadata_quota_bytes: Some(1),
        ..Settings::default()
    };
    replica.done(put_name("name", id, Condition::Always));
    replica.done(configure(settings, false));
    replica.done(put_name("name", o(2), Condition::Always));
    replica.register(InstanceId::new(NodeId(1), 1));
    replica.done(Command::DropName {
        name: "name".to_owned(),
    });
    replica.done(Command::Remove { node: NodeId(2) });
    let again = persist(&[large(1)]);
    assert_eq!(replica.done(again), [], "it is there already");
    assert_eq!(replica.delete(&[id], false, false).0, [id]);
}

#[test]
fn a_retry_of_what_was_refused_is_refused_alike_although_there_is_room() {
    let mut replica = small();
    let ids = fill(&mut replica);
    let request = Some(key(i(0), 7, 0));
    let refused = replica.entry(request, persist(&[large(50)])).0;
    assert!(refused.is_err());
    replica.delete(&ids, false, false);
    assert_eq!(replica.entry(request, persist(&[large(50)])).0, refused);
}

#[test]
fn while_a_member_does_not_know_the_quota_nothing_is_refused() {
    let mut replica = small();
    fill(&mut replica);
    // A build of before registers without a word.
    replica.register(InstanceId::new(NodeId(1), 1));
    replica.done(persist(&[large(50)]));
    assert!(replica.state.metadata_bytes() > QUOTA);
}

#[test]
fn what_each_row_counts_for_never_changes() {
    let mut replica = Replica::of_three();
    let mut one = record(1, &[b(1), b(2)]);
    one.labels = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
    replica.done(Command::Persist {
        records: vec![one],
        blobs: vec![row(b(1), 8, &[i(0), i(1)]), row(b(2), 8, &[i(0)])],
    });
    replica.done(put_name("name", o(1), Condition::Always));
    let record = 256 + 15 + (64 + 6 + 1) + (64 + 3 + 5) + 2 * (160 + 2);
    let blobs = 2 * 128 + 3 * 64;
    assert_eq!(replica.state.metadata_bytes(), record + blobs + 160 + 4);
}
