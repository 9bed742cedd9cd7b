//! A reader of a stream gets the chunks in the order in which they were written, none twice and none left out; of
//! readers that share, each chunk goes to one, and what one had that failed comes to another later. A stream that says
//! it has ended was read whole.

use std::collections::BTreeSet;

use super::Judged;

pub const NAME: &str = "chunks_come_in_order";

/// What one reader got: numbers that the writer wrote into the chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Got {
    pub numbers: Vec<u64>,
    /// It was told that there are no more.
    pub to_the_end: bool,
}

/// Judges the readers of a stream of which each gets all; `written` chunks were acknowledged.
pub fn judge_each(stream: &str, readers: &[Got], written: u64) -> Judged {
    for got in readers {
        let expected: Vec<u64> = (0..got.numbers.len() as u64).collect();
        if got.numbers != expected {
            return Err(format!("a reader of {stream} got {:?}", got.numbers));
        }
        if got.to_the_end && got.numbers.len() as u64 != written {
            let numbers = got.numbers.len();
            return Err(format!(
                "{stream} ended after {numbers} of {written} chunks"
            ));
        }
    }
    Ok(())
}

/// So many chunks a reader asks for at once.
pub const PULL_MAX: u64 = 3;

/// Judges readers that share a stream, none of which left by its own will before its end. What the last pull of a
/// reader gave that did not come to the end goes to another, because its next pull never said that these were read; it
/// may come after later ones.
pub fn judge_shared(stream: &str, readers: &[Got], written: u64) -> Judged {
    let (mut all, mut unsure) = (BTreeSet::<u64>::new(), BTreeSet::<u64>::new());
    let to_the_end = readers.iter().all(|got| got.to_the_end);
    for got in readers {
        if to_the_end && !got.numbers.is_sorted() {
            return Err(format!("a reader of {stream} got {:?}", got.numbers));
        }
        let unread = match got.to_the_end {
            true => 0,
            false => got.numbers.len().min(PULL_MAX as usize),
        };
        let (read, last) = got.numbers.split_at(got.numbers.len() - unread);
        unsure.extend(last);
        for number in read {
            if !all.insert(*number) {
                return Err(format!("two readers of {stream} got chunk {number}"));
            }
        }
    }
    all.extend(unsure);
    if to_the_end && all.len() as u64 != written {
        let numbers = all.len();
        return Err(format!(
            "{stream} ended after {numbers} of {written} chunks"
        ));
    }
    Ok(())
}

/// Judges a window as the node reports it.
pub fn judge_window(stream: &str, bytes: u64, bytes_max: u64) -> Judged {
    match bytes <= bytes_max {
        true => Ok(()),
        false => Err(format!(
            "{stream} has {bytes} bytes in a window of {bytes_max}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(numbers: &[u64], to_the_end: bool) -> Got {
        let numbers = numbers.to_vec();
        Got {
            numbers,
            to_the_end,
        }
    }

    #[test]
    fn a_chunk_out_of_order_twice_or_left_out_is_found() {
        judge_each("s", &[got(&[0, 1, 2], true), got(&[0, 1], false)], 3).unwrap();
        assert!(judge_each("s", &[got(&[1, 0], false)], 3).is_err());
        assert!(judge_each("s", &[got(&[0, 0], false)], 3).is_err());
        assert!(judge_each("s", &[got(&[0, 2], false)], 3).is_err());
        assert!(judge_each("s", &[got(&[0, 1], true)], 3).is_err());
    }

    #[test]
    fn a_chunk_that_two_share_or_nobody_has_is_found() {
        judge_shared("s", &[got(&[0, 2], true), got(&[1], true)], 3).unwrap();
        assert!(judge_shared("s", &[got(&[0, 1], true), got(&[1, 2], true)], 3).is_err());
        assert!(judge_shared("s", &[got(&[0], true), got(&[2], true)], 3).is_err());
        assert!(judge_shared("s", &[got(&[2, 0], true), got(&[1], true)], 3).is_err());
    }

    #[test]
    fn another_reader_gets_the_last_chunks_of_one_that_failed_and_no_others() {
        judge_shared("s", &[got(&[0, 1, 2, 3], false), got(&[1, 2, 3], true)], 4).unwrap();
        judge_shared("s", &[got(&[0, 1], false), got(&[2, 3, 1], true)], 4).unwrap();
        assert!(judge_shared("s", &[got(&[0, 1, 2, 3], false), got(&[0], true)], 4).is_err());
    }

    #[test]
    fn a_window_that_is_too_full_is_found() {
        judge_window("s", 10, 10).unwrap();
        assert!(judge_window("s", 11, 10).is_err());
    }
}
