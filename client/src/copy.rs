//! Copies into the node's memory.

use std::thread;

/// Below this, starting a thread costs more than it saves.
const PIECE_BYTES_MIN: usize = 4 << 20;

/// Fills `target` with `source`, which is as long, on at most `threads_max` threads and processors.
pub(crate) fn copy(source: &[u8], target: &mut [u8], threads_max: usize) {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let pieces = (source.len() / PIECE_BYTES_MIN).min(threads_max);
    let pieces = match pieces {
        0 | 1 => 1,
        _ => pieces.min(processors()),
    };
    if pieces == 1 {
        return target.copy_from_slice(source);
    }
    let piece_bytes = source.len().div_ceil(pieces);
    let mut parts = source
        .chunks(piece_bytes)
        .zip(target.chunks_mut(piece_bytes));
    let own = parts.next();
    thread::scope(|scope| {
        for (from, to) in parts {
            scope.spawn(move || to.copy_from_slice(from));
        }
        if let Some((from, to)) = own {
            to.copy_from_slice(from);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive_whatever_the_threads() {
        for len in [0, 1, 2 * PIECE_BYTES_MIN - 1, 5 * PIECE_BYTES_MIN + 3] {
            let source: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            for threads_max in [0, 1, 2, 6] {
                let mut target = vec![0; len];
                copy(&source, &mut target, threads_max);
                assert!(target == source, "{len} bytes, {threads_max} threads");
            }
        }
    }
}
