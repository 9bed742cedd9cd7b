//! Which node takes which blobs of a node that is drained. Pure, so that it can be tested without a network.
//!
//! Blobs that were made one after the other stay together as far as a batch goes, and each batch goes to the node that
//! has most room. It must never know how a blob is moved.

use std::cmp::Reverse;

use vineyard_wire::{Code, InstanceId, NodeId, ObjectId, Status};

/// At most so much goes to another node in one question, or one blob.
const BATCH_BYTES_MAX: u64 = 64 << 20;
const BATCH_BLOBS_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moving {
    pub(super) blob: ObjectId,
    pub(super) bytes: u64,
}

/// What a node has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) instance: InstanceId,
    pub(super) endpoint: String,
    pub(super) free_bytes: u64,
    /// The largest blob that fits.
    pub(super) largest_bytes: u64,
}

impl Target {
    fn fits(&self, bytes: u64) -> bool {
        bytes <= self.free_bytes && bytes <= self.largest_bytes
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) target: InstanceId,
    pub(super) endpoint: String,
    pub(super) blobs: Vec<ObjectId>,
    pub(super) bytes: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) batches: Vec<Batch>,
    /// What fits nowhere.
    blobs_left_over: usize,
    bytes_left_over: u64,
}

/// Blobs larger than a batch first, the largest before the others, so that small ones do not take their place.
pub(super) fn place(mut blobs: Vec<Moving>, mut targets: Vec<Target>) -> Placed {
    let large = |bytes: u64| if bytes > BATCH_BYTES_MAX { bytes } else { 0 };
    blobs.sort_by_key(|moving| (Reverse(large(moving.bytes)), moving.blob));
    let mut placed = Placed::default();
    let mut open: Option<usize> = None;
    for Moving { blob, bytes } in blobs {
        let is_full = placed.batches.last().is_some_and(|batch| {
            batch.blobs.len() >= BATCH_BLOBS_MAX || batch.bytes + bytes > BATCH_BYTES_MAX
        });
        let goes_on = open.filter(|at| !is_full && targets[*at].fits(bytes));
        let Some(at) = goes_on.or_else(|| most_room(&targets, bytes)) else {
            placed.blobs_left_over += 1;
            placed.bytes_left_over += bytes;
            continue;
        };
        if goes_on.is_none() {
            placed.batches.push(Batch {
                target: targets[at].instance,
                endpoint: targets[at].endpoint.clone(),
                blobs: Vec::new(),
                bytes: 0,
            });
            open = Some(at);
        }
        let batch = placed.batches.last_mut().expect("one is open");
        batch.blobs.push(blob);
        batch.bytes += bytes;
        targets[at].free_bytes -= bytes;
    }
    placed
}

fn most_room(targets: &[Target], bytes: u64) -> Option<usize> {
    let fitting = (0..targets.len()).filter(|at| targets[*at].fits(bytes));
    fitting.max_by_key(|at| (targets[*at].free_bytes, Reverse(targets[*at].instance)))
}

impl Placed {
    /// An error that says how much fits nowhere on `targets`.
    pub(super) fn all_fit(&self, from: NodeId, targets: &[Target]) -> Result<(), Status> {
        if self.blobs_left_over == 0 {
            return Ok(());
        }
        let free: Vec<String> = targets
            .iter()
            .map(|target| {
                format!(
                    "{} has {} bytes free",
                    target.instance.node(),
                    target.free_bytes
                )
            })
            .collect();
        let free = match free.is_empty() {
            true => "no other node is up and takes copies".to_owned(),
            false => free.join(", "),
        };
        let (blobs, bytes) = (self.blobs_left_over, self.bytes_left_over);
        Err(Status::new(
            Code::NotEnoughMemory,
            format!(
                "{blobs} blobs with {bytes} bytes that only {from} has fit on no other node: {free}"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(instance: u64, free_bytes: u64) -> Target {
        Target {
            instance: InstanceId(instance),
            endpoint: format!("n{instance}"),
            free_bytes,
            largest_bytes: free_bytes,
        }
    }

    fn moving(sizes: &[u64]) -> Vec<Moving> {
        let numbered = (1..).zip(sizes);
        let moving = |(number, bytes): (u64, &u64)| Moving {
            blob: ObjectId(1 << 63 | number),
            bytes: *bytes,
        };
        numbered.map(moving).collect()
    }

    #[test]
    fn each_batch_goes_to_the_node_with_most_room() {
        let half = BATCH_BYTES_MAX / 2;
        let targets = vec![target(1, 10 * half), target(2, 9 * half)];
        let placed = place(moving(&[half; 6]), targets.clone());
        let took: Vec<_> = placed
            .batches
            .iter()
            .map(|batch| (batch.target.0, batch.blobs.len()))
            .collect();
        assert_eq!(took, [(1, 2), (2, 2), (1, 2)]);
        placed.all_fit(NodeId(0), &targets).unwrap();
    }

    #[test]
    fn large_blobs_have_their_room_first() {
        let large = 2 * BATCH_BYTES_MAX;
        let targets = vec![target(1, large), target(2, 100)];
        let placed = place(moving(&[60, 40, large]), targets.clone());
        placed.all_fit(NodeId(0), &targets).unwrap();
        assert_eq!(placed.batches[0].bytes, large);
        assert_eq!(placed.batches[1].target, InstanceId(2));
    }

    #[test]
    fn what_fits_nowhere_is_said_with_figures() {
        let targets = vec![target(1, 100), target(2, 50)];
        let placed = place(moving(&[90, 60, 50]), targets.clone());
        let status = placed.all_fit(NodeId(0), &targets).unwrap_err();
        for part in [
            "1 blobs with 60 bytes",
            "only n0",
            "n1 has 100",
            "n2 has 50",
        ] {
            assert!(status.message.contains(part), "{status}");
        }
        let nobody = place(moving(&[1]), Vec::new()).all_fit(NodeId(0), &[]);
        assert!(nobody.unwrap_err().message.contains("no other node is up"));
        let split = Target {
            largest_bytes: 10,
            ..target(1, 100)
        };
        let placed = place(moving(&[20]), vec![split]);
        assert!(placed.batches.is_empty() && placed.bytes_left_over == 20);
    }

    #[test]
    fn a_batch_has_a_bound_of_blobs() {
        let placed = place(moving(&[1; BATCH_BLOBS_MAX + 1]), vec![target(1, 1 << 20)]);
        let blobs: Vec<_> = placed
            .batches
            .iter()
            .map(|batch| batch.blobs.len())
            .collect();
        assert_eq!(blobs, [BATCH_BLOBS_MAX, 1]);
    }
}
