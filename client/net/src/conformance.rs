//! What every maker of `Network` and `Local` must do; the machine's and the simulator's pass the same suite.
//!
//! Each function panics at the first thing that is not so. Call them inside a tokio runtime with its drivers on (or
//! with the simulator's clock). They use the maker alone, and the addresses they are given.

mod local;
mod network;

pub use local::local;
pub use network::network;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::Stream;

/// More than any maker buffers, so that both sides must make progress at once.
const BULK_BYTES: usize = 8 << 20;

/// Every byte says where it is, within a prime period.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Bytes arrive whole and in order, small and large, both ways at once; an end is seen as an end.
async fn carries_bytes<A, B>(mut one: Box<A>, mut other: Box<B>)
where
    A: Stream + ?Sized,
    B: Stream + ?Sized,
{
    one.write_all(b"ping").await.expect("a small write");
    one.flush().await.expect("a flush");
    let mut small = [0; 4];
    other.read_exact(&mut small).await.expect("a small read");
    assert_eq!(&small, b"ping");

    let bulk = pattern(BULK_BYTES);
    let (mut one_in, mut one_out) = tokio::io::split(&mut one);
    let (mut other_in, mut other_out) = tokio::io::split(&mut other);
    let (mut there, mut back) = (vec![0; BULK_BYTES], vec![0; BULK_BYTES]);
    let results = tokio::join!(
        async { one_out.write_all(&bulk).await.and(one_out.flush().await) },
        async {
            other_out
                .write_all(&bulk)
                .await
                .and(other_out.flush().await)
        },
        async { other_in.read_exact(&mut there).await.map(drop) },
        async { one_in.read_exact(&mut back).await.map(drop) },
    );
    assert!(
        matches!(results, (Ok(()), Ok(()), Ok(()), Ok(()))),
        "bulk both ways: {results:?}"
    );
    assert!(
        there == bulk && back == bulk,
        "bulk bytes arrive as they were sent"
    );

    one.write_all(b"last")
        .await
        .expect("a write before the end");
    one.shutdown().await.expect("a shutdown");
    let mut rest = Vec::new();
    other
        .read_to_end(&mut rest)
        .await
        .expect("reading to the end");
    assert_eq!(
        rest, b"last",
        "what was written before the end arrives before it"
    );
    other
        .write_all(b"half")
        .await
        .expect("the other direction stays open");
    drop(other);
    let mut rest = Vec::new();
    one.read_to_end(&mut rest)
        .await
        .expect("reading what came before the drop");
    assert_eq!(rest, b"half");
}
