//! Locks, full disks, files that are only read, and openings at the same time.

use std::fs;
use std::sync::Arc;

use dapr_pluggable::ErrorKind;
use dapr_pluggable::state::{GetRequest, SetRequest};

use crate::folder::Folder;
use crate::state::{open, open_file, value};

#[tokio::test]
async fn a_lock_that_lasts_is_an_error_and_then_over() {
    let folder = Folder::new();
    let database = folder.database();
    let store = open(&[("connectionString", &database), ("busyTimeout", "100ms")])
        .await
        .unwrap();
    store.set(SetRequest::new("k", "1")).await.unwrap();

    let lock = folder.lock().await;
    let outcomes =
        futures::future::join_all((0..20).map(|_| store.set(SetRequest::new("k", "2")))).await;
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Unavailable);
        for word in [database.as_str(), "busyTimeout"] {
            assert!(error.message().contains(word), "{word} is not in {error}");
        }
    }
    // Readers are not held up.
    assert_eq!(value(&store, "k").await.unwrap(), "1");
    lock.release().await;
    store.set(SetRequest::new("k", "3")).await.unwrap();
    assert_eq!(value(&store, "k").await.unwrap(), "3");
}

#[tokio::test]
async fn a_lock_that_ends_in_time_is_no_error() {
    let folder = Folder::new();
    let store = open(&[
        ("connectionString", &folder.database()),
        ("busyTimeout", "15s"),
    ])
    .await
    .unwrap();
    let lock = folder.lock().await;
    let writes = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.set(SetRequest::new("k", "1")).await }
    });
    // The write has begun to wait, and the database is still readable meanwhile.
    assert_eq!(value(&store, "k").await, None);
    lock.release().await;
    writes.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_waits_for_a_lock_goes_in_one_transaction() {
    let folder = Folder::new();
    let store = open(&[
        ("connectionString", &folder.database()),
        ("busyTimeout", "15s"),
    ])
    .await
    .unwrap();
    let frames = || {
        let log = fs::metadata(folder.file("data.db-wal")).unwrap();
        log.len() / 4096
    };
    let before = frames();
    let lock = folder.lock().await;
    let writes = (0..200).map(|n| store.set(SetRequest::new(n.to_string(), "1")));
    let (outcomes, ()) = tokio::join!(futures::future::join_all(writes), lock.release());
    for outcome in outcomes {
        outcome.unwrap();
    }
    // A transaction writes each page that it changes once. 200 transactions would have written 200 pages at least.
    assert!(frames() - before < 50, "{before} pages, then {}", frames());
}

#[tokio::test]
async fn a_full_database_says_so_and_does_nothing_by_halves() {
    let folder = Folder::new();
    let store = open(&[(
        "connectionString",
        &format!("{}?_pragma=max_page_count(64)", folder.database()),
    )])
    .await
    .unwrap();
    store.set(SetRequest::new("small", "1")).await.unwrap();
    // Together in one transaction: those that are too large fail, the others do not notice.
    let large = "x".repeat(300_000);
    let writes = (0..40).map(|n| {
        let value = if n % 4 == 0 {
            large.clone()
        } else {
            n.to_string()
        };
        store.set(SetRequest::new(format!("k{n}"), value))
    });
    for (n, outcome) in futures::future::join_all(writes)
        .await
        .into_iter()
        .enumerate()
    {
        if n % 4 == 0 {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Throttled);
            assert!(error.message().contains("disk is full"), "{error}");
            assert_eq!(value(&store, &format!("k{n}")).await, None);
        } else {
            outcome.unwrap();
            assert_eq!(
                value(&store, &format!("k{n}")).await.unwrap(),
                n.to_string()
            );
        }
    }
    let bulk = vec![
        SetRequest::new("bulk", "1"),
        SetRequest::new("bulk2", large),
    ];
    let error = store.bulk_set(bulk, Default::default()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Throttled);
    assert_eq!(value(&store, "bulk").await, None);
    assert_eq!(folder.sqlite3("PRAGMA integrity_check"), "ok");
}

#[tokio::test]
async fn a_database_for_reading_only_is_read_and_stays_as_it_is() {
    for option in ["mode=ro", "immutable=1"] {
        let folder = Folder::new();
        let database = format!("{}?{option}", folder.database());
        if option == "mode=ro" {
            let error = open(&[("connectionString", &database)])
                .await
                .map(drop)
                .unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Unavailable);
        }
        let store = open_file(&folder).await;
        store.set(SetRequest::new("k", "1")).await.unwrap();
        store.close().await.unwrap();
        let before = fs::read(folder.database()).unwrap();

        let store = open(&[("connectionString", &database)]).await.unwrap();
        assert_eq!(value(&store, "k").await.unwrap(), "1");
        let error = store.set(SetRequest::new("k", "2")).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Denied);
        assert!(error.message().contains(&folder.database()), "{error}");
        store.close().await.unwrap();
        assert_eq!(fs::read(folder.database()).unwrap(), before, "{option}");

        let other = [
            ("connectionString", database.as_str()),
            ("tableName", "missing"),
        ];
        let error = open(&other).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Denied);
        assert!(error.message().contains("missing"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn openings_at_the_same_time_create_the_tables_once() {
    for _ in 0..10 {
        let folder = Folder::new();
        let database = folder.database();
        let opening = (0..3).map(|n| {
            let database = database.clone();
            tokio::spawn(async move {
                let store = open(&[("connectionString", &database)]).await.unwrap();
                store
                    .set(SetRequest::new(n.to_string(), "1"))
                    .await
                    .unwrap();
                store
            })
        });
        for store in futures::future::join_all(opening).await {
            store.unwrap();
        }
        assert_eq!(folder.sqlite3("SELECT count(*) FROM state"), "3");
        assert_eq!(folder.sqlite3("SELECT * FROM metadata"), "migrations|1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn openings_in_memory_wait_for_one_another() {
    for _ in 0..10 {
        let folder = Folder::new();
        let database = format!("file:{}?mode=memory", folder.database());
        let opening = (0..8).map(|n| {
            let database = database.clone();
            tokio::spawn(async move {
                let table = format!("state{n}");
                let metadata = [
                    ("connectionString", database.as_str()),
                    ("tableName", table.as_str()),
                    ("busyTimeout", "15s"),
                ];
                let store = open(&metadata).await?;
                store.set(SetRequest::new("k", "1")).await?;
                Ok::<_, dapr_pluggable::Error>(store)
            })
        });
        for store in futures::future::join_all(opening).await {
            assert_eq!(value(&store.unwrap().unwrap(), "k").await.unwrap(), "1");
        }
    }
}

#[tokio::test]
async fn other_levels_are_taken_or_refused() {
    // A table of an older Dapr, without a metadata table, is taken as it is.
    let folder = Folder::new();
    folder.sqlite3("CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, is_binary BOOLEAN NOT NULL,
        etag TEXT NOT NULL, expiration_time TIMESTAMP DEFAULT NULL, update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
        INSERT INTO state VALUES ('k', '1', 0, 'e', NULL, CURRENT_TIMESTAMP)");
    let store = open_file(&folder).await;
    assert_eq!(value(&store, "k").await.unwrap(), "1");
    assert_eq!(folder.sqlite3("SELECT * FROM metadata"), "migrations|1");

    folder.sqlite3("UPDATE metadata SET value = '7'");
    let store = open_file(&folder).await;
    assert_eq!(value(&store, "k").await.unwrap(), "1");
    assert_eq!(folder.sqlite3("SELECT * FROM metadata"), "migrations|7");

    folder.sqlite3("UPDATE metadata SET value = 'seven'");
    let error = open(&[("connectionString", &folder.database())])
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    assert!(error.message().contains("seven"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_named() {
    let folder = Folder::new();
    let nowhere = folder.file("missing/data.db");
    let error = open(&[("connectionString", &nowhere)])
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    assert!(error.message().contains(&nowhere), "{error}");

    fs::write(folder.database(), "this is a text file, ".repeat(100)).unwrap();
    let error = open(&[("connectionString", &folder.database())])
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    assert!(error.message().contains("not a SQLite database"), "{error}");

    let error = open(&[]).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    assert!(
        error.message().contains("missing connection string"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_over_several_connections_lose_nothing() {
    let folder = Folder::new();
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(open_file(&folder).await);
    }
    // Ten writers count in ten keys, thirty times each, each time over what it read.
    let writers = (0..10).map(|writer| {
        let store = Arc::clone(&stores[writer % stores.len()]);
        tokio::spawn(async move {
            let key = format!("k{writer}");
            for n in 1..=30 {
                let mut request = SetRequest::new(&key, n.to_string());
                request.etag = store
                    .get(GetRequest::new(&key))
                    .await
                    .unwrap()
                    .and_then(|entry| entry.etag);
                store.set(request).await.unwrap();
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!(
        folder.sqlite3("SELECT count(*), min(value), max(value) FROM state"),
        "10|30|30"
    );

    // And one key that all of them write under conditions: of two with one etag, one wins.
    let writers = (0..10).map(|writer| {
        let store = Arc::clone(&stores[writer % stores.len()]);
        tokio::spawn(async move {
            let mut won = 0;
            for _ in 0..30 {
                let mut request = SetRequest::new("all", writer.to_string());
                let current = store.get(GetRequest::new("all")).await.unwrap();
                let count: i64 = current.as_ref().map_or(0, |entry| {
                    std::str::from_utf8(&entry.value).unwrap().parse().unwrap()
                });
                request.etag = current.and_then(|entry| entry.etag);
                request.concurrency = dapr_pluggable::state::Concurrency::FirstWrite;
                request.value = (count + 1).to_string().into();
                match store.set(request).await {
                    Ok(()) => won += 1,
                    Err(error) => assert_eq!(error.kind(), &ErrorKind::EtagMismatch),
                }
            }
            won
        })
    });
    let won: i64 = futures::future::join_all(writers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(
        folder.sqlite3("SELECT value FROM state WHERE key = 'all'"),
        won.to_string()
    );
}
