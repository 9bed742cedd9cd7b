//! The seven verbs as the released client sends them, without any of our additions.

use serde_json::{Value, json};
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

#[test]
fn the_released_verbs_are_answered_as_released() {
    let cluster = start("32M");
    let socket = cluster.nodes[0].socket();
    let connect = || {
        let mut connection = Raw::unix(&socket).unwrap();
        connection.register().unwrap();
        connection
    };
    let (mut writer, mut reader) = (connect(), connect());
    let id = 7_530_267_942_240_387_115_u64;
    let stream = json!({ "id": id });
    let made = ask(&mut writer, "create_stream", json!({ "object_id": id }));
    assert_eq!(made, json!({ "type": "create_stream_reply" }));
    assert_eq!(
        code(&ask(
            &mut writer,
            "create_stream",
            json!({ "object_id": id })
        )),
        11
    );
    let open = |mode: u64| json!({ "object_id": id, "mode": mode });
    assert_eq!(
        ask(&mut writer, "open_stream", open(2))["type"],
        "open_stream_reply"
    );
    assert_eq!(code(&ask(&mut reader, "open_stream", open(2))), 45);
    assert_eq!(
        ask(&mut reader, "open_stream", open(1))["type"],
        "open_stream_reply"
    );
    assert_eq!(
        code(&ask(
            &mut reader,
            "open_stream",
            json!({ "object_id": 7, "mode": 1 })
        )),
        12
    );

    let sized = |size: u64| json!({ "id": id, "size": size });
    let first = ask(&mut writer, "get_next_stream_chunk", sized(128));
    assert_eq!(
        (&first["buffer"]["data_size"], &first["buffer"]["is_sealed"]),
        (&json!(128), &json!(false))
    );
    // The first chunk is complete when the second is asked for.
    let second = ask(&mut writer, "get_next_stream_chunk", sized(0));
    assert_eq!(second["buffer"]["data_size"], 0);
    let pulled = ask(&mut reader, "pull_next_stream_chunk", stream.clone());
    let chunk = &first["buffer"]["object_id"];
    assert_eq!(
        pulled,
        json!({ "type": "pull_next_stream_chunk_reply", "chunk": chunk })
    );
    let found = ask(
        &mut reader,
        "get_data",
        json!({ "id": [chunk], "sync_remote": false, "wait": false }),
    );
    assert!(found["content"].is_object(), "{found}");

    let pushed = json!({ "id": id, "chunk": 99 });
    assert_eq!(
        ask(&mut writer, "push_next_stream_chunk", pushed.clone())["type"],
        "push_next_stream_chunk_reply"
    );
    let stop = json!({ "id": id, "failed": false });
    assert_eq!(
        ask(&mut writer, "stop_stream", stop.clone())["type"],
        "stop_stream_reply"
    );
    assert_eq!(code(&ask(&mut writer, "stop_stream", stop)), 44);
    assert_eq!(
        code(&ask(&mut writer, "push_next_stream_chunk", pushed)),
        44
    );
    assert_eq!(
        code(&ask(&mut writer, "get_next_stream_chunk", sized(8))),
        44
    );
    // An id that was pushed comes before the chunk that was still being written.
    assert_eq!(
        ask(&mut reader, "pull_next_stream_chunk", stream.clone())["chunk"],
        99
    );
    let freed = ask(
        &mut reader,
        "get_buffers",
        json!({ "ids": [chunk], "unsafe": false }),
    );
    assert_eq!(
        freed["payloads"],
        json!([]),
        "the next pull deletes a chunk"
    );
    let empty = ask(&mut reader, "pull_next_stream_chunk", stream.clone());
    assert_eq!(empty["chunk"], second["buffer"]["object_id"]);
    let drained = ask(&mut reader, "pull_next_stream_chunk", stream.clone());
    assert_eq!(
        drained,
        json!({ "code": 42, "message": "Stream drained: no more chunks" })
    );
    assert_eq!(
        ask(&mut writer, "drop_stream", stream.clone())["type"],
        "drop_stream_reply"
    );
    assert_eq!(
        code(&ask(&mut reader, "pull_next_stream_chunk", stream)),
        12
    );
}

#[test]
fn a_released_reader_that_disconnects_drops_the_stream_and_a_failed_one_is_read_first() {
    let cluster = start("32M");
    let socket = cluster.nodes[0].socket();
    let connect = || {
        let mut connection = Raw::unix(&socket).unwrap();
        connection.register().unwrap();
        connection
    };
    let (mut writer, mut reader) = (connect(), connect());
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
