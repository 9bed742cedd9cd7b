//! Giving memory back. Freed extents stay warm, because a cold page costs ten times a warm one; what stays free through
//! a whole generation, or is trimmed, goes back to the system.

use std::io;

use super::Store;

impl Store {
    /// Gives all free pages back; answers how many bytes of them may have been in use.
    pub fn trim(&mut self) -> io::Result<u64> {
        self.free_unborrowed();
        let warm = self.allocator.warm();
        self.cool(warm)
    }

    /// Called periodically by the owner: gives back what was free before the previous call and still is.
    pub fn decay(&mut self) -> io::Result<u64> {
        self.free_unborrowed();
        let old = self.allocator.age();
        self.cool(old)
    }

    /// Gives back the free pages around `offset`.
    pub(super) fn trim_at(&mut self, offset: u64) {
        let warm = self.allocator.warm_at(offset);
        // What could not be given back stays warm, and `decay` tries it again and answers why it fails.
        let _still_warm = self.cool(warm);
    }

    /// Gives back the pages of the warm pieces at `starts`.
    fn cool(&mut self, starts: impl IntoIterator<Item = u64>) -> io::Result<u64> {
        let mut bytes = 0;
        for start in starts {
            let pages = self.allocator.pages(start);
            if !pages.is_empty() {
                self.arena.discard(pages.start, pages.end - pages.start)?;
            }
            self.allocator.cool(start);
            bytes += pages.end - pages.start;
        }
        Ok(bytes)
    }
}
