//! Faults that a process has on purpose: the simulator shows with them that its checks would find such a bug.
//!
//! The product has none. Its makers can give nothing but `NoFaults`, a type without fields; the simulator brings an
//! implementation of its own. A fault has no text here, so that the name of none is in a binary of the product.

/// A bug where it could stand in real life. What each does is said where it is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    StaleNameRead,
    LeakedReference,
    PutNameIgnoresCondition,
    RetryAppliesAgain,
    AckBeforeDurable,
    VoteLostAtRestart,
    PersistLosesAMember,
    IdGivenTwice,
    BytesNotFetched,
    LocalAsksTheQuorum,
    RemovedNodeCounts,
    WaitNotWoken,
    AdmitsAnySecret,
    StatusTrustsTheLastLeader,
    OlderBootAccepted,
    RecoveryKeepsTheEpoch,
    AgreementIsForgotten,
    DrainGivesUpEarly,
}

pub trait Faults: Send + Sync {
    /// Whether this process has `fault`.
    fn has(&self, fault: Fault) -> bool;

    /// A request's body as the decoder gets it: how a codec that loses something is imitated.
    fn received(&self, body: Vec<u8>) -> Vec<u8>;
}

/// What the product has.
pub struct NoFaults;

const _: () = assert!(size_of::<NoFaults>() == 0);

impl Faults for NoFaults {
    fn has(&self, _fault: Fault) -> bool {
        false
    }

    fn received(&self, body: Vec<u8>) -> Vec<u8> {
        body
    }
}
