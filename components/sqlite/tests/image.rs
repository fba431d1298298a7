//! The image's command line, as it stands in deploy/Dockerfile, with the folders and the user of the image.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use dapr_pluggable::client::Client;
use dapr_pluggable::state::{GetRequest, SetRequest};
use dapr_pluggable::{Bytes, InstanceId, Metadata, Opener as _};
use dapr_pluggable_testbed::{Process, Signal, skip, socket_folder};
use tempfile::TempDir;
use tokio::process::Command;

const USER: u32 = 65532;
const SOCKETS: &str = "tmp/dapr-components-sockets";
const DATA: &str = "var/lib/dapr-component";

/// A file of the project.
fn text(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The instructions of a stage of the Dockerfile, each as its name and the rest, with the lines that go on.
fn stage(index: usize) -> Vec<(String, String)> {
    let text = text("deploy/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut stages: Vec<Vec<_>> = Vec::new();
    for (name, rest) in lines.filter_map(|line| line.split_once(' ')) {
        if name == "FROM" {
            stages.push(Vec::new());
        }
        let stage = stages.last_mut().expect("FROM comes first");
        stage.push((name.to_owned(), rest.trim().to_owned()));
    }
    stages.remove(index)
}

/// What becomes the image.
fn instructions() -> Vec<(String, String)> {
    stage(1)
}

fn instruction(name: &str) -> String {
    let mut all = instructions().into_iter();
    let found = all.find_map(|(other, rest)| (other == name).then_some(rest));
    found.unwrap_or_else(|| panic!("the image has no {name}"))
}

/// A command in its JSON form.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json} is no list of words: {error}"))
}

/// A root folder with what is in the image and matters here.
struct Image(TempDir);

impl Image {
    fn new() -> Self {
        let root = socket_folder();
        let programs = root.path().join("usr/local/bin");
        fs::create_dir_all(&programs).unwrap();
        fs::copy(
            env!("CARGO_BIN_EXE_dapr-component-sqlite"),
            programs.join("component"),
        )
        .unwrap();
        for folder in [SOCKETS, DATA] {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
            if is_root() {
                chown(&folder, Some(USER), Some(USER)).unwrap();
            }
        }
        Self(root)
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside.trim_start_matches('/'))
    }

    /// A command of the image.
    fn command(&self, words: &[String]) -> Command {
        let (program, arguments) = words.split_first().expect("a program");
        let mut command = Command::new(self.path(program));
        command
            .args(arguments)
            .env_clear()
            .env("DAPR_COMPONENTS_SOCKETS_FOLDER", self.path(SOCKETS))
            // What a pod has.
            .env("KUBERNETES_SERVICE_HOST", "10.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if is_root() {
            command.uid(USER).gid(USER);
        } else {
            skip("image: its user", "only root can be another user");
        }
        command
    }

    fn start(&self, arguments: &[&str]) -> Process {
        let mut words = words(&instruction("ENTRYPOINT"));
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        Process::spawn(&mut self.command(&words))
    }

    async fn health(&self, name: Option<&str>) -> i32 {
        let check = instruction("HEALTHCHECK");
        let (_, check) = check.split_once(" CMD ").expect("a command");
        let mut command = self.command(&words(check));
        if let Some(name) = name {
            command.env("PLUGGABLE_AS", name);
        }
        Process::spawn(&mut command).code().await
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn it_serves_and_keeps_data_as_the_user_of_the_image() {
    let image = Image::new();
    assert_eq!(image.health(None).await, 1, "nobody serves yet");
    let mut component = image.start(&[]);
    component.says("serving").await;
    let socket = image.path(SOCKETS).join("sqlite.sock");
    let metadata = fs::metadata(&socket).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o666, "daprd may have any user");
    assert_eq!(image.health(None).await, 0);

    let database = image.path(DATA).join("data.db");
    let client = Client::connect(&socket).await.unwrap();
    let properties = Metadata::from([("connectionString", database.to_str().unwrap())]);
    let name = InstanceId::new("statestore");
    let store = client.open_state_store(&name, &properties).await.unwrap();
    let value = Bytes::from_static(b"\"hello\"");
    store
        .set(SetRequest::new("greeting", value.clone()))
        .await
        .unwrap();
    let entry = store.get(GetRequest::new("greeting")).await.unwrap();
    assert_eq!(entry.unwrap().value, value);
    drop((store, client));

    component.signal(Signal::TERM);
    assert_eq!(component.code().await, 0, "{}", component.log());
    assert!(database.try_exists().unwrap());
    assert!(!socket.try_exists().unwrap());
    assert_eq!(image.health(None).await, 1);
}

#[tokio::test]
async fn its_health_check_follows_another_name() {
    let image = Image::new();
    let component = image.start(&["--as", "sqlite-fast"]);
    component.says("state.sqlite-fast").await;
    assert_eq!(image.health(None).await, 1);
    assert_eq!(image.health(Some("sqlite-fast")).await, 0);
}

#[test]
fn it_belongs_to_the_user_of_the_runtimes_image() {
    assert_eq!(instruction("USER"), format!("{USER}:{USER}"));
    let folders = words(&instruction("VOLUME"));
    assert_eq!(folders, [format!("/{SOCKETS}"), format!("/{DATA}")]);
    let copies: Vec<_> = instructions()
        .into_iter()
        .filter(|(name, _)| name == "COPY")
        .map(|(_, rest)| rest)
        .collect();
    let chown = format!("--chown={USER}:{USER} ");
    for folder in &folders {
        let copy = copies.iter().find(|copy| copy.ends_with(folder.as_str()));
        assert!(copy.is_some_and(|copy| copy.contains(&chown)), "{folder}");
    }
    let program = words(&instruction("ENTRYPOINT")).remove(0);
    let (folder, name) = program.rsplit_once('/').unwrap();
    assert!(
        copies
            .iter()
            .any(|copy| copy.contains(&format!("/{name} ")) && copy.contains(folder)),
        "{copies:?}"
    );
}

#[test]
fn it_is_built_from_what_the_project_has() {
    let build = stage(0);
    let one = |name: &str| {
        let mut found = build.iter().filter(|(other, _)| other == name);
        found.next().expect(name).1.clone()
    };
    let rust = one("FROM");
    let (_, version) = rust.split_once("rust:").unwrap();
    let (version, _) = version.split_once('-').unwrap();
    assert!(text("rust-toolchain.toml").contains(&format!("channel = \"{version}\"")));
    assert_eq!(one("ENV"), format!("RUSTUP_TOOLCHAIN={version}"));
    assert_eq!(one("ARG"), "PACKAGE=dapr-component-sqlite");
    let run = one("RUN");
    assert!(
        run.contains(
            "--locked --profile dist --package \"${PACKAGE}\" --package dapr-pluggable-cli"
        )
    );
    assert!(text("Cargo.toml").contains("[profile.dist]"));
    for program in ["${PACKAGE}", "pluggable"] {
        assert!(run.contains(&format!("target/dist/{program}")), "{program}");
    }
}
