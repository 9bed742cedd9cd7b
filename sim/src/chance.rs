//! Chance that replays: one seed, any number of independent streams.
//!
//! Promise: the numbers depend on the seed and the label alone, on every machine and in every release, so that a seed
//! written down in an issue still shows the bug years later. That is why this is not the `rand` crate.

/// A stream of pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self {
            state: mix(seed ^ 0x5bd1_e995_9d1b_58b7),
        }
    }

    /// The stream `label` of `seed`: drawing from one stream never shifts another.
    pub fn stream(seed: u64, label: &str) -> Self {
        let mut hash = mix(seed);
        for byte in label.bytes() {
            hash = mix(hash ^ u64::from(byte));
        }
        Self::new(hash)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.next_u64() % bound
        }
    }

    /// A number in `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from))
    }

    /// True `per_mille` times in a thousand.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// An index into something of `len` items.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One of `items`, if there is any.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            None
        } else {
            items.get(self.index(items.len()))
        }
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut chance = Chance::stream(7, "network");
        let drawn: Vec<u64> = (0..3).map(|_| chance.below(1_000_000)).collect();
        let mut again = Chance::stream(7, "network");
        assert_eq!(
            drawn,
            (0..3).map(|_| again.below(1_000_000)).collect::<Vec<_>>()
        );
        let mut other = Chance::stream(8, "network");
        assert_ne!(
            drawn,
            (0..3).map(|_| other.below(1_000_000)).collect::<Vec<_>>()
        );
    }
}
