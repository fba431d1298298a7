//! A connection to one server that is opened again when it breaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable::settings::GoDuration;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, PushInfo, PushKind, RedisError, RedisResult, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::endpoint::Endpoint;
use crate::error::{is_elsewhere, is_lost};
use crate::settings::ConnectionSettings;

/// The longest that a call waits for a server that is away.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How old a connection is at least that is replaced at once when it ends, and that is given up because the server is not
/// the one to talk to: what the name service or the sentinels say does not change more often, and a replica that is named
/// for good must not cost a connection a write.
const SETTLED: Duration = Duration::from_secs(1);

/// A connection to one server. A task opens it again whenever it breaks: the first attempt is waited for by the calls
/// that come, and while later ones go on calls fail at once.
#[derive(Debug)]
pub(crate) struct Node {
    endpoint: Arc<Endpoint>,
    state: watch::Receiver<State>,
    closed: CancellationToken,
    _keeper: AbortOnDropHandle<()>,
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
    /// It has broken just now, or is opened for the first time.
    Reconnecting,
    /// It could not be opened again so far, or is closed.
    Down(RedisError),
}

/// One connection, until it breaks.
#[derive(Clone, Debug)]
struct Link {
    connection: MultiplexedConnection,
    opened: Instant,
    lost: CancellationToken,
}

impl Node {
    /// Connects, and stays connected for as long as this lives.
    pub(crate) async fn connect(endpoint: Arc<Endpoint>, pauses: Pauses) -> RedisResult<Self> {
        let link = Link::open(&endpoint).await?;
        Ok(Self::keep(endpoint, pauses, Some(link)))
    }

    /// Connects in the background.
    pub(crate) fn start(endpoint: Endpoint, pauses: Pauses) -> Self {
        Self::keep(Arc::new(endpoint), pauses, None)
    }

    fn keep(endpoint: Arc<Endpoint>, pauses: Pauses, link: Option<Link>) -> Self {
        let first = link.clone().map_or(State::Reconnecting, State::Up);
        let (sender, state) = watch::channel(first);
        let closed = CancellationToken::new();
        let keeper = keep(Arc::clone(&endpoint), pauses, link, sender, closed.clone());
        Self {
            endpoint,
            state,
            closed,
            _keeper: AbortOnDropHandle::new(tokio::spawn(keeper)),
        }
    }

    /// The server.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(link) if link.is_usable())
    }

    /// Runs a command.
    pub(crate) async fn run(&self, command: &Cmd, limit: Duration) -> RedisResult<Value> {
        let deadline = Instant::now() + limit;
        let mut link = self.link(limit).await?;
        let asked = command.query_async(&mut link.connection);
        let answer = match timeout_at(deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out(limit)),
        };
        if let Err(error) = &answer {
            link.heed(error);
        }
        answer
    }

    /// Runs commands in one round trip. It fails where there is no answer to any.
    pub(crate) async fn run_all<'a>(
        &self,
        commands: impl Iterator<Item = &'a Cmd>,
        limit: Duration,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + limit;
        let mut link = self.link(limit).await?;
        let asked = pipeline.query_async(&mut link.connection);
        let answers: RedisResult<Vec<RedisResult<Value>>> = match timeout_at(deadline, asked).await
        {
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

    /// Ends the connection, for good. What is under way on it still has its answer.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    async fn link(&self, limit: Duration) -> RedisResult<Link> {
        if self.closed.is_cancelled() {
            return Err(closed());
        }
        match &*self.state.borrow() {
            State::Up(link) if link.is_usable() => return Ok(link.clone()),
            State::Down(error) => return Err(error.clone()),
            _ => {}
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| match state {
            State::Up(link) => link.is_usable(),
            State::Reconnecting => false,
            State::Down(_) => true,
        });
        let limit = limit.min(PATIENCE);
        match timeout(limit, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(link) => Ok(link.clone()),
                State::Down(error) => Err(error.clone()),
                State::Reconnecting => Err(closed()),
            },
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(timed_out(limit)),
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

    /// The pauses after the first, second, … attempt.
    pub(crate) fn iter(self) -> impl Iterator<Item = Duration> {
        std::iter::successors(Some(self.first), move |pause| {
            Some((*pause * 2).min(self.longest))
        })
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
            connection: endpoint.connect(Arc::new(on_push)).await?,
            opened: Instant::now(),
            lost,
        })
    }

    fn is_usable(&self) -> bool {
        !self.lost.is_cancelled()
    }

    /// Has the connection opened again where an error says that it is of no use. Who waits on the old one still has its
    /// answer from there.
    fn heed(&self, error: &RedisError) {
        if is_lost(error) || (is_elsewhere(error) && self.opened.elapsed() >= SETTLED) {
            self.lost.cancel();
        }
    }
}

/// Opens the connection again whenever it is lost, until it is closed.
async fn keep(
    endpoint: Arc<Endpoint>,
    pauses: Pauses,
    mut link: Option<Link>,
    state: watch::Sender<State>,
    closing: CancellationToken,
) {
    let keep = async {
        let mut between = pauses.iter();
        loop {
            if let Some(link) = link.take() {
                link.lost.cancelled().await;
                let age = link.opened.elapsed();
                drop(link);
                tracing::warn!(server = %endpoint, "the connection to redis is lost; connecting again");
                state.send_replace(State::Reconnecting);
                if age >= SETTLED {
                    between = pauses.iter();
                } else {
                    // What ends every connection at once must not have them opened without a pause.
                    sleep(between.next().unwrap_or(SETTLED)).await;
                }
            }
            let opened = reconnect(&endpoint, pauses, &state).await;
            tracing::info!(server = %endpoint, "connected to redis");
            state.send_replace(State::Up(opened.clone()));
            link = Some(opened);
        }
    };
    closing.run_until_cancelled(keep).await;
    state.send_replace(State::Down(closed()));
}

async fn reconnect(endpoint: &Endpoint, pauses: Pauses, state: &watch::Sender<State>) -> Link {
    let mut pauses = pauses.iter();
    loop {
        match Link::open(endpoint).await {
            Ok(link) => return link,
            Err(error) => state.send_replace(State::Down(error)),
        };
        sleep(pauses.next().unwrap_or(SETTLED)).await;
    }
}

/// What comes of a question, within a time.
pub(crate) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    timeout(limit, answer)
        .await
        .unwrap_or_else(|_| Err(timed_out(limit)))
}

fn timed_out(limit: Duration) -> RedisError {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {limit:?}"),
    )
    .into()
}

pub(crate) fn closed() -> RedisError {
    io::Error::other("the component is closed").into()
}
