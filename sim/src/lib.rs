//! Real nodes and real clients in a false world that replays byte for byte.
//!
//! The node, the raft group, the store and the client run here unchanged; their clock, chance, network, sockets, disk,
//! memory and threads come from this crate, and all of it is drawn from one seed. This crate holds no copy of product
//! logic: it makes the world, hurts it, and checks what clients were told. Start reading at `seed`.

pub mod chance;
pub mod clock;
pub mod cluster;
pub mod content;
pub mod disk;
pub mod faults;
pub mod history;
pub mod host;
pub mod injected;
pub mod invariants;
pub mod linearizability;
pub mod local;
pub mod log;
pub mod network;
pub mod operator;
pub mod oracle;
pub mod random;
pub mod report;
pub mod rest;
pub mod scenarios;
pub mod schedule;
pub mod seed;
pub mod stage;
pub mod threads;
pub mod trace;
pub mod violation;
pub mod workload;
pub mod world;
