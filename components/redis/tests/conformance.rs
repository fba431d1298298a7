//! What every component must show.

use std::process::ExitCode;

use dapr_pluggable_conformance::trials;
use dapr_pluggable_testbed::RedisServers;

fn main() -> dapr_pluggable::Result<ExitCode> {
    let servers = RedisServers::new("conformance");
    trials::run_with_servers(
        include_str!("../component.toml"),
        dapr_component_redis::blocks,
        move |need| servers.provide(need),
    )
}
