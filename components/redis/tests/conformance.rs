//! What every component must show.

use std::process::ExitCode;

use dapr_pluggable::Result;
use dapr_pluggable_conformance::trials;
use dapr_pluggable_testbed::Redis;
use tokio::runtime;

fn main() -> Result<ExitCode> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| dapr_pluggable::Error::internal(error.to_string()))?;
    let Some(redis) = runtime.block_on(Redis::start("conformance")) else {
        return Ok(ExitCode::SUCCESS);
    };
    let plan = include_str!("../component.toml").replace("{redis}", &redis.host());
    trials::run(&plan, dapr_component_redis::blocks)
}
