//! From a path to its handler.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use super::answer::{self, Answer, Trace};
use super::call::Call;
use super::failure::Failure;
use super::path::{self, Parameters};
use super::{Api, health, metadata, state};

/// What of Dapr's API this host does not have, by the segment after the version.
const ABSENT: [&str; 14] = [
    "actors",
    "bindings",
    "configuration",
    "conversation",
    "crypto",
    "invoke",
    "jobs",
    "lock",
    "publish",
    "secrets",
    "subscribe",
    "subtlecrypto",
    "unlock",
    "workflows",
];

/// Answers a request, whatever it is.
pub(super) async fn answer(api: &Api, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let escaped = head.uri.path();
    let parameters = Parameters::parse(head.uri.query());
    let trace = Trace::of(&head.headers);
    let mut call = Call::new(parameters, head.headers, body);
    if !path::is_well_escaped(escaped) {
        call.drain().await;
        return answer::text(StatusCode::BAD_REQUEST, "400 Bad Request");
    }
    let segments = path::segments(escaped);
    let answered = route(api, &head.method, &segments, &mut call).await;
    call.drain().await;
    let mut answer = answered.unwrap_or_else(|failure| answer::failure(&failure));
    // Probes have no trace.
    if !matches!(segments.as_slice(), ["v1.0", "healthz", ..]) {
        answer::set_trace(&mut answer, &trace);
    }
    answer
}

async fn route(
    api: &Api,
    method: &Method,
    segments: &[&str],
    call: &mut Call,
) -> Result<Answer, Failure> {
    let write = matches!(*method, Method::POST | Method::PUT);
    match (method, segments) {
        (&Method::GET, ["v1.0", "state", store, key]) => state::get(api, store, key, call).await,
        (&Method::DELETE, ["v1.0", "state", store, key]) => {
            state::delete(api, store, key, call).await
        }
        (_, ["v1.0", "state", store]) if write => state::save(api, store, call).await,
        (_, ["v1.0", "state", store, "bulk"]) if write => state::bulk_get(api, store, call).await,
        (_, ["v1.0", "state", store, "transaction"]) if write => {
            state::transact(api, store, call).await
        }
        (_, ["v1.0-alpha1", "state", store, "query"]) if write => {
            state::query(api, store, call).await
        }
        (&Method::GET, ["v1.0", "healthz"]) => health::ready(api, &call.parameters),
        (&Method::GET, ["v1.0", "healthz", "outbound"]) => health::outbound_ready(api),
        (&Method::GET, ["v1.0", "metadata"]) => metadata::get(api),
        (&Method::PUT, ["v1.0", "metadata", key]) => metadata::put(api, key, call).await,
        (&Method::POST, ["v1.0", "shutdown"]) => {
            tracing::info!("an application asked for the shutdown");
            api.shutdown.cancel();
            Ok(answer::nothing())
        }
        _ if is_absent(method, segments) => Err(Failure::unimplemented()),
        _ => Err(Failure::no_route()),
    }
}

/// Whether the path is one of Dapr's that this host does not have. The building blocks that it will have take the
/// methods and the lengths of their paths into account, as the others do in Dapr.
fn is_absent(method: &Method, segments: &[&str]) -> bool {
    let [version, api, rest @ ..] = segments else {
        return false;
    };
    if !matches!(
        *version,
        "v1.0" | "v1.0-alpha1" | "v1.0-alpha2" | "v1.0-beta1"
    ) || !ABSENT.contains(api)
    {
        return false;
    }
    let write = matches!(*method, Method::POST | Method::PUT);
    match (*api, rest) {
        ("publish", [_, _, ..]) | ("bindings", [_]) => write,
        ("secrets", [_, _]) => method == Method::GET,
        ("publish" | "bindings" | "secrets", _) => false,
        (_, rest) => !rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dapr_has_and_this_host_does_not_is_known() {
        for (method, path, absent) in [
            (Method::POST, "/v1.0/publish/bus/a/b", true),
            (Method::DELETE, "/v1.0/publish/bus/t", false),
            (Method::POST, "/v1.0/publish/bus", false),
            (Method::PUT, "/v1.0/bindings/io", true),
            (Method::GET, "/v1.0/secrets/vault/bulk", true),
            (Method::GET, "/v1.0/secrets/vault", false),
            (Method::POST, "/v1.0-alpha1/lock/x", true),
            (Method::GET, "/v1.0-beta1/workflows/dapr/x", true),
            (Method::GET, "/v2.0/actors/x", false),
            (Method::GET, "/v1.0/invoke", false),
            (Method::GET, "/v1.0/state/x", false),
        ] {
            let segments = path::segments(path);
            assert_eq!(is_absent(&method, &segments), absent, "{method} {path}");
        }
    }
}
