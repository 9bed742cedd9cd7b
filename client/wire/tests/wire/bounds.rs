//! What a frame may not make a decoder do, however long or deep it says it is.

use vineyard_wire::json::{count, decode_reply, decode_request, encode_reply};
use vineyard_wire::limits::{
    BUFFERS_MAX, CLIENT_FRAME_BYTES_MAX, ITEMS_MAX, JSON_OBJECTS_MAX, JSON_VALUES_MAX,
};
use vineyard_wire::reply::Payload;
use vineyard_wire::{Code, ObjectId, Reply};

use crate::refusals::{invalid, refused};

#[test]
fn an_answer_does_not_repeat_a_whole_frame() {
    let long = "x".repeat(1 << 20);
    assert!(refused(&format!(r#"{{"type":"{long}"}}"#)).message.len() < 1_000);
    let body = format!(r#"{{"type":"seal_request","object_id":"{long}"}}"#);
    assert!(refused(&body).message.len() < 1_000);
}

#[test]
fn what_num_says_allocates_nothing() {
    for num in [1 << 20, 1 << 40, 1 << 63, u64::MAX] {
        let body = format!(r#"{{"type":"get_buffers_request","num":{num},"0":1}}"#);
        invalid(&body, "Invalid message: ");
        let body = format!(r#"{{"type":"get_buffers_reply","num":{num},"fds":[]}}"#);
        assert!(decode_reply(body.as_bytes()).is_err());
    }
}

#[test]
fn lists_are_capped_in_both_forms() {
    let array = format!("1{}", ",1".repeat(ITEMS_MAX));
    for (verb, key) in [
        ("create_buffers", "sizes"),
        ("put_object", "inline"),
        ("put_object", "seal"),
        ("get_object", "ids"),
        ("get_data", "id"),
        ("del_data", "id"),
    ] {
        let body = format!(r#"{{"type":"{verb}_request","{key}":[{array}]}}"#);
        assert!(refused(&body).message.contains("more than 1048576 items"));
    }
    let mut body = format!(r#"{{"type":"get_buffers_request","num":{}"#, ITEMS_MAX + 1);
    for index in 0..=ITEMS_MAX {
        body.push_str(&format!(",\"{index}\":1"));
    }
    body.push('}');
    assert!(refused(&body).message.contains("more than 1048576 items"));
}

#[test]
fn no_more_blobs_are_asked_for_than_a_reply_can_tell_of() {
    let ones = |count: usize| format!("1{}", ",1".repeat(count - 1));
    for (verb, key) in [
        ("create_buffers", "sizes"),
        ("create_remote_buffers", "sizes"),
        ("get_buffers", "ids"),
        ("get_remote_buffers", "ids"),
    ] {
        let body = |count| format!(r#"{{"type":"{verb}_request","{key}":[{}]}}"#, ones(count));
        assert!(decode_request(body(BUFFERS_MAX).as_bytes()).is_ok());
        let refusal = refused(&body(BUFFERS_MAX + 1)).message;
        assert!(refusal.contains("has room for 262144"), "{refusal}");
    }
}

#[test]
fn a_reply_that_tells_of_as_many_blobs_as_it_may_fits_a_frame() {
    const COUNT: usize = 1 << 10;
    let payload = Payload {
        object_id: ObjectId(u64::MAX),
        store_fd: i32::MIN,
        data_offset: i64::MIN,
        data_size: i64::MIN,
        map_size: i64::MIN,
        pointer: u64::MAX,
        is_sealed: false,
        is_owner: false,
        is_gpu: false,
    };
    let (ids, payloads) = (vec![ObjectId(u64::MAX); COUNT], vec![payload; COUNT]);
    let fds = Vec::new();
    for reply in [
        Reply::GetBuffers {
            payloads: payloads.clone(),
            fds: fds.clone(),
            compress: false,
        },
        Reply::CreateBuffers { ids, payloads, fds },
    ] {
        let body = String::from_utf8(encode_reply(&reply)).unwrap();
        // The keys of the last blobs have two digits more.
        let bytes = body.len() + 2 * COUNT;
        let (objects, values) = count(&body);
        let times = BUFFERS_MAX / COUNT;
        assert!(bytes * times <= CLIENT_FRAME_BYTES_MAX, "{bytes}");
        assert!(objects * times <= JSON_OBJECTS_MAX, "{objects}");
        assert!(values * times <= JSON_VALUES_MAX, "{values}");
    }
}

#[test]
fn nesting_is_refused_without_a_crash() {
    let deep = "[".repeat(200_000);
    let closed = format!("{deep}{}", "]".repeat(200_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(200_000), "}".repeat(200_000));
    for body in [
        deep.clone(),
        closed.clone(),
        objects.clone(),
        format!(r#"{{"type":{deep}"#),
    ] {
        assert_eq!(refused(&body).code, Code::Invalid);
    }
    for value in [closed, objects] {
        let body = format!(r#"{{"type":"create_data_request","content":{{"x":{value}}}}}"#);
        invalid(
            &body,
            "Failed to parse the JSON message: recursion limit exceeded",
        );
        let body = format!(r#"{{"type":"put_object_request","content":{{"x":{value}}}}}"#);
        assert_eq!(refused(&body).code, Code::Invalid);
    }
}

#[test]
fn a_tree_that_comes_as_text_is_an_object_and_read_within_bounds() {
    for kind in ["get_data", "get_object"] {
        trees_are_read_within_bounds(kind);
    }
}

fn trees_are_read_within_bounds(kind: &str) {
    let reply = |tree: &str| {
        let body = format!(
            r#"{{"type":"{kind}_reply","content":{{"o1": {tree} }},"payloads":[],"fds":[],"compress":false}}"#
        );
        decode_reply(body.as_bytes()).map(|reply| match reply {
            Ok(Reply::GetObject(mut got)) => got.content.remove(&ObjectId(1)).unwrap(),
            Ok(Reply::GetData { mut content }) => content.remove(&ObjectId(1)).unwrap(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(reply(r#"{"a": 1}"#).unwrap().as_str(), r#"{"a": 1}"#);
    for tree in ["1", "null", "[{}]", r#""{}""#, "{", r#"{"a"}"#, "{}}"] {
        assert!(reply(tree).is_err(), "{tree}");
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200_000), "}".repeat(200_000));
    for tree in [&deep[..], r#"{"a": 1e999}"#, r#"{"a": "\ud800"}"#] {
        assert!(reply(tree).unwrap().read().is_err());
    }
}

#[test]
fn a_frame_of_tiny_objects_is_refused_before_it_is_built() {
    let body = format!(
        r#"{{"type":"create_data_request","content":{{"x":[{}0]}}}}"#,
        "{},".repeat(3 << 20)
    );
    assert!(body.len() < CLIENT_FRAME_BYTES_MAX);
    assert!(refused(&body).message.contains("objects"));
    // Braces inside texts are no objects.
    let text = "{,\\\"".repeat(3 << 20);
    let body = format!(r#"{{"type":"create_data_request","content":{{"x":"{text}"}}}}"#);
    assert!(decode_request(body.as_bytes()).is_ok());
}
