//! `man`: the manual pages, one for each verb, and that of the node.

use std::io;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory};
use vineyard_node::config::flags;

use crate::args::Arguments;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(folder: &Path) -> Result<(), Failure> {
    let failed = |source| Failure::local(format!("write pages to {}", folder.display()), source);
    write(folder).map_err(failed)?;
    output::print(&format!(
        "the pages are in {}; read one with `man -l {}`",
        folder.display(),
        folder.join("vineyardctl.1").display()
    ))
}

fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)?;
    clap_mangen::generate_to(node(), folder)
}

/// The node reads its flags itself; this says what they are.
fn node() -> Command {
    let mut command = Command::new("vineyardd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A node of a vineyard cluster")
        .long_about(flags::ABOUT)
        .disable_help_flag(true)
        .disable_version_flag(true);
    for flag in flags::documented() {
        let arg = Arg::new(flag.name).long(flag.name).help(flag.about);
        command = command.arg(match flag.value {
            None => arg.action(ArgAction::SetTrue),
            Some(value) => arg.value_name(value),
        });
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_is_a_page_for_each_verb_and_each_flag_of_the_node_is_in_one() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let read = |name: &str| {
            let text = std::fs::read_to_string(folder.path().join(name));
            text.unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        for name in ["vineyardctl", "vineyardctl-status", "vineyardctl-name-set"] {
            assert!(read(&format!("{name}.1")).contains("SYNOPSIS"), "{name}");
        }
        let page = read("vineyardd.1").replace('\\', "");
        let named: BTreeSet<_> = flags::documented().map(|flag| flag.name).collect();
        assert!(named.len() > 20, "{named:?}");
        for name in named {
            assert!(page.contains(&format!("--{name}")), "{name}");
        }
    }
}
