//! Our Python package: installed as its README says in two environments, then tested there.
//!
//! The oldest environment also runs the released package's own tests with our package: on our nodes, and on the
//! released server. Nothing here knows what the package does.

use std::fs;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};

use crate::peer::Peer;
use crate::released::Released;
use crate::shell;
use crate::suite::{self, Served, Tester};

/// What the README says, word by word.
const INSTALL: [&str; 2] = ["install", "./client/python"];
const PACKAGE: &str = "client/python";
const QUICK_START: &str = "client/python/tests/test_quickstart.py";
const REFERENCE: &str = "client/python/tests/tools/reference.py";
const VALUES: &str = "client/python/tests/tools/values.py";
const RELEASED_ARENA: &str = "2G";
/// The tests that try random values: `VINEYARD_EXAMPLES` of them.
const OF_EXAMPLES: [&str; 5] = [
    "client/python/tests/test_data_properties.py",
    "client/python/tests/test_list_properties.py",
    "client/python/tests/test_nested_properties.py",
    "client/python/tests/test_restoring.py",
    "client/python/tests/test_wide_properties.py",
];
/// The test whose writers of files die: at `VINEYARD_IO_POINTS` points.
const OF_DYING_WRITERS: &str = "client/python/tests/test_io_killed.py";
/// The test that the released client also passes, which takes minutes, with `VINEYARD_IO_RELEASED`.
const OF_RELEASED_IO: &str = "client/python/tests/test_released_io.py";
/// Tests in which numpy, pandas and pyarrow have no part: the oldest environment alone runs them.
const WITHOUT_LIBRARIES: [&str; 14] = [
    "test_auth.py",
    "test_cli.py",
    "test_config.py",
    "test_deploy.py",
    "test_io_hosts.py",
    "test_native_blobs.py",
    "test_native_clients.py",
    "test_native_meta.py",
    "test_native_refusals.py",
    "test_native_streams.py",
    "test_native_trees.py",
    "test_released_io.py",
    "test_released_streams.py",
    "test_threads_and_forks.py",
];
/// Variables that would lead a client or the tests elsewhere.
const LEADING_ELSEWHERE: [&str; 4] = [
    "VINEYARD_IPC_SOCKET",
    "VINEYARD_RPC_ENDPOINT",
    "VINEYARD_CONFIG",
    "PYTHONPATH",
];

/// A Python environment with our package in it, made once per version of its requirements.
#[derive(Debug)]
pub(crate) struct Environment {
    name: &'static str,
    folder: PathBuf,
}

impl Environment {
    /// numpy 1.26, pandas 2.2, pyarrow 17, and what the released tests need.
    pub(crate) fn oldest() -> Result<Self> {
        Self::ready("oldest")
    }

    /// Whatever the registry has.
    pub(crate) fn newest() -> Result<Self> {
        Self::ready("newest")
    }

    /// The newest, and libraries that benchmarks alone compare with.
    pub(crate) fn bench() -> Result<Self> {
        Self::ready("bench")
    }

    /// The libraries of the oldest, for the package of an earlier commit.
    pub(crate) fn before() -> Result<Self> {
        Self::with_requirements("before", "oldest")
    }

    fn ready(name: &'static str) -> Result<Self> {
        Self::with_requirements(name, name)
    }

    fn with_requirements(name: &'static str, requirements: &str) -> Result<Self> {
        let requirements = format!("client/python/requirements-{requirements}.txt");
        let recipe = fs::read_to_string(shell::root().join(&requirements))?;
        let environment = Self {
            name,
            folder: shell::target(&format!("python-{name}"))?,
        };
        let stamp = environment.folder.join("made-by");
        if fs::read_to_string(&stamp).is_ok_and(|made_by| made_by == recipe) {
            return Ok(environment);
        }
        fs::remove_dir_all(&environment.folder)?;
        let venv = ["-m", "venv"];
        shell::run(Command::new("python3").args(venv).arg(&environment.folder))?;
        let mut install = environment.pip();
        shell::run(install.args(["install", "--quiet", "-r", &requirements]))
            .context("the libraries that the package is tested with cannot be had")?;
        fs::write(&stamp, &recipe)?;
        Ok(environment)
    }

    /// The linter and the type checker, at the versions that are pinned; the package itself is not in it.
    fn lint() -> Result<Self> {
        Self::ready("lint")
    }

    /// What makes wheels.
    pub(crate) fn wheel() -> Result<Self> {
        Self::ready("wheel")
    }

    /// Runs the README's quick start with the programs of another environment.
    pub(crate) fn quick_start(&self, programs: &Path) -> Result<()> {
        let mut command = self.run();
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", QUICK_START]);
        shell::run(command.env("VINEYARD_QUICK_START_PROGRAMS", programs))
    }

    /// Installs the package as it is now.
    pub(crate) fn install(&self) -> Result<()> {
        shell::run(self.pip().args(INSTALL))
    }

    /// Installs a wheel, or the package of another checkout, also in place of the same version.
    pub(crate) fn install_from(&self, package: &Path) -> Result<()> {
        let install = ["install", "--force-reinstall", "--no-deps"];
        shell::run(self.pip().args(install).arg(package))
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.programs().join("python")
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }

    fn pip(&self) -> Command {
        let mut command = Command::new(self.programs().join("pip"));
        command.current_dir(shell::root());
        // So that the build finds what was built before.
        if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
            command.env("CARGO_TARGET_DIR", target);
        }
        command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        command
    }

    /// The interpreter, undisturbed by the caller's variables, with the environment's programs first on its path.
    pub(crate) fn run(&self) -> Command {
        self.run_with(&self.python())
    }

    /// As `run`, with the interpreter of another environment.
    pub(crate) fn run_with(&self, python: &Path) -> Command {
        let mut command = Command::new(python);
        command.current_dir(shell::root());
        for variable in LEADING_ELSEWHERE {
            command.env_remove(variable);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::iter::once(self.programs());
        let paths = std::env::join_paths(programs.chain(std::env::split_paths(&path)));
        command.env("PATH", paths.expect("a path of a path has no colon"));
        command
    }

    /// The tests of another checkout's package, with the nodes of its build, less those that are `left_out`.
    pub(crate) fn tests_of(&self, checkout: &Path, peer: &Peer, left_out: &[String]) -> Result<()> {
        shell::step("the tests of the earlier package");
        let mut command = self.run();
        command.current_dir(checkout);
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
        command.arg("client/python/tests");
        for name in left_out {
            command.arg(format!("--deselect=client/python/tests/{name}"));
        }
        command.env("VINEYARD_PEER", peer.folder());
        shell::run(&mut command)
    }

    /// These of the package's own tests. They start the node that the package brings, not one of the build.
    fn pytest(&self, tests: &[&str]) -> Command {
        let mut command = self.run();
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
        command.args(tests);
        command.env("VINEYARD_TEST_PROFILE", "installed");
        command.env("VINEYARD_TEST_ENVIRONMENT", self.name);
        command
    }

    /// All of the package's own tests.
    fn own_tests(&self, peer: Option<&Peer>) -> Command {
        let mut command = self.pytest(&["client/python/tests"]);
        match peer {
            Some(peer) => command.env("VINEYARD_PEER", peer.folder()),
            None => command.env("VINEYARD_WITHOUT_PEER", "1"),
        };
        command
    }
}

/// Tests with `count` random values each, in both environments.
pub(crate) fn examples(count: u32) -> Result<()> {
    shell::step("random values in each environment");
    with_a_number(&OF_EXAMPLES, "VINEYARD_EXAMPLES", count)
}

/// Writers of files that die at `points` points of a write, in both environments.
pub(crate) fn dying_writers(points: u32) -> Result<()> {
    shell::step("writers of files that die, in each environment");
    with_a_number(&[OF_DYING_WRITERS], "VINEYARD_IO_POINTS", points)
}

/// The released tests of I/O with our package, and with the released client on a node of ours.
pub(crate) fn released_io(peer: &Peer) -> Result<()> {
    let environment = Environment::oldest()?;
    environment.install()?;
    shell::step("the released tests of I/O with both clients");
    let mut command = environment.pytest(&[OF_RELEASED_IO]);
    command.args(["--timeout", "0"]);
    command.env("VINEYARD_IO_RELEASED", "1");
    command.env("VINEYARD_PEER", peer.folder());
    shell::run(&mut command)
}

/// These tests with the package as it is now, told a number by a variable.
fn with_a_number(tests: &[&str], variable: &str, number: u32) -> Result<()> {
    let (oldest, newest) = (Environment::oldest()?, Environment::newest()?);
    oldest.install()?;
    newest.install()?;
    let tests = [&oldest, &newest].map(|environment| {
        let mut command = environment.pytest(tests);
        // So many take longer than one test may elsewhere.
        command.args(["--timeout", "0"]);
        command.env(variable, number.to_string());
        (environment.name, command)
    });
    together(tests.into())
}

/// Runs these tests, each with its name, all at the same time: what one waits for, another uses.
fn together(tests: Vec<(&'static str, Command)>) -> Result<()> {
    let started = Instant::now();
    let mut running = Vec::new();
    for (name, mut command) in tests {
        let output = tempfile::tempfile()?;
        command
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        running.push((name, command.spawn()?, output));
    }
    let mut failed = Vec::new();
    for (name, mut tests, mut output) in running {
        let status = tests.wait()?;
        output.rewind()?;
        eprintln!("   {name}: {status}");
        std::io::copy(&mut output, &mut std::io::stderr())?;
        if !status.success() {
            failed.push(name);
        }
    }
    ensure!(
        failed.is_empty(),
        "tests fail with {}",
        failed.join(" and ")
    );
    eprintln!("   {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What must hold of the Python source before anybody runs it. Nothing is built, and nothing is written but caches.
pub(crate) fn check() -> Result<()> {
    with_linters(&[
        ("ruff", &["check"]),
        ("ruff", &["format", "--check"]),
        ("mypy", &[]),
    ])
}

/// Mends what ruff can, and formats.
pub(crate) fn fix() -> Result<()> {
    with_linters(&[("ruff", &["check", "--fix"]), ("ruff", &["format"])])
}

/// Runs these tools, each with its arguments, on the package.
fn with_linters(tools: &[(&str, &[&str])]) -> Result<()> {
    let environment = Environment::lint()?;
    for (tool, arguments) in tools {
        let mut command = environment.run();
        command.current_dir(shell::root().join(PACKAGE));
        command.args(["-m", tool]).args(*arguments);
        command.env("RUFF_CACHE_DIR", environment.folder.join("ruff"));
        command.env("MYPY_CACHE_DIR", environment.folder.join("mypy"));
        shell::run(&mut command)?;
    }
    Ok(())
}

/// Everything about the package, as people build it in one environment and as the wheel has it in the other; what needs
/// the released package only if there is one.
pub(crate) fn test(peer: Option<&Peer>, plan: &Plan, wheel: &Path) -> Result<()> {
    let (oldest, newest) = (Environment::oldest()?, Environment::newest()?);
    oldest.install()?;
    newest.install_from(wheel)?;
    let tester = peer.map(|peer| Tester {
        peer,
        python: oldest.python(),
        name: "our-package",
    });
    shell::step("the package's tests in each environment, and the released test of streams");
    let mut tests = vec![
        (oldest.name, oldest.own_tests(peer)),
        (newest.name, of_the_libraries(newest.own_tests(peer))),
    ];
    let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
    let node = Node::start(&folder.path().join("0"), plan.clone())?;
    let socket = node.socket();
    if let Some(tester) = &tester {
        let streams = suite::streams(tester, &served(&socket, node.endpoint()))?;
        tests.push(("streams", streams));
    }
    together(tests)?;
    drop(node);
    if let Some(tester) = &tester {
        on_our_node(tester, plan)?;
        on_our_cluster(tester, plan)?;
        on_the_released_server(tester)?;
    }
    shell::step("the package against the reference");
    shell::run(oldest.run().arg(REFERENCE))
}

/// Without the tests that the oldest environment runs for both.
fn of_the_libraries(mut tests: Command) -> Command {
    let left_out = WITHOUT_LIBRARIES.map(|file| format!("--ignore=client/python/tests/{file}"));
    tests.args(left_out);
    tests
}

/// The tables of values in docs/benchmarks.md, with the oldest and the newest libraries.
pub(crate) fn values(bytes: u64, items_max: u64) -> Result<()> {
    for environment in [Environment::oldest()?, Environment::newest()?] {
        environment.install()?;
        let mut command = environment.run();
        command
            .env("VINEYARD_TEST_PROFILE", "installed")
            .arg(VALUES);
        command.args(["--bytes", &bytes.to_string()]);
        command.args(["--items-max", &items_max.to_string()]);
        shell::run(&mut command)?;
    }
    Ok(())
}

/// The released tests with our package on one node of ours.
fn on_our_node(tester: &Tester, plan: &Plan) -> Result<()> {
    shell::step("the released tests with our package on one node of ours");
    let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
    let node = Node::start(&folder.path().join("0"), plan.clone())?;
    let socket = node.socket();
    suite::single_node(tester, &served(&socket, node.endpoint()))
}

/// The released tests with our package on a cluster of two of ours.
fn on_our_cluster(tester: &Tester, plan: &Plan) -> Result<()> {
    shell::step("the released tests with our package on a cluster of two of ours");
    let cluster = Cluster::start(2, plan)?;
    let sockets: Vec<PathBuf> = cluster.nodes.iter().map(Node::socket).collect();
    let nodes = [0, 1].map(|at: usize| served(&sockets[at], cluster.nodes[at].endpoint()));
    suite::cluster(tester, &nodes[0], &nodes[1])
}

/// The released tests with our package on the released server: our client speaks the protocol, not our dialect.
fn on_the_released_server(tester: &Tester) -> Result<()> {
    shell::step("the released tests with our package on the released server");
    let folder = tempfile::Builder::new().prefix("vineyard-").tempdir()?;
    let released = Released::start(tester.peer, folder.path(), 1, RELEASED_ARENA)?;
    let server = &released.servers()[0];
    suite::with_exceptions(tester, &served(&server.socket, &server.endpoint))
}

fn served<'a>(socket: &'a Path, endpoint: &'a str) -> Served<'a> {
    Served { socket, endpoint }
}
