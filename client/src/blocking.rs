//! The client without async.
