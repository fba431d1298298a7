//! What bindings must do, in and out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dapr_pluggable::binding::{Event, InputBinding, InvokeRequest, OutputBinding};
use dapr_pluggable::delivery::{Consumer, Delivered, Gate, Reply, window};
use dapr_pluggable::{Block, ErrorKind, InstanceId, Result};
use tokio::task::JoinSet;

use crate::check::{Check, Finding, Need, Verdict};
use crate::expect::{ended, equal, holds, refused};
use crate::fixture::Fixture;

/// How long nothing must come where nothing may.
const SILENCE: Duration = Duration::from_millis(500);

const ECHO: &[Need] = &[Need::Echo];

#[rustfmt::skip]
pub(crate) fn checks() -> Vec<Check> {
    vec![
        Check::new(Block::OutputBinding, "binding::operations", &[], operations),
        Check::new(Block::OutputBinding, "binding::unknown_operation", &[], unknown_operation),
        Check::new(Block::InputBinding, "binding::end_of_read", &[], end_of_read),
        Check::new(Block::InputBinding, "binding::event", ECHO, event),
        Check::new(Block::InputBinding, "binding::handled_is_over", ECHO, handled_is_over),
        Check::new(Block::InputBinding, "binding::failed_comes_again", ECHO, failed_comes_again),
        Check::new(Block::InputBinding, "binding::abandoned_comes_again", ECHO, abandoned_comes_again),
    ]
}

async fn operations(fixture: Arc<Fixture>) -> Verdict {
    let operations = output(&fixture, &fixture.instance()).await?.operations();
    holds("an operation at least", !operations.is_empty())?;
    holds(
        format!("operations with names, not {operations:?}"),
        operations.iter().all(|operation| !operation.is_empty()),
    )
}

async fn unknown_operation(fixture: Arc<Fixture>) -> Verdict {
    let binding = output(&fixture, &fixture.instance()).await?;
    let request = InvokeRequest::new("no such operation", "data");
    let outcome = binding.invoke(request).await;
    let kinds = [ErrorKind::InvalidRequest, ErrorKind::Unsupported];
    refused("an unknown operation", outcome, &kinds)?;
    Ok(())
}

/// A reader that is gone lets go of the source.
async fn end_of_read(fixture: Arc<Fixture>) -> Verdict {
    let binding = input(&fixture, &fixture.instance()).await?;
    Reader::start(&fixture, &binding).stop().await
}

/// Events are bytes and arrive as they were sent, with their metadata.
async fn event(fixture: Arc<Fixture>) -> Verdict {
    let echo = Echo::open(&fixture).await?;
    let mut reader = echo.read();
    for data in [Bytes::from("text"), Bytes::from_iter(0..=u8::MAX)] {
        echo.send(data.clone()).await?;
        let delivered = reader.next().await?;
        reader.answer(&delivered, Reply::Handled(Bytes::new()));
        equal("the data of an event", delivered.message.data, data)?;
    }
    reader.silence().await
}

async fn handled_is_over(fixture: Arc<Fixture>) -> Verdict {
    let echo = Echo::open(&fixture).await?;
    let mut reader = echo.read();
    echo.send("handled").await?;
    let delivered = reader.next().await?;
    reader.answer(&delivered, Reply::Handled(Bytes::from("thanks")));
    reader.silence().await?;
    reader.stop().await?;
    echo.read().silence().await
}

async fn failed_comes_again(fixture: Arc<Fixture>) -> Verdict {
    let echo = Echo::open(&fixture).await?;
    let mut reader = echo.read();
    echo.send("failed").await?;
    for _ in 0..2 {
        let delivered = reader.next().await?;
        reader.answer(&delivered, Reply::Failed("not now".to_owned()));
        equal("the event", delivered.message.data, "failed".into())?;
    }
    let delivered = reader.next().await?;
    reader.answer(&delivered, Reply::Handled(Bytes::new()));
    reader.silence().await
}

async fn abandoned_comes_again(fixture: Arc<Fixture>) -> Verdict {
    let echo = Echo::open(&fixture).await?;
    let mut reader = echo.read();
    echo.send("abandoned").await?;
    reader.next().await?;
    reader.stop().await?;
    let mut reader = echo.read();
    let delivered = reader.next().await?;
    reader.answer(&delivered, Reply::Handled(Bytes::new()));
    equal("the event", delivered.message.data, "abandoned".into())?;
    reader.silence().await
}

async fn input(fixture: &Fixture, instance: &InstanceId) -> Verdict<Arc<dyn InputBinding>> {
    let properties = fixture.properties(&[]);
    Ok(fixture.open_input_binding(instance, &properties).await?)
}

async fn output(fixture: &Fixture, instance: &InstanceId) -> Verdict<Arc<dyn OutputBinding>> {
    let properties = fixture.properties(&[]);
    Ok(fixture.open_output_binding(instance, &properties).await?)
}

/// An output binding whose data comes in by an input binding.
struct Echo {
    fixture: Arc<Fixture>,
    operation: String,
    input: Arc<dyn InputBinding>,
    output: Arc<dyn OutputBinding>,
}

impl Echo {
    async fn open(fixture: &Arc<Fixture>) -> Verdict<Self> {
        let instance = fixture.instance();
        let operation = fixture.subject().setup().echo.clone();
        Ok(Self {
            fixture: Arc::clone(fixture),
            operation: operation.unwrap_or_default(),
            input: input(fixture, &instance).await?,
            output: output(fixture, &instance).await?,
        })
    }

    async fn send(&self, data: impl Into<Bytes>) -> Verdict {
        let request = InvokeRequest::new(&self.operation, data);
        let invoke = self.output.invoke(request);
        self.fixture.within("an invocation", invoke).await??;
        Ok(())
    }

    fn read(&self) -> Reader {
        Reader::start(&self.fixture, &self.input)
    }
}

/// A reader that takes events one by one, until it is stopped or dropped.
struct Reader {
    fixture: Arc<Fixture>,
    consumer: Consumer<Event, Reply>,
    run: JoinSet<Result<()>>,
}

impl Reader {
    fn start(fixture: &Arc<Fixture>, binding: &Arc<dyn InputBinding>) -> Self {
        let (events, consumer) = window(8, &Gate::new());
        let binding = Arc::clone(binding);
        let mut run = JoinSet::new();
        run.spawn(async move { binding.read(events).await });
        Self {
            fixture: Arc::clone(fixture),
            consumer,
            run,
        }
    }

    async fn next(&mut self) -> Verdict<Delivered<Event>> {
        let fixture = Arc::clone(&self.fixture);
        let next = fixture.within("an event", self.consumer.next()).await?;
        next.ok_or_else(|| Finding::Failed("a read that lives ended by itself".to_owned()))
    }

    fn answer(&self, delivered: &Delivered<Event>, reply: Reply) {
        // It may have been abandoned meanwhile; then the source has been told so.
        let _ = self.consumer.settler().settle(delivered.id, reply);
    }

    /// Nothing comes, for a while.
    async fn silence(&mut self) -> Verdict {
        match tokio::time::timeout(SILENCE, self.consumer.next()).await {
            Err(_) => Ok(()),
            Ok(next) => holds(format!("no event, and not {next:?}"), false),
        }
    }

    /// Ends the reading; the source must notice.
    async fn stop(mut self) -> Verdict {
        self.consumer.close();
        let fixture = Arc::clone(&self.fixture);
        let end = fixture.within("the end of a read", self.run.join_next());
        ended("a read", end.await?)
    }
}
