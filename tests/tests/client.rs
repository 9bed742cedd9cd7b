//! Every method of our client on a real node: over the Unix socket and over TCP, async and blocking; and against a
//! node that is stopped, where each must end with its deadline.
//!
//! The two faces have the same verbs, so each list of calls is written once, as a macro that is told how to wait.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use vineyard_client::stream::{ReaderOptions, StreamOptions};
use vineyard_client::{
    BlobSource, Client, DeleteOptions, Draft, Error, GetOptions, Object, Options, PutBlob,
    PutObject, ReadOptions, blocking,
};
use vineyard_tests::binaries::root;
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_wire::request::Configure;
use vineyard_wire::{InstanceId, NodeId, ObjectId};

use self::place::{Place, partly_elsewhere, runtime};
use self::verbs::{CONNECTING, FILLING, SILENT, VERBS};

const BLOB_BYTES: usize = 4096;
const DEADLINE: Duration = Duration::from_millis(300);
/// A call may connect once more and ask twice, each within its deadline; and a busy machine is late.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// No node of these clusters.
const STRANGER: NodeId = NodeId(7);
/// No node makes this id: its node would be the last there can be.
const NOTHING: ObjectId = ObjectId(u64::MAX >> 1);
/// No instance of these clusters.
const ELSEWHERE: InstanceId = InstanceId(99);

/// So many bytes, each 7, that are made when they are asked for.
struct Sevens(usize);

impl BlobSource for Sevens {
    fn size(&self) -> usize {
        self.0
    }

    fn read_at(&self, _offset: usize, target: &mut [u8]) {
        target.fill(7);
    }
}

/// How the async face waits.
macro_rules! awaited {
    ($call:expr) => {
        $call.await
    };
}

/// How the blocking face waits.
macro_rules! waited {
    ($call:expr) => {
        $call
    };
}

// Behind the macros that they use.
mod ending;
mod holds;
mod place;
mod verbs;

/// Every verb, with a result that somebody depends on.
macro_rules! use_every_verb {
    ($client:expr, $name:expr, $wait:ident) => {{
        let (client, name) = ($client, $name);
        let bytes = vec![7; BLOB_BYTES];
        let default = DeleteOptions::default();

        let mut writer = $wait!(client.create_blob(BLOB_BYTES)).unwrap();
        writer.as_mut_slice().copy_from_slice(&bytes);
        let blob = $wait!(writer.seal()).unwrap();
        assert_eq!(&blob[..], &bytes[..]);
        let writer = $wait!(client.create_blob(BLOB_BYTES)).unwrap();
        let small = $wait!($wait!(writer.shrink(10)).unwrap().seal()).unwrap();
        assert_eq!(small.len(), 10);
        $wait!(client.seal(small.id())).unwrap();
        assert!($wait!(client.shrink_blob(small.id(), 1)).is_err(), "it is sealed");
        for writer in $wait!(client.create_blobs(&[1, 2])).unwrap() {
            $wait!(writer.abort()).unwrap();
        }
        let one = $wait!(client.put_blob(&bytes)).unwrap();
        assert!(!$wait!(client.has_ended()));
        let sevens = $wait!(client.put_source(&Sevens(1000))).unwrap();
        let read = $wait!(client.get_blob(sevens)).unwrap();
        assert!(read.len() == 1000 && read.iter().all(|byte| *byte == 7));
        let two = $wait!(client.put_blobs(&[b"a", b"bc"])).unwrap();
        assert_eq!(&$wait!(client.get_blob(one)).unwrap()[..], &bytes[..]);
        assert_eq!($wait!(client.get_blobs(&two)).unwrap()[1].as_deref(), Some(&b"bc"[..]));
        let unsealed = $wait!(client.get_unsealed_blobs(&two)).unwrap();
        assert_eq!(unsealed[1].as_deref(), Some(&b"bc"[..]));
        $wait!(client.retain(&[one])).unwrap();
        assert!($wait!(client.is_in_use(one)).unwrap());
        $wait!(client.release(one)).unwrap();
        $wait!(client.drop_blob(two[0])).unwrap();
        assert!(!$wait!(client.exists(two[0])).unwrap());

        let draft = Draft::new("test::Whole").attribute("exact", u64::MAX).attribute("float", 0.1);
        let part = Draft::new("test::Part").blob("inner_", b"inside".to_vec());
        let whole = $wait!(client.put(draft.blob("buffer_", bytes.clone()).member("part_", part))).unwrap().id;
        let got = $wait!(client.get(whole)).unwrap();
        assert_eq!(got.attribute("exact"), Some(&json!(u64::MAX)));
        assert_eq!(got.attribute("float"), Some(&json!(0.1)));
        assert_eq!(&got.blob("buffer_").unwrap()[..], &bytes[..]);
        let part = got.blob("buffer_").unwrap().id();
        assert_eq!(&$wait!(client.read_blob(whole, part, client.instance_id())).unwrap()[..], &bytes[..]);
        assert_eq!(&got.blob_of(got.member("part_").unwrap(), "inner_").unwrap()[..], b"inside");

        let tree = json!({"typename": "test::Tree", "buffer_": {"typename": "vineyard::Blob", "inline": 0}});
        let put = PutObject {
            content: tree.as_object().unwrap().clone(),
            blobs: vec![PutBlob::Bytes(&bytes)],
            persist: true,
            name: Some(name.to_owned()),
        };
        let put = $wait!(client.put_object(put)).unwrap().id;
        let options = GetOptions::default();
        let mut found = $wait!(client.get_objects(&[put], &options)).unwrap();
        $wait!(client.complete(&mut found[0])).unwrap();
        $wait!(client.complete_with(&mut found[0], &ReadOptions::default())).unwrap();
        assert_eq!(&found[0].blob("buffer_").unwrap()[..], &bytes[..]);
        assert_eq!($wait!(client.get_object_named(name, &options)).unwrap().id, put);
        let unread = $wait!(client.get_raw(put, &options)).unwrap();
        assert_eq!(unread.tree.read().unwrap(), found[0].meta);
        assert_eq!(unread.blobs.keys().collect::<Vec<_>>(), found[0].blobs.keys().collect::<Vec<_>>());
        assert_eq!($wait!(client.get_raw_named(name, &options)).unwrap().id, put);
        $wait!(client.drop_name(name)).unwrap();

        let stream = $wait!(client.create_stream(StreamOptions::default())).unwrap();
        assert!($wait!(client.create_stream_of(stream, &StreamOptions::default())).is_err(), "there is one");
        let mut writer = $wait!(client.open_writer(stream)).unwrap();
        let mut reader = $wait!(client.open_reader(stream, &ReaderOptions::default())).unwrap();
        let mut chunk = $wait!(writer.chunk(7)).unwrap();
        chunk.as_mut_slice().copy_from_slice(b"chunk 0");
        $wait!(chunk.push()).unwrap();
        $wait!(writer.write(b"chunk 1")).unwrap();
        let pushed = $wait!(client.put_blob(b"chunk 2")).unwrap();
        $wait!(writer.push(pushed)).unwrap();
        let framed = $wait!(writer.put(Draft::new("test::Frame").blob("buffer_", bytes.clone()))).unwrap();
        assert_eq!($wait!(client.stream_status(stream)).unwrap().waiting_chunks, 4);
        let first = $wait!(reader.next()).unwrap().unwrap();
        assert_eq!((first.number(), &first.blob().unwrap()[..]), (Some(0), &b"chunk 0"[..]));
        let second = $wait!(reader.next_timeout(DEADLINE)).unwrap().unwrap();
        assert_eq!(&second.blob().unwrap()[..], b"chunk 1");
        let rest = $wait!(reader.next_many(10)).unwrap();
        assert_eq!((rest[0].id(), rest[1].object().unwrap().id), (pushed, framed));
        $wait!(writer.finish()).unwrap();
        assert!($wait!(client.stop_stream(stream, false, None)).is_err(), "it has ended");
        assert_eq!($wait!(client.migrate_stream(stream)).unwrap(), stream, "it is here");
        assert!($wait!(reader.next()).unwrap().is_none());
        drop((first, second, rest, reader, writer));
        assert!($wait!(client.forget_stream(stream)).is_err(), "it went with its last reader");
        $wait!(client.drop_stream(stream)).unwrap();

        let tree = json!({"typename": "test::Plain", "instance_id": client.instance_id().0, "nbytes": 0,
            "transient": true, "global": false});
        let tree = tree.as_object().unwrap().clone();
        let plain = $wait!(client.create_metadata(tree.clone())).unwrap().id;
        assert_eq!($wait!(client.create_metadatas(vec![tree.clone(), tree])).unwrap().len(), 2);
        assert_eq!($wait!(client.get_metadata(plain)).unwrap()["typename"], "test::Plain");
        assert_eq!($wait!(client.get_metadatas(&[plain, NOTHING], true)).unwrap().len(), 1);
        assert_eq!($wait!(client.wait_metadata(&[plain], DEADLINE)).unwrap().len(), 1);
        assert!($wait!(client.list_metadatas("test::Whole", false, 1000)).unwrap().contains_key(&whole));
        let labels = BTreeMap::from([("color".to_owned(), "red".to_owned())]);
        $wait!(client.label(plain, labels)).unwrap();
        let copy = $wait!(client.shallow_copy(plain, Default::default())).unwrap();
        assert_ne!(copy, plain);

        assert!(!$wait!(client.is_persisted(plain)).unwrap());
        $wait!(client.persist(plain)).unwrap();
        $wait!(client.persist_many(&[whole, copy])).unwrap();
        assert!($wait!(client.is_persisted(whole)).unwrap());
        assert_eq!($wait!(client.migrate(whole)).unwrap(), whole);

        $wait!(client.put_name(plain, name)).unwrap();
        assert!($wait!(client.put_name_if_absent(whole, name)).is_err());
        assert!($wait!(client.put_name_if_equals(whole, name, copy)).is_err());
        $wait!(client.put_name_if_equals(whole, name, plain)).unwrap();
        assert_eq!($wait!(client.get_name(name)).unwrap(), whole);
        assert_eq!($wait!(client.wait_name(name, DEADLINE)).unwrap(), whole);
        assert_eq!($wait!(client.list_names(name, false, 10)).unwrap()[name], whole);
        $wait!(client.drop_name(name)).unwrap();
        assert!($wait!(client.get_name(name)).unwrap_err().is_not_exists());

        assert!($wait!(client.cluster_meta()).unwrap().contains_key(&client.instance_id()));
        assert!($wait!(client.instance_status()).unwrap().memory_limit > 0);
        assert_eq!($wait!(client.cluster_status()).unwrap().cluster.voters, 1);
        assert!($wait!(client.remove_node(STRANGER, false, true)).is_err());
        assert!($wait!(client.begin_drain(STRANGER, false)).is_err());
        assert!($wait!(client.drain_node(STRANGER, false)).is_err());
        assert!($wait!(client.uncordon_node(STRANGER)).is_err());
        assert_eq!($wait!(client.list_events(0, 1)).unwrap().events[0].kind, "started");
        let described = $wait!(client.describe_node(None, None)).unwrap();
        assert_eq!(described.instance_id, client.instance_id());
        // The only node of its cluster cannot leave.
        assert!($wait!(client.leave_cluster(true)).is_err());
        assert!($wait!(client.recover_cluster(None)).is_err());
        assert_eq!($wait!(client.token()).is_ok(), client.is_ipc());
        assert_eq!($wait!(client.join_token()).is_ok(), client.is_ipc());
        assert!($wait!(client.rotate_token(Duration::MAX)).is_err());
        let set = $wait!(client.configure(Configure::default()));
        assert_eq!(set.is_ok(), client.is_ipc());
        $wait!(client.sync_meta()).unwrap();
        $wait!(client.debug()).unwrap();

        $wait!(client.delete(&[plain, copy, NOTHING], default)).unwrap();
        let gone = $wait!(client.delete_with_feedback(&[whole], default)).unwrap();
        assert_eq!(gone.len(), 2, "{gone:?}");
        assert!(!$wait!(client.exists(whole)).unwrap());
        $wait!(client.memory_trim()).unwrap();
        drop((blob, small, got, found));
        $wait!(client.clear()).unwrap();
        assert_eq!($wait!(client.instance_status()).unwrap().memory_usage, 0);
        $wait!(client.close());
        assert!(matches!($wait!(client.exists(plain)), Err(Error::Closed { .. })));
    }};
}

/// One call of the verb `name`; what it would return does not matter.
macro_rules! call_one {
    ($client:expr, $name:expr, $wait:ident) => {{
        let client = $client;
        let options = DeleteOptions::default();
        match $name {
            "create_blob" => $wait!(client.create_blob(8)).map(drop),
            "create_blobs" => $wait!(client.create_blobs(&[8, 8])).map(drop),
            "put_blob" => $wait!(client.put_blob(b"x")).map(drop),
            "put_blobs" => $wait!(client.put_blobs(&[b"x", b"y"])).map(drop),
            "put_source" => $wait!(client.put_source(&Sevens(8))).map(drop),
            "get_blob" => $wait!(client.get_blob(NOTHING)).map(drop),
            "get_blobs" => $wait!(client.get_blobs(&[NOTHING])).map(drop),
            "get_unsealed_blobs" => $wait!(client.get_unsealed_blobs(&[NOTHING])).map(drop),
            "seal" => $wait!(client.seal(NOTHING)),
            "drop_blob" => $wait!(client.drop_blob(NOTHING)),
            "shrink_blob" => $wait!(client.shrink_blob(NOTHING, 1)),
            "retain" => $wait!(client.retain(&[NOTHING])),
            "release" => $wait!(client.release(NOTHING)),
            "is_in_use" => $wait!(client.is_in_use(NOTHING)).map(drop),
            "put" => $wait!(client.put(Draft::new("t").blob("b", b"x".to_vec()))).map(drop),
            "get" => $wait!(client.get(NOTHING)).map(drop),
            "create_metadata" => $wait!(client.create_metadata(Default::default())).map(drop),
            "create_metadatas" => $wait!(client.create_metadatas(vec![])).map(drop),
            "get_metadata" => $wait!(client.get_metadata(NOTHING)).map(drop),
            "get_metadatas" => $wait!(client.get_metadatas(&[NOTHING], true)).map(drop),
            "wait_metadata" => $wait!(client.wait_metadata(&[NOTHING], DEADLINE)).map(drop),
            "list_metadatas" => $wait!(client.list_metadatas("*", false, 1)).map(drop),
            "label" => $wait!(client.label(NOTHING, BTreeMap::new())),
            "shallow_copy" => $wait!(client.shallow_copy(NOTHING, Default::default())).map(drop),
            "is_persisted" => $wait!(client.is_persisted(NOTHING)).map(drop),
            "persist" => $wait!(client.persist(NOTHING)),
            "persist_many" => $wait!(client.persist_many(&[NOTHING])),
            "migrate" => $wait!(client.migrate(NOTHING)).map(drop),
            "put_name" => $wait!(client.put_name(NOTHING, "n")),
            "put_name_if_absent" => $wait!(client.put_name_if_absent(NOTHING, "n")),
            "put_name_if_equals" => $wait!(client.put_name_if_equals(NOTHING, "n", NOTHING)),
            "get_name" => $wait!(client.get_name("n")).map(drop),
            "wait_name" => $wait!(client.wait_name("n", DEADLINE)).map(drop),
            "list_names" => $wait!(client.list_names("*", false, 1)).map(drop),
            "drop_name" => $wait!(client.drop_name("n")),
            "cluster_meta" => $wait!(client.cluster_meta()).map(drop),
            "instance_status" => $wait!(client.instance_status()).map(drop),
            "cluster_status" => $wait!(client.cluster_status()).map(drop),
            "remove_node" => $wait!(client.remove_node(STRANGER, false, true)).map(drop),
            "begin_drain" => $wait!(client.begin_drain(STRANGER, false)).map(drop),
            "drain_node" => $wait!(client.drain_node(STRANGER, false)).map(drop),
            "uncordon_node" => $wait!(client.uncordon_node(STRANGER)),
            "leave_cluster" => $wait!(client.leave_cluster(true)).map(drop),
            "recover_cluster" => $wait!(client.recover_cluster(None)).map(drop),
            "list_events" => $wait!(client.list_events(0, 1)).map(drop),
            "describe_node" => $wait!(client.describe_node(None, None)).map(drop),
            "token" => $wait!(client.token()).map(drop),
            "join_token" => $wait!(client.join_token()).map(drop),
            "rotate_token" => $wait!(client.rotate_token(Duration::MAX)).map(drop),
            "configure" => $wait!(client.configure(Configure::default())).map(drop),
            "sync_meta" => $wait!(client.sync_meta()),
            "debug" => $wait!(client.debug()),
            "delete" => $wait!(client.delete(&[NOTHING], options)),
            "delete_with_feedback" => {
                $wait!(client.delete_with_feedback(&[NOTHING], options)).map(drop)
            }
            "exists" => $wait!(client.exists(NOTHING)).map(drop),
            "read_blob" => $wait!(client.read_blob(NOTHING, NOTHING, ELSEWHERE)).map(drop),
            "put_object" => $wait!(client.put_object(PutObject::default())).map(drop),
            "get_objects" => {
                $wait!(client.get_objects(&[NOTHING], &GetOptions::default())).map(drop)
            }
            "get_object_named" => {
                $wait!(client.get_object_named("n", &GetOptions::default())).map(drop)
            }
            "get_raw" => $wait!(client.get_raw(NOTHING, &GetOptions::default())).map(drop),
            "get_raw_named" => $wait!(client.get_raw_named("n", &GetOptions::default())).map(drop),
            "complete" => $wait!(client.complete(&mut partly_elsewhere())),
            "complete_with" => {
                let options = ReadOptions::default();
                $wait!(client.complete_with(&mut partly_elsewhere(), &options))
            }
            "create_stream" => $wait!(client.create_stream(StreamOptions::default())).map(drop),
            "create_stream_of" => {
                $wait!(client.create_stream_of(NOTHING, &StreamOptions::default()))
            }
            "migrate_stream" => $wait!(client.migrate_stream(NOTHING)).map(drop),
            "open_reader" => {
                $wait!(client.open_reader(NOTHING, &ReaderOptions::default())).map(drop)
            }
            "open_writer" => $wait!(client.open_writer(NOTHING)).map(drop),
            "stop_stream" => $wait!(client.stop_stream(NOTHING, false, None)),
            "drop_stream" => $wait!(client.drop_stream(NOTHING)),
            "forget_stream" => $wait!(client.forget_stream(NOTHING)),
            "stream_status" => $wait!(client.stream_status(NOTHING)).map(drop),
            "clear" => $wait!(client.clear()),
            "memory_trim" => $wait!(client.memory_trim()).map(drop),
            other => panic!("no call of {other}"),
        }
    }};
}

#[test]
fn every_verb_works_over_both_transports_async_and_blocking() {
    let cluster = Cluster::start(1, &Plan::default()).unwrap();
    let place = Place::of(&cluster.nodes[0]);
    let options = Options::default();
    for ipc in [true, false] {
        runtime().block_on(async {
            let client = place.connect(ipc, &options).await;
            use_every_verb!(&client, &format!("async/{ipc}~"), awaited);
        });
        let client = place.connect_blocking(ipc, &options);
        use_every_verb!(&client, &format!("blocking/{ipc}~"), waited);
    }
}

/// Options of a client that does not wait long.
fn impatient() -> Options {
    let mut options = Options::default();
    options.deadline = DEADLINE;
    options.transfer = DEADLINE;
    options
}

fn judge<T>(verb: &str, ipc: bool, started: Instant, result: Result<T, Error>) {
    let took = started.elapsed();
    let error = result.err().expect(verb);
    assert!(
        matches!(error, Error::Deadline { .. }),
        "{verb}, ipc {ipc}: {error}"
    );
    assert!(took < ENDS_WITHIN, "{verb}, ipc {ipc}: {took:?}");
}

#[test]
fn every_verb_against_a_stopped_node_ends_with_its_deadline() {
    let cluster = Cluster::start(1, &Plan::default()).unwrap();
    let node = &cluster.nodes[0];
    let place = Place::of(node);
    let options = impatient();
    let runtime = runtime();
    // A call that missed its deadline closes its connection, so each verb has its own.
    let mut clients = Vec::new();
    let mut blocking_clients = Vec::new();
    for ipc in [true, false] {
        for verb in VERBS {
            // Over TCP the bytes are kept in the client until they are sealed: nothing is asked.
            if ipc || !verb.starts_with("create_blob") {
                clients.push((verb, ipc, runtime.block_on(place.connect(ipc, &options))));
                blocking_clients.push((verb, ipc, place.connect_blocking(ipc, &options)));
            }
        }
    }
    node.process().unwrap().signal(Signal::SIGSTOP).unwrap();
    // All at once: one after the other they would take a minute.
    std::thread::scope(|scope| {
        for (verb, ipc, client) in &clients {
            let runtime = &runtime;
            scope.spawn(move || {
                let started = Instant::now();
                let result = runtime.block_on(async { call_one!(client, *verb, awaited) });
                judge(verb, *ipc, started, result);
            });
        }
        for (verb, ipc, client) in &blocking_clients {
            scope.spawn(move || {
                let started = Instant::now();
                judge(verb, *ipc, started, call_one!(client, *verb, waited));
            });
        }
    });
    node.process().unwrap().signal(Signal::SIGCONT).unwrap();
}

/// Every public asynchronous method in the file or folder `path` of the client's sources.
fn methods(path: &std::path::Path) -> Vec<String> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries
            .flat_map(|entry| methods(&entry.unwrap().path()))
            .collect();
    }
    let text = fs::read_to_string(path).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub async fn "));
    names
        .map(|line| line.split(['(', '<']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn no_verb_of_the_client_is_left_out() {
    let source = root().join("client/src");
    let this = fs::read_to_string(root().join("tests/tests/client.rs")).unwrap();
    let mut found = methods(&source.join("client"));
    found.extend(methods(&source.join("client.rs")));
    for verb in &found {
        let stopped = [&VERBS[..], &CONNECTING, &SILENT];
        assert!(
            stopped.iter().any(|some| some.contains(&verb.as_str())),
            "{verb} is not called on a stopped node"
        );
    }
    for verb in &VERBS {
        assert!(
            found.iter().any(|one| one == verb),
            "{verb} is no verb of the client any more"
        );
        // Once by name in the list of calls, and once where its result counts.
        let calls = this.matches(&format!("client.{verb}(")).count();
        assert!(calls > 1, "{verb} is not used on a node that answers");
    }
    assert_eq!(methods(&source.join("blob.rs")), FILLING);
}
