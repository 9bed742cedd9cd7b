//! Nodes that form a cluster, without disks and networks: what each does about what the others say.

use super::*;

const KEYS: [u128; 3] = [7 << 96, 8 << 96, 9 << 96];

fn candidate(key: u128) -> Candidate {
    Candidate {
        key,
        endpoint: at(key),
    }
}

fn at(key: u128) -> String {
    format!("n{}:9600", key >> 96)
}

fn address(named: &str, dialled: &str) -> Address {
    let (named, dialled) = (named.to_owned(), dialled.to_owned());
    Address { named, dialled }
}

fn of(key: u128) -> Address {
    address(&at(key), &at(key))
}

fn node(key: u128, agreed: &[u128]) -> Formation {
    let agreed = agreed.iter().copied().map(candidate).collect();
    Formation::new(candidate(key), 1, 3, agreed)
}

/// What a node says of itself.
fn says(node: &Formation) -> (Address, Seen) {
    (of(node.me.key), Seen::Fresh(node.fresh()))
}

fn silent(key: u128) -> (Address, Seen) {
    (of(key), Seen::Silent("no route".to_owned()))
}

fn reason(step: Step) -> String {
    match step {
        Step::Wait(reason) => reason,
        step => panic!("{step:?}"),
    }
}

/// Three new nodes, each of which has seen all three.
fn gathered() -> [Formation; 3] {
    let mut nodes = KEYS.map(|key| node(key, &[]));
    let seen: Vec<_> = nodes.iter().map(says).collect();
    for node in &mut nodes {
        node.round(seen.clone());
    }
    nodes
}

#[test]
fn the_lowest_founds_once_all_have_agreed() {
    let mut nodes = gathered();
    let all = |nodes: &[Formation]| nodes.iter().map(says).collect::<Vec<_>>();
    let seen = all(&nodes);
    let Step::Agree(set) = nodes[0].round(seen) else {
        panic!("it has not agreed yet")
    };
    assert_eq!(keys(&set), KEYS);
    nodes[0].agreed(set.clone());
    let seen = all(&nodes);
    let proposed = nodes[0].round(seen);
    let to = vec![of(KEYS[1]), of(KEYS[2])];
    assert_eq!(
        proposed,
        Step::Propose {
            set: set.clone(),
            to
        }
    );
    nodes[2].may_agree(&set).unwrap();
    nodes[2].agreed(set.clone());
    let seen = all(&nodes);
    let to = vec![of(KEYS[1])];
    assert_eq!(
        nodes[0].round(seen),
        Step::Propose {
            set: set.clone(),
            to
        }
    );
    nodes[1].agreed(set);
    let seen = all(&nodes);
    let waits = reason(nodes[1].round(seen.clone()));
    assert!(
        waits.contains(&format!("{} to found", at(KEYS[0]))),
        "{waits}"
    );
    assert_eq!(nodes[0].round(seen), Step::Found);
}

#[test]
fn a_node_that_does_not_answer_is_awaited_by_its_address() {
    let [mut one, other, _] = gathered();
    let said = reason(one.round(vec![says(&other), silent(KEYS[0]), silent(KEYS[2])]));
    assert_eq!(
        said,
        "waiting for 1 of 3: n9:9600 does not answer: no route"
    );
    // A fourth address might be a member's.
    let seen = KEYS.map(|key| says(&node(key, &[])));
    let seen = seen.into_iter().chain([silent(5 << 96)]).collect();
    let said = reason(one.round(seen));
    assert!(said.contains("n5:9600 does not answer"), "{said}");
}

#[test]
fn nobody_proposes_before_all_see_the_same() {
    let [mut one, other, mut third] = gathered();
    third.sees = KEYS[1..].to_vec();
    let own = says(&one);
    let said = reason(one.round(vec![own.clone(), says(&other), says(&third)]));
    assert_eq!(said, "waiting until n9:9600 sees all 3");
    let mut fourth = node(5 << 96, &[]);
    let said = reason(fourth.round(vec![own.clone(), says(&other), says(&third)]));
    assert!(
        said.contains("no address of --join is this node's"),
        "{said}"
    );
    let said = reason(one.round(vec![own, says(&other), says(&third), says(&fourth)]));
    assert!(
        said.contains("4 new nodes") && said.contains("--expect is 3"),
        "{said}"
    );
}

#[test]
fn others_that_were_told_otherwise_are_named() {
    let [mut one, other, _] = gathered();
    let fifth = Formation::new(candidate(KEYS[2]), 1, 5, Vec::new());
    let own = says(&one);
    let said = reason(one.round(vec![own, says(&other), says(&fifth)]));
    assert!(
        said.contains("n9:9600 was started with --expect 5"),
        "{said}"
    );
}

#[test]
fn a_member_ends_the_formation_whatever_was_agreed() {
    for agreed in [&[][..], &KEYS] {
        let mut nodes = KEYS.map(|key| node(key, agreed));
        let mut seen: Vec<_> = nodes.iter().map(says).collect();
        seen.push((address("m:1", "m:1"), Seen::Member("is busy".to_owned())));
        assert_eq!(nodes[0].round(seen), Step::Wait("m:1 is busy".to_owned()));
    }
}

#[test]
fn a_set_that_was_agreed_to_is_the_only_one() {
    let mut nodes = KEYS.map(|key| node(key, &KEYS));
    let set: Vec<_> = [6 << 96, KEYS[1], KEYS[2]].map(candidate).to_vec();
    let refused = nodes[1].may_agree(&set).unwrap_err();
    assert!(refused.contains("key 00000007 (n7:9600)"), "{refused}");
    nodes[1].may_agree(&nodes[0].agreed).unwrap();
    // The lowest has lost its directory: the others say whom they await, and so does the new one.
    let mut new = node(6 << 96, &[]);
    let own = says(&new);
    let [_, second, third] = &mut nodes;
    let seen = vec![own.clone(), says(second), says(third)];
    for node in [second, &mut new] {
        let said = reason(node.round(seen.clone()));
        let names = ["key 00000007 (n7:9600)", "empty the data directories"];
        assert!(names.iter().all(|name| said.contains(name)), "{said}");
    }
    // It only does not answer: nothing is to be emptied.
    let [_, second, third] = &mut nodes;
    let seen = vec![silent(KEYS[0]), says(second), says(third)];
    let said = reason(second.round(seen));
    assert!(said.contains("start it with its data directory"), "{said}");
}

#[test]
fn a_proposer_that_returns_goes_on_with_its_set() {
    let agreed = node(KEYS[1], &KEYS);
    let late = node(KEYS[2], &[]);
    let mut proposer = node(KEYS[0], &KEYS);
    // What else answers, or not, is of no matter any more.
    let stray = silent(3 << 96);
    let own = says(&proposer);
    let step = proposer.round(vec![own, stray, says(&agreed), says(&late)]);
    let Step::Propose { set, to } = step else {
        panic!("{step:?}")
    };
    assert_eq!((keys(&set), to), (KEYS.to_vec(), vec![of(KEYS[2])]));
    // Another number expected today changes nothing.
    let five = Formation::new(candidate(KEYS[0]), 1, 5, set);
    assert_eq!(five.expect, 3);
}

#[test]
fn a_set_of_another_size_or_without_this_node_or_in_disorder_is_refused() {
    let one = node(KEYS[0], &[]);
    for set in [
        &KEYS[..2],
        &[5, 6, 7],
        &[KEYS[1], KEYS[0], KEYS[2]],
        &[KEYS[0]; 3],
    ] {
        let set: Vec<_> = set.iter().copied().map(candidate).collect();
        assert!(one.may_agree(&set).is_err(), "{set:?}");
    }
}

#[test]
fn addresses_of_one_name_are_nodes_of_their_own() {
    let nodes = KEYS.map(|key| node(key, &KEYS));
    let mut first = node(KEYS[0], &KEYS);
    let of = |key: u128| address("all:9600", &at(key));
    let mut seen: Vec<_> = nodes
        .iter()
        .map(|node| (of(node.me.key), says(node).1))
        .collect();
    seen[2].1 = Seen::Fresh(node(KEYS[2], &[]).fresh());
    // Its own machine does not let it reach itself.
    seen[0].1 = Seen::Closed;
    let Step::Propose { to, .. } = first.round(seen.clone()) else {
        panic!("one has not agreed yet")
    };
    assert_eq!(to, [of(KEYS[2])]);
    assert_eq!(to[0].to_string(), "all:9600 (n9:9600)");
    seen[2].1 = Seen::Fresh(nodes[2].fresh());
    assert_eq!(first.round(seen), Step::Found);
}

#[test]
fn a_closed_address_of_a_name_that_answers_elsewhere_does_not_count() {
    let [mut one, other, third] = gathered();
    let closed = |name: &str| (address(name, "[fd00::9]:9600"), Seen::Closed);
    let seen = |name: &str| vec![says(&one), says(&other), says(&third), closed(name)];
    let (of_another, of_third) = (seen("n5:9600"), seen(&at(KEYS[2])));
    let said = reason(one.round(of_another));
    assert!(
        said.contains("n5:9600 ([fd00::9]:9600) does not answer: refused the connection"),
        "{said}"
    );
    assert!(matches!(one.round(of_third), Step::Agree(_)));
    // What does not answer at all may be a member.
    let mut seen = KEYS.map(|key| says(&node(key, &[]))).to_vec();
    let unknown = Seen::Silent("no route".to_owned());
    seen.push((address(&at(KEYS[2]), "[fd00::9]:9600"), unknown));
    let said = reason(one.round(seen));
    assert!(said.contains("no route"), "{said}");
}

#[test]
fn a_copy_of_a_directory_founds_nothing() {
    let nodes = KEYS.map(|key| node(key, &KEYS));
    let seen: Vec<_> = nodes.iter().map(says).collect();
    let set = nodes[0].agreed.clone();
    let mut copy = Formation::new(candidate(KEYS[0]), 2, 3, set);
    let said = reason(copy.round(seen.clone()));
    assert!(
        said.contains("n7:9600 and this node have the same key 00000007"),
        "{said}"
    );
    // Nor while the other is away, unless it has the other's address.
    copy.me.endpoint = "n6:9600".to_owned();
    let said = reason(copy.round([vec![silent(KEYS[0])], seen[1..].to_vec()].concat()));
    assert!(
        said.contains("no address of --join is this node's"),
        "{said}"
    );
    // Those that see both say so.
    let mut first = node(KEYS[1], &[]);
    let said = [seen, vec![(of(6 << 96), says(&copy).1)]].concat();
    let said = reason(first.round(said));
    assert!(
        said.contains("n7:9600 and n6:9600 have the same key 00000007"),
        "{said}"
    );
}

#[test]
fn one_node_that_is_expected_alone_founds_at_once() {
    let mut one = Formation::new(candidate(KEYS[0]), 1, 1, Vec::new());
    let seen = |one: &Formation| vec![says(one)];
    let said = seen(&one);
    let Step::Agree(set) = one.round(said) else {
        panic!("it is all that is expected")
    };
    one.agreed(set);
    let said = seen(&one);
    assert_eq!(one.round(said), Step::Found);
}

/// Five machines share three names, answers are lost, and processes end: never do two of them found.
#[test]
fn no_two_found_whatever_order_things_happen_in() {
    let keys: Vec<u128> = (1..=5).map(|n| n << 96).collect();
    for seed in 0..2_000u64 {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance % below
        };
        // What each disk says, and which nodes have founded.
        let mut disks: Vec<Vec<Candidate>> = vec![Vec::new(); 5];
        let mut founders = 0;
        let mut nodes: Vec<Formation> = keys.iter().map(|key| node(*key, &[])).collect();
        for _ in 0..60 {
            // Any three of them answer at the names.
            let first = draw(5) as usize;
            let named: Vec<usize> = (0..3).map(|next| (first + next) % 5).collect();
            let me = named[draw(3) as usize];
            let seen = named.iter().map(|other| match draw(5) {
                0 => silent(keys[*other]),
                _ => says(&nodes[*other]),
            });
            let seen = seen.collect();
            match nodes[me].round(seen) {
                Step::Wait(_) => {}
                Step::Agree(set) => {
                    disks[me].clone_from(&set);
                    nodes[me].agreed(set);
                }
                Step::Propose { set, .. } => {
                    let to = named[draw(3) as usize];
                    if nodes[to].may_agree(&set).is_ok() {
                        disks[to].clone_from(&set);
                        nodes[to].agreed(set);
                    }
                }
                Step::Found => {
                    founders |= 1 << me;
                }
            }
            if draw(4) == 0 {
                let again = draw(5) as usize;
                nodes[again] = Formation::new(candidate(keys[again]), 1, 3, disks[again].clone());
            }
        }
        assert!(u32::count_ones(founders) <= 1, "seed {seed}: {founders:b}");
    }
}
