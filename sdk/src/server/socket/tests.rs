use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixStream as StdStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::socket::MAX_PATH;

const ACCESS: Access = Access {
    mode: 0o660,
    group: None,
};

fn name(name: &str) -> SocketName {
    SocketName::parse(name).unwrap()
}

async fn publish(folder: &Path, socket: &str) -> Result<(UnixListener, Published)> {
    let (listener, staged) = Staged::bind(folder, &name(socket), ACCESS).await?;
    Ok((listener, staged.publish().await?))
}

/// Everything in the folder.
fn list(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn it_is_published_whole_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_listener, staged) = Staged::bind(folder.path(), &name("redis"), ACCESS)
        .await
        .unwrap();
    StdStream::connect(staged.address()).unwrap();
    assert!(list(&folder)[0].starts_with(STAGING_PREFIX));

    let published = staged.publish().await.unwrap();
    assert_eq!(list(&folder), ["redis.sock"]);
    let metadata = fs::metadata(published.path()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    StdStream::connect(published.path()).unwrap();

    drop(published);
    assert!(list(&folder).is_empty());
}

#[tokio::test]
async fn mode_and_group_are_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::choose(Some(0o606), Some("0"), false).unwrap();
    let group = if own_user().is_root() {
        rustix::fs::Gid::from_raw(4321)
    } else {
        rustix::process::getegid()
    };
    let access = Access {
        group: Some(group),
        ..access
    };
    let (_listener, staged) = Staged::bind(folder.path(), &name("a"), access)
        .await
        .unwrap();
    let published = staged.publish().await.unwrap();
    let metadata = fs::metadata(published.path()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o606);
    assert_eq!(metadata.gid(), group.as_raw());
}

#[test]
fn nobody_ever_sees_another_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                if let Ok(metadata) = fs::symlink_metadata(&path) {
                    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
                    StdStream::connect(&path).ok();
                    seen += 1;
                }
            }
            seen
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let rounds: Result<()> =
            (0..200).try_for_each(|_| runtime.block_on(publish(folder.path(), "a")).map(drop));
        done.store(true, Ordering::Release);
        rounds.unwrap();
        watcher.join().unwrap()
    });
    assert!(seen > 0, "the watcher never saw the socket");
}

#[tokio::test]
async fn the_limit_counts_for_the_published_path_alone() {
    let parent = tempfile::tempdir().unwrap();
    let length = MAX_PATH - parent.path().as_os_str().len() - "//a.sock".len();
    let folder = parent.path().join("x".repeat(length));
    fs::create_dir(&folder).unwrap();
    let (_listener, published) = publish(&folder, "a").await.unwrap();
    assert_eq!(published.path().as_os_str().len(), MAX_PATH);
    StdStream::connect(published.path()).unwrap();

    let error = publish(&folder, "ab").await.unwrap_err();
    assert!(
        error.to_string().contains("choose a shorter folder"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(StdStream::connect(&path).is_err());
    let (_listener, _published) = publish(folder.path(), "a").await.unwrap();
    StdStream::connect(&path).unwrap();
    assert_eq!(list(&folder), ["a.sock"]);
}

#[tokio::test]
async fn a_live_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let error = publish(folder.path(), "a").await.unwrap_err().to_string();
    assert!(
        error.contains("already served") && error.contains("a.sock"),
        "{error}"
    );
    StdStream::connect(&path).unwrap();
    drop(listener);

    fs::remove_file(&path).unwrap();
    let _datagrams = UnixDatagram::bind(&path).unwrap();
    let error = publish(folder.path(), "a").await.unwrap_err().to_string();
    assert!(error.contains("already served"), "{error}");
    assert_eq!(list(&folder), ["a.sock"]);
}

#[tokio::test]
async fn what_is_no_socket_is_never_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let expect_refusal = || async {
        let error = publish(folder.path(), "a").await.unwrap_err().to_string();
        assert!(error.contains("is not a socket"), "{error}");
        assert_eq!(list(&folder), ["a.sock"]);
    };
    fs::write(&path, "kept").unwrap();
    expect_refusal().await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    fs::remove_file(&path).unwrap();

    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    expect_refusal().await;
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("elsewhere"));
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    expect_refusal().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    for folder in [file, parent.path().join("missing")] {
        let error = publish(&folder, "a").await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidSettings, "{error}");
        assert!(
            error.to_string().contains(&*folder.to_string_lossy()),
            "{error}"
        );
    }
}

#[test]
fn of_many_starters_one_wins() {
    const STARTERS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    for stale in [false, true] {
        let path = folder.path().join("a.sock");
        if stale {
            drop(UnixListener::bind(&path).unwrap());
        }
        let barrier = Arc::new(Barrier::new(STARTERS));
        let starters: Vec<_> = (0..STARTERS)
            .map(|_| {
                let (barrier, folder) = (Arc::clone(&barrier), folder.path().to_owned());
                thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        let (listener, staged) =
                            Staged::bind(&folder, &name("a"), ACCESS).await.unwrap();
                        barrier.wait();
                        staged
                            .publish()
                            .await
                            .map(|published| (listener, published))
                    })
                })
            })
            .collect();
        let outcomes: Vec<_> = starters
            .into_iter()
            .map(|starter| starter.join().unwrap())
            .collect();
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for lost in lost {
            let error = lost.unwrap_err();
            assert!(error.to_string().contains("already served"), "{error}");
        }
        StdStream::connect(&path).unwrap();
        assert_eq!(list(&folder), ["a.sock"]);
        drop(won);
        assert!(list(&folder).is_empty());
    }
}

#[tokio::test]
async fn another_s_socket_is_left_alone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_listener, published) = publish(folder.path(), "a").await.unwrap();
    fs::remove_file(published.path()).unwrap();
    let _other = UnixListener::bind(published.path()).unwrap();
    drop(published);
    assert_eq!(list(&folder), ["a.sock"]);
}

#[tokio::test]
async fn what_dead_starters_left_goes_and_what_live_ones_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join(format!("{STAGING_PREFIX}dead"));
    fs::create_dir(&dead).unwrap();
    drop(UnixListener::bind(dead.join(STAGED)).unwrap());
    let (_listener, live) = Staged::bind(folder.path(), &name("live"), ACCESS)
        .await
        .unwrap();

    let (_other, published) = publish(folder.path(), "a").await.unwrap();
    assert!(!dead.is_dir());
    StdStream::connect(live.address()).unwrap();
    drop(live);
    assert_eq!(list(&folder), ["a.sock"]);
    drop(published);
}

#[tokio::test]
async fn the_folder_may_be_a_symbolic_link() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, link) = (parent.path().join("folder"), parent.path().join("link"));
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let (_listener, _published) = publish(&link, "a").await.unwrap();
    StdStream::connect(folder.join("a.sock")).unwrap();
}
