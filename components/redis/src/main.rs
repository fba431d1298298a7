//! The component's own program: serves Redis on a socket for Dapr runtimes.

use std::process::ExitCode;

use dapr_pluggable::Server;

fn main() -> ExitCode {
    Server::new("redis")
        .version(env!("CARGO_PKG_VERSION"))
        .blocks(dapr_component_redis::blocks())
        .run()
}
