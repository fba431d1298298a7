//! Which checks catch which fault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dapr_pluggable_conformance::{Check, Outcome, Plan, Subject, catalogue, run_one};
use libtest_mimic::{Failed, Trial};

use super::fault::Fault;
use super::opener::Broken;

const PLAN: &str = r#"
    type = "broken"
    blocks = ["state_store", "pubsub", "input_binding", "output_binding", "secret_store"]
    rules = "lenient"

    [claims]
    state_store = ["ETAG", "QUERY_API", "TRANSACTIONAL", "TTL"]
    pubsub = ["BULK_PUBSUB", "MESSAGE_TTL", "SUBSCRIBE_WILDCARDS"]
    output_binding = ["create"]

    [[setups]]
    name = "broken"
    data = "instance"
    metadata = { user = "ada", password = "lovelace" }
    echo = "create"
    secrets = { user = "ada", password = "lovelace" }

    [[bad_settings]]
    block = "state_store"
    key = "color"
    value = "red"

    [[bad_settings]]
    block = "pubsub"
    key = "color"
    value = "red"
"#;

/// Long for what must come from memory, short for what never does.
const PATIENCE: Duration = Duration::from_secs(4);

/// Checks that no broken value can fail here, and why.
const UNCAUGHT: [&str; 1] = [
    // It needs a socket, and the SDK's own server behind it answers before any value is there.
    "before_init",
];

#[rustfmt::skip]
const CASES: &[(Fault, &[&str])] = &[
    (Fault::AcceptsBadSettings, &["lifecycle::state_store::bad_settings", "lifecycle::pubsub::bad_settings", "lifecycle::state_store::a_failed_init_leaves_the_old_value"]),
    (Fault::BlamesAnotherKey, &["lifecycle::state_store::bad_settings", "lifecycle::pubsub::bad_settings"]),
    (Fault::ClaimsTooMuch, &["lifecycle::state_store::claims"]),
    (Fault::ClosesOthers, &["lifecycle::state_store::two_instances"]),
    (Fault::DiesOfASecondInit, &["lifecycle::state_store::init_twice", "lifecycle::pubsub::init_twice", "lifecycle::pubsub::two_instances"]),
    (Fault::FailedInitLosesData, &["lifecycle::state_store::a_failed_init_leaves_the_old_value"]),
    (Fault::InitLosesData, &["lifecycle::state_store::init_again_loses_nothing"]),
    (Fault::InstancesShareData, &["lifecycle::state_store::instances_share_as_declared"]),
    (Fault::PingFails, &["lifecycle::state_store::ping"]),

    (Fault::AcceptsEmptyKeys, &["state::empty_key"]),
    (Fault::AcceptsStaleEtagsInTransactions, &["state::transaction::all_or_nothing"]),
    (Fault::BulkGetHasNoEtags, &["state::bulk::get_has_etags"]),
    (Fault::BulkGetLeavesOutMissing, &["state::bulk::get"]),
    (Fault::BulkGetReverses, &["state::bulk::get"]),
    (Fault::BulkNeedsOne, &["state::bulk::nothing"]),
    (Fault::BulkStopsAtTheFirstError, &["state::bulk::set_with_etags", "state::bulk::delete_with_etags"]),
    (Fault::DeleteForgets, &["state::delete", "state::bulk::delete", "state::transaction::writes_and_deletes"]),
    (Fault::DeleteMissingFails, &["state::delete_missing", "state::bulk::delete", "state::transaction::delete_missing"]),
    (Fault::EtagIsTheValue, &["state::etag::changes_with_every_write", "state::etag::never_comes_again"]),
    (Fault::EtagNever, &["state::etag::match", "state::etag::delete", "state::first_write::with_etag", "state::transaction::etag_match"]),
    (Fault::EveryTtlExpires, &["state::ttl::none_is_for_ever", "state::ttl::expire_time"]),
    (Fault::FoldsKeys, &["state::odd_keys"]),
    (Fault::FullTransactionsFail, &["state::transaction::max_operations"]),
    (Fault::GetMissingFails, &["state::missing_key", "state::bulk::get"]),
    (Fault::IgnoresEtags, &["state::etag::mismatch", "state::etag::set_of_missing_key", "state::etag::delete_of_missing_key", "state::etag::unknown_text", "state::etag::never_comes_again", "state::etag::delete", "state::etag::one_of_many_writers_wins", "state::bulk::set_with_etags", "state::bulk::delete_with_etags", "state::transaction::all_or_nothing", "state::ttl::expired_has_no_etag"]),
    (Fault::IgnoresFirstWrite, &["state::first_write::creates_once", "state::first_write::one_of_many_writers_wins"]),
    (Fault::IgnoresLastWrite, &["state::etag::last_write_needs_none"]),
    (Fault::KeepsFirstValue, &["state::overwrite", "state::etag::match", "state::bulk::set"]),
    (Fault::LosesTtl, &["state::ttl::expires", "state::ttl::bad", "state::ttl::expire_time", "state::ttl::expired_is_missing", "state::ttl::expired_has_no_etag", "state::transaction::bad_ttl_changes_nothing"]),
    (Fault::NoExpireTime, &["state::ttl::expire_time"]),
    (Fault::QueryIgnoresFilter, &["state::query::operators"]),
    (Fault::QueryIgnoresLimit, &["state::query::pages"]),
    (Fault::QueryIgnoresSort, &["state::query::sort"]),
    (Fault::QueryIgnoresToken, &["state::query::pages", "state::query::bad_token"]),
    (Fault::QueryLosesEtags, &["state::query::values_and_etags"]),
    (Fault::TakesEmptyEtags, &["state::etag::empty_is_none"]),
    (Fault::TextOnly, &["state::round_trip", "pubsub::delivery"]),
    (Fault::TransactionIsNoTransaction, &["state::transaction::all_or_nothing"]),
    (Fault::TransactionLosesEtags, &["state::transaction::etag_match"]),
    (Fault::TransactionNeedsOne, &["state::transaction::nothing"]),
    (Fault::TransactionReverses, &["state::transaction::order"]),
    (Fault::TtlSurvivesWrites, &["state::ttl::a_later_write_decides", "state::ttl::a_write_without_ends_it"]),
    (Fault::ValuesExpireAtOnce, &["state::ttl::expires"]),

    (Fault::AnswersTheOldest, &["pubsub::answers_are_for_their_message"]),
    (Fault::BulkPublishLosesOne, &["pubsub::bulk_publish"]),
    (Fault::BulkPublishNeedsOne, &["pubsub::bulk_publish_nothing"]),
    (Fault::EverySubscriptionIsAGroup, &["pubsub::groups::one_group_shares"]),
    (Fault::ForgetsAbandoned, &["pubsub::abandoned_comes_again"]),
    (Fault::ForgetsRejected, &["pubsub::rejected_comes_again", "pubsub::answers_are_for_their_message"]),
    (Fault::IgnoresMessageTtl, &["pubsub::message_ttl"]),
    (Fault::MixesTopics, &["pubsub::topics_are_apart"]),
    (Fault::NeverLetsGo, &["pubsub::end_of_subscription"]),
    (Fault::OneGroup, &["pubsub::groups::each_group_gets_all"]),
    (Fault::PublishNeedsSubscriber, &["pubsub::publish_without_subscriber"]),
    (Fault::PublishRefusesMetadata, &["pubsub::metadata"]),
    (Fault::PublishTakesAnyTopic, &["pubsub::empty_topic"]),
    (Fault::RepeatsAccepted, &["pubsub::accepted_is_over"]),
    (Fault::StopsWhenFull, &["pubsub::window"]),
    (Fault::StopsWithoutPause, &["pubsub::pause"]),
    (Fault::WildcardsMatchNothing, &["pubsub::wildcards"]),
    (Fault::WrongTopic, &["pubsub::delivery"]),

    (Fault::EventsAreCut, &["binding::event"]),
    (Fault::ForgetsFailed, &["binding::failed_comes_again"]),
    (Fault::ForgetsUnanswered, &["binding::abandoned_comes_again"]),
    (Fault::NoOperations, &["binding::operations"]),
    (Fault::ReadsForEver, &["binding::end_of_read"]),
    (Fault::RepeatsHandled, &["binding::handled_is_over"]),
    (Fault::TakesAnyOperation, &["binding::unknown_operation"]),

    (Fault::BulkHidesASecret, &["secret::bulk_get"]),
    (Fault::InventsSecrets, &["secret::missing"]),
    (Fault::MixesSecrets, &["secret::get"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    let caught = CASES
        .iter()
        .map(|(fault, checks)| trial(format!("caught::{fault:?}"), move || catch(*fault, checks)));
    let passed = catalogue()
        .into_iter()
        .map(|check| trial(format!("passed::{}", check.name()), || pass(check)));
    caught
        .chain(passed)
        .chain([trial(
            "over_socket::claims".to_owned(),
            super::socket::queries_are_claimed_as_they_are_there,
        )])
        .chain([Trial::test("every_check_catches_something", || {
            every_check_catches_something();
            Ok(())
        })])
        .collect()
}

fn trial<F: Future<Output = ()>>(name: String, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(test());
        Ok(())
    })
}

/// The named checks fail for a fault.
async fn catch(fault: Fault, checks: &[&str]) {
    for name in checks {
        let outcome = run_one(&subject(fault), &find(name)).await;
        assert!(
            matches!(outcome, Outcome::Failed(_)),
            "{name} does not catch {fault:?}: {outcome:?}"
        );
    }
}

/// What catches a fault is the fault: without one, a check passes or is not asked.
async fn pass(check: Check) {
    let outcome = run_one(&subject(Fault::None), &check).await;
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}

fn every_check_catches_something() {
    // What is asked of every building block is one function.
    let kind = |name: &str| match name.split("::").collect::<Vec<_>>()[..] {
        ["lifecycle", _, name] => name.to_owned(),
        _ => name.to_owned(),
    };
    let catching: BTreeSet<String> = CASES
        .iter()
        .flat_map(|(_, checks)| checks.iter())
        .chain(&UNCAUGHT)
        .map(|name| kind(name))
        .collect();
    let all: BTreeSet<String> = catalogue().iter().map(|check| kind(check.name())).collect();
    let idle: Vec<&String> = all.difference(&catching).collect();
    assert!(idle.is_empty(), "nothing fails these checks: {idle:?}");
}

pub(super) fn find(name: &str) -> Check {
    let check = catalogue().into_iter().find(|check| check.name() == name);
    check.unwrap_or_else(|| panic!("there is no check {name}"))
}

fn subject(fault: Fault) -> Subject {
    let plan: Arc<Plan> = Arc::new(PLAN.parse().unwrap());
    let setup = &plan.setups[0];
    let properties = setup.properties(&BTreeMap::new());
    Subject::in_process(Broken::new(fault), &plan, setup, properties).patience(PATIENCE)
}
