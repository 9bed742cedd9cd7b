//! Each message against its golden file. Run with `VINEYARD_GOLDEN=write` to write the files anew, and read the diff.

#![expect(
    clippy::disallowed_methods,
    reason = "golden files are read from the disk"
)]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vineyard_wire::json::{
    ReplyType, RequestType, decode_reply, decode_request, encode_reply, encode_request,
    encode_status, request_type,
};
use vineyard_wire::peer;

use crate::peer_samples::{ANSWERS, ASKS, CHALLENGES, INTRODUCTIONS, WELCOMES, each_peer_sample};
use crate::reply_samples::{replies, statuses};
use crate::samples::requests;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name)
}

fn check_golden(file: &Path, encoded: &str) {
    if std::env::var("VINEYARD_GOLDEN").as_deref() == Ok("write") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("{encoded}\n")).unwrap();
    }
    let golden = std::fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("no golden file {}: {error}", file.display()));
    assert_eq!(
        encoded,
        golden.trim_end(),
        "{} differs from what is encoded",
        file.display()
    );
}

fn file_name(type_: &str, suffix: &str, extension: &str) -> String {
    match suffix {
        "" => format!("{type_}.{extension}"),
        _ => format!("{type_}.{suffix}.{extension}"),
    }
}

/// What the original says for the same message, if its traffic was captured: the same fields and values, and it decodes
/// to the same message. Only the keys in `absent` may be missing from ours.
fn check_captured(file: &Path, encoded: &[u8], absent: &[&str]) -> Option<Vec<u8>> {
    let captured = std::fs::read(file).ok()?;
    let mut theirs: Value = serde_json::from_slice(&captured).unwrap();
    for pointer in absent {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        if let Some(Value::Object(node)) = theirs.pointer_mut(parent) {
            node.remove(key);
        }
    }
    let ours: Value = serde_json::from_slice(encoded).unwrap();
    assert_eq!(ours, theirs, "{}", file.display());
    Some(captured)
}

#[test]
fn each_request_has_its_golden_bytes() {
    for (suffix, request) in requests() {
        let name = file_name(request_type(&request), suffix, "json");
        let encoded = encode_request(&request);
        check_golden(
            &folder("request").join(&name),
            std::str::from_utf8(&encoded).unwrap(),
        );
        assert_eq!(decode_request(&encoded).as_ref(), Ok(&request), "{name}");
        let captured = check_captured(&folder("captured/request").join(&name), &encoded, &[]);
        if let Some(captured) = captured {
            assert_eq!(decode_request(&captured), Ok(request), "{name}");
        }
    }
}

#[test]
fn each_reply_has_its_golden_bytes() {
    for (suffix, reply) in replies() {
        let name = file_name(ReplyType::of(&reply).name(), suffix, "json");
        let encoded = encode_reply(&reply);
        check_golden(
            &folder("reply").join(&name),
            std::str::from_utf8(&encoded).unwrap(),
        );
        assert_eq!(decode_reply(&encoded), Ok(Ok(reply.clone())), "{name}");
        // The raft group has no etcd member to name.
        let absent = ["/meta/i0/member_id"];
        if let Some(captured) =
            check_captured(&folder("captured/reply").join(&name), &encoded, &absent)
        {
            assert_eq!(decode_reply(&captured), Ok(Ok(reply)), "{name}");
        }
    }
}

#[test]
fn each_refusal_has_its_golden_bytes() {
    for (suffix, status) in statuses() {
        let name = file_name("status", suffix, "json");
        let encoded = encode_status(&status);
        check_golden(
            &folder("reply").join(&name),
            std::str::from_utf8(&encoded).unwrap(),
        );
        assert_eq!(decode_reply(&encoded), Ok(Err(status)), "{name}");
    }
}

#[test]
fn every_golden_file_has_a_sample() {
    let of_requests: BTreeSet<String> = requests()
        .iter()
        .map(|(suffix, request)| file_name(request_type(request), suffix, "json"))
        .collect();
    let replies = replies();
    let statuses = statuses();
    let of_replies: BTreeSet<String> = replies
        .iter()
        .map(|(suffix, reply)| file_name(ReplyType::of(reply).name(), suffix, "json"))
        .chain(
            statuses
                .iter()
                .map(|(suffix, _)| file_name("status", suffix, "json")),
        )
        .collect();
    for origin in ["", "captured"] {
        for (kind, known) in [("request", &of_requests), ("reply", &of_replies)] {
            for entry in std::fs::read_dir(folder(origin).join(kind)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(
                    known.contains(&name),
                    "{origin}/{kind}/{name} is compared with nothing"
                );
            }
        }
    }
}

#[test]
fn every_request_and_reply_type_has_a_sample() {
    let requests: BTreeSet<_> = requests().iter().map(|(_, r)| RequestType::of(r)).collect();
    let missing: Vec<_> = RequestType::ALL
        .iter()
        .filter(|t| !requests.contains(t))
        .collect();
    assert!(missing.is_empty(), "requests without a sample: {missing:?}");
    let replies: BTreeSet<_> = replies().iter().map(|(_, r)| ReplyType::of(r)).collect();
    let missing: Vec<_> = ReplyType::ALL
        .iter()
        .filter(|t| !replies.contains(t))
        .collect();
    assert!(missing.is_empty(), "replies without a sample: {missing:?}");
}

fn check_peer<T>(name: &str, message: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let encoded = peer::encode(message);
    let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
    check_golden(
        &folder("peer").join(format!("{}.hex", name.to_lowercase())),
        &hex,
    );
    assert_eq!(&peer::decode::<T>(&encoded).unwrap(), message, "{name}");
}

#[test]
fn each_peer_message_has_its_golden_bytes() {
    macro_rules! check {
        ($name:expr, $message:expr) => {
            check_peer($name, $message)
        };
    }
    each_peer_sample!(check);
    for name in [CHALLENGES, WELCOMES, INTRODUCTIONS, ASKS, ANSWERS].concat() {
        assert!(
            folder("peer").join(format!("{name}.hex")).exists(),
            "{name} has no golden bytes"
        );
    }
}
