//! The record on the disk, byte by byte, and the lives it counts.

use vineyard_env::Batch;

use super::*;
use crate::peer::pipe::random;

fn identity() -> Identity {
    Identity {
        key: 1 << 127,
        node: Some(NodeId(3)),
        cluster: "00ff".to_owned(),
        secret: [7; SECRET_BYTES],
        epoch: 1,
        founder: false,
        boots: 2,
        lives: vec![5],
        agreed: Vec::new(),
        replaced: Vec::new(),
        encrypts: false,
        refused: None,
        removed: false,
    }
}

/// A disk with one record.
struct Kept(Vec<u8>);

impl Disk for Kept {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        assert_eq!(key, KEY);
        Ok(Some(self.0.clone()))
    }

    fn scan(&self, _: &[u8], _: &[u8]) -> io::Result<Vec<vineyard_env::Pair>> {
        Ok(Vec::new())
    }

    fn commit(&self, _: Batch, done: vineyard_env::Done) {
        done(Err(io::ErrorKind::ReadOnlyFilesystem.into()));
    }

    fn files(&self) -> &dyn vineyard_env::Files {
        &vineyard_env::NoFiles
    }
}

#[test]
fn the_record_is_these_bytes() {
    let secret = ["7"; SECRET_BYTES].join(",");
    let record = format!(
        "\u{1}{{\"key\":170141183460469231731687303715884105728,\"node\":3,\"cluster\":\"00ff\",\
         \"secret\":[{secret}],\"epoch\":1,\"founder\":false,\"boots\":2,\"lives\":[5]}}"
    );
    assert_eq!(String::from_utf8(identity().encode()).unwrap(), record);
    let read = Identity::load(&Kept(record.into_bytes())).unwrap();
    assert_eq!(read, Some(identity()));
}

#[test]
fn a_record_that_cannot_be_read_ends_the_start_and_says_why() {
    let mut newer = identity().encode();
    newer[0] = VERSION + 1;
    for (bytes, reason) in [
        (newer, "version 2; this program reads 1"),
        (Vec::new(), "is empty"),
        (vec![VERSION, b'{'], "EOF"),
        (b"\x01{\"key\":1}".to_vec(), "missing field"),
    ] {
        let error = Identity::load(&Kept(bytes)).expect_err("unreadable");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_node_has_as_many_lives_as_an_id_can_say() {
    let lives = |boots| Identity {
        boots,
        ..identity()
    };
    let last = lives(BOOTS_MAX - 1)
        .reborn(&random(3))
        .expect("one life is left");
    assert_eq!(last.instance(NodeId(3)).boot(), BOOTS_MAX - 1);
    assert_eq!(last.lives.len(), 2, "the life before and this one");
    assert_eq!(last.reborn(&random(9)), None);
}

#[test]
fn a_member_tells_an_old_token_from_one_that_it_does_not_know() {
    let join = |cluster: &str, byte: u8| {
        let token = Token {
            cluster: cluster.to_owned(),
            secret: [byte; SECRET_BYTES],
        };
        Join {
            endpoints: Vec::new(),
            token: token.to_string(),
        }
    };
    let mut member = identity();
    member.has_rotated([8; SECRET_BYTES], &[[7; SECRET_BYTES]]);
    assert_eq!(member.token().secret, [8; SECRET_BYTES]);
    let read = Identity::load(&Kept(member.encode())).unwrap().unwrap();
    assert!(read.has_replaced(&identity().token()));
    let given = |cluster, byte| read.other_token(Some(&join(cluster, byte)));
    for (byte, known) in [(7, "an old one"), (8, "its own")] {
        assert_eq!(given("00ff", byte), None, "{known}");
    }
    assert_eq!(given("another", 9), None);
    assert_eq!(given("00ff", 9).unwrap().secret, [9; SECRET_BYTES]);
}

/// A disk that has no room writes nothing, and says nothing.
struct Full(std::sync::Mutex<Vec<vineyard_env::Done>>);

impl Disk for Full {
    fn get(&self, _: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn scan(&self, _: &[u8], _: &[u8]) -> io::Result<Vec<vineyard_env::Pair>> {
        Ok(Vec::new())
    }

    fn commit(&self, _: Batch, done: vineyard_env::Done) {
        self.0.lock().unwrap().push(done);
    }

    fn files(&self) -> &dyn vineyard_env::Files {
        &vineyard_env::NoFiles
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_without_room_is_not_waited_for_for_ever() {
    let full = Full(std::sync::Mutex::default());
    let late = identity().save_or_give_up(&full).await.unwrap_err();
    assert!(late.to_string().contains("has room"), "{late}");
}
