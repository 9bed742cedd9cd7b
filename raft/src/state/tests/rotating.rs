//! The token: one rotation after the other.

use super::*;
use crate::command::{Hidden, Refusal};

#[test]
fn a_rotation_waits_for_the_end_of_the_one_before_and_follows_on_it() {
    let mut replica = Replica::of_three();
    let rotate = |number: u8, after_unix_ms| Command::RotateToken {
        hidden: Hidden {
            nonce: [number; 32],
            forward: [1; 32],
            backward: [2; 32],
        },
        after_unix_ms,
        grace_ms: 1_000,
    };
    assert_eq!(replica.done(rotate(1, 0)), [Event::TokenRotated]);
    let first = *replica.state.rotation().unwrap();
    let until_unix_ms = first.until_unix_ms;
    let refused = Err(Refusal::Rotating { until_unix_ms });
    assert_eq!(replica.run(rotate(2, until_unix_ms)).0, refused);
    replica.now_unix_ms = until_unix_ms;
    // It was made before the first was known: what it hides is not what all know.
    assert_eq!(replica.run(rotate(2, 0)).0, refused);
    assert_eq!(*replica.state.rotation().unwrap(), first);
    replica.done(rotate(2, until_unix_ms));
    assert_eq!(replica.state.rotation().unwrap().hidden.nonce, [2; 32]);
}
