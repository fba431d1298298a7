//! How do I write an output binding?

use std::process::ExitCode;

use dapr_pluggable::binding::{InvokeRequest, InvokeResponse, OutputBinding};
use dapr_pluggable::{Blocks, Component, Result, Server, async_trait};

struct Upper;

impl Component for Upper {}

#[async_trait]
impl OutputBinding for Upper {
    fn operations(&self) -> Vec<String> {
        vec!["upper".to_owned()]
    }

    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse> {
        Ok(InvokeResponse::new(request.data.to_ascii_uppercase()))
    }
}

fn main() -> ExitCode {
    Server::new("hello-output-binding")
        .blocks(Blocks::new().output_binding_from(|| Upper))
        .run()
}
