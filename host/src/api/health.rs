//! `/v1.0/healthz`: whether the host can serve.

use http::StatusCode;

use super::Api;
use super::answer::{self, Answer};
use super::failure::Failure;
use super::path::Parameters;

/// GET `/v1.0/healthz`: whether everything is served, and for the application that a probe names.
pub(super) fn ready(api: &Api, parameters: &Parameters) -> Result<Answer, Failure> {
    if !api.readiness.is_ready() {
        return Err(not("ERR_HEALTH_NOT_READY", "dapr is not ready: [runtime]"));
    }
    match parameters.first("appid") {
        Some(app_id) if app_id != api.app_id => Err(not(
            "ERR_HEALTH_APPID_NOT_MATCH",
            "dapr app-id does not match",
        )),
        _ => Ok(answer::nothing()),
    }
}

/// GET `/v1.0/healthz/outbound`: whether calls of the application are served.
pub(super) fn outbound_ready(api: &Api) -> Result<Answer, Failure> {
    if api.readiness.is_outbound_ready() {
        return Ok(answer::nothing());
    }
    Err(not(
        "ERR_OUTBOUND_HEALTH_NOT_READY",
        "dapr outbound is not ready",
    ))
}

fn not(code: &'static str, message: &str) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, code, message)
}
