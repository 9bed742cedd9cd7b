//! Frames between nodes: any bytes are refused, or mean the same after they are encoded again.
#![no_main]
#![allow(
    clippy::disallowed_methods,
    reason = "the macro of libFuzzer reads an environment variable and writes a file"
)]

use libfuzzer_sys::fuzz_target;
use vineyard_wire::peer::{
    Answer, Ask, Challenge, Hello, Introduced, Life, Response, Welcome, decode, encode,
};

fuzz_target!(|body: &[u8]| {
    macro_rules! hold {
        ($($message:ty),*) => {
            $(if let Ok(message) = decode::<$message>(body) {
                assert_eq!(decode::<$message>(&encode(&message)), Ok(message));
            })*
        };
    }
    hold!(
        Answer, Ask, Challenge, Hello, Introduced, Life, Response, Welcome
    );
    vineyard_raft::testing::holds_as_message(body);
});
