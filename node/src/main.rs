//! `vineyardd`: one node per command.

fn main() -> std::process::ExitCode {
    vineyard_node::run(std::env::args().skip(1).collect()).into()
}
