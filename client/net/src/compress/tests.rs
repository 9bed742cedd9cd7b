//! zstd streams, byte by byte.

use std::io::ErrorKind;

use vineyard_wire::limits::ZSTD_CHUNK_BYTES_MAX;

use crate::compress::{Compressor, Decompressor};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

async fn compressed(blobs: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut compressor = Compressor::new().unwrap();
    for blob in blobs {
        compressor.write_blob(&mut bytes, blob).await.unwrap();
    }
    bytes
}

/// The chunks in `bytes`, without their lengths.
fn chunks(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<8>() {
        let (chunk, rest) = rest.split_at(u64::from_le_bytes(*header) as usize);
        chunks.push(chunk);
        bytes = rest;
    }
    assert!(bytes.is_empty());
    chunks
}

/// Bytes that do not compress, the same every time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as u8
    };
    (0..len).map(|_| step(&mut state)).collect()
}

#[tokio::test]
async fn a_blob_in_parts_is_the_same_as_one_that_is_whole() {
    let blob = noise(3 * ZSTD_CHUNK_BYTES_MAX + 5);
    for part_bytes in [1000, ZSTD_CHUNK_BYTES_MAX, blob.len()] {
        let mut bytes = Vec::new();
        let mut compressor = Compressor::new().unwrap();
        compressor.end_blob(&mut bytes).await.unwrap();
        assert!(bytes.is_empty(), "a blob without parts writes nothing");
        for part in blob.chunks(part_bytes) {
            compressor.write_part(&mut bytes, part).await.unwrap();
        }
        compressor.end_blob(&mut bytes).await.unwrap();
        compressor.write_blob(&mut bytes, b"next").await.unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        let (mut first, mut next) = (vec![0; blob.len()], [0; 4]);
        let mut reader = bytes.as_slice();
        decompressor
            .read_blob(&mut reader, &mut first)
            .await
            .unwrap();
        decompressor
            .read_blob(&mut reader, &mut next)
            .await
            .unwrap();
        assert!(first == blob && next == *b"next" && reader.is_empty());
    }
}

#[tokio::test]
async fn one_frame_spans_all_blobs_and_never_ends() {
    let bytes = compressed(&[b"first blob", b"", b"zzzzzzzzzz"]).await;
    let chunks = chunks(&bytes);
    assert_eq!(
        chunks.len(),
        2,
        "one flush per blob, none for the empty one"
    );
    assert_eq!(
        chunks[0][..6],
        [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], 0x00, 0x58]
    );
    // As the released client sends the same ten bytes after another blob.
    assert_eq!(chunks[1], [0x52, 0x00, 0x00, b'z']);
}

#[tokio::test]
async fn chunks_are_never_empty_nor_too_long() {
    let random = noise(3 << 20);
    let bytes = compressed(&[&random, &random[..1]]).await;
    for chunk in chunks(&bytes) {
        assert!(
            (1..=ZSTD_CHUNK_BYTES_MAX).contains(&chunk.len()),
            "{}",
            chunk.len()
        );
    }
}

#[tokio::test]
async fn what_was_compressed_comes_back() {
    let random = noise((1 << 18) + 3);
    let zeros = vec![0; 5 << 20];
    let block = noise(128 << 10);
    let blobs: [&[u8]; 7] = [
        &random,
        b"",
        &zeros,
        b"x",
        &block,
        &zeros[..131_072],
        &random[..7],
    ];
    let bytes = compressed(&blobs).await;
    let (mut reader, mut decompressor) = (&bytes[..], Decompressor::new().unwrap());
    for blob in blobs {
        let mut back = vec![1; blob.len()];
        decompressor
            .read_blob(&mut reader, &mut back)
            .await
            .unwrap();
        assert!(back == blob, "a blob of {} bytes", blob.len());
    }
    assert!(reader.is_empty());
}

#[tokio::test]
async fn hostile_streams_are_errors() {
    let too_long = (ZSTD_CHUNK_BYTES_MAX as u64 + 1).to_le_bytes().to_vec();
    let empty = 0_u64.to_le_bytes().to_vec();
    let nonsense = [4_u64.to_le_bytes().as_slice(), b"nope"].concat();
    let more_than_the_blob = compressed(&[&noise(100)]).await;
    for bytes in [too_long, empty, nonsense, more_than_the_blob] {
        let mut decompressor = Decompressor::new().unwrap();
        let error = decompressor
            .read_blob(&mut &bytes[..], &mut [0; 10])
            .await
            .unwrap_err();
        assert_ne!(error.kind(), ErrorKind::UnexpectedEof, "{bytes:?}");
    }
    let mut truncated = compressed(&[&noise(100)]).await;
    truncated.pop();
    let mut decompressor = Decompressor::new().unwrap();
    let error = decompressor
        .read_blob(&mut &truncated[..], &mut [0; 100])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}
