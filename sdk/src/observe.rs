//! What can be seen of a component from outside: the names of its spans and metrics, and what records them.
//!
//! Each open value has a span `component` with fields `block` and `instance`; where the log level asks for it, each
//! call has a span `call` with the field `method` inside. Labels of metrics never hold keys or topics.

#[cfg(test)]
pub(crate) mod captured;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram, Unit};
use tracing::Span;

use crate::component::{Block, InstanceId};
use crate::error::Result;

/// Calls that have ended, by `block`, `instance`, `method` and `outcome`: `ok`, or the name of an
/// [`ErrorKind`](crate::ErrorKind). A call that its caller gave up is `cancelled`.
pub(crate) const CALLS: &str = "pluggable_calls_total";
/// How long calls took, in seconds, by `block`, `instance` and `method`.
pub(crate) const CALL_DURATION: &str = "pluggable_call_duration_seconds";
/// Messages and events that were delivered and not yet answered, by `block` and `instance`.
pub(crate) const DELIVERIES_IN_FLIGHT: &str = "pluggable_deliveries_in_flight";
/// Tasks that are alive: connections, subscriptions, what components run beside their calls.
pub(crate) const TASKS: &str = "pluggable_tasks";

/// Tells the recorder what the metrics mean. Call it once a recorder is installed.
#[cfg_attr(
    not(feature = "program"),
    expect(dead_code, reason = "nobody but a program exports metrics")
)]
pub(crate) fn describe() {
    metrics::describe_counter!(CALLS, Unit::Count, "Calls of components that have ended.");
    metrics::describe_histogram!(
        CALL_DURATION,
        Unit::Seconds,
        "How long calls of components took."
    );
    metrics::describe_gauge!(
        DELIVERIES_IN_FLIGHT,
        Unit::Count,
        "Messages and events that were delivered and not yet answered."
    );
    metrics::describe_gauge!(
        TASKS,
        Unit::Count,
        "Tasks that are alive: connections, subscriptions, and what else runs beside calls."
    );
}

/// One open value, as logs and metrics name it.
pub(crate) struct Scope {
    block: Block,
    instance: Arc<str>,
    span: Span,
}

impl Scope {
    pub(crate) fn new(block: Block, instance: &InstanceId) -> Self {
        Self {
            block,
            instance: Arc::from(instance.as_str()),
            span: tracing::info_span!(parent: None, "component", %block, %instance),
        }
    }

    pub(crate) fn block(&self) -> Block {
        self.block
    }

    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The span of the value.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// What records the calls of one method. The recorder is asked for its handles here, once.
    pub(crate) fn method(&self, name: &'static str) -> Method {
        let instance = Arc::clone(&self.instance);
        Method {
            name,
            block: self.block,
            ok: calls(self.block, &instance, name, "ok"),
            duration: metrics::histogram!(
                CALL_DURATION,
                "block" => self.block.as_str(), "instance" => Arc::clone(&instance), "method" => name
            ),
            instance,
        }
    }

    /// The gauge of messages in flight.
    pub(crate) fn in_flight(&self) -> Gauge {
        metrics::gauge!(
            DELIVERIES_IN_FLIGHT,
            "block" => self.block.as_str(), "instance" => Arc::clone(&self.instance)
        )
    }

    /// The span of one call: its own where somebody looks at such, else that of the value.
    pub(crate) fn call_span(&self, method: &Method) -> Span {
        let span = tracing::debug_span!(parent: &self.span, "call", method = method.name);
        if span.is_disabled() {
            self.span.clone()
        } else {
            span
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.block, self.instance)
    }
}

/// What records the calls of one method of one value.
pub(crate) struct Method {
    name: &'static str,
    block: Block,
    instance: Arc<str>,
    ok: Counter,
    duration: Histogram,
}

impl Method {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// A call begins. Dropping what this gives means that the caller gave up.
    pub(crate) fn begin(&self) -> Running<'_> {
        Running {
            method: self,
            since: Instant::now(),
            outcome: "cancelled",
        }
    }
}

/// A call under way.
pub(crate) struct Running<'a> {
    method: &'a Method,
    since: Instant,
    outcome: &'static str,
}

impl Running<'_> {
    /// The call has ended.
    pub(crate) fn end<R>(mut self, outcome: &Result<R>) {
        self.outcome = match outcome {
            Ok(_) => "ok",
            Err(error) => error.kind().as_str(),
        };
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Method {
            name,
            block,
            instance,
            ok,
            duration,
        } = self.method;
        duration.record(self.since.elapsed());
        if self.outcome == "ok" {
            ok.increment(1);
        } else {
            calls(*block, instance, name, self.outcome).increment(1);
        }
    }
}

fn calls(
    block: Block,
    instance: &Arc<str>,
    method: &'static str,
    outcome: &'static str,
) -> Counter {
    metrics::counter!(
        CALLS,
        "block" => block.as_str(), "instance" => Arc::clone(instance), "method" => method, "outcome" => outcome
    )
}
