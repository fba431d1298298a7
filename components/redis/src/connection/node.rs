//! A connection to one server that is opened again when it breaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::settings::GoDuration;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, PushInfo, PushKind, RedisError, RedisResult, Value};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::endpoint::Endpoint;
use crate::error::is_lost;
use crate::settings::ConnectionSettings;

/// The longest that a call waits for a connection that has just broken to be there again.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection to one server. A task opens it again whenever it breaks: the first attempt is waited for by the calls
/// that come, and while later ones go on calls fail at once.
#[derive(Debug)]
pub(crate) struct Node {
    state: watch::Receiver<State>,
    keeper: AbortOnDropHandle<()>,
}

/// The pauses between attempts to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
}

#[derive(Clone, Debug)]
enum State {
    Up(Link),
    /// It has broken just now.
    Reconnecting,
    /// It could not be opened again so far.
    Down(RedisError),
}

/// One connection, until it breaks.
#[derive(Clone, Debug)]
struct Link {
    connection: MultiplexedConnection,
    lost: CancellationToken,
}

impl Node {
    /// Connects, for as long as this lives.
    pub(crate) async fn connect(endpoint: Arc<Endpoint>, pauses: Pauses) -> RedisResult<Self> {
        let link = Link::open(&endpoint).await?;
        let (sender, state) = watch::channel(State::Up(link.clone()));
        let keeper = tokio::spawn(keep(endpoint, pauses, link, sender));
        Ok(Self {
            state,
            keeper: AbortOnDropHandle::new(keeper),
        })
    }

    /// Runs a command.
    pub(crate) async fn run(&self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        let mut link = self.link(limit).await?;
        let answer = match timeout(limit, command.query_async(&mut link.connection)).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out(limit)),
        };
        if let Err(error) = &answer {
            link.heed(error);
        }
        answer
    }

    /// Runs commands in one round trip.
    pub(crate) async fn run_all(
        &self,
        commands: &[Cmd],
        limit: Duration,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut link = self.link(limit).await?;
        let mut pipeline = Pipeline::with_capacity(commands.len());
        pipeline.ignore_errors();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let answers: RedisResult<Vec<RedisResult<Value>>> =
            match timeout(limit, pipeline.query_async(&mut link.connection)).await {
                Ok(answers) => answers,
                Err(_) => Err(timed_out(limit)),
            };
        match &answers {
            Ok(answers) => answers
                .iter()
                .filter_map(|answer| answer.as_ref().err())
                .for_each(|error| link.heed(error)),
            Err(error) => link.heed(error),
        }
        answers
    }

    /// Ends the connection, for good.
    pub(crate) fn close(&self) {
        self.keeper.abort();
    }

    async fn link(&self, limit: Duration) -> RedisResult<Link> {
        match &*self.state.borrow() {
            State::Up(link) => return Ok(link.clone()),
            State::Down(error) => return Err(error.clone()),
            State::Reconnecting => {}
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Reconnecting));
        match timeout(limit.min(PATIENCE), settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(link) => Ok(link.clone()),
                State::Down(error) => Err(error.clone()),
                State::Reconnecting => Err(closed()),
            },
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(timed_out(limit.min(PATIENCE))),
        }
    }
}

impl Pauses {
    pub(crate) fn new(settings: &ConnectionSettings) -> Self {
        let pause = |setting: Option<GoDuration>, default: Duration| {
            setting.map_or(default, |time| time.non_negative().unwrap_or_default())
        };
        let longest = pause(
            settings.redis_max_retry_interval,
            Duration::from_millis(512),
        );
        let first = pause(settings.redis_min_retry_interval, Duration::from_millis(8));
        // Without any pause a server that is down would cost a whole processor.
        let longest = longest.max(Duration::from_millis(1));
        Self {
            first: first.clamp(Duration::from_millis(1), longest),
            longest,
        }
    }
}

impl Link {
    async fn open(endpoint: &Endpoint) -> RedisResult<Self> {
        let lost = CancellationToken::new();
        let noticed = lost.clone();
        let on_push = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                noticed.cancel();
            }
            Ok::<(), redis::aio::SendError>(())
        };
        Ok(Self {
            connection: endpoint.connect(on_push).await?,
            lost,
        })
    }

    /// Has the connection opened again where an error says that it is of no use. Who waits on the old one still has its
    /// answer from there.
    fn heed(&self, error: &RedisError) {
        if is_lost(error) {
            self.lost.cancel();
        }
    }
}

/// Opens the connection again whenever it is lost.
async fn keep(
    endpoint: Arc<Endpoint>,
    pauses: Pauses,
    mut link: Link,
    state: watch::Sender<State>,
) {
    loop {
        link.lost.cancelled().await;
        tracing::warn!(server = %endpoint, "the connection to redis is lost; connecting again");
        state.send_replace(State::Reconnecting);
        link = reconnect(&endpoint, pauses, &state).await;
        tracing::info!(server = %endpoint, "connected to redis again");
        state.send_replace(State::Up(link.clone()));
    }
}

async fn reconnect(endpoint: &Endpoint, pauses: Pauses, state: &watch::Sender<State>) -> Link {
    let mut pause = pauses.first;
    loop {
        match Link::open(endpoint).await {
            Ok(link) => return link,
            Err(error) => state.send_replace(State::Down(error)),
        };
        sleep(pause).await;
        pause = (pause * 2).min(pauses.longest);
    }
}

pub(super) fn timed_out(limit: Duration) -> RedisError {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {limit:?}"),
    )
    .into()
}

fn closed() -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, "the component is closed").into()
}
