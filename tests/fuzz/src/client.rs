//! Frames of a client and answers to one: any bytes are refused, or mean the same after they are encoded again.
#![no_main]
#![allow(
    clippy::disallowed_methods,
    reason = "the macro of libFuzzer reads an environment variable and writes a file"
)]

use libfuzzer_sys::fuzz_target;
use vineyard_wire::json::{
    decode_reply, decode_request, encode_reply, encode_request, encode_status,
};

fuzz_target!(|body: &[u8]| {
    if let Ok(request) = decode_request(body) {
        assert_eq!(decode_request(&encode_request(&request)), Ok(request));
    }
    match decode_reply(body) {
        Ok(Ok(reply)) => assert_eq!(decode_reply(&encode_reply(&reply)), Ok(Ok(reply))),
        Ok(Err(status)) => assert_eq!(decode_reply(&encode_status(&status)), Ok(Err(status))),
        Err(_) => {}
    }
});
