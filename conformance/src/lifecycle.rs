//! The life of a value: what Init must do and leave alone, whatever the building block.

use std::collections::BTreeSet;
use std::sync::Arc;

use dapr_pluggable::delivery::{Gate, window};
use dapr_pluggable::state::{GetRequest, SetRequest};
use dapr_pluggable::{Block, Error, ErrorKind, Metadata};

use crate::check::{Check, Finding, Need, Verdict};
use crate::expect::{equal, holds, refused};
use crate::fixture::{Fixture, Value};
use crate::plan::{BadSetting, Data};

pub(crate) fn checks() -> Vec<Check> {
    let of_every_block = Block::ALL.into_iter().flat_map(|block| {
        let name = |name| format!("lifecycle::{block}::{name}");
        [
            Check::new(block, name("claims"), &[], move |fixture| {
                claims(fixture, block)
            }),
            Check::new(block, name("ping"), &[], move |fixture| {
                ping(fixture, block)
            }),
            Check::new(block, name("init_twice"), &[], move |fixture| {
                init_twice(fixture, block)
            }),
            Check::new(block, name("two_instances"), &[], move |fixture| {
                two_instances(fixture, block)
            }),
            Check::new(
                block,
                name("before_init"),
                &[Need::Socket],
                move |fixture| before_init(fixture, block),
            ),
            Check::new(
                block,
                name("bad_settings"),
                &[Need::BadSettings],
                move |fixture| bad_settings(fixture, block),
            ),
        ]
    });
    let of_state = [
        Check::new(
            Block::StateStore,
            "lifecycle::state_store::init_again_loses_nothing",
            &[],
            init_again_loses_nothing,
        ),
        Check::new(
            Block::StateStore,
            "lifecycle::state_store::a_failed_init_leaves_the_old_value",
            &[Need::BadSettings],
            a_failed_init_leaves_the_old_value,
        ),
        Check::new(
            Block::StateStore,
            "lifecycle::state_store::instances_share_as_declared",
            &[],
            instances_share_as_declared,
        ),
    ];
    of_every_block.chain(of_state).collect()
}

/// What is advertised is what the plan claims: no more, no less.
async fn claims(fixture: Arc<Fixture>, block: Block) -> Verdict {
    let value = open(&fixture, block).await?;
    let advertised = advertised(&fixture, &value);
    let plan = fixture.subject().plan();
    let claimed: BTreeSet<String> = plan.claims.get(&block).cloned().unwrap_or_default();
    let undeclared: Vec<&String> = advertised.difference(&claimed).collect();
    let missing: Vec<&String> = claimed.difference(&advertised).collect();
    holds(
        format!("nothing but the claims of the plan, not {undeclared:?} too"),
        undeclared.is_empty(),
    )?;
    holds(
        format!("what the plan claims, without {missing:?} missing"),
        missing.is_empty(),
    )
}

/// What no Init opened answers so, and nothing else.
async fn before_init(fixture: Arc<Fixture>, block: Block) -> Verdict {
    let instance = fixture.instance();
    let Some(client) = fixture.subject().client() else {
        return Err(Finding::Skipped("there is no socket".to_owned()));
    };
    let kinds = [ErrorKind::NotOpened];
    let attached = match block {
        Block::StateStore => client.attach_state_store(&instance).await.map(drop),
        Block::PubSub => client.attach_pubsub(&instance).await.map(drop),
        Block::OutputBinding => client.attach_output_binding(&instance).await.map(drop),
        Block::SecretStore => client.attach_secret_store(&instance).await.map(drop),
        Block::InputBinding => {
            let binding = client.attach_input_binding(&instance).await?;
            let (events, _consumer) = window(1, &Gate::new());
            fixture
                .within("the end of a stream before Init", binding.read(events))
                .await?
        }
        other => Err(Error::unsupported(other)),
    };
    refused("a call before Init", attached, &kinds)?;
    Ok(())
}

async fn ping(fixture: Arc<Fixture>, block: Block) -> Verdict {
    let value = open(&fixture, block).await?;
    Ok(fixture.within("a ping", value.component().ping()).await??)
}

/// A runtime may send Init for an instance again, with the same metadata.
async fn init_twice(fixture: Arc<Fixture>, block: Block) -> Verdict {
    let instance = fixture.instance();
    let properties = fixture.properties(&[]);
    let first = fixture.open(block, &instance, &properties).await?;
    let second = fixture.open(block, &instance, &properties).await?;
    second.component().ping().await?;
    equal(
        "what it advertises after the second Init",
        advertised(&fixture, &second),
        advertised(&fixture, &first),
    )
}

/// Two instances are open at once, and the end of one is nothing to the other.
async fn two_instances(fixture: Arc<Fixture>, block: Block) -> Verdict {
    let first = open(&fixture, block).await?;
    let second = open(&fixture, block).await?;
    first.component().ping().await?;
    second.component().ping().await?;
    first.component().close().await?;
    Ok(second.component().ping().await?)
}

/// Bad metadata is refused, and the error names the key.
async fn bad_settings(fixture: Arc<Fixture>, block: Block) -> Verdict {
    for bad in &fixture.subject().plan().bad_settings {
        if bad.block != block {
            continue;
        }
        let properties = spoil(fixture.properties(&[]), bad);
        let opened = fixture.open(block, &fixture.instance(), &properties).await;
        let error = refused(
            format!("Init with {} = {:?}", bad.key, bad.value),
            opened,
            &[ErrorKind::InvalidSettings, ErrorKind::InvalidRequest],
        )?;
        holds(
            format!("{:?} to be named in the error {error}", bad.key),
            error.message().contains(&bad.key),
        )?;
    }
    Ok(())
}

async fn init_again_loses_nothing(fixture: Arc<Fixture>) -> Verdict {
    let (instance, key) = (fixture.instance(), fixture.key("kept"));
    let properties = fixture.properties(&[]);
    let store = fixture.open_state_store(&instance, &properties).await?;
    store.set(SetRequest::new(&key, "kept")).await?;
    let again = fixture.open_state_store(&instance, &properties).await?;
    let entry = again.get(GetRequest::new(&key)).await?;
    equal(
        "the value after another Init",
        entry.map(|entry| entry.value),
        Some("kept".into()),
    )
}

async fn a_failed_init_leaves_the_old_value(fixture: Arc<Fixture>) -> Verdict {
    let (instance, key) = (fixture.instance(), fixture.key("kept"));
    let properties = fixture.properties(&[]);
    let store = fixture.open_state_store(&instance, &properties).await?;
    store.set(SetRequest::new(&key, "kept")).await?;
    for bad in &fixture.subject().plan().bad_settings {
        if bad.block == Block::StateStore {
            let properties = spoil(fixture.properties(&[]), bad);
            let opened = fixture.open_state_store(&instance, &properties).await;
            holds("Init with bad metadata to fail", opened.is_err())?;
        }
    }
    let entry = store.get(GetRequest::new(&key)).await?;
    equal(
        "the value after an Init that failed",
        entry.map(|entry| entry.value),
        Some("kept".into()),
    )
}

async fn instances_share_as_declared(fixture: Arc<Fixture>) -> Verdict {
    let key = fixture.key("one");
    let properties = fixture.properties(&[]);
    let one = fixture
        .open_state_store(&fixture.instance(), &properties)
        .await?;
    let other = fixture
        .open_state_store(&fixture.instance(), &properties)
        .await?;
    one.set(SetRequest::new(&key, "one")).await?;
    let seen = other.get(GetRequest::new(&key)).await?.is_some();
    match fixture.subject().setup().data {
        Data::Shared => holds("a second instance to see the data of the first", seen),
        Data::Instance => holds("a second instance not to see the data of the first", !seen),
    }
}

async fn open(fixture: &Fixture, block: Block) -> Verdict<Value> {
    let properties = fixture.properties(&[]);
    Ok(fixture
        .open(block, &fixture.instance(), &properties)
        .await?)
}

fn spoil(mut properties: Metadata, bad: &BadSetting) -> Metadata {
    match &bad.value {
        Some(value) => properties.insert(&bad.key, value),
        None => properties.remove(&bad.key),
    };
    properties
}

/// The features of a value by the names that Dapr has for them; of an output binding its operations.
fn advertised(fixture: &Fixture, value: &Value) -> BTreeSet<String> {
    let (known, other) = match value {
        Value::State(store) => {
            let claims = store.claims();
            // A client offers queries in any case, as the runtime does; what Features says of them is among the claims.
            let is_remote = fixture.subject().client().is_some();
            let known = vec![
                ("ETAG", claims.etag),
                ("TTL", claims.ttl),
                ("TRANSACTIONAL", store.transactional().is_some()),
                ("QUERY_API", !is_remote && store.queryable().is_some()),
            ];
            (known, claims.other)
        }
        Value::PubSub(pubsub) => {
            let claims = pubsub.claims();
            let known = vec![
                ("MESSAGE_TTL", claims.message_ttl),
                ("SUBSCRIBE_WILDCARDS", claims.wildcards),
                ("BULK_PUBSUB", pubsub.bulk_publisher().is_some()),
            ];
            (known, claims.other)
        }
        Value::Output(binding) => (Vec::new(), binding.operations()),
        Value::Input(_) => (Vec::new(), Vec::new()),
        Value::Secret(store) => {
            let claims = store.claims();
            let known = vec![("MULTIPLE_KEY_VALUES_PER_SECRET", claims.multiple_keys)];
            (known, claims.other)
        }
    };
    let known = known.into_iter().filter(|(_, has)| *has);
    known
        .map(|(name, _)| name.to_owned())
        .chain(other)
        .collect()
}
