//! The component under test.

use std::process::ExitCode;

use dapr_pluggable::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};
use dapr_pluggable::{Blocks, Component, Result, Server, async_trait};

/// Serves the names, with commas between them.
pub(crate) fn run(names: &str) -> ExitCode {
    let servers = names.split(',').map(|name| {
        let stuck = name == "stuck";
        let blocks = Blocks::new().state_store_from(move || Nothing { stuck });
        Server::new(name).version("7.8.9").blocks(blocks)
    });
    dapr_pluggable::run(servers)
}

struct Nothing {
    /// Blocks its thread when it is closed, and for good.
    stuck: bool,
}

#[async_trait]
impl StateStore for Nothing {
    async fn get(&self, _: GetRequest) -> Result<Option<Entry>> {
        Ok(None)
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Component for Nothing {
    async fn close(&self) -> Result<()> {
        if self.stuck {
            tracing::info!("closing without end");
            loop {
                std::thread::park();
            }
        }
        Ok(())
    }
}
