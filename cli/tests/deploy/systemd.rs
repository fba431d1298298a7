//! The systemd unit.

use std::process::Command;
use std::time::Duration;

use dapr_pluggable_testbed::skip;

use crate::component::{check_grace, flag, seconds, start_ask_and_stop};
use crate::files::{split, text};

fn unit() -> Vec<(String, String)> {
    let text = text("systemd/dapr-component-sqlite.service");
    let settings = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = settings.filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn values(key: &str) -> Vec<String> {
    let unit = unit().into_iter();
    unit.filter(|(other, _)| other == key)
        .map(|(_, value)| value)
        .collect()
}

fn value(key: &str) -> String {
    let values = values(key);
    assert_eq!(values.len(), 1, "{key}: {values:?}");
    values.into_iter().next().unwrap_or_default()
}

#[tokio::test]
async fn it_is_started_when_it_is_served_and_has_time_to_stop() {
    assert_eq!(value("Type"), "exec");
    let start = split(&value("ExecStart"));
    let after = split(&value("ExecStartPost"));
    assert_eq!(after.last().unwrap(), flag(&start, "--as"));
    start_ask_and_stop(&start, &after).await;
    check_grace(&start, seconds(&value("TimeoutStopSec")));
    let patience = seconds(flag(&after, "--wait")) + Duration::from_secs(5);
    assert!(seconds(&value("TimeoutStartSec")) > patience);
}

#[test]
fn its_folders_are_where_its_environment_says() {
    let environment = values("Environment");
    let sockets = format!("/run/{}", value("RuntimeDirectory"));
    assert!(environment.contains(&format!("DAPR_COMPONENTS_SOCKETS_FOLDER={sockets}")));
    let data = format!("/var/lib/{}", value("StateDirectory"));
    assert!(environment.contains(&format!("SQLITE_TMPDIR={data}")));
    // Where another component of the machine is in the folder, the stop of this one must leave it.
    assert_eq!(value("RuntimeDirectoryPreserve"), "yes");
    assert_eq!(value("User"), value("Group"), "daprd's user");
}

#[test]
fn it_has_no_more_rights_than_it_needs() {
    assert_eq!(value("CapabilityBoundingSet"), "");
    assert_eq!(value("NoNewPrivileges"), "yes");
    assert_eq!(value("ProtectSystem"), "strict");
    assert_eq!(value("RestrictAddressFamilies"), "AF_UNIX");
    assert_eq!(value("SystemCallFilter"), "@system-service");
    for key in [
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "RestrictNamespaces",
    ] {
        assert_eq!(value(key), "yes", "{key}");
    }
}

#[test]
fn systemd_understands_it() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("dapr-component-sqlite.service");
    // The program must exist where the unit has it.
    let own = text("systemd/dapr-component-sqlite.service")
        .replace("/usr/local/bin/pluggable", env!("CARGO_BIN_EXE_pluggable"));
    std::fs::write(&unit, own).unwrap();
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output();
    match verify {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let ours: Vec<&str> = said
                .lines()
                .filter(|line| line.contains("dapr-component-sqlite.service"))
                .collect();
            assert!(ours.is_empty(), "{said}");
        }
        Err(error) => skip(
            "systemd_understands_it",
            &format!("systemd-analyze: {error}"),
        ),
    }
}
