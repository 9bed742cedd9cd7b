//! Received bytes are checked: anything but the bytes that were asked for is an error, never data.

use tokio::io::AsyncWriteExt;
use vineyard_env::Memory;
use vineyard_shm::{Arena, HeapMemory, PAGE_BYTES};
use vineyard_wire::{ObjectId, Status};

use super::*;
use crate::peer::pipe::{Pipe, pipes};

const LENS: [u64; 2] = [5, 300];

/// Two ranges and the slices that they fill.
fn piece() -> (Arena, Piece) {
    let arena = Arena::new(HeapMemory.create("test", PAGE_BYTES).unwrap());
    let range = |(index, len): (usize, &u64)| Range {
        blob: ObjectId(index as u64 + 1),
        offset: 0,
        len: *len,
    };
    let target = |(index, len): (usize, &u64)| arena.slice_mut(index as u64 * 1024, *len).unwrap();
    let piece = Piece {
        ranges: LENS.iter().enumerate().map(range).collect(),
        targets: LENS.iter().enumerate().map(target).collect(),
    };
    (arena, piece)
}

fn content() -> Vec<u8> {
    (0..LENS.iter().sum::<u64>()).map(|n| n as u8).collect()
}

/// Fetches from a source that answers `answer`, then `raw`, and closes.
async fn fetch_from(answer: Answer, raw: Vec<u8>) -> (Arena, io::Result<Vec<(Range, u64)>>) {
    let (mut near, mut far) = pipes();
    let (arena, piece) = piece();
    let source = async move {
        let asked: Ask = frames::read(&mut far, frames::MESSAGE_BYTES_MAX)
            .await
            .unwrap();
        assert!(matches!(asked, Ask::Read { ranges } if ranges.len() == LENS.len()));
        frames::write(&mut far, &answer).await.unwrap();
        far.write_all(&raw).await.unwrap();
    };
    let (fetched, ()) = tokio::join!(fetch_piece(&mut near, piece, None), source);
    (arena, fetched)
}

fn bytes(len: u64) -> Answer {
    Answer::Bytes { len }
}

fn with_checksum(content: &[u8], checksum: u64) -> Vec<u8> {
    [content, &checksum.to_le_bytes()].concat()
}

#[tokio::test]
async fn each_range_arrives_in_its_place() {
    let content = content();
    let raw = with_checksum(&content, xxhash_rust::xxh3::xxh3_64(&content));
    let (arena, fetched) = fetch_from(bytes(305), raw).await;
    let checksums = fetched.unwrap().into_iter().map(|(_, checksum)| checksum);
    let expected = [&content[..5], &content[5..]].map(xxhash_rust::xxh3::xxh3_64);
    assert!(checksums.eq(expected));
    assert_eq!(*arena.slice(0, 5).unwrap(), content[..5]);
    assert_eq!(*arena.slice(1024, 300).unwrap(), content[5..]);
}

#[tokio::test]
async fn a_checksum_that_does_not_match_is_an_error() {
    let content = content();
    let raw = with_checksum(&content, xxhash_rust::xxh3::xxh3_64(&content) ^ 1);
    let (_, fetched) = fetch_from(bytes(305), raw).await;
    let error = fetched.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[tokio::test]
async fn a_stream_that_ends_early_is_an_error() {
    let content = content();
    let raw = with_checksum(&content, xxhash_rust::xxh3::xxh3_64(&content));
    for cut in [0, 4, 5, 100, 305, 312] {
        let (_, fetched) = fetch_from(bytes(305), raw[..cut].to_vec()).await;
        let error = fetched.unwrap_err();
        assert_eq!(
            error.kind(),
            io::ErrorKind::UnexpectedEof,
            "cut at {cut}: {error}"
        );
    }
}

#[tokio::test]
async fn another_length_than_was_asked_for_is_an_error() {
    for offered in [0, 304, 306, u64::MAX] {
        let (_, fetched) = fetch_from(bytes(offered), vec![0; 400]).await;
        let error = fetched.unwrap_err();
        assert!(error.to_string().contains("asked for 305"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_carries_its_reason() {
    let refusal = Answer::Refused(Status::not_exists("no such blob here"));
    let (_, fetched) = fetch_from(refusal, Vec::new()).await;
    let error = fetched.unwrap_err().to_string();
    assert!(error.contains("no such blob here"), "{error}");
}

#[tokio::test]
async fn an_answer_to_another_question_is_an_error() {
    let joined = Answer::Joined {
        node: vineyard_wire::NodeId(1),
        cluster: "other".to_owned(),
        epoch: 1,
    };
    let (_, fetched) = fetch_from(joined, Vec::new()).await;
    let error = fetched.unwrap_err().to_string();
    assert!(error.contains("not an answer to a read"), "{error}");
}

#[tokio::test]
async fn a_fetch_that_timed_out_drops_its_targets() {
    let (near, far) = pipes();
    let (arena, piece) = piece();
    let mut near: Pipe = near;
    let fetched = fetch_piece(&mut near, piece, None);
    assert!(
        tokio::time::timeout(Duration::from_millis(1), fetched)
            .await
            .is_err()
    );
    drop(far);
    assert!(arena.slice_mut(0, 5).is_ok());
}
