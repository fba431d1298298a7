use std::path::PathBuf;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::dial::dial;

/// A server for which the health service is a building block: who calls it is a runtime.
struct Lingering {
    running: Running,
    workers: Workers,
    socket: PathBuf,
    _folder: TempDir,
}

impl Lingering {
    async fn start(linger: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::default();
        let name = SocketName::parse("a").unwrap();
        let workers = Workers::start(default_workers()).unwrap();
        let access = Access::choose(None, None, false).unwrap();
        let (listener, staged) = Staged::bind(folder.path(), &name, access).await.unwrap();
        let mut dispatch = Dispatch::default();
        let components = Components::serve(&Blocks::new(), &options, &mut dispatch);
        let health = Health::serve(&mut dispatch, BTreeSet::new()).await;
        let callers = Arc::new(Callers::new(dispatch.names().collect(), Arc::new(())));
        let observer = Arc::clone(&callers);
        let listening = workers
            .listen(listener, dispatch, limits(&options), observer)
            .unwrap();
        let published = staged.publish().await.unwrap();
        let socket = published.path().to_owned();
        let running = Running {
            name,
            published,
            listening,
            components,
            callers,
            health,
            linger,
            drain_cap: options.drain_cap,
        };
        Self {
            running,
            workers,
            socket,
            _folder: folder,
        }
    }

    /// Stops as a server does; each phase sends what it has reached.
    async fn stop(self, lingered: oneshot::Sender<()>) {
        self.running.linger().await;
        lingered.send(()).ok();
        self.running.drain().await;
        self.workers.stop(WORKERS_CAP).await;
    }
}

async fn runtime(socket: &Path) -> HealthClient<Channel> {
    let mut client = HealthClient::new(dial(socket).await.unwrap());
    call(&mut client).await;
    client
}

async fn call(client: &mut HealthClient<Channel>) {
    client.check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn it_lingers_until_the_last_runtime_leaves() {
    let server = Lingering::start(Duration::from_secs(600)).await;
    let socket = server.socket.clone();
    let (silent, mut first) = (dial(&socket).await.unwrap(), runtime(&socket).await);
    let (sender, mut lingered) = oneshot::channel();
    let stop = tokio::spawn(server.stop(sender));

    // Old and new connections are served meanwhile.
    call(&mut first).await;
    let mut second = runtime(&socket).await;
    drop(first);
    for _ in 0..20 {
        call(&mut second).await;
    }
    assert!(lingered.try_recv().is_err(), "it left a runtime alone");
    drop(second);
    lingered.await.unwrap();
    stop.await.unwrap();
    assert!(!socket.try_exists().unwrap());
    drop(silent);
}

#[tokio::test]
async fn the_linger_has_a_cap() {
    let server = Lingering::start(Duration::from_millis(50)).await;
    let socket = server.socket.clone();
    let _runtime = runtime(&socket).await;
    let (sender, lingered) = oneshot::channel();
    let stop = tokio::spawn(server.stop(sender));
    lingered.await.unwrap();
    stop.await.unwrap();
    assert!(!socket.try_exists().unwrap());
}

#[tokio::test]
async fn without_runtimes_there_is_no_linger() {
    let server = Lingering::start(Duration::from_secs(600)).await;
    let _silent = dial(&server.socket).await.unwrap();
    let (sender, lingered) = oneshot::channel();
    let stop = tokio::spawn(server.stop(sender));
    tokio::select! {
        lingered = lingered => lingered.unwrap(),
        () = sleep(Duration::from_secs(30)) => panic!("it lingers for nobody"),
    }
    stop.await.unwrap();
}
