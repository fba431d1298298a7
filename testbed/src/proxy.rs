//! A TCP proxy that makes a bad network of a good one.

use std::time::Duration;

use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::patience::within;
use crate::place::server_port;

/// How many connections it carries; more are closed as they come.
const CONNECTIONS: usize = 1024;
/// How much is read at once, and how many such pieces are on their way in one direction.
const PIECE: usize = 16 << 10;
const PIECES: usize = 64;

/// A TCP proxy on loopback in front of a server. What it is told holds for the connections it has and for new ones. It
/// ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    target: String,
    weather: watch::Sender<Weather>,
    /// None while it is cut.
    accepting: Option<JoinHandle<()>>,
}

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    /// Everything arrives, so much later than it was sent.
    Passing(Duration),
    /// Nothing arrives, and nobody is told.
    Stalled,
    /// There are no connections.
    Cut,
}

impl Proxy {
    /// A proxy in front of an address, such as `127.0.0.1:6379`, which passes everything on.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(target: &str) -> Self {
        let mut proxy = Self {
            port: server_port(),
            target: target.to_owned(),
            weather: watch::Sender::new(Weather::Cut),
            accepting: None,
        };
        proxy.mend().await;
        proxy
    }

    /// Where it listens: `127.0.0.1` with its port.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Passes everything on again, what was held back first. After a [`cut`](Self::cut) it listens again at the same port.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn mend(&mut self) {
        self.pass_after(Duration::ZERO).await;
    }

    /// Passes everything on so much later than it comes, in each direction.
    ///
    /// # Panics
    /// As [`mend`](Self::mend).
    pub async fn delay(&mut self, delay: Duration) {
        self.pass_after(delay).await;
    }

    /// Leaves connections half-open: they stay, new ones are accepted, and nothing is passed on, no end either.
    ///
    /// # Panics
    /// As [`mend`](Self::mend).
    pub async fn stall(&mut self) {
        self.change(Weather::Stalled).await;
    }

    /// Closes every connection and refuses new ones.
    ///
    /// # Panics
    /// When that takes longer than [`patience`](crate::patience).
    pub async fn cut(&mut self) {
        self.weather.send_replace(Weather::Cut);
        if let Some(accepting) = self.accepting.take() {
            within("the end of a proxy's connections", accepting)
                .await
                .expect("carry connections");
        }
    }

    async fn pass_after(&mut self, delay: Duration) {
        self.change(Weather::Passing(delay)).await;
    }

    async fn change(&mut self, weather: Weather) {
        self.weather.send_replace(weather);
        if self.accepting.is_none() {
            let listener = TcpListener::bind(self.host()).await;
            let listener = listener.unwrap_or_else(|error| panic!("bind {}: {error}", self.host()));
            let accepting = accept(listener, self.target.clone(), self.weather.subscribe());
            self.accepting = Some(tokio::spawn(accepting));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

/// Carries connections until they are cut.
async fn accept(listener: TcpListener, target: String, weather: watch::Receiver<Weather>) {
    let mut connections = JoinSet::new();
    let mut cut = weather.clone();
    let cut = cut.wait_for(|weather| *weather == Weather::Cut);
    tokio::pin!(cut);
    loop {
        tokio::select! {
            _ = &mut cut => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted
                    && connections.len() < CONNECTIONS
                {
                    connections.spawn(carry(client, target.clone(), weather.clone()));
                }
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Carries one connection: to its end in both directions, or to the first error in one.
async fn carry(mut client: TcpStream, target: String, mut weather: watch::Receiver<Weather>) {
    if delay(&mut weather).await.is_none() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    // What is small is not held back by anybody else.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let _ = tokio::try_join!(
        pass(from_client, to_server, weather.clone()),
        pass(from_server, to_client, weather.clone()),
    );
}

/// Passes one direction on, its end too.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let length = from.read_buf(&mut piece).await?;
            if length == 0 || sender.send((Instant::now(), piece)).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let write = async {
        while let Some((came, piece)) = pieces.recv().await {
            let Some(delay) = delay(&mut weather).await else {
                return Ok(());
            };
            sleep_until(came + delay).await;
            // It may have stalled meanwhile.
            if self::delay(&mut weather).await.is_some() {
                to.write_all(&piece).await?;
            }
        }
        if delay(&mut weather).await.is_some() {
            to.shutdown().await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(drop)
}

/// Waits for weather in which something arrives, and says how late; never when there are no connections any more.
async fn delay(weather: &mut watch::Receiver<Weather>) -> Option<Duration> {
    let now = weather.wait_for(|weather| *weather != Weather::Stalled);
    match *now.await.ok()? {
        Weather::Passing(delay) => Some(delay),
        Weather::Stalled | Weather::Cut => None,
    }
}

#[cfg(test)]
mod tests;
