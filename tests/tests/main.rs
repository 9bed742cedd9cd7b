//! Real processes on real ports: what the simulator cannot show.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests run real processes on the real clock, and fail by panicking"
)]

mod addresses;
mod audit;
mod client;
mod cuts;
mod data_dir;
mod descriptors;
mod encryption;
mod examples;
mod exit_codes;
mod failing_disk;
mod faults;
mod fetch;
mod files;
mod forming;
mod founding;
mod full_disk;
mod hostile;
mod http;
mod kill_leader;
mod leaving;
mod ledger;
mod log;
mod members;
mod memory_limits;
mod other_users;
mod planted_files;
mod recorded;
mod recover;
mod restart;
mod rolling;
mod rough_edges;
mod signals;
mod status;
mod streams;
mod text;
mod tracing;
