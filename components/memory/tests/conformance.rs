//! What every component must show.

use std::process::ExitCode;

use dapr_pluggable_conformance::trials;

fn main() -> dapr_pluggable::Result<ExitCode> {
    trials::run(
        include_str!("../component.toml"),
        dapr_component_memory::blocks,
    )
}
