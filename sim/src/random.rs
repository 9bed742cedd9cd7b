//! Each process's own chance, drawn from the seed.

use std::sync::{Mutex, PoisonError};

use vineyard_env::Random;

use crate::chance::Chance;

/// One process's stream; a restarted process gets another.
pub struct SimRandom {
    chance: Mutex<Chance>,
}

impl SimRandom {
    pub fn new(seed: u64, process: &str) -> Self {
        Self {
            chance: Mutex::new(Chance::stream(seed, process)),
        }
    }
}

impl Random for SimRandom {
    fn next_u64(&self) -> u64 {
        self.chance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next_u64()
    }
}
