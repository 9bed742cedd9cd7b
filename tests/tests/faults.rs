//! No injected fault can be asked of the product: the name of none is in its binaries. The simulator's has them all.

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

#[test]
fn every_fault_has_its_name_in_the_simulator() {
    let all: Vec<&str> = InjectedFault::all().map(InjectedFault::name).collect();
    assert_eq!(named_in(&binary("vineyard-sim").unwrap()), all);
}
