//! Mutated frames at both decoders: no panic, no memory beyond a fixed cap, and what decodes survives a round trip.

use std::process::Command;

use vineyard_wire::json::{
    decode_reply, decode_request, encode_reply, encode_request, encode_status,
};
use vineyard_wire::peer::{
    self, Answer, Ask, Challenge, Hello, Introduced, Life, Response, Welcome,
};

use crate::peer_samples::each_peer_sample;
use crate::reply_samples::replies;
use crate::samples::requests;

const SEEDS: u64 = 15_000;
/// Address space of the child that decodes, KiB: far above what the frames warrant, far below what they announce.
const CHILD_KIB: u64 = 1 << 20;
const CHILD: &str = "VINEYARD_WIRE_HOSTILE_CHILD";

/// splitmix64: the same seed gives the same frames everywhere.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

const NUMBERS: [&str; 9] = [
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
    "1e308",
    "1e999",
    "-1",
    "4294967296",
    "0.5",
];

fn mutate(frame: &mut Vec<u8>, corpus: &[Vec<u8>], seeded: &mut Seeded) {
    let at = seeded.below(frame.len());
    match seeded.below(7) {
        0 if !frame.is_empty() => frame[at] ^= 1 << seeded.below(8),
        1 => frame.truncate(at),
        2 => {
            let other = &corpus[seeded.below(corpus.len())];
            frame.truncate(at);
            frame.extend_from_slice(&other[seeded.below(other.len())..]);
        }
        3 => inflate_number(frame, seeded),
        4 => {
            let piece = frame[at..]
                .iter()
                .take(seeded.below(40))
                .copied()
                .collect::<Vec<_>>();
            frame.splice(at..at, piece);
        }
        5 => {
            let byte = u8::try_from(seeded.below(256)).unwrap();
            frame.splice(at..at, std::iter::repeat_n(byte, seeded.below(12)));
        }
        _ => {
            let end = at + seeded.below(frame.len() - at);
            frame.drain(at..end);
        }
    }
}

/// Text frames: one number becomes another. Binary frames: eight bytes become a length.
fn inflate_number(frame: &mut Vec<u8>, seeded: &mut Seeded) {
    let from = seeded.below(frame.len());
    if let Some(start) = (from..frame.len()).find(|at| frame[*at].is_ascii_digit()) {
        let digits = frame[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = NUMBERS[seeded.below(NUMBERS.len())];
        frame.splice(start..start + digits, number.bytes());
    } else if from < frame.len() {
        let length = [&[253][..], &(1_u64 << seeded.below(64)).to_le_bytes()].concat();
        frame.splice(from..=from, length);
    }
}

fn json_must_hold(frame: &[u8]) {
    if let Ok(request) = decode_request(frame) {
        assert_eq!(decode_request(&encode_request(&request)), Ok(request));
    }
    match decode_reply(frame) {
        Ok(Ok(reply)) => assert_eq!(decode_reply(&encode_reply(&reply)), Ok(Ok(reply))),
        Ok(Err(status)) => assert_eq!(decode_reply(&encode_status(&status)), Ok(Err(status))),
        Err(_) => {}
    }
}

fn peer_must_hold(frame: &[u8]) {
    macro_rules! hold {
        ($($message:ty),*) => {
            $(if let Ok(message) = peer::decode::<$message>(frame) {
                assert_eq!(peer::decode::<$message>(&peer::encode(&message)), Ok(message));
            })*
        };
    }
    hold!(
        Hello,
        Challenge,
        Response,
        Welcome,
        Life,
        Introduced,
        Ask,
        Answer,
        Vec<Ask>,
        Vec<u8>,
        Vec<String>
    );
}

fn corpus_of_json() -> Vec<Vec<u8>> {
    let requests = requests()
        .into_iter()
        .map(|(_, request)| encode_request(&request));
    let replies = replies().into_iter().map(|(_, reply)| encode_reply(&reply));
    requests.chain(replies).collect()
}

fn corpus_of_peers() -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    macro_rules! push {
        ($name:expr, $message:expr) => {
            corpus.push(peer::encode($message))
        };
    }
    each_peer_sample!(push);
    corpus
}

fn throw(corpus: &[Vec<u8>], must_hold: fn(&[u8])) {
    for seed in 0..SEEDS {
        let mut seeded = Seeded(seed);
        let mut frame = corpus[seeded.below(corpus.len())].clone();
        for _ in 0..=seeded.below(4) {
            mutate(&mut frame, corpus, &mut seeded);
            must_hold(&frame);
        }
    }
}

#[test]
fn mutated_frames_neither_crash_nor_exhaust_memory() {
    if std::env::var_os(CHILD).is_some() {
        throw(&corpus_of_json(), json_must_hold);
        throw(&corpus_of_peers(), peer_must_hold);
        return;
    }
    // Again in a process of its own, whose memory is bounded: an allocation beyond the bound aborts it.
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -v {CHILD_KIB} && exec \"$0\" \"$@\""),
        ])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "hostile::mutated_frames_neither_crash_nor_exhaust_memory",
        ])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{output:?}"
    );
}
