use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use super::*;
use crate::binding::{Event, InputBinding};
use crate::blocks::Registration;
use crate::delivery::{Events, Gate, window};
use crate::state::{
    DeleteRequest, Entry, GetRequest, Operation, SetRequest, StateClaims, StateStore,
    TransactionalStateStore,
};
use crate::{Blocks, Metadata, Opener as _};

/// Does what the key says.
#[derive(Clone, Default)]
struct Acting {
    closed: Arc<AtomicUsize>,
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

#[async_trait]
impl Component for Acting {
    async fn close(&self) -> Result<()> {
        self.closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl StateStore for Acting {
    fn claims(&self) -> StateClaims {
        panic!("claims nothing");
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        tracing::info!("reading");
        match request.key.as_str() {
            "panic" => panic!("no such luck"),
            "wait" => {
                self.entered.notify_one();
                self.release.notified().await;
                Ok(None)
            }
            "never" => pending().await,
            "busy" => Err(Error::new(ErrorKind::Throttled, "too many calls")),
            key => Ok(Some(Entry::new(Bytes::copy_from_slice(key.as_bytes())))),
        }
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Ok(())
    }

    fn transactional(&self) -> Option<&dyn TransactionalStateStore> {
        Some(self)
    }
}

#[async_trait]
impl TransactionalStateStore for Acting {
    async fn transact(&self, _: Vec<Operation>, _: Metadata) -> Result<()> {
        panic!("halfway");
    }
}

async fn open(store: &Acting) -> Arc<dyn StateStore> {
    let store = store.clone();
    let blocks = Blocks::new().state_store_from(move || store.clone());
    let instance = InstanceId::new("orders");
    blocks
        .open_state_store(&instance, &Metadata::new())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_value_lives_on() {
    let store = open(&Acting::default()).await;
    let error = store.get(GetRequest::new("panic")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Internal);
    assert_eq!(
        error.message(),
        r#"the state_store "orders" panicked in get: no such luck"#
    );
    assert!(Panicked::caused(&error));
    assert!(store.get(GetRequest::new("a")).await.unwrap().is_some());
    let transactional = store.transactional().unwrap();
    let error = transactional
        .transact(Vec::new(), Metadata::new())
        .await
        .unwrap_err();
    assert!(Panicked::caused(&error));
    assert_eq!(store.claims(), StateClaims::default());
    assert!(store.queryable().is_none());
}

#[tokio::test]
async fn a_panic_while_opening_is_an_error() {
    let blocks = Blocks::new().state_store_from(|| -> Acting { panic!("no disk") });
    let error = blocks
        .open_state_store(&"orders".into(), &Metadata::new())
        .await
        .map(drop)
        .unwrap_err();
    assert!(Panicked::caused(&error));
    assert!(error.message().contains("no disk"), "{error}");
}

#[tokio::test]
async fn closing_waits_for_calls_in_flight_and_happens_once() {
    let acting = Acting::default();
    let store = open(&acting).await;
    let call = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.get(GetRequest::new("wait")).await }
    });
    acting.entered.notified().await;
    let first = store.close();
    tokio::pin!(first);
    assert!(futures::poll!(&mut first).is_pending());
    assert_eq!(acting.closed.load(Ordering::SeqCst), 0);
    acting.release.notify_one();
    first.await.unwrap();
    assert!(call.await.unwrap().unwrap().is_none());
    store.close().await.unwrap();
    assert_eq!(acting.closed.load(Ordering::SeqCst), 1);
    let error = store.get(GetRequest::new("a")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NotOpened);
}

#[tokio::test]
async fn sealing_waits_for_nothing_and_ends_a_patient_close() {
    let acting = Acting::default();
    let store = acting.clone();
    let registration =
        Registration::<StateKind>::from_fn(move || store.clone(), |store| Arc::new(store));
    let opening = registration
        .prepare(&InstanceId::default(), &Metadata::new())
        .unwrap();
    let guard = opening.await.unwrap();
    let held = guard.hold().unwrap();
    let patient = Component::close(&*guard);
    tokio::pin!(patient);
    assert!(futures::poll!(&mut patient).is_pending());
    assert!(guard.seal());
    guard.finish().await.unwrap();
    patient.await.unwrap();
    assert!(!guard.seal(), "it was sealed before");
    assert_eq!(acting.closed.load(Ordering::SeqCst), 1);
    drop(held);
    assert!(guard.hold().is_none());
}

/// Delivers until it cannot, and fails where there is nobody else.
struct Source;

impl Component for Source {}

#[async_trait]
impl InputBinding for Source {
    async fn read(&self, events: Events) -> Result<()> {
        if events.in_flight() > 0 {
            return Err(Error::new(ErrorKind::Cancelled, "one reader is enough"));
        }
        loop {
            events.deliver(Event::default()).await?;
        }
    }
}

#[tokio::test]
async fn a_subscription_that_can_deliver_no_more_has_not_failed() {
    let blocks = Blocks::new().input_binding_from(|| Source);
    let instance = InstanceId::new("clock");
    let source = blocks.open_input_binding(&instance, &Metadata::new()).await;
    let source = source.unwrap();

    let (events, mut consumer): (Events, _) = window(2, &Gate::new());
    let ending = async {
        consumer.next().await.unwrap();
        consumer.close();
    };
    let (outcome, ()) = futures::join!(source.read(events), ending);
    outcome.unwrap();

    let (events, _consumer): (Events, _) = window(2, &Gate::new());
    let _delivered = events.deliver(Event::default()).await.unwrap();
    let error = source.read(events).await.unwrap_err();
    assert_eq!(error.message(), "one reader is enough");
}

#[cfg(feature = "program")]
mod seen_from_outside {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::observe::captured::Log;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn calls_are_counted_by_outcome_and_timed() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            run(async {
                let store = open(&Acting::default()).await;
                for key in ["a", "b", "busy", "panic"] {
                    drop(store.get(GetRequest::new(key)).await);
                }
                let mut given_up = store.get(GetRequest::new("never"));
                assert!(futures::poll!(&mut given_up).is_pending());
                drop(given_up);
            });
        });
        let text = recorder.handle().render();
        for (outcome, count) in [
            ("ok", 2),
            ("throttled", 1),
            ("internal", 1),
            ("cancelled", 1),
        ] {
            let line = format!(
                r#"pluggable_calls_total{{block="state_store",instance="orders",method="get",outcome="{outcome}"}} {count}"#
            );
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        let line = r#"pluggable_call_duration_seconds_count{block="state_store",instance="orders",method="get"} 5"#;
        assert!(text.contains(line), "{line} is not in\n{text}");
    }

    fn logged(level: tracing::Level) -> Vec<String> {
        let log = Log::default();
        let _capture = log.capture(level);
        run(async {
            let store = open(&Acting::default()).await;
            drop(store.get(GetRequest::new("panic")).await);
        });
        log.lines()
    }

    #[test]
    fn a_panic_is_one_log_line_that_names_the_instance() {
        let lines = logged(tracing::Level::INFO);
        let [reading, panicked] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert!(reading.ends_with("reading"));
        for part in [
            "component{block=state_store instance=orders}",
            r#"method="get""#,
            r#"panic="no such luck""#,
        ] {
            assert!(panicked.contains(part), "{part} is not in {panicked}");
        }
    }

    #[test]
    fn a_call_has_its_own_span_where_the_level_asks_for_it() {
        let value = "component{block=state_store instance=orders}";
        let call = r#"call{method="get"}"#;
        let reading = |level| {
            logged(level)
                .into_iter()
                .find(|line| line.ends_with("reading"))
        };
        let shallow = reading(tracing::Level::INFO).unwrap();
        assert!(
            shallow.contains(value) && !shallow.contains(call),
            "{shallow}"
        );
        let deep = reading(tracing::Level::DEBUG).unwrap();
        assert!(deep.contains(&format!("{value}:{call}")), "{deep}");
    }
}
