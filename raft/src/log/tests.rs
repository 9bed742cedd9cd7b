use openraft::EntryPayload;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt as _;

use vineyard_env::NoFaults;
use vineyard_wire::NodeId;

use super::*;
use crate::disk::{MemoryDisk, SledDisk};
use crate::machine::Machine;
use crate::options::Options;
use crate::published::Published;
use crate::testing::LocalThreads;

/// Makes a store on a disk of its own for each of openraft's tests.
struct Stores<F>(F);

impl<G, F> StoreBuilder<TypeConfig, Log, Machine, G> for Stores<F>
where
    G: Send + Sync,
    F: Fn() -> (G, Arc<dyn Disk>) + Send + Sync,
{
    async fn build(&self) -> Result<(G, Log, Machine), StorageError<TypeConfig>> {
        let (guard, disk) = (self.0)();
        let log = Log::load(disk.clone(), Arc::new(NoFaults)).unwrap();
        let options = Options::default();
        let quorum_lasts = options.quorum_lasts();
        let faults = Arc::new(NoFaults);
        let shared = Published::new(NodeId(0), options.pace, quorum_lasts, faults);
        let shared = Arc::new(shared);
        let machine =
            Machine::load(disk, Arc::new(LocalThreads), shared, Arc::new(NoFaults)).unwrap();
        Ok((guard, log, machine))
    }
}

#[test]
fn openraft_accepts_the_store_on_a_memory_disk() {
    let stores = Stores(|| ((), Arc::new(MemoryDisk::default()) as Arc<dyn Disk>));
    TypeConfig::run(Suite::test_all(stores)).unwrap();
}

#[test]
fn openraft_accepts_the_store_on_a_sled_disk() {
    let stores = Stores(|| {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(SledDisk::open(folder.path(), keys::entries()).unwrap());
        (folder, disk as Arc<dyn Disk>)
    });
    TypeConfig::run(Suite::test_all(stores)).unwrap();
}

#[test]
fn a_log_with_a_hole_is_an_error() {
    let disk = Arc::new(MemoryDisk::default());
    let put = |index| {
        let entry = LogEntry::new(LogId::new_term_index(1, index), EntryPayload::Blank);
        let batch = vec![Change::Put(
            keys::entry(index),
            keys::seal(&stored::LogEntry::from(&entry)),
        )];
        disk.commit(batch, Box::new(|outcome| outcome.unwrap()));
    };
    put(7);
    put(8);
    assert!(Log::load(disk.clone(), Arc::new(NoFaults)).is_ok());
    put(10);
    let error = Log::load(disk.clone(), Arc::new(NoFaults))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
