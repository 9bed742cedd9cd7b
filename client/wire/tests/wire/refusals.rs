//! What the decoders answer to bytes that are not a message of theirs.

use serde_json::json;
use vineyard_wire::json::{decode_reply, decode_request, encode_request};
use vineyard_wire::limits::{INLINE_BYTES_MAX, PEER_FRAME_BYTES_MAX};
use vineyard_wire::peer::{self, Ask, PeerCodecError};
use vineyard_wire::request::Register;
use vineyard_wire::{Code, ObjectId, Reply, Request, Status};

pub(crate) fn refused(body: &str) -> Status {
    decode_request(body.as_bytes()).expect_err(body)
}

pub(crate) fn invalid(body: &str, message_start: &str) {
    let status = refused(body);
    assert_eq!(status.code, Code::Invalid, "{body}");
    assert!(
        status.message.starts_with(message_start),
        "{body}: {}",
        status.message
    );
}

#[test]
fn what_is_not_json_is_answered_with_code_1() {
    for body in [
        "",
        "{",
        "nonsense",
        r#"{"type":"seal_request""#,
        r#"{"a":1}x"#,
        r#"{"a":1e}"#,
    ] {
        invalid(body, "Failed to parse the JSON message: ");
    }
    let status = decode_request(b"{\"type\":\"\xff\"}").unwrap_err();
    assert!(
        status
            .message
            .starts_with("Failed to parse the JSON message: "),
        "{status}"
    );
}

#[test]
fn a_message_needs_a_type_that_is_a_known_text() {
    for body in [
        "{}",
        "[]",
        "3",
        "null",
        r#"["seal_request"]"#,
        r#"{"size":1}"#,
    ] {
        assert_eq!(
            refused(body),
            Status::invalid("Invalid message: no 'type' field"),
            "{body}"
        );
    }
    for body in [
        r#"{"type":3}"#,
        r#"{"type":["seal_request"]}"#,
        r#"{"type":{}}"#,
    ] {
        invalid(body, "Invalid message: the 'type' field is not a string");
    }
    assert_eq!(
        refused(r#"{"type":"foo"}"#),
        Status::invalid("Got unexpected command: foo")
    );
    assert_eq!(
        decode_request(br#"{"type":"clear\u005frequest"}"#),
        Ok(Request::Clear),
        "an escaped type is the same type"
    );
}

#[test]
fn verbs_of_later_phases_are_refused_by_name() {
    let lock = refused(r#"{"type":"acquire_lock_request","path":"a"}"#);
    assert_eq!(
        lock,
        Status::new(
            Code::NotImplemented,
            "acquire_lock_request is not implemented"
        )
    );
    for verb in [
        "acquire_lock",
        "evict",
        "new_session",
        "plasma_seal",
        "make_arena",
        "is_spilled",
    ] {
        let status = refused(&format!(r#"{{"type":"{verb}_request"}}"#));
        assert_eq!(status.code, Code::NotImplemented, "{verb}");
        assert!(status.message.contains(verb));
    }
    for verb in ["create_gpu_buffer", "get_gpu_buffers"] {
        let status = refused(&format!(r#"{{"type":"{verb}_request"}}"#));
        assert_eq!(status, Status::invalid("GPU support is not enabled"));
    }
    let rdma = r#"{"type":"create_remote_buffer_request","size":1,"use_rdma":true}"#;
    assert_eq!(refused(rdma).code, Code::NotImplemented);
}

#[test]
fn mandatory_fields_and_their_types_are_enforced() {
    for body in [
        r#"{"type":"create_buffer_request"}"#,
        r#"{"type":"create_buffer_request","size":-1}"#,
        r#"{"type":"create_buffer_request","size":"1"}"#,
        r#"{"type":"create_buffer_request","size":18446744073709551616}"#,
        r#"{"type":"create_buffers_request","num":1}"#,
        r#"{"type":"seal_request","id":1}"#,
        r#"{"type":"get_data_request","id":1}"#,
        r#"{"type":"list_data_request","pattern":"*"}"#,
        r#"{"type":"get_name_request","name":"n"}"#,
        r#"{"type":"create_data_request","content":null}"#,
        r#"{"type":"create_data_request","content":[]}"#,
        r#"{"type":"register_request","store_type":"Other"}"#,
        r#"{"type":"put_object_request","content":[]}"#,
        r#"{"type":"put_object_request","content":7}"#,
        r#"{"type":"put_object_request","inline":[-1]}"#,
        r#"{"type":"put_object_request","inline":4}"#,
        r#"{"type":"put_object_request","seal":["o1"]}"#,
        r#"{"type":"put_object_request","persist":1}"#,
        r#"{"type":"get_object_request","ids":1}"#,
        r#"{"type":"get_object_request","name":["n"]}"#,
        r#"{"type":"get_buffers_request"}"#,
        r#"{"type":"get_buffers_request","num":2,"0":1}"#,
        r#"{"type":"get_buffers_request","num":2,"0":1,"2":1}"#,
        r#"{"type":"get_buffers_request","num":2,"1":1}"#,
    ] {
        invalid(body, "Invalid message: ");
    }
}

#[test]
fn bytes_in_a_frame_are_those_that_were_announced() {
    let with = |head: &str, bytes: usize| {
        let mut body = format!("{head}\0").into_bytes();
        body.resize(body.len() + bytes, 7);
        decode_request(&body)
    };
    let put = |sizes: &str| format!(r#"{{"type":"put_object_request","inline":[{sizes}]}}"#);
    let Ok(Request::PutObject(decoded)) = with(&put("2,0,1"), 3) else {
        panic!("not a put");
    };
    assert_eq!((decoded.inline, decoded.bytes), (vec![2, 0, 1], vec![7; 3]));
    for (sizes, bytes) in [("", 1), ("2", 1), ("2", 3), ("18446744073709551615,4", 3)] {
        let status = with(&put(sizes), bytes).expect_err(sizes);
        assert!(status.message.starts_with("Invalid message: "), "{status}");
    }
    let most = usize::try_from(INLINE_BYTES_MAX).unwrap();
    assert!(with(&put(&most.to_string()), most).is_ok());
    let more = with(&put(&(most + 1).to_string()), most + 1);
    assert!(more.is_err_and(|status| status.message.contains("at most 65536")));
    let other = with(r#"{"type":"cluster_meta"}"#, 1);
    assert!(other.is_err_and(|status| status.code == Code::Invalid));
}

#[test]
fn absent_fields_have_the_servers_defaults() {
    let register = Register {
        version: "0.0.0".into(),
        store_type: 1,
        session_id: 0,
        username: String::new(),
        password: String::new(),
        features: vec![],
        deadline_ms: None,
    };
    let decoded = decode_request(br#"{"type":"register_request"}"#);
    assert_eq!(decoded, Ok(Request::Register(register.clone())));
    let decoded = decode_request(br#"{"type":"register_request","store_type":"Plasma"}"#);
    assert_eq!(
        decoded,
        Ok(Request::Register(Register {
            store_type: 2,
            ..register
        }))
    );
    let decoded = decode_request(br#"{"type":"get_data_request","id":[1]}"#);
    let ids = vec![ObjectId(1)];
    assert_eq!(
        decoded,
        Ok(Request::GetData {
            ids,
            sync_remote: false,
            wait: false
        })
    );
    let Ok(Ok(Reply::Register(registered))) = decode_reply(
        br#"{"type":"register_reply","ipc_socket":"","rpc_endpoint":"","instance_id":0,"session_id":0}"#,
    ) else {
        panic!("not a register reply");
    };
    assert_eq!(registered.version, "0.0.0");
    assert!(registered.store_match && !registered.support_rpc_compression);
}

#[test]
fn both_forms_of_a_list_are_read() {
    let ids: Vec<ObjectId> = (100..112).map(ObjectId).collect();
    let expected = Request::GetBuffers {
        ids: ids.clone(),
        unsafe_: false,
    };
    let array = json!({"type": "get_buffers_request", "ids": ids, "num": 12});
    assert_eq!(
        decode_request(array.to_string().as_bytes()),
        Ok(expected.clone())
    );
    // The original's map is sorted by text: "10" and "11" come before "2".
    let mut numbered = json!({"type": "get_buffers_request", "num": 12, "99": 7, "07": 8});
    for (index, id) in ids.iter().enumerate() {
        numbered[index.to_string()] = json!(id);
    }
    assert_eq!(
        decode_request(numbered.to_string().as_bytes()),
        Ok(expected)
    );
}

#[test]
fn numbers_keep_their_kind_and_their_digits() {
    let text = r#"{"type":"create_data_request","content":{"f":42.0,"i":42,"m":18446744073709551615,"n":-9223372036854775808,"t":0.1}}"#;
    let request = decode_request(text.as_bytes()).unwrap();
    assert_eq!(
        std::str::from_utf8(&encode_request(&request)).unwrap(),
        text
    );
}

#[test]
fn a_code_decides_before_the_type() {
    let refusal = decode_reply(br#"{"code":41,"message":"full","type":"seal_reply"}"#);
    assert_eq!(refusal, Ok(Err(Status::new(Code::NotEnoughMemory, "full"))));
    assert_eq!(
        decode_reply(br#"{"code":0,"type":"seal_reply"}"#),
        Ok(Ok(Reply::Seal))
    );
    let unknown = decode_reply(br#"{"code":4000000000}"#);
    assert_eq!(unknown, Ok(Err(Status::new(Code::UnknownError, ""))));
    for body in [
        "",
        "{}",
        "[]",
        r#"{"type":"foo_reply"}"#,
        r#"{"code":"x"}"#,
        r#"{"code":-1}"#,
    ] {
        assert!(decode_reply(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn a_peer_frame_is_refused_for_what_it_is() {
    let good = peer::encode(&Ask::Stats);
    assert_eq!(peer::decode::<Ask>(&good), Ok(Ask::Stats));
    let future = [&[peer::VERSION + 1], &good[1..]].concat();
    let found = peer::VERSION + 1;
    assert_eq!(
        peer::decode::<Ask>(&future),
        Err(PeerCodecError::Version { found })
    );
    let trailing = [&good[..], &[0, 0]].concat();
    assert_eq!(
        peer::decode::<Ask>(&trailing),
        Err(PeerCodecError::Trailing(2))
    );
    assert!(matches!(
        peer::decode::<Ask>(&[]),
        Err(PeerCodecError::Malformed(_))
    ));
    assert!(matches!(
        peer::decode::<Ask>(&good[..1]),
        Err(PeerCodecError::Malformed(_))
    ));
    let bytes = PEER_FRAME_BYTES_MAX + 1;
    let long = vec![peer::VERSION; bytes];
    assert_eq!(
        peer::decode::<Ask>(&long),
        Err(PeerCodecError::TooLong { bytes })
    );
    // A text of 2^40 bytes in a frame of 11.
    let huge = [&[peer::VERSION, 1, 253], &(1_u64 << 40).to_le_bytes()[..]].concat();
    assert!(matches!(
        peer::decode::<peer::Welcome>(&huge),
        Err(PeerCodecError::Malformed(_))
    ));
    assert!(matches!(
        peer::decode::<Vec<u64>>(&huge[1..]),
        Err(PeerCodecError::Malformed(_))
    ));
}
