//! How much memory this process may use: the machine's, and the limits of its own control groups.
//!
//! A limit may stand at the process's own group and at each group above it. Where a container has no name space of
//! groups, the mount shows the container's group as its root. Both versions of control groups are read; a machine may
//! have both at once. Pure: it is given a function that reads a file.

/// Where the kernel says them.
const GROUPS: &str = "/proc/self/cgroup";
const MOUNTS: &str = "/proc/self/mountinfo";
const MEMINFO: &str = "/proc/meminfo";
/// What a node and its clients need beside the arena: a fixed part, and a part of the arena for page tables.
const OVERHEAD_BYTES: u64 = 256 << 20;
const OVERHEAD_PART: u64 = 32;

/// What bounds this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub machine_bytes: Option<u64>,
    pub group: Option<Group>,
}

/// The control group with the lowest limit, of those that this process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub limit_bytes: u64,
    /// Of the file that says so.
    pub file: String,
}

impl Memory {
    pub fn read(read: &dyn Fn(&str) -> Option<String>) -> Self {
        let machine_bytes = read(MEMINFO).and_then(|text| total_bytes(&text));
        let (groups, mounts) = (read(GROUPS), read(MOUNTS));
        let files = match (&groups, &mounts) {
            (Some(groups), Some(mounts)) => limit_files(groups, mounts),
            _ => Vec::new(),
        };
        let limit = |file: String| {
            let limit_bytes = read(&file)?.trim().parse().ok()?;
            Some(Group { limit_bytes, file })
        };
        let limits = files.into_iter().filter_map(limit);
        Self {
            machine_bytes,
            // No limit is the word `max`, or a number beyond all memory.
            group: limits
                .min_by_key(|group| group.limit_bytes)
                .filter(|group| machine_bytes.is_none_or(|machine| group.limit_bytes < machine)),
        }
    }

    /// The smaller of the two.
    pub fn usable_bytes(&self) -> Option<u64> {
        let group = self.group.as_ref().map(|group| group.limit_bytes);
        group.or(self.machine_bytes)
    }

    /// What an arena of so many bytes needs in all.
    pub fn needed_bytes(arena_bytes: u64) -> u64 {
        arena_bytes
            .saturating_add(OVERHEAD_BYTES)
            .saturating_add(arena_bytes / OVERHEAD_PART)
    }
}

/// The files that may limit the process, of its own groups and of those above them.
fn limit_files(groups: &str, mounts: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (kind, controller, file) = match controllers {
            "" => ("cgroup2", None, "memory.max"),
            all if all.split(',').any(|one| one == "memory") => {
                ("cgroup", Some("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for mount in mounts.lines().filter_map(Mount::parse) {
            if mount.kind == kind && controller.is_none_or(|one| mount.has(one)) {
                let above = mount.folders(group);
                files.extend(above.into_iter().map(|folder| format!("{folder}/{file}")));
            }
        }
    }
    files
}

/// A line of `mountinfo`.
struct Mount<'a> {
    /// The part of the file system that is mounted.
    root: &'a str,
    at: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, file_system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        Some(Self {
            root: place.next()?,
            at: place.next()?,
            kind: file_system.next()?,
            options: file_system.nth(1)?,
        })
    }

    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|one| one == controller)
    }

    /// The folders of `group` and of all groups above it that the mount shows.
    fn folders(&self, group: &str) -> Vec<String> {
        let below = match self.root {
            "/" => group,
            // A group outside of what is mounted: the mount's own root is what there is to see.
            root => group
                .strip_prefix(root)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
                .unwrap_or(""),
        };
        let mut folder = format!("{}{}", self.at, below.trim_end_matches('/'));
        let mut folders = vec![folder.clone()];
        while folder.len() > self.at.len() {
            folder.truncate(folder.rfind('/').unwrap_or(0));
            folders.push(folder.clone());
        }
        folders
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
    const V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    /// What is read of a machine of 24 GiB with these files.
    fn read(files: &[(&str, &str)]) -> Memory {
        let meminfo = (MEMINFO, "MemTotal:       25165824 kB\nMemFree: 1 kB\n");
        let files: Vec<_> = files.iter().chain([&meminfo]).copied().collect();
        Memory::read(&|path| {
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    fn limit(memory: &Memory) -> Option<u64> {
        memory.group.as_ref().map(|group| group.limit_bytes / MIB)
    }

    #[test]
    fn the_own_group_counts_and_each_one_above_it() {
        let own = "/sys/fs/cgroup/system.slice/vineyard.service/memory.max";
        let above = "/sys/fs/cgroup/system.slice/memory.max";
        for (own_limit, above_limit, expected) in [
            ("209715200\n", "max\n", Some(200)),
            ("max\n", "104857600\n", Some(100)),
            ("209715200\n", "104857600\n", Some(100)),
            ("max\n", "max\n", None),
        ] {
            let memory = read(&[
                (GROUPS, "0::/system.slice/vineyard.service\n"),
                (MOUNTS, V2),
                (own, own_limit),
                (above, above_limit),
            ]);
            assert_eq!(limit(&memory), expected);
            assert_eq!(memory.machine_bytes, Some(24 << 30));
            let usable = memory.usable_bytes().unwrap() / MIB;
            assert_eq!(usable, expected.unwrap_or(24 << 10));
        }
    }

    #[test]
    fn the_first_version_is_read_as_well_and_both_at_once() {
        let groups = "9:cpu,memory:/batch/job\n1:name=systemd:/\n0::/\n";
        let memory = read(&[
            (GROUPS, groups),
            (MOUNTS, &format!("{V2}\n{V1}")),
            (
                "/sys/fs/cgroup/memory/batch/job/memory.limit_in_bytes",
                "9223372036854771712",
            ),
            (
                "/sys/fs/cgroup/memory/batch/memory.limit_in_bytes",
                "314572800",
            ),
            ("/sys/fs/cgroup/memory.max", "419430400"),
        ]);
        assert_eq!(limit(&memory), Some(300));
        let file = memory.group.unwrap().file;
        assert_eq!(file, "/sys/fs/cgroup/memory/batch/memory.limit_in_bytes");
    }

    /// A container sees its own group as the root of the mount, with or without a name space of groups.
    #[test]
    fn a_container_reads_the_root_of_its_mount() {
        let mounted = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        for group in ["/docker/abc", "/", "/docker/abcd"] {
            let memory = read(&[
                (GROUPS, &format!("4:memory:{group}\n")),
                (MOUNTS, mounted),
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "524288000"),
            ]);
            assert_eq!(limit(&memory), Some(500), "{group}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        let nothing = Memory::read(&|_| None);
        assert_eq!((nothing.usable_bytes(), nothing.group), (None, None));
        assert_eq!(
            limit(&read(&[
                (GROUPS, "nonsense\n0::/\n"),
                (MOUNTS, "nonsense\n")
            ])),
            None
        );
        assert_eq!(total_bytes("nothing"), None);
    }

    #[test]
    fn an_arena_needs_a_little_more_than_its_bytes() {
        assert_eq!(Memory::needed_bytes(0) / MIB, 256);
        assert_eq!(
            Memory::needed_bytes(32 << 30) / MIB,
            (32 << 10) + 256 + 1024
        );
    }
}
