//! What stands around every open component, in process and behind a socket alike: the same trait once more.
//!
//! A panic in the component is one [`Internal`](ErrorKind::Internal) error and one log line, each call is counted and
//! timed, closing happens once and waits for the calls in flight.

mod binding;
mod calls;
mod pubsub;
mod secret;
mod state;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub(crate) use self::binding::{InputKind, OutputKind};
use self::calls::Calls;
pub(crate) use self::pubsub::PubSubKind;
pub(crate) use self::secret::SecretKind;
pub(crate) use self::state::StateKind;
use crate::component::{Block, Component, InstanceId};
use crate::delivery::{Answer, Options, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::{Method, Scope};

/// How long a component may take to return from a subscription whose deliveries are closed.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// A building block: its trait, and the methods of it that are counted.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The building block.
    const BLOCK: Block;
    /// The trait as an object.
    type Value: Component + ?Sized;
    /// One [`Method`] for each method of the traits.
    type Methods: Send + Sync + 'static;

    /// The methods, for one value.
    fn methods(scope: &Scope) -> Self::Methods;
}

/// An open that has decoded its settings and not begun.
pub(crate) type Opening<K> = BoxFuture<'static, Result<Arc<Guard<K>>>>;

/// A component value under guard.
pub(crate) struct Guard<K: Kind> {
    value: Arc<K::Value>,
    options: Options,
    scope: Scope,
    ping: Method,
    close: Method,
    methods: K::Methods,
    calls: Calls,
    /// Where it was opened: drivers live there, and a close that blocks its thread harms nobody else.
    home: Option<Handle>,
    /// Ends the calls that go on for as long as the value lives: subscriptions.
    ending: CancellationToken,
    /// Takes nothing new from the backend.
    holding: CancellationToken,
}

impl<K: Kind> Guard<K> {
    /// Prepares an opening, whose value comes under guard. A panic in the preparation or in the opening is an error.
    pub(crate) fn prepare(
        instance: &InstanceId,
        options: Options,
        prepare: impl FnOnce() -> Result<BoxFuture<'static, Result<Arc<K::Value>>>>,
    ) -> Result<Opening<K>> {
        let scope = Scope::new(K::BLOCK, instance);
        let opening = scope
            .span()
            .in_scope(|| catch_unwind(AssertUnwindSafe(prepare)))
            .unwrap_or_else(|payload| Err(panicked(&scope, "open", &*payload)))?;
        Ok(Box::pin(Self::open(scope, options, opening)))
    }

    async fn open(
        scope: Scope,
        options: Options,
        opening: BoxFuture<'static, Result<Arc<K::Value>>>,
    ) -> Result<Arc<Self>> {
        let method = scope.method("open");
        let value = watch(&scope, &method, opening).await?;
        Ok(Arc::new(Self {
            value,
            options,
            ping: scope.method("ping"),
            close: scope.method("close"),
            methods: K::methods(&scope),
            calls: Calls::default(),
            home: Handle::try_current().ok(),
            ending: CancellationToken::new(),
            holding: CancellationToken::new(),
            scope,
        }))
    }

    /// What the SDK itself was told about the value.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The runtime that it was opened on; `None` when that is none of tokio's.
    pub(crate) fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }

    /// Counts as a call from outside until it is dropped: the value is not closed meanwhile. `None` when the value is
    /// closed.
    pub(crate) fn hold(self: &Arc<Self>) -> Option<Held<K>> {
        self.calls.begin().then(|| Held(Arc::clone(self)))
    }

    /// Lets subscriptions of the value take nothing new from the backend. Answers are welcome.
    pub(crate) fn hold_back(&self) {
        self.holding.cancel();
    }

    /// Ends the subscriptions of the value: what is unanswered is abandoned.
    pub(crate) fn end_subscriptions(&self) {
        self.ending.cancel();
    }

    /// Returns when the subscriptions of the value are ended, or never begin.
    pub(crate) async fn ending(&self) {
        self.ending.cancelled().await;
    }

    /// Lets no call begin any more, as soon as none is in flight. `false` when that was so before.
    pub(crate) async fn seal_when_idle(&self) -> bool {
        self.calls.close_when_idle().await
    }

    /// Lets no call begin any more. `false` when that was so before.
    pub(crate) fn seal(&self) -> bool {
        self.calls.close()
    }

    /// Closes the value that was sealed. Only who sealed it may call this.
    pub(crate) async fn finish(&self) -> Result<()> {
        watch(&self.scope, &self.close, self.value.close()).await
    }

    /// Runs a call of the component.
    async fn call<R>(
        &self,
        method: &Method,
        call: impl Future<Output = Result<R>> + Send,
    ) -> Result<R> {
        if !self.calls.begin() {
            return Err(self.closed());
        }
        let _in_flight = InFlight(&self.calls);
        watch(&self.scope, method, call).await
    }

    /// Runs a subscription. Once its window is closed, or the value ends, it has a grace to return; that it could deliver
    /// no more is no error then.
    async fn subscription<M: Send, A: Answer>(
        &self,
        method: &Method,
        window: Window<M, A>,
        call: impl Future<Output = Result<()>> + Send,
    ) -> Result<()> {
        if self.holding.is_cancelled() {
            window.hold_back();
        }
        let hold_back = async {
            self.holding.cancelled().await;
            window.hold_back();
            pending().await
        };
        let overdue = async {
            tokio::select! {
                () = window.closed() => {}
                () = self.ending.cancelled() => window.close(),
                () = hold_back => {}
            }
            tokio::time::sleep(GRACE).await;
        };
        let call = async {
            tokio::select! {
                biased;
                outcome = call => match outcome {
                    // What `?` makes of `Closed`: the end, and no failure.
                    Err(error) if *error.kind() == ErrorKind::Cancelled && window.is_closed() => Ok(()),
                    outcome => outcome,
                },
                () = overdue => Err(self.overdue(method)),
            }
        };
        self.call(method, call).await
    }

    fn overdue(&self, method: &Method) -> Error {
        tracing::warn!(
            parent: self.scope.span(), method = method.name(), grace = ?GRACE,
            "a component did not return when its deliveries were closed, and was dropped"
        );
        Error::new(
            ErrorKind::TimedOut,
            format!(
                "{} went on for {GRACE:?} after its deliveries were closed",
                method.name()
            ),
        )
    }

    /// Asks the component something that takes no time. `None` when it panics.
    fn ask<'a, R>(
        &'a self,
        what: &'static str,
        question: impl FnOnce(&'a K::Value) -> R,
    ) -> Option<R> {
        let _entered = self.scope.span().enter();
        catch_unwind(AssertUnwindSafe(|| question(&self.value)))
            .inspect_err(|payload| drop(panicked(&self.scope, what, &**payload)))
            .ok()
    }

    fn closed(&self) -> Error {
        Error::new(
            ErrorKind::NotOpened,
            format!(
                "instance {:?} of the {} is closed",
                self.scope.instance(),
                self.scope.block()
            ),
        )
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<K: Kind> Component for Guard<K> {
    async fn ping(&self) -> Result<()> {
        self.call(&self.ping, self.value.ping()).await
    }

    async fn close(&self) -> Result<()> {
        self.end_subscriptions();
        if self.seal_when_idle().await {
            self.finish().await
        } else {
            Ok(())
        }
    }
}

impl<K: Kind> fmt::Debug for Guard<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.scope).finish()
    }
}

/// A guarded value that is not closed while this lives.
pub(crate) struct Held<K: Kind>(Arc<Guard<K>>);

impl<K: Kind> std::ops::Deref for Held<K> {
    type Target = Guard<K>;

    fn deref(&self) -> &Guard<K> {
        &self.0
    }
}

impl<K: Kind> Drop for Held<K> {
    fn drop(&mut self) {
        self.0.calls.end();
    }
}

impl<K: Kind> fmt::Debug for Held<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.0).finish()
    }
}

struct InFlight<'a>(&'a Calls);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The source of an error that was a panic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicked;

impl Panicked {
    /// Whether an error was a panic.
    pub(crate) fn caused(error: &Error) -> bool {
        std::error::Error::source(error).is_some_and(|source| source.is::<Self>())
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the component panicked")
    }
}

impl std::error::Error for Panicked {}

/// Runs a call in its span, counts and times it, and makes a panic an error.
async fn watch<R>(
    scope: &Scope,
    method: &Method,
    call: impl Future<Output = Result<R>> + Send,
) -> Result<R> {
    let running = method.begin();
    let outcome = AssertUnwindSafe(call)
        .catch_unwind()
        .instrument(scope.call_span(method))
        .await
        .unwrap_or_else(|payload| Err(panicked(scope, method.name(), &*payload)));
    if let Err(error) = &outcome {
        tracing::debug!(parent: scope.span(), method = method.name(), %error, "a call failed");
    }
    running.end(&outcome);
    outcome
}

/// Logs a panic and makes it an error.
fn panicked(scope: &Scope, method: &'static str, payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    tracing::error!(parent: scope.span(), method, panic = text, "a component panicked");
    Error::internal(format!(
        "the {} {:?} panicked in {method}: {text}",
        scope.block(),
        scope.instance()
    ))
    .with_source(Panicked)
}
