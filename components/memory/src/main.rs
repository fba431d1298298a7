//! The component as a program of its own.

use std::process::ExitCode;

use dapr_pluggable::Server;

fn main() -> ExitCode {
    Server::new("memory")
        .version(env!("CARGO_PKG_VERSION"))
        .blocks(dapr_component_memory::blocks())
        .run()
}
