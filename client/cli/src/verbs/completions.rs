//! `completions`: what a shell needs to complete words.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    output::print_text(&text(shell))
}

fn text(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(shell, &mut command, "vineyardctl", &mut script);
    String::from_utf8(script).expect("the command line and the templates are UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_knows_every_verb() {
        let command = Arguments::command();
        for shell in Shell::value_variants() {
            let script = text(*shell);
            for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
                assert!(script.contains(verb.get_name()), "{shell} {verb}");
            }
        }
    }
}
