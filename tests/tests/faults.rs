//! No injected fault can be asked of the product: the name of none is in its binaries. The simulator's has them all.

use std::collections::BTreeSet;
use std::path::Path;

use regex::bytes::Regex;
use vineyard_sim::injected::InjectedFault;
use vineyard_tests::binaries::binary;

/// The names of faults that stand in the file, as the simulator spells them or as a Rust type would.
fn named_in(file: &Path) -> Vec<&'static str> {
    let bytes = std::fs::read(file).unwrap();
    let has = |fault: &InjectedFault| {
        let words = fault.name().split('_').collect::<Vec<_>>();
        let any_case = format!("(?-u)(?i){}", words.join("_?"));
        Regex::new(&any_case).unwrap().is_match(&bytes)
    };
    let found = InjectedFault::all().filter(has);
    found.map(InjectedFault::name).collect()
}

#[test]
fn no_fault_has_its_name_in_a_binary_of_the_product() {
    let none: [&str; 0] = [];
    for product in ["vineyardd", "vineyardctl"] {
        assert_eq!(named_in(&binary(product).unwrap()), none, "{product}");
    }
}

/// The promises of the README, as the first column of its table calls them.
#[test]
fn each_promise_is_broken_by_a_fault() {
    let readme =
        std::fs::read_to_string(vineyard_tests::binaries::root().join("README.md")).unwrap();
    let (_, table) = readme.split_once("## What it promises").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| **"));
    let promises: BTreeSet<&str> = rows
        .filter_map(|row| row.split_once(".**"))
        .map(|(promise, _)| promise)
        .collect();
    assert_eq!(promises.len(), 10);
    let broken: BTreeSet<&str> = InjectedFault::all().map(InjectedFault::breaks).collect();
    assert_eq!(broken, promises);
}

#[test]
fn every_fault_has_its_name_in_the_simulator() {
    let all: Vec<&str> = InjectedFault::all().map(InjectedFault::name).collect();
    assert_eq!(named_in(&binary("vineyard-sim").unwrap()), all);
}
