use openraft::EntryPayload;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt as _;

use vineyard_env::NoFaults;
use vineyard_wire::NodeId;

use super::*;
use crate::command::{Command, Entry};
use crate::disk::{MemoryDisk, SledDisk};
use crate::machine::Machine;
use crate::meta::driver::Shared;
use crate::testing::LocalThreads;
use crate::types::Membership;

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
        let shared = Arc::new(Shared::new(NodeId(0)));
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
        let disk = Arc::new(SledDisk::open(folder.path()).unwrap());
        (folder, disk as Arc<dyn Disk>)
    });
    TypeConfig::run(Suite::test_all(stores)).unwrap();
}

#[test]
fn a_log_with_a_hole_is_an_error() {
    let disk = Arc::new(MemoryDisk::default());
    let put = |index| {
        let entry = LogEntry::new(LogId::new_term_index(1, index), EntryPayload::Blank);
        let batch = vec![Change::Put(keys::entry(index), keys::seal(&entry))];
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

/// What openraft serialises of its own, as it stands under the keys of `keys.rs`: a directory written with one openraft
/// must be readable with the next.
#[test]
fn openrafts_records_have_the_bytes_they_always_had() {
    let log_id = |index| LogId::new_term_index(300, index);
    let joint = vec![[NodeId(1)].into(), [NodeId(1), NodeId(2)].into()];
    let places = [1, 2].map(|node| {
        let endpoint = format!("e:{node}");
        (NodeId(node), crate::types::Place { endpoint })
    });
    let members = openraft::Membership::new(joint, BTreeMap::from(places)).unwrap();
    let entry = |index, payload| LogEntry::new(log_id(index), payload);
    let command = Entry {
        version: 1,
        request: None,
        at_unix_ms: 5,
        command: Command::Found {
            cluster: "c".to_owned(),
        },
    };
    let lines = [
        line("vote given", &Vote::new(300, NodeId(2))),
        line("vote committed", &Vote::new_committed(300, NodeId(2))),
        line("log id", &log_id(7)),
        line("no log id", &None::<LogId>),
        line("blank entry", &entry(1, EntryPayload::Blank)),
        line("command", &entry(2, EntryPayload::Normal(command.into()))),
        line(
            "voters entry",
            &entry(3, EntryPayload::Membership(members.clone())),
        ),
        line("voters", &Membership::new(Some(log_id(3)), members)),
    ];
    assert_eq!(
        lines.concat(),
        include_str!("golden.txt"),
        "openraft's format has changed: old directories need a decoder of their own"
    );
}

/// Name and bytes of a record that reads back as what it was.
fn line<T>(name: &str, value: &T) -> String
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let bytes = keys::seal(value);
    assert_eq!(&keys::open::<T>(&bytes).unwrap(), value);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}: {hex}\n")
}
