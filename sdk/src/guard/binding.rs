//! The bindings under guard.

use async_trait::async_trait;
use metrics::Gauge;

use super::{Guard, Kind};
use crate::binding::{InputBinding, InvokeRequest, InvokeResponse, OutputBinding};
use crate::component::Block;
use crate::delivery::Events;
use crate::error::Result;
use crate::observe::{Method, Scope};

/// The methods of an input binding.
pub(crate) struct InputMethods {
    read: Method,
    in_flight: Gauge,
}

/// Input bindings.
pub(crate) enum InputKind {}

impl Kind for InputKind {
    const BLOCK: Block = Block::InputBinding;
    type Value = dyn InputBinding;
    type Methods = InputMethods;

    fn methods(scope: &Scope) -> InputMethods {
        InputMethods {
            read: scope.method("read"),
            in_flight: scope.in_flight(),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl InputBinding for Guard<InputKind> {
    async fn read(&self, events: Events) -> Result<()> {
        events.count_in(&self.methods.in_flight);
        let call = self.value.read(events.clone());
        self.subscription(&self.methods.read, events, call).await
    }
}

/// The methods of an output binding.
pub(crate) struct OutputMethods {
    invoke: Method,
}

/// Output bindings.
pub(crate) enum OutputKind {}

impl Kind for OutputKind {
    const BLOCK: Block = Block::OutputBinding;
    type Value = dyn OutputBinding;
    type Methods = OutputMethods;

    fn methods(scope: &Scope) -> OutputMethods {
        OutputMethods {
            invoke: scope.method("invoke"),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl OutputBinding for Guard<OutputKind> {
    fn operations(&self) -> Vec<String> {
        self.ask("operations", OutputBinding::operations)
            .unwrap_or_default()
    }

    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse> {
        self.call(&self.methods.invoke, self.value.invoke(request))
            .await
    }
}
