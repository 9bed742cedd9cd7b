//! Looks from time to time how much room the disk has. Too little is published, and what would use more is refused.
//!
//! The rule is the leader's: it refuses what makes the state larger while its own disk is short, from every node. A
//! follower that is short goes on to store what the majority takes; what does not fit waits, and the others go on.

use std::rc::Rc;
use std::sync::Arc;

use super::Driver;
use crate::command::Command;
use crate::error::Shortage;
use crate::options::ROOM_TICK;

/// Looks until the group stops.
pub(super) async fn keep(driver: Rc<Driver>) {
    loop {
        look(&driver);
        tokio::time::sleep(ROOM_TICK).await;
    }
}

fn look(driver: &Driver) {
    let room = match driver.env.disk.room() {
        Ok(room) => room,
        // The disk itself will say what is wrong with it.
        Err(error) => return tracing::debug!(%error, "the room on the disk is not known"),
    };
    let snapshot_bytes = driver.snapshots.extent().map_or(0, |(_, bytes)| bytes);
    let now = room.and_then(|room| Shortage::of(room, snapshot_bytes));
    let before = driver.shared.shortage.swap(Arc::new(now));
    match (before.as_ref(), &now) {
        (None, Some(shortage)) => {
            tracing::warn!("the disk is short of room, so nothing new is taken: {shortage}");
        }
        (Some(_), None) => tracing::info!("the disk has room again"),
        _ => {}
    }
}

impl Driver {
    /// What the disk lacks, if the command would use up what is kept back.
    pub(super) fn shortage_for(&self, command: &Command) -> Option<Shortage> {
        let shortage = **self.shared.shortage.load();
        let state = self.shared.state.load();
        shortage.filter(|_| command.grows(|blob| state.blob(blob).is_some()))
    }
}
