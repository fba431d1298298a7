//! A stop of everything at once, as in a pod: SIGTERM to the component and to the runtime while the application works.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dapr_pluggable_testbed::{Process, Signal};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::application::{Application, DONE, FAILED};
use super::sidecar::{Sidecar, post};
use super::site::Site;

/// How long the application works at a message.
const WORK: Duration = Duration::from_secs(3);

/// The runtime gives a slow machine more time than by default.
const GRACE: &str = "--dapr-graceful-shutdown-seconds=20";

#[tokio::test]
async fn what_the_application_works_at_is_acknowledged() {
    let test = "stop::what_the_application_works_at_is_acknowledged";
    let Some(site) = Site::prepare(test) else {
        return;
    };
    site.keep_in_sqlite();
    let application = Application::start(|_| async {
        sleep(WORK).await;
        DONE
    })
    .await;
    let (mut component, mut sidecar) = start(&site, &application, &[]).await;
    for data in ["in work", "waiting"] {
        sidecar.publish("broker", "orders", data).await;
    }
    application.gets("/orders", &json!("in work"), 1).await;
    terminate(&mut component, &mut sidecar).await;
    assert_eq!(application.data("/orders"), ["in work"]);

    let again = Again::start(&site, sidecar.app_id()).await;
    assert_eq!(again.messages().await, ["waiting", "last"]);
}

#[tokio::test]
async fn while_the_runtime_holds_its_end_back_state_is_written_too() {
    let test = "stop::while_the_runtime_holds_its_end_back_state_is_written_too";
    let Some(site) = Site::prepare(test) else {
        return;
    };
    site.keep_in_sqlite();
    let (sender, address) = watch::channel(None);
    let written = Arc::new(Mutex::new(None));
    let application = Application::start({
        let written = Arc::clone(&written);
        move |_| {
            let address = *address.borrow();
            let written = Arc::clone(&written);
            async move {
                sleep(WORK).await;
                let items = json!([{"key": "handled", "value": true}]);
                let save = post("/v1.0/state/store", &items);
                let answer = save.try_send(address.unwrap()).await;
                let is_written = answer.as_ref().is_ok_and(|answer| answer.status == 204);
                *written.lock().unwrap() = Some(answer);
                if is_written { DONE } else { FAILED }
            }
        }
    })
    .await;
    let flags = ["--dapr-block-shutdown-duration=5s"];
    let (mut component, mut sidecar) = start(&site, &application, &flags).await;
    sender.send_replace(Some(sidecar.address()));
    sidecar.publish("broker", "orders", "in work").await;
    application.gets("/orders", &json!("in work"), 1).await;
    terminate(&mut component, &mut sidecar).await;
    let answer = written.lock().unwrap().take().unwrap().unwrap();
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(application.data("/orders"), ["in work"]);

    let again = Again::start(&site, sidecar.app_id()).await;
    let handled = again.sidecar.get("/v1.0/state/store/handled").await;
    assert_eq!(handled.text(), "true");
    assert_eq!(again.messages().await, ["last"]);
}

async fn start(site: &Site, application: &Application, flags: &[&str]) -> (Process, Sidecar) {
    let component = site.serve("sqlite").await;
    let mut launch = site.sidecar("shop").application(application).flag(GRACE);
    for flag in flags {
        launch = launch.flag(flag);
    }
    (component, launch.start().await)
}

/// Ends both at once, and expects both to end in order.
async fn terminate(component: &mut Process, sidecar: &mut Sidecar) {
    component.signal(Signal::TERM);
    sidecar.process.signal(Signal::TERM);
    sidecar.stopped().await;
    assert_eq!(component.code().await, 0, "{}", component.log());
}

/// All of it started again for the same application, which now handles everything at once.
struct Again {
    component: Process,
    application: Application,
    sidecar: Sidecar,
}

impl Again {
    async fn start(site: &Site, app_id: &str) -> Self {
        let component = site.serve("sqlite").await;
        let application = Application::willing().await;
        let launch = site.sidecar("").app_id(app_id).application(&application);
        let sidecar = launch.start().await;
        Self {
            component,
            application,
            sidecar,
        }
    }

    /// The messages that come, up to one that is published now; ends everything.
    async fn messages(mut self) -> Vec<Value> {
        self.sidecar.publish("broker", "orders", "last").await;
        self.application.gets("/orders", &json!("last"), 1).await;
        self.sidecar.stop().await;
        let status = self.component.stop().await;
        assert!(status.success(), "{}", self.component.log());
        self.application.data("/orders")
    }
}
