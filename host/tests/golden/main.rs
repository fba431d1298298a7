//! What Dapr's runtime was seen to answer, asked of this host.
//!
//! `cases.jsonl` has requests to the HTTP API of Dapr's runtime (1.18) with a recording component, what it answered, and the
//! calls of the component that each caused. Here the same requests go to this host, with a component of the same rules
//! behind a socket. Every case is answered alike, or stands in `differences.rs` with the reason.
//!
//! A line is one case: `id`, `env` (which components there are), `setup` (requests made before, not compared), `method`,
//! `path`, `headers`, `body`, `loose`, `expect`. `{{x*64}}` stands for 64 times `x`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod case;
mod compare;
mod component;
mod differences;
mod environment;

use std::collections::BTreeMap;

use self::case::Case;
use self::differences::DIFFERENCES;
use self::environment::Environment;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_host_answers_as_daprs_runtime_does() {
    let mut cases: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in case::all() {
        cases.entry(case.env.clone()).or_default().push(case);
    }
    let (mut same, mut differ, mut wrong) = (0, 0, Vec::new());
    for (env, cases) in cases {
        let environment = Environment::start(&env).await;
        for case in cases {
            let found = environment.replay(&case).await;
            let reason = differences::reason(&case.id);
            match (found.is_empty(), reason) {
                (true, None) => same += 1,
                (false, Some(_)) => differ += 1,
                (true, Some(reason)) => wrong.push(format!(
                    "{}: the same, though listed as different ({reason})",
                    case.id
                )),
                (false, None) => wrong.push(format!("{}:\n    {}", case.id, found.join("\n    "))),
            }
        }
        environment.stop().await;
    }
    println!("{same} the same, {differ} different for a reason");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_difference_is_one_of_a_case() {
    let ids: Vec<String> = case::all().into_iter().map(|case| case.id).collect();
    for (id, _) in DIFFERENCES {
        assert!(ids.iter().any(|other| other == id), "no case {id}");
    }
}
