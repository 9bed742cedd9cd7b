//! Two machines, as network namespaces that a pair of false network cards joins.

use super::*;

const NODE_ADDRESS: &str = "10.213.77.1";
const FAR_ADDRESS: &str = "10.213.77.2";

/// The two namespaces, until dropped.
struct Machines {
    near: String,
    far: String,
}

impl Machines {
    fn new() -> Self {
        let name = |side: &str| format!("vy{}{side}", std::process::id());
        let machines = Self {
            near: name("n"),
            far: name("f"),
        };
        let Self { near, far } = &machines;
        run(&["netns", "add", near]);
        run(&["netns", "add", far]);
        run(&[
            "link", "add", "v0", "netns", near, "type", "veth", "peer", "name", "v0", "netns", far,
        ]);
        for (side, address) in [(near, NODE_ADDRESS), (far, FAR_ADDRESS)] {
            let address = format!("{address}/24");
            run(&["-n", side, "addr", "add", &address, "dev", "v0"]);
            run(&["-n", side, "link", "set", "v0", "up"]);
            run(&["-n", side, "link", "set", "lo", "up"]);
        }
        machines
    }

    /// `program`, on the machine `side`.
    fn on(side: &str, program: PathBuf) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", side]).arg(program);
        command
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for side in [&self.near, &self.far] {
            works(&["ip", "netns", "del", side]);
        }
    }
}

fn run(arguments: &[&str]) {
    let command: Vec<&str> = std::iter::once("ip")
        .chain(arguments.iter().copied())
        .collect();
    assert!(works(&command), "{command:?}");
}

fn node_on(side: &str, address: &str, flags: &[&str]) -> Place {
    let mut command = Machines::on(side, binary("vineyardd").unwrap());
    command.args(["--size", "64M", "--listen", &format!("{address}:0")]);
    Place::launch(open_folder(), &mut command, flags)
}

/// What root's `vineyardctl ls` says on the machine `side`, over TCP.
fn list_from(side: &str, place: &Place) -> Output {
    let mut command = Machines::on(side, binary("vineyardctl").unwrap());
    command.args(["--endpoint", &place.endpoint, "ls"]);
    command.output().unwrap()
}

#[test]
fn beyond_the_machine_clients_are_refused_and_nodes_are_not() {
    let name = "beyond_the_machine_clients_are_refused_and_nodes_are_not";
    let probe = format!("vy{}p", std::process::id());
    let has_namespaces =
        works(&["ip", "netns", "add", &probe]) && works(&["ip", "netns", "del", &probe]);
    let needs = [
        ("root", Uid::effective().is_root()),
        ("ip (iproute2) with network namespaces", has_namespaces),
    ];
    if skipped(name, &needs) {
        return;
    }
    let machines = Machines::new();
    let closed = node_on(&machines.near, NODE_ADDRESS, &[]);
    is_let_in(&list_from(&machines.near, &closed));
    let refusal = [
        "no user of this node's machine",
        "--htpasswd",
        "--rpc-open-to-anyone",
    ];
    is_refused(&list_from(&machines.far, &closed), &refusal);
    let mut token = Command::new(binary("vineyardctl").unwrap());
    token.arg("--socket").arg(closed.socket()).arg("token");
    let token = String::from_utf8(token.output().unwrap().stdout).unwrap();
    let join = ["--join", &closed.endpoint, "--token", token.trim()];
    let joined = node_on(&machines.far, FAR_ADDRESS, &join);
    let mut status = Command::new(binary("vineyardctl").unwrap());
    status.arg("--socket").arg(joined.socket()).arg("status");
    let both = wait::until("the node that joined to know both", READY_WITHIN, || {
        let output = status.output()?;
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(table.contains("2 nodes"), "{output:?}");
        Ok(Some(()))
    });
    both.unwrap();
    let open = node_on(&machines.near, NODE_ADDRESS, &["--rpc-open-to-anyone"]);
    is_let_in(&list_from(&machines.far, &open));
}
