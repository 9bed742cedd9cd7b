//! How much memory a process really has: its arena's file and the kernel say so, whatever the process claims.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};

/// Of one block, as `stat` counts them.
const BLOCK_BYTES: u64 = 512;

/// Bytes of pages behind all memory files that process `pid` holds.
pub fn allocated_bytes(pid: u32) -> Result<u64> {
    let mut inodes = std::collections::BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).context("the process's descriptors")? {
        let path = entry?.path();
        let is_memory =
            fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:"));
        if is_memory {
            let file = fs::metadata(&path)?;
            // One file may be open twice; its pages are there once.
            inodes.insert(file.ino(), file.blocks() * BLOCK_BYTES);
        }
    }
    Ok(inodes.values().sum())
}

/// Bytes of memory that process `pid` has alone: its heap and stacks, without files and shared memory.
pub fn private_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.context("a process that has ended has no memory")?;
    let kibibytes: u64 = kibibytes.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}
