//! What a start needs, and what stands in its way.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use dapr_pluggable_testbed::{Process, Signal, eventually, socket_folder};
use libtest_mimic::Trial;
use tempfile::TempDir;

use super::harness::{command, command_of, connect, serve, socket, trial};

/// A user without rights.
const NOBODY: u32 = 65_534;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial(
            "start::it_says_what_is_served_and_to_whom",
            it_says_what_is_served_and_to_whom,
        ),
        trial("start::what_is_in_the_way_stays", what_is_in_the_way_stays),
        trial(
            "start::a_path_that_is_too_long_is_named",
            a_path_that_is_too_long_is_named,
        ),
        trial(
            "start::it_takes_the_place_of_one_that_was_killed",
            it_takes_the_place_of_one_that_was_killed,
        ),
        trial(
            "start::of_many_processes_one_wins",
            of_many_processes_one_wins,
        ),
        trial(
            "start::two_servers_share_a_process",
            two_servers_share_a_process,
        ),
        trial(
            "start::a_component_can_have_another_name",
            a_component_can_have_another_name,
        ),
        trial("start::all_start_or_none", all_start_or_none),
        trial(
            "start::a_wrong_command_line_is_explained",
            a_wrong_command_line_is_explained,
        ),
        trial(
            "start::help_and_version_are_there",
            help_and_version_are_there,
        ),
        trial(
            "start::the_environment_names_the_folder",
            the_environment_names_the_folder,
        ),
        trial(
            "start::a_signal_during_the_start_is_a_stop",
            a_signal_during_the_start_is_a_stop,
        ),
        trial(
            "start::a_folder_that_is_not_writable_is_named",
            a_folder_that_is_not_writable_is_named,
        ),
    ];
    if !is_root() {
        eprintln!("skipped: one test changes its user, which takes root");
    }
    let as_nobody = trial(
        "start::only_allowed_users_may_connect",
        only_allowed_users_may_connect,
    );
    trials.push(as_nobody.with_ignored_flag(!is_root()));
    trials
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn start(folder: &Path, names: &str) -> Process {
    Process::spawn(command(names).arg("--sockets-folder").arg(folder))
}

/// Starts it where it cannot start, and gives what it says.
async fn fails(folder: &Path, names: &str) -> String {
    let mut program = start(folder, names);
    assert_eq!(program.code().await, 1, "{}", program.log());
    let log = program.log();
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{log}");
    errors[0].to_owned()
}

async fn it_says_what_is_served_and_to_whom() {
    let folder = socket_folder();
    let program = serve(&folder, &["--socket-mode=0600"]).await;
    program.says("daprd").await;
    let log = program.log();
    for part in [
        &format!("socket={}", socket(&folder).display()),
        "folder_from=explicit",
        "mode=0600",
        "types=\"state.patient\"",
        "open_to=user ",
        "will look in /tmp/dapr-components-sockets",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("replaces a built-in"), "{log}");

    let redis = start(folder.path(), "redis");
    redis.says("replaces a built-in component").await;
    assert!(
        redis.log().contains("types=\"state.redis\""),
        "{}",
        redis.log()
    );
}

async fn what_is_in_the_way_stays() {
    let folder = socket_folder();
    let server = serve(&folder, &[]).await;
    let error = fails(folder.path(), "patient").await;
    assert!(error.ends_with("patient.sock is already served"), "{error}");
    connect(&socket(&folder)).await.unwrap();
    drop(server);

    let file = folder.path().join("file.sock");
    fs::write(&file, "kept").unwrap();
    let error = fails(folder.path(), "file").await;
    assert!(
        error.contains("serve file: ") && error.contains("is not a socket"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

async fn a_path_that_is_too_long_is_named() {
    let folder = socket_folder();
    let long = folder.path().join("x".repeat(100));
    let error = fails(&long, "patient").await;
    assert!(error.contains("107 are possible"), "{error}");
}

async fn it_takes_the_place_of_one_that_was_killed() {
    let folder = socket_folder();
    let mut killed = serve(&folder, &[]).await;
    killed.signal(Signal::KILL);
    killed.end().await;
    assert!(UnixStream::connect(socket(&folder)).is_err());
    let mut next = serve(&folder, &[]).await;
    assert!(
        next.log().contains("removed a stale socket"),
        "{}",
        next.log()
    );
    connect(&socket(&folder)).await.unwrap();
    next.signal(Signal::TERM);
    assert_eq!(next.code().await, 0);
    assert_eq!(names(&folder), [""; 0]);
}

async fn of_many_processes_one_wins() {
    let folder = socket_folder();
    drop(UnixListener::bind(socket(&folder)).unwrap());
    let mut programs: Vec<Process> = (0..6).map(|_| start(folder.path(), "patient")).collect();
    eventually("the losers", async || {
        programs
            .iter_mut()
            .filter_map(|program| program.is_running().then_some(()))
            .count()
            == 1
    })
    .await;
    connect(&socket(&folder)).await.unwrap();
    for program in &mut programs {
        if program.is_running() {
            program.signal(Signal::TERM);
            assert_eq!(program.code().await, 0);
        } else {
            assert_eq!(program.code().await, 1);
            assert!(
                program.log().contains("is already served"),
                "{}",
                program.log()
            );
        }
    }
    assert_eq!(names(&folder), [""; 0]);
}

async fn two_servers_share_a_process() {
    let folder = socket_folder();
    let mut program = start(folder.path(), "patient,other");
    for name in ["patient", "other"] {
        program.says(&format!("types=\"state.{name}\"")).await;
    }
    let other = folder.path().join("other.sock");
    connect(&socket(&folder)).await.unwrap();
    connect(&other).await.unwrap();
    let mut health = Process::spawn(
        command("patient,other")
            .args(["health", "--sockets-folder"])
            .arg(folder.path()),
    );
    assert_eq!(health.code().await, 0);
    assert_eq!(health.log().lines().count(), 2);
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0);
    assert_eq!(names(&folder), [""; 0]);
}

async fn a_component_can_have_another_name() {
    let folder = socket_folder();
    let mut by_flag = command("patient");
    by_flag.arg("--as=flagged");
    let mut by_environment = command("patient");
    by_environment.env("PLUGGABLE_AS", "surrounded");
    let mut programs = Vec::new();
    for (command, name) in [(by_flag, "flagged"), (by_environment, "surrounded")] {
        let mut command = command;
        let program = Process::spawn(command.arg("--sockets-folder").arg(folder.path()));
        program.says(&format!("types=\"state.{name}\"")).await;
        programs.push(program);
    }
    let mut sockets = names(&folder);
    sockets.sort();
    assert_eq!(sockets, ["flagged.sock", "surrounded.sock"]);
    let mut health = command("patient");
    health
        .env("PLUGGABLE_AS", "surrounded")
        .args(["health", "--sockets-folder"])
        .arg(folder.path());
    let mut health = Process::spawn(&mut health);
    assert_eq!(health.code().await, 0, "{}", health.log());
    assert!(health.log().contains("surrounded.sock"), "{}", health.log());

    let mut both = Process::spawn(command("patient,other").arg("--as=one"));
    assert_eq!(both.code().await, 2, "{}", both.log());
    assert!(both.log().contains("--as renames one"), "{}", both.log());
}

async fn all_start_or_none() {
    let folder = socket_folder();
    fs::write(folder.path().join("second.sock"), "").unwrap();
    let error = fails(folder.path(), "first,second").await;
    assert!(error.contains("serve second: "), "{error}");
    assert_eq!(names(&folder), ["second.sock"]);
}

async fn a_wrong_command_line_is_explained() {
    let folder = socket_folder();
    for (argument, expected) in [
        ("--socket-mode=abc", "octal permissions"),
        ("--no-such-flag", "--no-such-flag"),
        ("--shutdown-linger=soon", "a duration such as"),
    ] {
        let mut program = Process::spawn(
            command("patient")
                .arg("--sockets-folder")
                .arg(folder.path())
                .arg(argument),
        );
        assert_eq!(program.code().await, 2);
        assert!(program.log().contains(expected), "{}", program.log());
    }
    let mut program = Process::spawn(
        command("patient")
            .arg("--sockets-folder")
            .arg(folder.path())
            .arg("--socket-group=no-such-group"),
    );
    assert_eq!(program.code().await, 1);
    assert!(
        program.log().contains("\"no-such-group\""),
        "{}",
        program.log()
    );
    let error = fails(folder.path(), "Patient").await;
    assert!(error.contains("it is \"patient\""), "{error}");
}

async fn help_and_version_are_there() {
    let mut help = Process::spawn(command("patient").arg("--help"));
    assert_eq!(help.code().await, 0);
    for part in [
        "component patient on",
        "Examples:",
        "health --wait 30s",
        "Exit codes:",
        "--on-lost-init",
    ] {
        assert!(help.log().contains(part), "{part}: {}", help.log());
    }
    let mut version = Process::spawn(command("patient").arg("--version"));
    assert_eq!(version.code().await, 0);
    assert!(
        version.log().contains(" 7.8.9 (dapr-pluggable "),
        "{}",
        version.log()
    );
}

async fn the_environment_names_the_folder() {
    let folder = socket_folder();
    let mut command = command("patient");
    command
        .env("DAPR_COMPONENTS_SOCKETS_FOLDER", "")
        .env("DAPR_COMPONENT_SOCKETS_FOLDER", folder.path());
    let program = Process::spawn(&mut command);
    program
        .says("daprd reads DAPR_COMPONENTS_SOCKETS_FOLDER alone")
        .await;
    assert!(
        program
            .log()
            .contains("folder_from=DAPR_COMPONENT_SOCKETS_FOLDER"),
        "{}",
        program.log()
    );
    connect(&socket(&folder)).await.unwrap();
}

async fn a_signal_during_the_start_is_a_stop() {
    let folder = socket_folder();
    // Somebody holds the lock that a start needs.
    let lock = fs::File::open(folder.path()).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut program = Process::spawn(
        command("patient")
            .args(["--http-listen=0", "--sockets-folder"])
            .arg(folder.path()),
    );
    program.says("answering").await;
    program.signal(Signal::TERM);
    assert_eq!(program.code().await, 0);
    assert_eq!(names(&folder), [""; 0]);
}

async fn a_folder_that_is_not_writable_is_named() {
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o555))
        .tempdir()
        .unwrap();
    let copy = Copy::new();
    for folder in [folder.path().to_owned(), folder.path().join("below")] {
        // Root may write everywhere.
        let mut command = if is_root() {
            copy.as_nobody()
        } else {
            command("patient")
        };
        let mut program = Process::spawn(command.arg("--sockets-folder").arg(&folder));
        assert_eq!(program.code().await, 1);
        let log = program.log();
        assert!(
            log.contains(&*folder.to_string_lossy()) && log.contains("Permission denied"),
            "{log}"
        );
    }
}

async fn only_allowed_users_may_connect() {
    let folder = socket_folder();
    let copy = Copy::new();
    let health = || {
        Process::spawn(
            copy.as_nobody()
                .args(["health", "--sockets-folder"])
                .arg(folder.path()),
        )
    };

    let owner_only = serve(&folder, &["--socket-mode=0600"]).await;
    let mut refused = health();
    assert_eq!(refused.code().await, 1);
    assert!(
        refused.log().contains("this user may not connect"),
        "{}",
        refused.log()
    );
    drop(owner_only);

    let others = serve(&folder, &["--socket-mode=0666", "--allow-uid=12345"]).await;
    assert_eq!(health().code().await, 1);
    others.says("this user is not allowed").await;
    drop(others);

    let _this_one = serve(&folder, &["--socket-mode=0666", "--allow-uid=12345,65534"]).await;
    assert_eq!(health().code().await, 0);
}

/// The program where a user without rights may run it.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let folder = socket_folder();
        let program = std::env::current_exe().unwrap();
        fs::copy(program, folder.path().join("program")).unwrap();
        Self(folder)
    }

    fn as_nobody(&self) -> tokio::process::Command {
        let mut command = command_of(&self.0.path().join("program"), "patient");
        command.uid(NOBODY).gid(NOBODY);
        command
    }
}

fn names(folder: &TempDir) -> Vec<String> {
    fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
