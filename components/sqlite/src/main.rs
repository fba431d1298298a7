//! The component's own program: serves SQLite on a socket for Dapr runtimes.

use std::process::ExitCode;

use dapr_pluggable::Server;

fn main() -> ExitCode {
    Server::new("sqlite")
        .version(env!("CARGO_PKG_VERSION"))
        .blocks(dapr_component_sqlite::blocks())
        .run()
}
