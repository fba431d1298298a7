use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;

use serde::Deserialize;

use super::super::lost_init::{OnLostInit, Sidecar};
use super::*;
use crate::component::{Component, Open};
use crate::guard::StateKind;
use crate::state::{DeleteRequest, Entry, GetRequest, SetRequest, StateStore};

/// What happened to the values of an instance, in order. Each test has an instance name of its own.
static EVENTS: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

fn note(instance: &str, event: String) {
    let mut events = EVENTS.lock().unwrap();
    events.entry(instance.to_owned()).or_default().push(event);
}

fn events(instance: &str) -> Vec<String> {
    let events = EVENTS.lock().unwrap();
    events.get(instance).cloned().unwrap_or_default()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    label: String,
    number: u8,
    fail: bool,
    hang: bool,
}

struct Value<const EXCLUSIVE: bool> {
    instance: String,
    label: String,
}

#[async_trait]
impl<const EXCLUSIVE: bool> Component for Value<EXCLUSIVE> {
    async fn close(&self) -> Result<()> {
        note(&self.instance, format!("close {}", self.label));
        Ok(())
    }
}

#[async_trait]
impl<const EXCLUSIVE: bool> Open for Value<EXCLUSIVE> {
    type Settings = Settings;

    const EXCLUSIVE: bool = EXCLUSIVE;
    const RULES: crate::settings::Rules = crate::settings::Rules::Strict;

    async fn open(settings: Settings, instance: &InstanceId) -> Result<Self> {
        let label = settings.label;
        note(instance.as_str(), format!("open {label}"));
        if settings.hang {
            pending::<()>().await;
        }
        if settings.fail {
            return Err(Error::new(ErrorKind::Unavailable, "no backend"));
        }
        Ok(Self {
            instance: instance.to_string(),
            label,
        })
    }
}

#[async_trait]
impl<const EXCLUSIVE: bool> StateStore for Value<EXCLUSIVE> {
    async fn get(&self, request: GetRequest) -> Result<Option<Entry>> {
        if request.key == "never" {
            pending::<()>().await;
        }
        Ok(Some(Entry::new(self.label.clone())))
    }

    async fn set(&self, _: SetRequest) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _: DeleteRequest) -> Result<()> {
        Ok(())
    }
}

struct Rig {
    instances: Instances<StateKind>,
    peers: Arc<Peers>,
    name: &'static str,
}

impl Rig {
    fn new(name: &'static str) -> Self {
        Self::of(
            name,
            Registration::<StateKind>::open::<Value<false>>(|value| Arc::new(value)),
        )
    }

    fn exclusive(name: &'static str) -> Self {
        Self::of(
            name,
            Registration::<StateKind>::open::<Value<true>>(|value| Arc::new(value)),
        )
    }

    fn of(name: &'static str, registration: Registration<StateKind>) -> Self {
        let peers = Arc::new(Peers::default());
        let lost_init = LostInit::new(OnLostInit::None, Sidecar::from_env(), Arc::clone(&peers));
        Self {
            instances: Instances::new(registration, Arc::clone(&peers), lost_init),
            peers,
            name,
        }
    }

    /// A peer that has a connection.
    fn arrive(&self, peer: Peer) -> Peer {
        self.peers.arrived(&peer);
        peer
    }

    fn leave(&self, peer: &Peer) {
        assert!(self.peers.left(peer));
        self.instances.peer_left(peer.id);
    }

    async fn init(&self, peer: &Peer, properties: &[(&str, &str)]) -> Result<()> {
        let properties = properties.iter().copied().collect();
        self.instances.init(self.name, peer, properties).await
    }

    async fn open(&self, peer: &Peer, label: &str) {
        self.init(peer, &[("label", label)]).await.unwrap();
    }

    fn find(&self, peer: &Peer) -> Result<Found<StateKind>> {
        self.instances.find(self.name, peer)
    }

    /// The label of the value that answers a peer.
    async fn answer(&self, peer: &Peer) -> String {
        let found = self.find(peer).unwrap();
        let entry = found.get(GetRequest::new("a")).await.unwrap().unwrap();
        String::from_utf8(entry.value.to_vec()).unwrap()
    }

    fn refusal(&self, peer: &Peer) -> Error {
        self.find(peer).map(drop).unwrap_err()
    }

    /// Waits until so many events happened, and gives them.
    async fn events(&self, count: usize) -> Vec<String> {
        dapr_pluggable_testbed::eventually("the events", async || events(self.name).len() >= count)
            .await;
        events(self.name)
    }
}

fn process(id: i32) -> Peer {
    Peer {
        id: PeerId::Process(id),
        connection: id.unsigned_abs().into(),
        uid: 0,
        gid: 0,
    }
}

fn nameless(connection: u64) -> Peer {
    Peer {
        id: PeerId::Connection(connection),
        connection,
        uid: 0,
        gid: 0,
    }
}

#[tokio::test]
async fn each_peer_has_its_own_value_and_others_get_the_newest() {
    let rig = Rig::new("each_peer");
    let (a, b, c) = (process(1), process(2), process(3));
    let (a, b) = (rig.arrive(a), rig.arrive(b));
    rig.open(&a, "a").await;
    rig.open(&b, "b").await;
    assert_eq!(rig.answer(&a).await, "a");
    assert_eq!(rig.answer(&b).await, "b");
    assert_eq!(rig.answer(&c).await, "b");
    assert!(rig.find(&a).unwrap().is_own);
    assert!(!rig.find(&c).unwrap().is_own);
    rig.open(&a, "a again").await;
    assert_eq!(rig.answer(&c).await, "a again");
    assert_eq!(
        rig.events(4).await,
        ["open a", "open b", "open a again", "close a"]
    );
}

#[tokio::test]
async fn a_call_before_any_init_says_what_is_missing() {
    let rig = Rig::new("before");
    let error = rig.refusal(&process(1));
    assert_eq!(error.kind(), &ErrorKind::NotOpened);
    assert!(
        error.message().contains("no Init received for 'before'"),
        "{error}"
    );
    assert!(rig.instances.find_if_any("before", &process(1)).is_none());
}

#[tokio::test]
async fn a_replaced_value_closes_after_its_calls_in_flight() {
    let rig = Rig::new("replaced");
    let peer = rig.arrive(process(1));
    rig.open(&peer, "old").await;
    let in_flight = rig.find(&peer).unwrap();
    rig.open(&peer, "new").await;
    assert_eq!(rig.answer(&peer).await, "new");
    let entry = in_flight.get(GetRequest::new("a")).await.unwrap().unwrap();
    assert_eq!(entry.value, "old");
    assert_eq!(events("replaced"), ["open old", "open new"]);
    drop(in_flight);
    assert_eq!(rig.events(3).await, ["open old", "open new", "close old"]);
}

#[tokio::test]
async fn the_same_metadata_on_a_live_value_is_nothing_to_do() {
    let rig = Rig::new("same");
    let (a, b) = (rig.arrive(process(1)), rig.arrive(process(2)));
    rig.open(&a, "x").await;
    rig.open(&a, "x").await;
    assert_eq!(events("same"), ["open x"]);
    // Of another peer it is an Init like any other.
    rig.open(&b, "x").await;
    assert_eq!(events("same"), ["open x", "open x"]);
}

#[tokio::test]
async fn a_failed_init_keeps_what_the_peer_had_and_tells_who_had_nothing() {
    let rig = Rig::new("failed");
    let (a, b) = (rig.arrive(process(1)), rig.arrive(process(2)));
    rig.open(&a, "a").await;
    let error = rig.init(&a, &[("fail", "true")]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    let error = rig.init(&a, &[("number", "many")]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidSettings);
    assert_eq!(rig.answer(&a).await, "a");

    rig.init(&b, &[("fail", "true")]).await.unwrap_err();
    let refusal = rig.refusal(&b);
    assert_eq!(refusal.kind(), &ErrorKind::NotOpened);
    assert!(refusal.message().contains("no backend"), "{refusal}");
    // A third peer gets the value that there is, though a failure is newer.
    assert_eq!(rig.answer(&process(3)).await, "a");
    rig.open(&b, "b").await;
    assert_eq!(rig.answer(&b).await, "b");
}

#[tokio::test]
async fn an_exclusive_block_closes_the_old_value_before_it_opens_the_new() {
    let rig = Rig::exclusive("exclusive");
    let peer = rig.arrive(process(1));
    rig.open(&peer, "old").await;
    let bad = rig.init(&peer, &[("number", "many")]).await.unwrap_err();
    assert_eq!(bad.kind(), &ErrorKind::InvalidSettings);
    assert_eq!(rig.answer(&peer).await, "old");
    rig.open(&peer, "new").await;
    assert_eq!(events("exclusive"), ["open old", "close old", "open new"]);
    let failed = [("label", "third"), ("fail", "true")];
    rig.init(&peer, &failed).await.unwrap_err();
    assert_eq!(
        events("exclusive").get(3..).unwrap(),
        ["close new", "open third"]
    );
    let refusal = rig.refusal(&peer);
    assert_eq!(refusal.kind(), &ErrorKind::NotOpened);
    assert!(refusal.message().contains("no backend"), "{refusal}");
    rig.open(&peer, "fourth").await;
    assert_eq!(rig.answer(&peer).await, "fourth");
}

#[tokio::test]
async fn exclusive_values_of_peers_that_are_here_stay() {
    let rig = Rig::exclusive("exclusive_peers");
    let (a, b) = (rig.arrive(process(1)), rig.arrive(process(2)));
    rig.open(&a, "a").await;
    rig.open(&b, "b").await;
    assert_eq!(rig.answer(&a).await, "a");
    // Who is only known by its connection may be the same runtime as before.
    let (one, two) = (rig.arrive(nameless(8)), rig.arrive(nameless(9)));
    rig.open(&one, "one").await;
    rig.open(&two, "two").await;
    assert_eq!(
        events("exclusive_peers"),
        ["open a", "open b", "open one", "close one", "open two"]
    );
    assert_eq!(rig.answer(&one).await, "two");
}

#[tokio::test]
async fn an_init_that_is_given_up_leaves_an_exclusive_instance_without_value() {
    let rig = Rig::exclusive("given_up");
    let peer = rig.arrive(process(1));
    rig.open(&peer, "old").await;
    {
        let init = rig.init(&peer, &[("hang", "true")]);
        tokio::pin!(init);
        dapr_pluggable_testbed::eventually("the opening", async || {
            assert!(futures::poll!(&mut init).is_pending());
            events("given_up").len() == 3
        })
        .await;
    }
    let refusal = rig.refusal(&peer);
    assert!(refusal.message().contains("has not finished"), "{refusal}");
    rig.open(&peer, "new").await;
    assert_eq!(rig.answer(&peer).await, "new");
}

#[tokio::test]
async fn one_name_has_room_for_64_values_of_peers_that_are_here() {
    let rig = Rig::new("room");
    let peers: Vec<Peer> = (1..=64).map(|id| rig.arrive(process(id))).collect();
    for peer in &peers {
        rig.open(peer, "x").await;
    }
    let late = rig.arrive(process(65));
    let error = rig.init(&late, &[]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Throttled);
    assert!(error.message().contains("64"), "{error}");
    // Whoever has a value may replace it.
    rig.open(peers.first().unwrap(), "y").await;
    let other = rig.instances.init("another_room", &late, Metadata::new());
    other.await.unwrap();
    rig.leave(peers.last().unwrap());
    rig.open(&late, "late").await;
}

#[tokio::test]
async fn the_value_of_a_peer_that_is_gone_closes_unless_it_is_the_newest() {
    let rig = Rig::new("gone");
    let (a, b) = (rig.arrive(process(1)), rig.arrive(process(2)));
    rig.open(&a, "a").await;
    rig.leave(&a);
    assert_eq!(rig.answer(&a).await, "a", "its channel may come back");
    rig.open(&b, "b").await;
    assert_eq!(rig.events(3).await, ["open a", "open b", "close a"]);
    rig.arrive(a);
    assert_eq!(rig.answer(&a).await, "b");
    rig.leave(&b);
    assert_eq!(rig.answer(&a).await, "b");
}

#[tokio::test]
async fn a_value_that_nobody_opened_anew_outlives_its_peer_while_it_is_used() {
    let rig = Rig::new("used");
    let (a, b) = (rig.arrive(process(1)), rig.arrive(process(2)));
    rig.open(&a, "a").await;
    let in_flight = rig.find(&a).unwrap();
    rig.open(&b, "b").await;
    rig.leave(&a);
    assert_eq!(rig.answer(&a).await, "b");
    assert_eq!(events("used"), ["open a", "open b"]);
    drop(in_flight);
    assert_eq!(rig.events(3).await, ["open a", "open b", "close a"]);
}

#[tokio::test]
async fn a_stop_closes_all_and_opens_nothing_more() {
    let rig = Rig::new("stop");
    let (a, b) = (rig.arrive(process(1)), rig.arrive(process(2)));
    rig.open(&a, "a").await;
    rig.open(&b, "b").await;
    rig.instances.close(Duration::from_secs(10)).await;
    let mut closed = events("stop").split_off(2);
    closed.sort();
    assert_eq!(closed, ["close a", "close b"]);
    assert_eq!(rig.refusal(&a).kind(), &ErrorKind::Unavailable);
    let error = rig.init(&a, &[]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    assert!(error.message().contains("stopping"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_calls_in_flight_only_so_long() {
    let rig = Rig::new("patience");
    let peer = rig.arrive(process(1));
    rig.open(&peer, "a").await;
    let stuck = rig.find(&peer).unwrap();
    let call = stuck.get(GetRequest::new("never"));
    tokio::pin!(call);
    assert!(futures::poll!(&mut call).is_pending());
    let before = tokio::time::Instant::now();
    rig.instances.close(Duration::from_secs(3)).await;
    assert!(before.elapsed() >= Duration::from_secs(3));
    assert_eq!(events("patience"), ["open a", "close a"]);
}
