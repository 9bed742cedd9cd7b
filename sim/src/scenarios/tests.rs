//! Each scenario, with a few seeds. More: `VINEYARD_SIM_SEEDS=100 cargo test -p vineyard-sim`.

use super::*;
use crate::stage::{Outcome, Settings};

fn seeds() -> u64 {
    std::env::var("VINEYARD_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3)
}

fn play(scenario: fn(Settings) -> Outcome) {
    for seed in 0..seeds() {
        let outcome = scenario(Settings {
            seed,
            ..Settings::default()
        });
        assert_eq!(outcome.violations, [], "seed {seed}");
    }
}

#[test]
fn the_leader_dies_and_nothing_acknowledged_is_lost() {
    play(the_leader_dies::play);
}

#[test]
fn the_cluster_is_cut_in_two_and_the_minority_neither_acknowledges_nor_denies() {
    play(the_cluster_is_cut_in_two::play);
}

#[test]
fn the_disk_forgets_only_what_was_not_acknowledged() {
    play(the_disk_forgets::play);
}

#[test]
fn a_sync_fails_and_nothing_is_acknowledged() {
    play(a_sync_fails::play);
}

#[test]
fn the_source_dies_in_a_migration_and_nothing_is_half_done() {
    play(the_source_dies_in_a_migration::play);
}

#[test]
fn a_side_of_a_stream_dies_and_the_other_is_told() {
    play(a_side_of_a_stream_dies::play);
}

#[test]
fn a_stranger_asks_to_join_and_is_refused() {
    play(a_stranger_asks_to_join::play);
}

#[test]
fn an_old_copy_returns_and_is_refused() {
    play(an_old_copy_returns::play);
}

#[test]
fn all_nodes_move_at_once_and_find_each_other() {
    play(all_nodes_move_at_once::play);
}

#[test]
fn an_older_boot_says_where_it_is_and_is_refused() {
    play(an_older_boot_says_where_it_is::play);
}

#[test]
fn a_paused_node_returns_as_itself() {
    play(a_paused_node_returns::play);
}

#[test]
fn a_delete_after_an_undecided_persist_is_not_undone() {
    play(a_delete_after_an_undecided_persist::play);
}

#[test]
fn a_delete_through_a_node_that_lags_deletes_or_says_that_it_did_not() {
    play(a_delete_through_a_node_that_lags::play);
}

#[test]
fn the_nodes_are_replaced_one_by_one_and_the_level_rises() {
    play(the_nodes_are_replaced_one_by_one::play);
}

#[test]
fn new_nodes_form_one_cluster_whatever_happens_meanwhile() {
    for seed in 0..seeds().max(6) {
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        let outcome = new_nodes_form_one_cluster::play(settings);
        assert_eq!(outcome.violations, [], "seed {seed}");
    }
}

#[test]
fn the_token_is_rotated_and_the_old_one_lets_nobody_in() {
    play(the_token_is_rotated::play);
}

#[test]
fn a_dead_voter_is_replaced_by_a_live_learner() {
    play(a_dead_voter_is_replaced::play);
}

#[test]
fn dead_nodes_are_removed_and_do_not_come_back() {
    play(dead_nodes_are_removed::play);
}

#[test]
fn a_lost_majority_is_recovered_and_the_left_behind_stay_out() {
    play(a_lost_majority_is_recovered::play);
}

#[test]
fn a_leader_is_drained_and_leaves_and_nothing_is_lost() {
    play(a_leader_is_drained_and_leaves::play);
}

#[test]
fn a_drained_node_is_started_anew_and_others_have_what_it_had() {
    play(a_drained_node_is_started_anew::play);
}

#[test]
fn a_disk_that_was_full_goes_on_when_it_has_room_again() {
    play(a_disk_is_full_and_has_room_again::play);
}

#[test]
fn a_founder_that_moves_and_is_replaced_finds_the_others() {
    play(a_founder_moves_and_is_replaced::play);
}

#[test]
fn the_network_is_slow_and_lossy_and_a_cluster_that_is_set_to_it_keeps_its_leader() {
    play(the_network_is_slow_and_lossy::play);
}

#[test]
fn the_metadata_is_full_and_all_refuse_alike_until_deletes_make_room() {
    play(the_metadata_is_full::play);
}
