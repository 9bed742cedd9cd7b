//! The operating system's source of randomness.

use rand::Rng;

pub(crate) struct SystemRandom;

impl vineyard_env::Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        rand::rng().next_u64()
    }
}
