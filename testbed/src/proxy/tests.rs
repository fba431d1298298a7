use tokio::time::timeout;

use super::*;
use crate::patience::eventually;

/// Long enough for what is passed on to arrive.
const MOMENT: Duration = Duration::from_millis(100);

/// A server that says everything back, and a proxy in front of it.
async fn echo() -> (JoinSet<()>, Proxy) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut from, mut to) = connection.split();
                let _ = io::copy(&mut from, &mut to).await;
            });
        }
    });
    (tasks, Proxy::start(&target).await)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.host()).await.unwrap()
}

async fn say(connection: &mut TcpStream, words: &str) {
    connection.write_all(words.as_bytes()).await.unwrap();
}

async fn hear(connection: &mut TcpStream, words: &str) {
    let mut heard = vec![0; words.len()];
    within("an echo", connection.read_exact(&mut heard))
        .await
        .unwrap();
    assert_eq!(String::from_utf8(heard).unwrap(), words);
}

async fn hears_nothing(connection: &mut TcpStream) {
    assert!(timeout(MOMENT, connection.read_u8()).await.is_err());
}

#[tokio::test]
async fn it_passes_everything_and_the_end() {
    let (_server, proxy) = echo().await;
    let mut connection = connect(&proxy).await;
    let large = "0123456789abcdef".repeat(1 << 16);
    let (mut from, mut to) = connection.split();
    let send = async {
        to.write_all(large.as_bytes()).await?;
        to.shutdown().await
    };
    let mut heard = Vec::new();
    let exchange = async { tokio::try_join!(send, from.read_to_end(&mut heard)) };
    within("an exchange", exchange).await.unwrap();
    assert!(heard == large.as_bytes());
}

#[tokio::test]
async fn it_delays_connections_old_and_new() {
    let (_server, mut proxy) = echo().await;
    let mut old = connect(&proxy).await;
    say(&mut old, "a").await;
    hear(&mut old, "a").await;
    proxy.delay(MOMENT).await;
    let mut new = connect(&proxy).await;
    let start = Instant::now();
    // On the way at the same time, and back.
    for connection in [&mut old, &mut new] {
        say(connection, "b").await;
        say(connection, "c").await;
    }
    for connection in [&mut old, &mut new] {
        hear(connection, "bc").await;
        assert!(start.elapsed() >= 2 * MOMENT);
    }
}

#[tokio::test]
async fn while_it_stalls_nothing_arrives_and_nothing_is_lost() {
    let (_server, mut proxy) = echo().await;
    let mut old = connect(&proxy).await;
    say(&mut old, "a").await;
    hear(&mut old, "a").await;
    proxy.stall().await;
    let mut new = connect(&proxy).await;
    for connection in [&mut old, &mut new] {
        say(connection, "b").await;
        hears_nothing(connection).await;
    }
    proxy.mend().await;
    for connection in [&mut old, &mut new] {
        say(connection, "c").await;
        hear(connection, "bc").await;
    }
}

#[tokio::test]
async fn it_cuts_and_mends() {
    let (_server, mut proxy) = echo().await;
    let mut connection = connect(&proxy).await;
    say(&mut connection, "a").await;
    hear(&mut connection, "a").await;
    for is_stalled in [false, true] {
        if is_stalled {
            proxy.stall().await;
        }
        proxy.cut().await;
        let end = within("an end", connection.read_u8()).await;
        assert!(end.is_err());
        assert!(TcpStream::connect(proxy.host()).await.is_err());
        proxy.mend().await;
        connection = connect(&proxy).await;
        say(&mut connection, "b").await;
        hear(&mut connection, "b").await;
    }
}

#[tokio::test]
async fn it_ends_with_its_owner_and_closes_where_nobody_listens() {
    let (server, proxy) = echo().await;
    drop(server);
    eventually("the end of a connection", async || {
        connect(&proxy).await.read_u8().await.is_err()
    })
    .await;
    let host = proxy.host();
    drop(proxy);
    eventually("nobody listens", async || {
        TcpStream::connect(&host).await.is_err()
    })
    .await;
}
