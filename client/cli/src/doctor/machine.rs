//! Checks of the node's machine: its process, its files and its disk.

use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};
use vineyard_node::config::resolve::check_size;
use vineyard_node::config::size;

use super::Check;
use super::facts::{Disk, Facts, Here, Mode};

/// A node with a lower limit serves few clients.
const DESCRIPTORS_MIN: u64 = 1024;
const OPEN_PERCENT_MAX: u64 = 80;
/// A disk with less cannot take a snapshot.
const FREE_MIN: u64 = 64 << 20;
const FREE_LOW: u64 = 1 << 30;
const FREE_PERCENT_LOW: u64 = 5;
/// A change waits for a sync on a majority of the voters.
const SYNC_MAX: Duration = Duration::from_millis(10);
const OTHERS: u32 = 0o007;
const ALL_BUT_USER: u32 = 0o077;

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    match &facts.here {
        Err(reason) => vec![Check::skip("machine", reason)],
        Ok(here) => vec![
            memory(facts, here),
            descriptors(facts, here),
            socket(here),
            token(here),
            access(here),
            room(here),
            sync(here),
        ],
    }
}

fn memory(facts: &Facts, here: &Here) -> Check {
    let nodes = &facts.status.nodes;
    let asked = nodes.iter().find(|node| node.instance_id == facts.asked);
    let Some(stats) = asked.and_then(|node| node.stats.as_ref()) else {
        return Check::skip("memory", "the node does not tell the size of its arena");
    };
    let arena = stats.memory_limit;
    let less = "restart it with a smaller --size, or give it more memory";
    match check_size(arena, &here.memory) {
        Err(error) => Check::fail("memory", error.to_string(), less),
        Ok(Some(notice)) => Check::warn("memory", notice, less),
        Ok(None) => {
            let usable = here.memory.usable_bytes().map(size::show);
            let of = usable.unwrap_or_else(|| "an unknown amount".to_owned());
            Check::ok("memory", format!("{} of {of}", size::show(arena)))
        }
    }
}

fn descriptors(facts: &Facts, here: &Here) -> Check {
    let Some((limit, _)) = here.descriptors else {
        return Check::skip("descriptors", "the limits of the process cannot be read");
    };
    let nodes = &facts.status.nodes;
    let asked = nodes.iter().find(|node| node.instance_id == facts.asked);
    let open = asked.and_then(|node| node.stats.as_ref());
    let open = open.map_or(0, |stats| stats.open_fds);
    let found = format!("{open} of {limit} are open");
    match () {
        () if open.saturating_mul(100) / limit.max(1) >= OPEN_PERCENT_MAX => Check::warn(
            "descriptors",
            found,
            "close connections that are idle, or raise the limit (ulimit -Hn, LimitNOFILE of systemd) and restart",
        ),
        () if limit < DESCRIPTORS_MIN => Check::warn(
            "descriptors",
            found,
            "raise the hard limit (ulimit -Hn, LimitNOFILE of systemd) to 65536 and restart",
        ),
        () => Check::ok("descriptors", found),
    }
}

fn socket(here: &Here) -> Check {
    let socket = match &here.socket {
        Ok(socket) => socket,
        Err(reason) => {
            let remedy = "the node makes it again by itself; look who removes it";
            return Check::fail("socket", reason, remedy);
        }
    };
    let found = format!(
        "{} has mode {:04o}, user {}, group {}",
        socket.path.display(),
        socket.mode,
        user(socket.user),
        group(socket.group)
    );
    match () {
        () if socket.user != here.user => Check::fail(
            "socket",
            format!("{found}; the node runs as {}", user(here.user)),
            "another user made this file: stop that process, or use another --socket",
        ),
        () if socket.mode & OTHERS != 0 => Check::warn(
            "socket",
            format!("{found}: every user of this machine may read and delete objects"),
            "restart it with --socket-mode 0660, and give the socket the group of its clients",
        ),
        () => Check::ok("socket", found),
    }
}

fn token(here: &Here) -> Check {
    let told = match &here.settings {
        Ok(told) => told,
        Err(reason) => return Check::skip("token", reason),
    };
    if told.token_is_seen {
        return Check::warn(
            "token",
            "it stands on the command line, where every user of this machine can read it",
            "restart the node without --token: it is a member, and needs none any more",
        );
    }
    match &here.token {
        Some(Mode { path, mode, .. }) if mode & ALL_BUT_USER != 0 => Check::fail(
            "token",
            format!("other users may read {} (mode {mode:04o})", path.display()),
            "chmod 0600 that file: a user who reads it can join the cluster",
        ),
        Some(Mode { path, .. }) => {
            let found = format!("only its user reads {}", path.display());
            Check::ok("token", found)
        }
        None => Check::ok("token", "no file of this node holds it in the open"),
    }
}

fn access(here: &Here) -> Check {
    match &here.settings {
        Err(reason) => Check::skip("access", reason),
        Ok(told) if told.config.rpc_open_to_anyone && !has_users(told) => Check::warn(
            "access",
            "over TCP everybody who reaches the port may read and delete objects",
            "restart it with --norpc-open-to-anyone, or with --htpasswd",
        ),
        Ok(_) => Check::ok("access", "TCP asks who a client is"),
    }
}

fn has_users(told: &vineyard_node::config::settings::Settings) -> bool {
    let users = told.list.iter().find(|one| one.name == "htpasswd");
    users.is_some_and(|one| !one.value.is_empty())
}

fn room(here: &Here) -> Check {
    let disk = match &here.disk {
        Ok(disk) => disk,
        Err(reason) => return Check::skip("disk", reason),
    };
    let Disk {
        free_bytes,
        total_bytes,
        ..
    } = disk;
    let found = format!(
        "{} of {} are free at {}",
        size::show(*free_bytes),
        size::show(*total_bytes),
        disk.path.display()
    );
    let low = FREE_LOW.min(total_bytes / 100 * FREE_PERCENT_LOW);
    let remedy = "make room there; a node whose disk is full changes nothing any more";
    match () {
        () if *free_bytes < FREE_MIN => Check::fail("disk", found, remedy),
        () if *free_bytes < low => Check::warn("disk", found, remedy),
        () => Check::ok("disk", found),
    }
}

fn sync(here: &Here) -> Check {
    let syncs = match here.disk.as_ref().map(|disk| disk.syncs.as_ref()) {
        Ok(Ok(syncs)) => syncs,
        Ok(Err(reason)) | Err(reason) => return Check::skip("sync", reason),
    };
    let Some(slow) = syncs.get((syncs.len() * 99 / 100).min(syncs.len().saturating_sub(1))) else {
        return Check::skip("sync", "nothing was measured");
    };
    let found = format!(
        "{:.1} ms for the slowest hundredth of {} syncs",
        slow.as_secs_f64() * 1e3,
        syncs.len()
    );
    match *slow > SYNC_MAX {
        false => Check::ok("sync", found),
        true => Check::warn(
            "sync",
            found,
            "put the data directory on a faster disk, or take other work off it: each change waits for it",
        ),
    }
}

fn user(id: u32) -> String {
    let known = User::from_uid(Uid::from_raw(id)).ok().flatten();
    known.map_or_else(|| id.to_string(), |user| user.name)
}

fn group(id: u32) -> String {
    let known = Group::from_gid(Gid::from_raw(id)).ok().flatten();
    known.map_or_else(|| id.to_string(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Grade;
    use crate::verbs::status::tests::status;
    use vineyard_node::config::Config;
    use vineyard_node::config::memory::{Group, Memory};
    use vineyard_node::config::settings::Settings;
    use vineyard_wire::InstanceId;

    /// A machine without a fault, and the 8 GiB arena of the status.
    fn here() -> Here {
        let mode = |path: &str, mode| Mode {
            path: path.into(),
            mode,
            user: 0,
            group: 0,
        };
        Here {
            user: 0,
            memory: Memory {
                machine_bytes: Some(32 << 30),
                group: None,
            },
            descriptors: Some((65_536, 65_536)),
            socket: Ok(mode("/s", 0o660)),
            settings: Ok(Settings {
                list: Vec::new(),
                config: Config::new("/d", "/s"),
                token_file: None,
                token_is_seen: false,
            }),
            token: Some(mode("/t", 0o600)),
            disk: Ok(Disk {
                path: "/d".into(),
                free_bytes: 10 << 30,
                total_bytes: 100 << 30,
                syncs: Ok(vec![Duration::from_millis(2); 100]),
            }),
        }
    }

    fn found(plant: impl FnOnce(&mut Here)) -> Vec<Check> {
        let mut here = here();
        plant(&mut here);
        let mut checks = checks(&Facts {
            place: "/s".into(),
            asked: InstanceId(0),
            status: status(),
            heard: Vec::new(),
            hosts: Vec::new(),
            here: Ok(here),
        });
        checks.retain(|check| check.result != Grade::Ok);
        checks
    }

    #[track_caller]
    fn assert_finds(check: &str, grade: Grade, says: &str, plant: impl FnOnce(&mut Here)) {
        let found = found(plant);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!((found[0].check, found[0].result), (check, grade));
        assert!(found[0].found.contains(says), "{found:#?}");
        assert!(found[0].remedy.is_some());
    }

    #[test]
    fn each_planted_fault_of_a_machine_is_found_alone() {
        use Grade::{Fail, Warn};
        assert_eq!(found(|_| {}), []);
        assert_finds("memory", Fail, "4 GiB", |h| {
            h.memory.machine_bytes = Some(4 << 30)
        });
        assert_finds("memory", Warn, "/group", |h| {
            h.memory.group = Some(Group {
                limit_bytes: 8 << 30,
                file: "/group".into(),
            });
        });
        assert_finds("descriptors", Warn, "of 256", |h| {
            h.descriptors = Some((256, 256))
        });
        assert_finds("socket", Warn, "every user", |h| {
            h.socket.as_mut().ok().unwrap().mode = 0o666;
        });
        assert_finds("socket", Fail, "runs as", |h| h.user = 4_000_000);
        assert_finds("socket", Fail, "gone", |h| h.socket = Err("gone".into()));
        assert_finds("token", Fail, "0644", |h| {
            h.token.as_mut().unwrap().mode = 0o644
        });
        assert_finds("token", Warn, "command line", |h| {
            h.settings.as_mut().unwrap().token_is_seen = true;
        });
        assert_finds("access", Warn, "TCP", |h| {
            h.settings.as_mut().unwrap().config.rpc_open_to_anyone = true;
        });
        let disk = |h: &mut Here, free: u64| h.disk.as_mut().ok().unwrap().free_bytes = free;
        assert_finds("disk", Fail, "1 MiB of", |h| disk(h, 1 << 20));
        assert_finds("disk", Warn, "512 MiB of", |h| disk(h, 512 << 20));
        assert_finds("sync", Warn, "20.0 ms", |h| {
            let syncs = &mut h.disk.as_mut().ok().unwrap().syncs;
            *syncs = Ok(vec![Duration::from_millis(20); 3]);
        });
    }

    #[test]
    fn what_cannot_be_seen_is_no_fault() {
        let found = found(|here| {
            here.settings = Err("not allowed".into());
            here.disk = Err("not known".into());
            here.descriptors = None;
        });
        assert!(
            found.iter().all(|check| check.result == Grade::Skip),
            "{found:#?}"
        );
        assert_eq!(found.len(), 5, "{found:#?}");
    }
}
