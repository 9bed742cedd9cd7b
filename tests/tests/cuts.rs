//! Nodes that are cut off from others, both ways or one way, as real processes behind a switch: the good side goes on,
//! and a node that is alone says so and keeps nobody waiting.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use vineyard_tests::cluster::Cluster;
use vineyard_tests::node::{Node, Plan};
use vineyard_tests::switch::Switch;
use vineyard_tests::wait;

/// The good side acknowledges again within this.
const GOES_ON_WITHIN: Duration = Duration::from_secs(8);
/// A node that is alone says so within this.
const SAID_WITHIN: Duration = Duration::from_secs(3);
const HEALED_WITHIN: Duration = Duration::from_secs(10);
/// A call ends at most so long after its deadline.
const LATE_MAX: Duration = Duration::from_secs(1);
/// The commands that ask take a while themselves, beside other tests a long one.
const BUSY: Duration = Duration::from_secs(10);

/// Who hears nothing.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Neither the one nor the others.
    Lone,
    /// The others send, and the one hears nothing.
    Deaf,
    /// The one sends, and the others hear nothing.
    Mute,
}

struct Switched {
    cluster: Cluster,
    switch: Switch,
    /// An object, to be named.
    object: String,
}

impl Switched {
    fn start() -> Result<Self> {
        let (switch, folder) = (Switch::default(), tempfile::tempdir()?);
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..3 {
            let join = nodes.first().map(Node::invitation).transpose()?;
            let plan = Plan {
                size: "64M".to_owned(),
                join,
                ..Plan::default()
            };
            let plan = switch.plan(number, plan)?;
            let node = Node::start(&folder.path().join(number.to_string()), plan)?;
            switch.knows(number, i32::try_from(node.process()?.pid())?);
            nodes.push(node);
        }
        let cluster = Cluster::of(nodes, folder);
        cluster.wait_settled()?;
        let file = cluster.folder().join("file");
        std::fs::write(&file, "x")?;
        let file = file.to_string_lossy().into_owned();
        let object = cluster.nodes[0].ctl_ok(&["put", &file, "--name", "first"])?;
        Ok(Self {
            cluster,
            switch,
            object,
        })
    }

    /// Cuts `one` off, and returns once the others go on and it has said that it is alone; heals, and waits for all.
    fn plays(&self, one: usize, cut: Cut) {
        let nodes = &self.cluster.nodes;
        let others = (0..3).filter(|number| *number != one);
        let begun = Instant::now();
        self.switch.cut(others.clone().flat_map(|other| {
            let (hears_not, is_not_heard) = ((other, one), (one, other));
            match cut {
                Cut::Lone => vec![hears_not, is_not_heard],
                Cut::Deaf => vec![hears_not],
                Cut::Mute => vec![is_not_heard],
            }
        }));
        std::thread::scope(|scope| {
            scope.spawn(|| ends_in_time(&nodes[one], &self.object));
            for other in others {
                self.goes_on(other, &format!("{cut:?} {one} {other}"));
            }
            println!(
                "{cut:?} {one}: the others went on after {:?}",
                begun.elapsed()
            );
            says_that_it_is_alone(&nodes[one], begun);
        });
        let healed = Instant::now();
        self.switch.heal();
        for other in nodes {
            let awaited = format!("{} to be ready after {cut:?}", other.endpoint());
            wait::until(&awaited, HEALED_WITHIN + BUSY, || {
                let output = other.ctl(&["status", "--check"])?;
                ensure!(output.status.success(), "{output:?}");
                Ok(Some(()))
            })
            .unwrap();
        }
        println!("{cut:?} {one}: all well after {:?}", healed.elapsed());
    }

    fn goes_on(&self, node: usize, name: &str) {
        let put = ["name", "set", name, &self.object, "--timeout", "1"];
        wait::until(name, GOES_ON_WITHIN + BUSY, || {
            let output = self.cluster.nodes[node].ctl(&put)?;
            ensure!(output.status.success(), "{output:?}");
            Ok(Some(()))
        })
        .unwrap();
    }
}

fn says_that_it_is_alone(node: &Node, since: Instant) {
    let awaited = format!("{} to say that it is alone", node.endpoint());
    wait::until(&awaited, SAID_WITHIN + BUSY, || {
        let output = node.ctl(&["status", "--check"])?;
        let said = String::from_utf8(output.stdout)?;
        let counts = "1 of 3 voters answers, 2 needed";
        let is_said = output.status.code() == Some(2) && said.contains(counts);
        ensure!(is_said, "{said}");
        Ok(Some(()))
    })
    .unwrap();
    println!("alone: said after {:?}", since.elapsed());
}

/// What needs a majority ends with the reason, local work goes on.
fn ends_in_time(node: &Node, object: &str) {
    let deadline = Duration::from_secs(1);
    let asked = Instant::now();
    let output = node
        .ctl(&["name", "set", "lost", object, "--timeout", "1"])
        .unwrap();
    let took = asked.elapsed();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{complaint}");
    assert!(complaint.contains("waiting for"), "{complaint}");
    assert!(took < deadline + LATE_MAX + BUSY, "{took:?}");
    let file = node.folder().join("local");
    std::fs::write(&file, "y").unwrap();
    node.ctl_ok(&["put", file.to_str().unwrap()]).unwrap();
}

#[test]
fn a_leader_that_is_alone_deaf_or_mute_is_replaced_and_says_so() {
    let switched = Switched::start().unwrap();
    for cut in [Cut::Lone, Cut::Deaf, Cut::Mute] {
        let leader = switched.cluster.leader().unwrap();
        switched.plays(leader, cut);
    }
}

#[test]
fn a_follower_that_is_alone_deaf_or_mute_says_so_and_holds_nobody_up() {
    let switched = Switched::start().unwrap();
    for cut in [Cut::Lone, Cut::Deaf, Cut::Mute] {
        let leader = switched.cluster.leader().unwrap();
        switched.plays((leader + 1) % 3, cut);
    }
}
