//! Frames that arrive in pieces, several at once, cut off, or with a false length.

use tokio::io::{AsyncWriteExt, duplex};

use super::*;

const BYTES_MAX: usize = 1 << 20;
const STALL_MAX: Duration = Duration::from_secs(30);
const AHEAD_BYTES_MAX: usize = 256 << 10;

#[tokio::test]
async fn an_absurd_length_is_refused_before_anything_is_reserved() {
    for announced in [1_u64 << 63, u64::MAX, BYTES_MAX as u64 + 1] {
        let (mut near, mut far) = duplex(64);
        far.write_all(&announced.to_le_bytes()).await.unwrap();
        let mut reader = FrameReader::default();
        match reader.frame(&mut near, BYTES_MAX, STALL_MAX).await {
            Err(FrameError::TooLong(error)) => assert_eq!(error.announced, announced),
            other => panic!("{other:?}"),
        }
        assert!(reader.bytes.capacity() <= 2 * READ_BYTES);
    }
}

#[tokio::test]
async fn memory_grows_with_what_arrived_not_with_what_was_announced() {
    let (mut near, mut far) = duplex(64);
    far.write_all(&(BYTES_MAX as u64).to_le_bytes())
        .await
        .unwrap();
    far.write_all(b"only this").await.unwrap();
    drop(far);
    let mut reader = FrameReader::default();
    assert!(
        reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .is_none()
    );
    assert!(reader.bytes.capacity() <= 2 * READ_BYTES);
}

#[tokio::test]
async fn a_frame_may_be_split_anywhere() {
    let sent = [
        frame::with_header(b"first"),
        frame::with_header(b""),
        frame::with_header(b"3"),
    ];
    let sent = sent.concat();
    for cut in 0..=sent.len() {
        let (mut near, mut far) = duplex(sent.len());
        let mut reader = FrameReader::default();
        far.write_all(&sent[..cut]).await.unwrap();
        let mut bodies = Vec::new();
        let read_all = async {
            while let Some(body) = reader.frame(&mut near, BYTES_MAX, STALL_MAX).await.unwrap() {
                bodies.push(body);
            }
        };
        let send_rest = async {
            tokio::task::yield_now().await;
            far.write_all(&sent[cut..]).await.unwrap();
            drop(far);
        };
        tokio::join!(read_all, send_rest);
        assert_eq!(
            bodies,
            [b"first".to_vec(), b"".to_vec(), b"3".to_vec()],
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn frames_that_arrive_together_are_given_out_one_by_one() {
    let (mut near, mut far) = duplex(1 << 20);
    for index in 0..1000_u32 {
        far.write_all(&frame::with_header(&index.to_le_bytes()))
            .await
            .unwrap();
    }
    drop(far);
    let mut reader = FrameReader::default();
    for index in 0..1000_u32 {
        let body = reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(body, index.to_le_bytes());
    }
    assert!(
        reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn bytes_read_before_the_session_come_first() {
    let sent = frame::with_header(b"hello");
    let (mut near, mut far) = duplex(64);
    let mut reader = FrameReader::new(sent[..HEADER_BYTES].to_vec());
    far.write_all(&sent[HEADER_BYTES..]).await.unwrap();
    assert_eq!(
        reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .unwrap(),
        b"hello"
    );
}

#[tokio::test]
async fn raw_bytes_after_a_frame_can_be_taken() {
    let (mut near, mut far) = duplex(64);
    far.write_all(&frame::with_header(b"frame")).await.unwrap();
    far.write_all(b"raw bytes").await.unwrap();
    let mut reader = FrameReader::default();
    assert_eq!(
        reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .unwrap(),
        b"frame"
    );
    assert_eq!(reader.take(3), b"raw");
    assert_eq!(reader.take(usize::MAX), b" bytes");
    assert_eq!(reader.take(usize::MAX), b"");
}

#[tokio::test]
async fn a_close_is_noticed_and_bytes_before_it_are_kept() {
    let (mut near, mut far) = duplex(64);
    let mut reader = FrameReader::default();
    far.write_all(&frame::with_header(b"next")).await.unwrap();
    drop(far);
    reader.until_closed(&mut near, AHEAD_BYTES_MAX).await;
    assert_eq!(
        reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .unwrap(),
        b"next"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_close_is_cancel_safe() {
    let (mut near, mut far) = duplex(4 * READ_BYTES);
    let mut reader = FrameReader::default();
    let body: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let sent = frame::with_header(&body);
    for piece in sent.chunks(7000) {
        far.write_all(piece).await.unwrap();
        let wait = reader.until_closed(&mut near, AHEAD_BYTES_MAX);
        assert!(
            tokio::time::timeout(Duration::from_millis(1), wait)
                .await
                .is_err()
        );
    }
    assert_eq!(
        reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .unwrap(),
        body
    );
}

#[tokio::test(start_paused = true)]
async fn reading_ahead_stops_at_its_limit() {
    let (mut near, mut far) = duplex(4 * AHEAD_BYTES_MAX);
    far.write_all(&vec![0; 4 * AHEAD_BYTES_MAX]).await.unwrap();
    drop(far);
    let mut reader = FrameReader::default();
    let wait = reader.until_closed(&mut near, AHEAD_BYTES_MAX);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), wait)
            .await
            .is_err()
    );
    assert!(reader.unused().len() < 2 * AHEAD_BYTES_MAX);
}

#[tokio::test]
async fn a_large_frame_leaves_no_large_buffer() {
    let (mut near, mut far) = duplex(BYTES_MAX * 2);
    far.write_all(&frame::with_header(&vec![1; BYTES_MAX]))
        .await
        .unwrap();
    let mut reader = FrameReader::default();
    assert_eq!(
        reader
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await
            .unwrap()
            .unwrap()
            .len(),
        BYTES_MAX
    );
    assert!(reader.bytes.capacity() <= 2 * READ_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_stops_in_the_middle_is_given_up_and_a_slow_one_is_not() {
    let pause = STALL_MAX - Duration::from_secs(1);
    let frame = frame::with_header(b"slow");
    let (mut near, mut far) = duplex(64);
    let mut reader = FrameReader::default();
    let slow = async {
        // No frame has begun: a client may say nothing for as long as it likes.
        tokio::time::sleep(10 * STALL_MAX).await;
        for byte in &frame {
            far.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(pause).await;
        }
    };
    let (body, ()) = tokio::join!(reader.frame(&mut near, BYTES_MAX, STALL_MAX), slow);
    assert_eq!(body.unwrap().as_deref(), Some(b"slow".as_slice()));
    for begun in [1, HEADER_BYTES, HEADER_BYTES + 1] {
        let (mut near, mut far) = duplex(64);
        far.write_all(&frame[..begun]).await.unwrap();
        let read = FrameReader::default()
            .frame(&mut near, BYTES_MAX, STALL_MAX)
            .await;
        assert!(
            matches!(read, Err(FrameError::Stalled { .. })),
            "{begun}: {read:?}"
        );
    }
}
