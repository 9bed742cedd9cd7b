use super::*;
use crate::command::Refusal;

fn boot(node: u64, boot: u64) -> InstanceId {
    InstanceId::new(NodeId(node), boot)
}

fn liveness(replica: &Replica, id: InstanceId) -> Option<Liveness> {
    replica.state.instance(id).map(|instance| instance.liveness)
}

pub(super) fn with_blob(locations: &[InstanceId]) -> Replica {
    let mut replica = Replica::of_three();
    let blobs = vec![row(b(1), 8, locations)];
    replica.done(Command::Persist {
        records: vec![record(1, &[b(1)])],
        blobs,
    });
    replica
}

#[test]
fn a_cluster_is_founded_once() {
    let mut replica = Replica::of_three();
    replica.done(Command::Found {
        cluster: "c".to_owned(),
    });
    let (outcome, _) = replica.run(Command::Found {
        cluster: "d".to_owned(),
    });
    assert_eq!(
        outcome,
        Err(Refusal::Founded {
            cluster: "c".to_owned()
        })
    );
    assert_eq!(replica.state.cluster(), Some("c"));
}

#[test]
fn nobody_is_admitted_before_the_founding() {
    let mut state = State::default();
    let command = Command::Admit {
        key: 1,
        endpoint: String::new(),
    };
    let entry = Entry {
        version: VERSION,
        request: None,
        at_unix_ms: 0,
        command,
    };
    assert_eq!(
        state.apply(1, &entry, &NoFaults).0,
        Err(Refusal::NotFounded)
    );
}

fn found_by(cluster: &str, key: u128) -> Command {
    Command::FoundBy {
        cluster: cluster.to_owned(),
        key,
        endpoint: "a:1".to_owned(),
    }
}

#[test]
fn the_founder_is_admitted_with_the_founding() {
    let mut replica = Replica {
        state: State::default(),
        now_unix_ms: 0,
    };
    let first = Ok(Applied::Admitted {
        node: NodeId(0),
        cluster: "c".to_owned(),
    });
    for _ in 0..2 {
        assert_eq!(replica.run(found_by("c", 7)).0, first);
    }
    let founded = Refusal::Founded {
        cluster: "c".to_owned(),
    };
    assert_eq!(replica.run(found_by("d", 7)).0, Err(founded));
    let taken = Refusal::NodeTaken { node: NodeId(0) };
    assert_eq!(replica.run(found_by("c", 8)).0, Err(taken));
    assert_eq!(replica.state.nodes().count(), 1);
}

#[test]
fn a_founding_that_an_earlier_build_began_is_ended() {
    let mut replica = Replica {
        state: State::default(),
        now_unix_ms: 0,
    };
    replica.done(Command::Found {
        cluster: "c".to_owned(),
    });
    assert!(replica.run(found_by("c", 7)).0.is_ok());
    assert_eq!(
        replica.state.node_of_key(7).map(|node| node.id),
        Some(NodeId(0))
    );
}

#[test]
fn one_process_registers_a_boot_and_no_other() {
    let mut replica = Replica::of_three();
    let boots = |id, life| Command::Boot {
        instance: instance(id),
        life,
        before: vec![life - 2],
    };
    let seen = |instance| Err(Refusal::BootSeen { instance });
    assert_eq!(
        replica.run(boots(i(1), 10)).0,
        seen(i(1)),
        "registered by an earlier build"
    );
    replica.done(boots(boot(1, 1), 10));
    replica.done(boots(boot(1, 1), 10));
    assert_eq!(replica.run(boots(boot(1, 1), 11)).0, seen(boot(1, 1)));
    replica.done(boots(boot(1, 2), 12));
    for life in [10, 12] {
        let instance = boot(1, 1);
        let stale = Err(Refusal::Stale { instance });
        assert_eq!(replica.run(boots(instance, life)).0, stale);
    }
    assert_eq!(replica.run(boots(boot(1, 2), 10)).0, seen(boot(1, 2)));
    let is_outlived = |boot_number, life, before: &[u128]| {
        let instance = boot(1, boot_number);
        replica.state.is_outlived(instance, life, before)
    };
    assert!(is_outlived(1, 10, &[]) && is_outlived(2, 10, &[12]));
    assert!(!is_outlived(2, 12, &[]));
    assert!(!is_outlived(3, 14, &[12, 13]));
}

#[test]
fn a_disk_that_does_not_remember_the_last_life_is_refused_whatever_its_boot() {
    let mut replica = Replica::of_three();
    let boots = |id, life, before: &[u128]| Command::Boot {
        instance: instance(id),
        life,
        before: before.to_vec(),
    };
    replica.done(boots(boot(1, 1), 10, &[]));
    replica.done(boots(boot(1, 2), 11, &[10]));
    // A state from between the two, started alone so often that its boot is higher than any the cluster has seen.
    let copy = boot(1, 9);
    let seen = Err(Refusal::BootSeen { instance: copy });
    assert_eq!(replica.run(boots(copy, 20, &[10, 18, 19])).0, seen);
    // The node itself, whose last lives did not hear that they were registered.
    replica.done(boots(boot(1, 5), 14, &[10, 11, 12, 13]));
}

#[test]
fn a_data_directory_gets_the_same_node_id_each_time_it_asks() {
    let mut replica = Replica::of_three();
    let admit = |key, endpoint: &str| Command::Admit {
        key,
        endpoint: endpoint.to_owned(),
    };
    let admitted = |node| {
        Ok(Applied::Admitted {
            node: NodeId(node),
            cluster: "c".to_owned(),
        })
    };
    assert_eq!(replica.run(admit(7, "a:1")).0, admitted(3));
    assert_eq!(replica.run(admit(101, "a:2")).0, admitted(1));
    assert_eq!(replica.run(admit(7, "a:3")).0, admitted(3));
    assert_eq!(replica.state.nodes().count(), 4);
    assert_eq!(
        replica
            .state
            .node_of_key(7)
            .map(|node| node.endpoint.as_str()),
        Some("a:3")
    );
}

#[test]
fn the_node_ids_end_at_65536() {
    let mut replica = Replica::of_three();
    for key in 1_000..1_000 + (1 << 16) - 3 {
        let command = Command::Admit {
            key,
            endpoint: String::new(),
        };
        let entry = Entry {
            version: VERSION,
            request: None,
            at_unix_ms: 0,
            command,
        };
        assert!(
            replica
                .state
                .apply(replica.state.applied() + 1, &entry, &NoFaults)
                .0
                .is_ok()
        );
    }
    let command = Command::Admit {
        key: 1,
        endpoint: String::new(),
    };
    assert_eq!(replica.run(command).0, Err(Refusal::NodesExhausted));
    assert_eq!(replica.state.nodes().count(), 1 << 16);
}

#[test]
fn only_an_admitted_node_registers() {
    let mut replica = Replica::of_three();
    let (outcome, _) = replica.run(Command::Register {
        instance: instance(i(9)),
    });
    assert_eq!(outcome, Err(Refusal::NoNode { node: NodeId(9) }));
}

#[test]
fn a_boot_replaces_the_earlier_ones_of_its_node() {
    let mut replica = Replica::of_three();
    let events = replica.register(boot(1, 4));
    let changed = [
        Event::InstanceChanged(boot(1, 4)),
        Event::InstanceChanged(i(1)),
    ];
    assert_eq!(events, changed);
    assert_eq!(liveness(&replica, i(1)), Some(Liveness::Gone));
    assert_eq!(liveness(&replica, i(0)), Some(Liveness::Up));
    let current = replica
        .state
        .current_instance_of(NodeId(1))
        .map(|instance| instance.id);
    assert_eq!(current, Some(boot(1, 4)));
    for stale in [i(1), boot(1, 3)] {
        let (outcome, _) = replica.run(Command::Register {
            instance: instance(stale),
        });
        assert_eq!(outcome, Err(Refusal::Stale { instance: stale }));
        let watch = Command::Watch {
            instance: i(1),
            reachable: true,
        };
        assert_eq!(replica.run(watch).0, Err(Refusal::Stale { instance: i(1) }));
    }
}

#[test]
fn blobs_only_a_replaced_instance_held_are_lost_and_say_with_whom() {
    let mut replica = with_blob(&[i(1)]);
    let events = replica.register(boot(1, 1));
    assert!(events.contains(&Event::BlobsLost {
        instance: i(1),
        blobs: vec![b(1)]
    }));
    let lost = replica.state.blob(b(1)).expect("its object is there");
    assert_eq!((lost.lost, lost.locations.len()), (Lost::Ended(i(1)), 0));
    assert_eq!(
        replica.delete(&[o(1)], false, false),
        (vec![o(1)], vec![b(1)])
    );
}

#[test]
fn a_blob_with_another_holder_is_not_lost() {
    let mut replica = with_blob(&[i(0), i(1)]);
    replica.register(boot(1, 1));
    let row = replica.state.blob(b(1)).expect("persisted");
    assert_eq!((row.lost, row.locations.clone()), (Lost::No, [i(0)].into()));
}

#[test]
fn a_lost_blob_is_found_again_with_a_new_live_holder() {
    let mut replica = with_blob(&[i(1)]);
    replica.register(boot(1, 1));
    replica.done(Command::Persist {
        records: vec![],
        blobs: vec![row(b(1), 8, &[i(1)])],
    });
    assert_eq!(
        replica.state.blob(b(1)).map(|row| row.lost),
        Some(Lost::Ended(i(1))),
        "still gone"
    );
    replica.done(Command::Persist {
        records: vec![],
        blobs: vec![row(b(1), 8, &[i(2)])],
    });
    let row = replica.state.blob(b(1)).expect("persisted");
    assert_eq!((row.lost, row.locations.clone()), (Lost::No, [i(2)].into()));
}

#[test]
fn a_blob_persisted_on_an_instance_that_is_gone_is_lost_at_once() {
    let mut replica = Replica::of_three();
    replica.register(boot(1, 1));
    let blobs = vec![row(b(1), 8, &[i(1)])];
    replica.done(Command::Persist {
        records: vec![record(1, &[b(1)])],
        blobs,
    });
    assert_eq!(
        replica.state.blob(b(1)).map(|row| row.lost),
        Some(Lost::Ended(i(1)))
    );
}

#[test]
fn an_instance_that_was_unreachable_comes_back_with_all_it_had() {
    let mut replica = with_blob(&[i(1)]);
    let watch = |reachable| Command::Watch {
        instance: i(1),
        reachable,
    };
    assert_eq!(replica.done(watch(false)), [Event::InstanceChanged(i(1))]);
    assert_eq!(replica.done(watch(false)), [], "no news");
    assert_eq!(liveness(&replica, i(1)), Some(Liveness::Unreachable));
    replica.register(i(1));
    assert_eq!(liveness(&replica, i(1)), Some(Liveness::Up));
    replica.done(watch(false));
    replica.done(watch(true));
    assert_eq!(liveness(&replica, i(1)), Some(Liveness::Up));
    assert_eq!(
        replica.state.blob(b(1)).map(|row| row.locations.clone()),
        Some([i(1)].into())
    );
}

#[test]
fn an_instance_that_was_stopped_is_so_until_its_node_boots_again() {
    let mut replica = with_blob(&[i(1)]);
    let stopped = Command::Stopped { instance: i(1) };
    let news = [Event::InstanceChanged(i(1))];
    assert_eq!(replica.done(stopped.clone()), news);
    assert_eq!(replica.done(stopped.clone()), [], "no news");
    for reachable in [true, false] {
        let instance = i(1);
        replica.done(Command::Watch {
            instance,
            reachable,
        });
        assert_eq!(liveness(&replica, i(1)), Some(Liveness::Stopped));
    }
    replica.register(boot(1, 1));
    assert_eq!(liveness(&replica, i(1)), Some(Liveness::Gone));
    assert_eq!(liveness(&replica, boot(1, 1)), Some(Liveness::Up));
    let (late, _) = replica.run(stopped);
    assert_eq!(late, Err(Refusal::Stale { instance: i(1) }));
}

#[test]
fn registering_again_keeps_the_time_of_the_first_registration() {
    let mut replica = Replica::of_three();
    let again = Instance {
        since_unix_ms: 99,
        hostname: "new".to_owned(),
        ..instance(i(1))
    };
    replica.done(Command::Register { instance: again });
    let row = replica.state.instance(i(1)).expect("registered");
    assert_eq!((row.since_unix_ms, row.hostname.as_str()), (0, "new"));
}

#[test]
fn a_node_that_was_removed_never_comes_back() {
    let mut replica = with_blob(&[i(2)]);
    let node = NodeId(2);
    assert_eq!(replica.state.objects_only_on(node), 1);
    assert_eq!(replica.state.objects_only_on(NodeId(1)), 0);
    let events = replica.done(Command::Remove { node });
    let lost = Event::BlobsLost {
        instance: i(2),
        blobs: vec![b(1)],
    };
    assert!(events.contains(&lost), "{events:?}");
    assert_eq!(liveness(&replica, i(2)), Some(Liveness::Gone));
    let members: Vec<NodeId> = replica.state.nodes().map(|node| node.id).collect();
    assert_eq!(members, [NodeId(0), NodeId(1)]);
    assert_eq!(replica.state.objects_only_on(node), 0, "they are lost now");
    let removed = Err(Refusal::Removed { node });
    let endpoint = String::new;
    for command in [
        Command::Register {
            instance: instance(boot(2, 1)),
        },
        Command::Boot {
            instance: instance(boot(2, 1)),
            life: 1,
            before: Vec::new(),
        },
        Command::Admit {
            key: 102,
            endpoint: endpoint(),
        },
        Command::AdmitAt {
            key: 102,
            endpoint: endpoint(),
            level: 9,
        },
    ] {
        assert_eq!(replica.run(command.clone()).0, removed, "{command:?}");
    }
    let write = replica.entry(Some(key(i(2), 0, 0)), persist(&[record(2, &[])]));
    assert_eq!(write.0, Err(Refusal::Stale { instance: i(2) }));
    assert_eq!(replica.done(Command::Remove { node }), []);
    let (unknown, _) = replica.run(Command::Remove { node: NodeId(7) });
    assert_eq!(unknown, Err(Refusal::NoNode { node: NodeId(7) }));
    let (admitted, _) = replica.run(Command::Admit {
        key: 200,
        endpoint: endpoint(),
    });
    let fresh = matches!(
        admitted,
        Ok(Applied::Admitted {
            node: NodeId(3),
            ..
        })
    );
    assert!(fresh, "an id is never given again: {admitted:?}");
}

#[test]
fn an_object_with_a_copy_elsewhere_loses_nothing() {
    let mut replica = with_blob(&[i(2)]);
    let copy = Record {
        signature: record(1, &[]).signature,
        instance: i(1),
        ..record(2, &[b(2)])
    };
    replica.done(Command::Persist {
        records: vec![copy],
        blobs: vec![row(b(2), 8, &[i(1)])],
    });
    assert_eq!(replica.state.objects_only_on(NodeId(2)), 0);
    assert_eq!(replica.state.objects_only_on(NodeId(1)), 0);
    replica.done(Command::Remove { node: NodeId(2) });
    assert_eq!(
        replica.state.objects_only_on(NodeId(1)),
        1,
        "the other copy has no bytes any more"
    );
}
