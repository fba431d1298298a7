//! The pages.

use std::path::Path;

use dapr_pluggable_testbed::skip_missing;

use crate::document::steps;
use crate::script::Session;

/// An application that uses the host and ends.
const APPLICATION: &str =
    r#"exec "$CURL" --fail --silent "http://127.0.0.1:$DAPR_HTTP_PORT/v1.0/metadata""#;

#[tokio::test]
async fn the_quick_start() {
    let Some(session) = Session::new("the commands of quick-start.md") else {
        return;
    };
    session.program("work/my-application", APPLICATION);
    session.run(&steps("quick-start.md")).await;
}

#[tokio::test]
async fn running_an_application() {
    let Some(session) = Session::new("the commands of run.md") else {
        return;
    };
    session.program("work/shop", APPLICATION);
    session.work_folder("components");
    session.run(&steps("run.md")).await;
}

#[tokio::test]
async fn deploying_a_component() {
    let Some(session) = Session::new("the commands of deploy.md") else {
        return;
    };
    session.run(&steps("deploy.md")).await;
}

#[tokio::test]
async fn the_guide() {
    let test = "the commands of guide.md";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let environment = root.join("target/python");
    if !environment.join("installed.txt").is_file() {
        let how = "`cargo xtask test` installs the packages where there is python3 with venv";
        skip_missing(test, "target/python", how);
        return;
    }
    let Some(session) = Session::new(test) else {
        return;
    };
    session.link("venv", &environment);
    session.link("../dapr-pluggable", &root);
    session.run(&steps("guide.md")).await;
}
