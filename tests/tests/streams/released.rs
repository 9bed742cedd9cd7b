//! The seven verbs as the released client sends them, without any of our additions.

use serde_json::{Value, json};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::raw::Raw;

use super::start;

fn ask(connection: &mut Raw, verb: &str, mut fields: Value) -> Value {
    fields["type"] = json!(format!("{verb}_request"));
    let reply = connection.ask(&fields).unwrap();
    let buffer_fd = reply["fd"].as_i64();
    if buffer_fd.is_some_and(|fd| fd >= 0) {
        // The arena's descriptor rides on one byte.
        connection.read_exact(&mut [0]).unwrap();
    }
    reply
}

fn code(reply: &Value) -> u64 {
    reply["code"].as_u64().unwrap_or_else(|| panic!("{reply}"))
}

const ID: u64 = 7_530_267_942_240_387_115;

fn connect(cluster: &Cluster) -> Raw {
    let mut connection = Raw::unix(&cluster.nodes[0].socket()).unwrap();
    connection.register().unwrap();
    connection
}

/// The type of the reply.
fn answered(connection: &mut Raw, verb: &str, fields: Value) -> String {
    let reply = ask(connection, verb, fields);
    reply["type"]
        .as_str()
        .unwrap_or_else(|| panic!("{reply}"))
        .to_owned()
}

/// The code of the refusal.
fn refused(connection: &mut Raw, verb: &str, fields: Value) -> u64 {
    code(&ask(connection, verb, fields))
}

fn open(mode: u64) -> Value {
    json!({ "object_id": ID, "mode": mode })
}

#[test]
fn a_stream_is_created_and_opened_as_released() {
    let cluster = start("32M");
    let (mut writer, mut reader) = (connect(&cluster), connect(&cluster));
    let make = json!({ "object_id": ID });
    let made = ask(&mut writer, "create_stream", make.clone());
    assert_eq!(made, json!({ "type": "create_stream_reply" }));
    assert_eq!(refused(&mut writer, "create_stream", make), 11);
    let opened = answered(&mut writer, "open_stream", open(2));
    assert_eq!(opened, "open_stream_reply");
    assert_eq!(refused(&mut reader, "open_stream", open(2)), 45);
    let opened = answered(&mut reader, "open_stream", open(1));
    assert_eq!(opened, "open_stream_reply");
    let unknown = json!({ "object_id": 7, "mode": 1 });
    assert_eq!(refused(&mut reader, "open_stream", unknown), 12);
}

#[test]
fn chunks_are_written_and_read_as_released() {
    let cluster = start("32M");
    let (mut writer, mut reader) = (connect(&cluster), connect(&cluster));
    ask(&mut writer, "create_stream", json!({ "object_id": ID }));
    ask(&mut writer, "open_stream", open(2));
    ask(&mut reader, "open_stream", open(1));
    let stream = json!({ "id": ID });
    let sized = |size: u64| json!({ "id": ID, "size": size });
    let pull = |reader: &mut Raw| ask(reader, "pull_next_stream_chunk", stream.clone());

    let first = ask(&mut writer, "get_next_stream_chunk", sized(128));
    assert_eq!(first["buffer"]["data_size"], 128);
    assert_eq!(first["buffer"]["is_sealed"], false);
    // The first chunk is complete when the second is asked for.
    let second = ask(&mut writer, "get_next_stream_chunk", sized(0));
    assert_eq!(second["buffer"]["data_size"], 0);
    let chunk = &first["buffer"]["object_id"];
    let pulled = json!({ "type": "pull_next_stream_chunk_reply", "chunk": chunk });
    assert_eq!(pull(&mut reader), pulled);
    let wanted = json!({ "id": [chunk], "sync_remote": false, "wait": false });
    let found = ask(&mut reader, "get_data", wanted);
    assert!(found["content"].is_object(), "{found}");

    let pushed = json!({ "id": ID, "chunk": 99 });
    let answer = answered(&mut writer, "push_next_stream_chunk", pushed.clone());
    assert_eq!(answer, "push_next_stream_chunk_reply");
    let stop = json!({ "id": ID, "failed": false });
    let answer = answered(&mut writer, "stop_stream", stop.clone());
    assert_eq!(answer, "stop_stream_reply");
    assert_eq!(refused(&mut writer, "stop_stream", stop), 44);
    assert_eq!(refused(&mut writer, "push_next_stream_chunk", pushed), 44);
    assert_eq!(refused(&mut writer, "get_next_stream_chunk", sized(8)), 44);

    // An id that was pushed comes before the chunk that was still being written.
    assert_eq!(pull(&mut reader)["chunk"], 99);
    let wanted = json!({ "ids": [chunk], "unsafe": false });
    let freed = ask(&mut reader, "get_buffers", wanted);
    let nothing = json!([]);
    assert_eq!(
        freed["payloads"], nothing,
        "the next pull deletes the chunk before"
    );
    assert_eq!(pull(&mut reader)["chunk"], second["buffer"]["object_id"]);
    let drained = json!({ "code": 42, "message": "Stream drained: no more chunks" });
    assert_eq!(pull(&mut reader), drained);
    let answer = answered(&mut writer, "drop_stream", stream.clone());
    assert_eq!(answer, "drop_stream_reply");
    assert_eq!(code(&pull(&mut reader)), 12);
}

#[test]
fn a_released_reader_that_disconnects_drops_the_stream_and_a_failed_one_is_read_first() {
    let cluster = start("32M");
    let (mut writer, mut reader) = (connect(&cluster), connect(&cluster));
    let stream = json!({ "id": 5 });
    ask(&mut writer, "create_stream", json!({ "object_id": 5 }));
    ask(
        &mut writer,
        "push_next_stream_chunk",
        json!({ "id": 5, "chunk": 99 }),
    );
    ask(
        &mut writer,
        "stop_stream",
        json!({ "id": 5, "failed": true }),
    );
    assert_eq!(
        ask(&mut reader, "pull_next_stream_chunk", stream.clone())["chunk"],
        99
    );
    let failed = ask(&mut reader, "pull_next_stream_chunk", stream.clone());
    assert_eq!(
        failed,
        json!({ "code": 43, "message": "Stream source failed" })
    );
    drop(reader);
    let dropped = vineyard_tests::wait::until("the drop", super::PATIENCE, || {
        let status = ask(&mut writer, "stream_status", stream.clone());
        Ok(status["code"].as_u64())
    });
    assert_eq!(dropped.unwrap(), 12);
}
