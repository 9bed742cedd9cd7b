//! The repository keeps what a machine can see of its style.

use vineyard_tests::{binaries, tidy};

#[test]
fn the_repository_is_tidy() {
    let untidy = tidy::check(&binaries::root()).unwrap();
    assert!(untidy.is_empty(), "\n{}", untidy.join("\n"));
}
