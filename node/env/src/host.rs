//! What the machine says of itself and of this process, for people to read.

pub trait Host: Send + Sync {
    /// The machine's name.
    fn hostname(&self) -> String;

    /// Open file descriptors of this process.
    fn open_fds(&self) -> u64;

    /// File descriptors that this process may have open at once.
    fn open_fds_max(&self) -> u64;

    /// Memory of this process that is resident, bytes.
    fn resident_bytes(&self) -> u64;

    /// The bug this process has on purpose, by name: how the simulator shows that it would find it. A real machine
    /// plants none.
    fn planted(&self) -> Option<&'static str> {
        None
    }
}
