//! TCP has the socket's right: who may not open the Unix socket may not use TCP, unless the operator says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::unistd::{Gid, Uid, chown};
use serde_json::json;
use vineyard_tests::binaries::binary;
use vineyard_tests::process::Process;
use vineyard_tests::raw::Raw;
use vineyard_tests::skips::{skipped, works};
use vineyard_tests::wait;

mod deleted;
mod namespaces;

const READY_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// `nobody`, whose group is `nogroup`.
const OTHER: u32 = 65534;
const REFUSALS: usize = 50;
/// The SHA-1 of "test".
const USERS: &str = "ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n";

/// A node whose files are in a folder that all users may search, and the command line where they may run it.
struct Place {
    // Declared first: the process ends before its folder goes.
    process: Process,
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Place {
    fn start(flags: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", flags)
    }

    fn start_on(listen: &str, flags: &[&str]) -> Self {
        let folder = open_folder();
        let mut command = Command::new(binary("vineyardd").unwrap());
        command.args(["--size", "64M", "--listen", listen]);
        Self::launch(folder, &mut command, flags)
    }

    /// Starts `command`, a node without its files, and waits until it serves.
    fn launch(folder: tempfile::TempDir, command: &mut Command, flags: &[&str]) -> Self {
        command.arg("--data-dir").arg(folder.path().join("data"));
        command.arg("--socket").arg(folder.path().join("s/sock"));
        command.args(flags);
        if !flags.contains(&"--join") {
            command.arg("--found");
        }
        let process = Process::start("node", command, &folder.path().join("log")).unwrap();
        let mut place = Self {
            process,
            folder,
            endpoint: String::new(),
        };
        place.wait_ready();
        place
    }

    fn wait_ready(&mut self) {
        let socket = self.socket();
        let endpoint = wait::until("the node to serve", READY_WITHIN, || {
            self.process.check_running()?;
            // A node without passwords looks at neither.
            let request =
                json!({"type": "register_request", "username": "ann", "password": "test"});
            let answer = Raw::unix(&socket)?.ask(&request)?;
            // A node that waits to be admitted says so instead.
            let endpoint = answer["rpc_endpoint"].as_str();
            Ok(Some(
                endpoint.with_context(|| answer.to_string())?.to_owned(),
            ))
        });
        self.endpoint = endpoint.unwrap();
    }

    fn restart(&mut self) {
        self.process.terminate(ENDS_WITHIN).unwrap();
        let mut command = Command::new(binary("vineyardd").unwrap());
        command
            .arg("--data-dir")
            .arg(self.folder.path().join("data"));
        let log = self.folder.path().join("log");
        self.process = Process::start("node", &mut command, &log).unwrap();
        self.wait_ready();
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s/sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What `vineyardctl ls` of another user says over TCP.
    fn other_user(&self, more: &[&str]) -> Output {
        let mut command = as_other_user(&self.folder.path().join("vineyardctl"));
        command.args(["--endpoint", &self.endpoint]).args(more);
        command.arg("ls").output().unwrap()
    }
}

/// A folder with a `vineyardctl` that every user may run.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("users-").tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    fs::create_dir(folder.path().join("s")).unwrap();
    let program = folder.path().join("vineyardctl");
    fs::copy(binary("vineyardctl").unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn as_other_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={OTHER}"), format!("--regid={OTHER}")]);
    command.arg("--clear-groups").arg(program);
    command.current_dir("/").env_clear();
    command
}

fn cannot_be_another_user(test: &str) -> bool {
    let is_root = Uid::effective().is_root();
    let has_setpriv = works(&["setpriv", "--version"]);
    skipped(
        test,
        &[("root", is_root), ("setpriv (util-linux)", has_setpriv)],
    )
}

fn is_let_in(output: &Output) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
}

/// Refused with a message that has each of `words`.
fn is_refused(output: &Output, words: &[&str]) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "let in");
    for word in words {
        assert!(complaint.contains(word), "{word:?} is not in {complaint}");
    }
}

const REFUSAL: [&str; 4] = [
    "user 65534 (nobody)",
    "may not open",
    "--htpasswd",
    "--rpc-open-to-anyone",
];

#[test]
fn another_user_has_the_right_that_the_socket_gives() {
    if cannot_be_another_user("another_user_has_the_right_that_the_socket_gives") {
        return;
    }
    for listen in ["127.0.0.1:0", "localhost:0"] {
        let place = Place::start_on(listen, &[]);
        is_refused(&place.other_user(&[]), &REFUSAL);
        Raw::tcp(&place.endpoint).unwrap().register().unwrap();
        // The rights of the moment count, as they do on the socket.
        set_mode(&place.socket(), 0o666);
        let opened = wait::until("the new mode to count", READY_WITHIN, || {
            let output = place.other_user(&[]);
            ensure!(output.status.success(), "{output:?}");
            Ok(Some(()))
        });
        opened.unwrap();
    }
    let open = Place::start(&["--socket-mode", "0666"]);
    is_let_in(&open.other_user(&[]));
    let closed = open_folder();
    set_mode(&closed.path().join("s"), 0o700);
    let mut command = Command::new(binary("vineyardd").unwrap());
    command.args(["--size", "64M", "--listen", "127.0.0.1:0"]);
    let closed = Place::launch(closed, &mut command, &["--socket-mode", "0666"]);
    is_refused(&closed.other_user(&[]), &REFUSAL);
}

#[test]
fn the_group_of_the_socket_counts() {
    if cannot_be_another_user("the_group_of_the_socket_counts") {
        return;
    }
    let place = Place::start(&[]);
    chown(&place.socket(), None, Some(Gid::from_raw(OTHER))).unwrap();
    is_let_in(&place.other_user(&[]));
}

#[test]
fn a_flag_opens_tcp_to_anyone_and_is_remembered() {
    if cannot_be_another_user("a_flag_opens_tcp_to_anyone_and_is_remembered") {
        return;
    }
    let mut place = Place::start(&["--rpc-open-to-anyone"]);
    is_let_in(&place.other_user(&[]));
    place.restart();
    is_let_in(&place.other_user(&[]));
}

#[test]
fn with_passwords_the_user_does_not_count() {
    if cannot_be_another_user("with_passwords_the_user_does_not_count") {
        return;
    }
    let users = tempfile::NamedTempFile::new().unwrap();
    fs::write(users.path(), USERS).unwrap();
    let folder = open_folder();
    let mut command = Command::new(binary("vineyardd").unwrap());
    command.args(["--size", "64M", "--listen", "127.0.0.1:0", "--htpasswd"]);
    command.arg(users.path());
    let place = Place::launch(folder, &mut command, &[]);
    let told = ["--username", "ann", "--password", "test"];
    is_let_in(&place.other_user(&told));
    is_refused(&place.other_user(&[]), &["Incorrect username or password"]);
    let mut own = Raw::tcp(&place.endpoint).unwrap();
    assert_eq!(
        own.register().unwrap()["code"],
        34,
        "also for the node's user"
    );
}

/// A client that connects over IPv6, or through an IPv6 socket to IPv4, is found as well.
#[test]
fn the_nodes_own_user_is_let_in_over_each_kind_of_address() {
    let four = Place::start(&[]);
    let port = four.endpoint.rsplit_once(':').unwrap().1;
    for endpoint in [four.endpoint.clone(), format!("[::ffff:127.0.0.1]:{port}")] {
        let reply = Raw::tcp(&endpoint).unwrap().register().unwrap();
        assert_eq!(reply["type"], "register_reply", "{endpoint}: {reply}");
    }
}

#[test]
fn refused_clients_leave_nothing_and_one_line() {
    if cannot_be_another_user("refused_clients_leave_nothing_and_one_line") {
        return;
    }
    let place = Place::start(&[]);
    let descriptors = || {
        let folder = format!("/proc/{}/fd", place.process.pid());
        fs::read_dir(folder).unwrap().count()
    };
    is_refused(&place.other_user(&[]), &REFUSAL);
    let closed = |awaited: &str, most: usize| {
        let fell = wait::until(awaited, READY_WITHIN, || {
            let now = descriptors();
            ensure!(now <= most, "{now} descriptors of {most}");
            Ok(Some(()))
        });
        fell.unwrap();
    };
    let before = descriptors();
    for _ in 0..REFUSALS {
        is_refused(&place.other_user(&[]), &REFUSAL);
    }
    closed("the refused connections to be closed", before);
    let log = place.log();
    let lines = log.lines().filter(|line| line.contains("65534"));
    assert_eq!(lines.count(), 1, "{log}");
    // The port still serves those who may.
    Raw::tcp(&place.endpoint).unwrap().register().unwrap();
}
