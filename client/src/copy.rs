//! Copies into the node's memory.

use std::thread;

use crate::source::BlobBytes;

/// Below this, starting a thread costs more than it saves.
const PIECE_BYTES_MIN: usize = 4 << 20;

/// Fills `target` with `source`, which is as long, on at most `threads_max` threads and processors.
pub(crate) fn copy(source: BlobBytes<'_>, target: &mut [u8], threads_max: usize) {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let pieces = (source.len() / PIECE_BYTES_MIN).min(threads_max);
    let pieces = match pieces {
        0 | 1 => 1,
        _ => pieces.min(processors()),
    };
    if pieces == 1 {
        return source.read_at(0, target);
    }
    let piece_bytes = source.len().div_ceil(pieces);
    let offsets = (0..).step_by(piece_bytes);
    let mut parts = offsets.zip(target.chunks_mut(piece_bytes));
    let own = parts.next();
    thread::scope(|scope| {
        for (offset, to) in parts {
            scope.spawn(move || source.read_at(offset, to));
        }
        if let Some((offset, to)) = own {
            source.read_at(offset, to);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlobSource;

    struct Reversed(Vec<u8>);

    impl BlobSource for Reversed {
        fn size(&self) -> usize {
            self.0.len()
        }

        fn read_at(&self, offset: usize, target: &mut [u8]) {
            let bytes = self.0.iter().rev().skip(offset);
            target
                .iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = *from);
        }
    }

    #[test]
    fn a_source_is_read_whole_whatever_the_threads() {
        let len = 5 * PIECE_BYTES_MIN + 3;
        let mut expected: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let source = Reversed(expected.clone());
        expected.reverse();
        for threads_max in [1, 6] {
            let mut target = vec![0; len];
            copy(BlobBytes::Source(&source), &mut target, threads_max);
            assert!(target == expected, "{threads_max} threads");
        }
    }

    #[test]
    fn all_bytes_arrive_whatever_the_threads() {
        for len in [0, 1, 2 * PIECE_BYTES_MIN - 1, 5 * PIECE_BYTES_MIN + 3] {
            let source: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            for threads_max in [0, 1, 2, 6] {
                let mut target = vec![0; len];
                copy(BlobBytes::Slice(&source), &mut target, threads_max);
                assert!(target == source, "{len} bytes, {threads_max} threads");
            }
        }
    }
}
