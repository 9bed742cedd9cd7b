//! `vineyardctl`: the command line for people and scripts.
//!
//! Promise: a table for people and JSON for programs on each verb, an exit code that says what kind of failure it
//! was, and errors that say what was tried. It talks to a node through the Rust client only; `doctor`, `config` and
//! `bundle` also look at the process and the files of a node on this machine, and change none. The hidden verb `node`
//! starts this same binary as a node, so that one package builds the whole product.

use std::ffi::OsString;
use std::io;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

mod args;
mod clients;
mod demo;
mod doctor;
mod failure;
mod file;
mod find;
mod health;
mod output;
mod process;
mod progress;
mod time;
mod tree;
mod verbs;

use args::{Arguments, ConnectArgs, Format, Verb};
use failure::Failure;

/// Runs the command line `args`, program name first: the exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    let this = std::env::current_exe().map(|program| vec![program.into(), "node".into()]);
    main_beside(args, this)
}

/// As `main`, in a program that is not `vineyardctl`: `node` is the command that starts a node, its flags to follow.
pub fn main_beside(args: Vec<OsString>, node_command: io::Result<Vec<OsString>>) -> u8 {
    if args.get(1).is_some_and(|verb| verb == "node") {
        return node(args);
    }
    let arguments = match Arguments::try_parse_from(&args) {
        Ok(arguments) => arguments,
        Err(error) => return unread(&args, &error),
    };
    let format = arguments.format();
    match run(arguments, node_command) {
        Ok(()) => 0,
        Err(failure) => {
            // What is printed says already how the cluster is.
            if !matches!(failure, Failure::Unwell(_)) {
                output::complain_of(format, &failure);
            }
            failure.code()
        }
    }
}

/// Help, or a command line that means nothing.
fn unread(args: &[OsString], error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        // Printing fails only if the terminal is gone; then no message helps.
        let _ = error.print();
        return 0;
    }
    // It quotes words of the command line, which may be names of files that others chose.
    let text = error.render().to_string();
    match args::want_json(args) {
        true => {
            let message = text.trim().trim_start_matches("error: ").to_owned();
            output::complain_of(Format::Json, &Failure::Usage(message));
        }
        false => output::show(&text),
    }
    failure::USAGE
}

fn node(args: Vec<OsString>) -> u8 {
    let rest = args.into_iter().skip(2);
    match rest
        .map(OsString::into_string)
        .collect::<Result<Vec<String>, _>>()
    {
        Ok(args) => vineyard_node::run(args),
        Err(arg) => {
            output::complain(&format!("{} is not UTF-8", arg.to_string_lossy()));
            failure::USAGE
        }
    }
}

fn run(arguments: Arguments, node_command: io::Result<Vec<OsString>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|source| Failure::local("start the runtime", source))?;
    let format = arguments.format();
    let place = arguments.place.clone();
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        // What is under way is dropped, and with it drafts of files, temporary folders and child processes.
        tokio::select! {
            biased;
            interrupted = interruption() => Err(interrupted),
            outcome = perform(&arguments.verb, &place, format, node_command) => outcome,
        }
    }))
}

async fn perform(
    verb: &Verb,
    place: &ConnectArgs,
    format: Format,
    node_command: io::Result<Vec<OsString>>,
) -> Result<(), Failure> {
    match verb {
        Verb::Status(status) => verbs::status::run(place, format, status).await,
        Verb::Wait(wait) => verbs::wait::run(place, format, wait).await,
        Verb::Ls(ls) => verbs::ls::run(place, format, ls).await,
        Verb::Get(get) => verbs::get::run(place, format, get).await,
        Verb::Put(put) => verbs::put::run(place, format, put).await,
        Verb::Drain(drain) => verbs::drain::run(place, drain, format).await,
        Verb::Uncordon(uncordon) => verbs::uncordon::run(place, uncordon, format).await,
        Verb::Leave(leave) => verbs::leave::run(place, leave, format).await,
        Verb::Remove(remove) => verbs::remove::run(place, remove, format).await,
        Verb::Recover(recover) => verbs::recover::run(place, recover, format).await,
        Verb::Rm(rm) => verbs::rm::run(place, format, rm).await,
        Verb::Name(name) => verbs::name::run(place, format, name).await,
        Verb::Stream(stream) => verbs::stream::run(place, format, stream).await,
        Verb::Token(token) => verbs::token::run(place, token.verb.as_ref(), format).await,
        Verb::Doctor(_) => doctor::run(place, format).await,
        Verb::Top(top) => verbs::top::run(place, format, top).await,
        Verb::Du(du) => verbs::du::run(place, format, du).await,
        Verb::Events(events) => verbs::events::run(place, format, events).await,
        Verb::Bundle(bundle) => verbs::bundle::run(place, bundle).await,
        Verb::Config(config) => verbs::config::run(place, format, config).await,
        Verb::Completions(completions) => verbs::completions::run(completions.shell),
        Verb::Man(man) => verbs::man::run(&man.folder),
        Verb::Demo(_) => {
            let command = node_command.map_err(|e| Failure::local("find this program", e))?;
            demo::run(format, command).await
        }
        Verb::Node => unreachable!("`node` is handled before the arguments are parsed"),
    }
}

/// Returns when somebody wants this process to end.
async fn interruption() -> Failure {
    let on = |kind| signal(kind).map_err(|e| Failure::local("listen for signals", e));
    let listeners = on(SignalKind::interrupt())
        .and_then(|int| Ok((int, on(SignalKind::terminate())?, on(SignalKind::hangup())?)));
    let (mut interrupt, mut terminate, mut hangup) = match listeners {
        Ok(listeners) => listeners,
        Err(failure) => return failure,
    };
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Failure::Interrupted
}
