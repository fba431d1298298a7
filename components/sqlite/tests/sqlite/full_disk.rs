//! A disk that is really full: a small one in memory, which only root can have.

use std::fs;
use std::process::Command;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::pubsub::{BulkPublication, BulkPublishEntry, Publication};
use dapr_pluggable::state::SetRequest;
use dapr_pluggable_testbed::{Subscriber, skip};

use crate::folder::Folder;
use crate::state::{open_file, value};

/// A folder on a disk of one megabyte; it is unmounted when this is dropped.
struct SmallDisk(Folder);

impl SmallDisk {
    /// None, with a note, where that is not allowed.
    fn mount(test: &str) -> Option<Self> {
        let folder = Folder::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", &folder.file("")]);
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                skip(test, "mounting a small tmpfs needs root and CAP_SYS_ADMIN");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what a failed test has open must not keep it.
        let unmounted = Command::new("umount")
            .args(["-l", &self.0.file("")])
            .status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn a_write_that_does_not_fit_on_the_disk_is_refused_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::mount("a_write_that_does_not_fit_on_the_disk") else {
        return;
    };
    let folder = &disk.0;
    let store = open_file(folder).await;
    let ballast = folder.file("ballast");
    fs::write(&ballast, vec![0; 500_000]).unwrap();
    let large = "x".repeat(50_000);
    let mut written = Vec::new();
    let (refused, error) = loop {
        let key = format!("k{}", written.len());
        match store.set(SetRequest::new(&key, large.clone())).await {
            Ok(()) => written.push(key),
            Err(error) => break (key, error),
        }
    };
    assert_eq!(error.kind(), &ErrorKind::Throttled, "{error}");
    assert!(error.message().contains("disk is full"), "{error}");
    for key in &written {
        assert_eq!(value(&store, key).await.unwrap().len(), 50_000);
    }
    assert_eq!(value(&store, &refused).await, None);

    // With room again, everything goes on.
    fs::remove_file(&ballast).unwrap();
    store.set(SetRequest::new(&refused, "1")).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(folder.sqlite3("PRAGMA integrity_check"), "ok");
    assert_eq!(
        folder.sqlite3("SELECT count(*) FROM state"),
        (written.len() + 1).to_string()
    );
}

#[tokio::test]
async fn a_bulk_that_does_not_fit_on_the_disk_is_refused_as_a_whole() {
    let Some(disk) = SmallDisk::mount("a_bulk_that_does_not_fit_on_the_disk") else {
        return;
    };
    let folder = &disk.0;
    let pubsub = crate::pubsub::open(folder, &[]).await;
    let ballast = folder.file("ballast");
    fs::write(&ballast, vec![0; 500_000]).unwrap();
    let entries = (0..10).map(|n| BulkPublishEntry::new(n.to_string(), "x".repeat(50_000)));
    let publisher = pubsub.bulk_publisher().unwrap();
    let publication = BulkPublication::new("t", entries.collect());
    let error = publisher
        .bulk_publish(publication.clone())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Throttled, "{error}");
    assert_eq!(folder.sqlite3("SELECT count(*) FROM pubsub_messages"), "0");

    fs::remove_file(&ballast).unwrap();
    pubsub
        .publish(Publication::new("t", "small"))
        .await
        .unwrap();
    let mut subscriber = Subscriber::start(&pubsub, "t", 1);
    assert_eq!(subscriber.accept().await, "small");
    subscriber.stop().await.unwrap();
    pubsub.close().await.unwrap();
}
