//! Stories with a known plot: one file each, run with several seeds in tests.
//!
//! A scenario is directed by hand, so it may demand more than the invariants: not only that nothing broke, but that the
//! thing came about. Every bug that a seed found becomes one, named for what happened.

pub mod a_dead_voter_is_replaced;
pub mod a_delete_after_an_undecided_persist;
pub mod a_delete_through_a_node_that_lags;
pub mod a_disk_is_full_and_has_room_again;
pub mod a_drained_node_is_started_anew;
pub mod a_founder_moves_and_is_replaced;
pub mod a_leader_is_drained_and_leaves;
pub mod a_lost_majority_is_recovered;
pub mod a_paused_node_returns;
pub mod a_side_of_a_stream_dies;
pub mod a_stranger_asks_to_join;
pub mod a_sync_fails;
pub mod all_nodes_move_at_once;
pub mod an_old_copy_returns;
pub mod an_older_boot_says_where_it_is;
pub mod dead_nodes_are_removed;
pub mod new_nodes_form_one_cluster;
pub mod the_cluster_is_cut_in_two;
pub mod the_disk_forgets;
pub mod the_leader_dies;
pub mod the_metadata_is_full;
pub mod the_network_is_slow_and_lossy;
pub mod the_nodes_are_replaced_one_by_one;
pub mod the_source_dies_in_a_migration;
pub mod the_token_is_rotated;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use vineyard_client::{Client, Draft, Error, Options};
use vineyard_wire::ObjectId;

use crate::cluster::socket;
use crate::stage::Stage;

/// What is broken when something a scenario demands did not come about.
pub const PLOT: &str = "the_plot_holds";
/// How long a scenario waits for what must come about.
const PATIENCE_MS: u64 = 60_000;

impl Stage {
    /// Runs `act` as a process of its own and gives what it returns; nothing if it did not end.
    async fn act<T: 'static>(
        &self,
        name: &str,
        act: impl Future<Output = T> + 'static,
    ) -> Option<T> {
        let slot = Rc::new(RefCell::new(None));
        let filled = Rc::clone(&slot);
        self.world.schedule.start(name, async move {
            let value = act.await;
            *filled.borrow_mut() = Some(value);
        });
        let ended = self
            .until(PATIENCE_MS * 2, || !self.world.schedule.runs(name))
            .await;
        if !ended {
            self.hold(Err(format!("{name} does not end")));
            self.world.schedule.kill(name);
        }
        slot.take()
    }

    /// A client of `node` on the node's machine; it waits for the node to serve.
    async fn client(&self, name: &str, node: usize) -> Client {
        let world = self.world.client(&self.cluster.machine(node), name);
        loop {
            match world.connect_ipc(&socket(node), &Options::default()).await {
                Ok(client) => return client,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Something the plot demands.
    fn demand(&self, holds: bool, what: &str) {
        if !holds {
            let mut oracle = self.oracle.borrow_mut();
            oracle.now_ms = self.world.now_ms();
            oracle.hold(PLOT, Err(what.to_owned()));
        }
    }
}

/// A small object that says `text`.
fn saying(text: &str) -> Draft {
    Draft::new("sim::Saying")
        .attribute("text", text)
        .blob("text_", text.as_bytes())
}

/// Puts, persists and names a small object until it is acknowledged.
async fn publish(client: &Client, name: &str) -> Result<ObjectId, Error> {
    let id = client.put(saying(name)).await?.id;
    client.persist(id).await?;
    client.put_name(id, name).await?;
    Ok(id)
}

/// Asks again, for as long as a scenario is patient, until the node answers.
async fn insist<T, F: Future<Output = Result<T, Error>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut tries = PATIENCE_MS / 500;
    loop {
        match ask().await {
            Err(Error::Status { code, message }) if code != vineyard_wire::Code::IoError => {
                return Err(Error::Status { code, message });
            }
            Err(_) if tries > 0 => {
                tries -= 1;
                sleep(Duration::from_millis(500)).await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
