//! What must hold, one file each. An invariant is plain code over what was observed; it knows no network and no clock,
//! so each is tested with observations written by hand.

pub mod chunks_come_in_order;
pub mod everything_finishes;
pub mod global_objects_are_whole;
pub mod ids_are_unique;
pub mod local_stays_local;
pub mod names_are_linearizable;
pub mod nothing_acknowledged_is_lost;
pub mod nothing_panics;
pub mod older_boots_are_refused;
pub mod one_content_per_id;
pub mod references_are_zero_at_rest;
pub mod replicas_agree;
pub mod status_tells_the_truth;
pub mod strangers_stay_out;
pub mod the_removed_do_not_count;

/// What an invariant says of an observation; the text carries the facts.
pub type Judged = Result<(), String>;
