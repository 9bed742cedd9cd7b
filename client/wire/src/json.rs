//! The JSON codec of the client protocol: `Request` and `Reply` to bytes and back.
