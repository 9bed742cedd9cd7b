//! Chance: secrets, nonces, election timeouts. Seeded in the simulator.

pub trait Random: Send + Sync {
    fn next_u64(&self) -> u64;

    /// Fills `bytes` with random data.
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}
