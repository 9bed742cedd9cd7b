//! The codecs from outside: golden bytes, refusals in the original's words, round trips, and hostile frames.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod described;
mod golden;
mod hostile;
mod peer_samples;
mod refusals;
mod reply_samples;
mod reply_strategies;
mod round_trip;
mod samples;
mod strategies;
mod stream_samples;
