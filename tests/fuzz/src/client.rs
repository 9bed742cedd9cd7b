//! Frames of a client and answers to one: any bytes are refused, or mean the same after they are encoded again. The
//! first bytes of a connection belong to one protocol.
#![no_main]
#![allow(
    clippy::disallowed_methods,
    reason = "the macro of libFuzzer reads an environment variable and writes a file"
)]

use libfuzzer_sys::fuzz_target;
use vineyard_wire::frame::body_bytes;
use vineyard_wire::json::{
    decode_reply, decode_request, encode_reply, encode_request, encode_status,
};
use vineyard_wire::limits::CLIENT_FRAME_BYTES_MAX;
use vineyard_wire::opening::{OPENING_BYTES, Opening};
use vineyard_wire::peer::MAGIC;

fuzz_target!(|body: &[u8]| {
    if let Some(first) = body.first_chunk() {
        opens_one_protocol(first);
    }
    if let Ok(request) = decode_request(body) {
        assert_eq!(decode_request(&encode_request(&request)), Ok(request));
    }
    match decode_reply(body) {
        Ok(Ok(reply)) => assert_eq!(decode_reply(&encode_reply(&reply)), Ok(Ok(reply))),
        Ok(Err(status)) => assert_eq!(decode_reply(&encode_status(&status)), Ok(Err(status))),
        Err(_) => {}
    }
});

/// What a frame of a client may begin with is a client's, and HTTP begins with a method.
fn opens_one_protocol(first: &[u8; OPENING_BYTES]) {
    let opening = Opening::of(first);
    assert_eq!(opening == Opening::Node, first == &MAGIC);
    if body_bytes(*first, CLIENT_FRAME_BYTES_MAX).is_ok() {
        assert_eq!(opening, Opening::Client);
    }
    if opening == Opening::Http {
        let method = &first[..4];
        assert!(
            method
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || *byte == b' ')
        );
    }
}
