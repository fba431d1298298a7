//! Answers that are errors: `{"errorCode","message"}`, in the rich form with `details`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;

use super::call::BodyFault;

/// Dapr's domain of an `ErrorInfo`.
pub(super) const DOMAIN: &str = "dapr.io";

/// An error that the application sees.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    #[serde(skip)]
    pub(super) status: StatusCode,
    #[serde(rename = "errorCode")]
    code: Cow<'static, str>,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

impl Failure {
    /// An error with a code such as `ERR_STATE_GET`.
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// With details, in the order in which they are shown.
    pub(super) fn with_details(mut self, details: impl Into<Vec<Detail>>) -> Self {
        self.details = details.into();
        self
    }

    /// A request that cannot be read.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ERR_MALFORMED_REQUEST", message)
    }

    /// A body that cannot be read, where it is not JSON that is expected or JSON is read as a whole.
    pub(super) fn unreadable_body(fault: &BodyFault) -> Self {
        let message = format!("failed to read request body: {fault}");
        Self::new(StatusCode::BAD_REQUEST, "ERR_BODY_READ", message)
    }

    /// A path or a method that is not there. Dapr takes it for a service invocation without a target.
    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ERR_DIRECT_INVOKE",
            "failed getting app id either from the URL path or the header dapr-app-id",
        )
    }

    /// An API of Dapr that this host does not have.
    pub(super) fn unimplemented() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "ERR_API_UNIMPLEMENTED",
            "this API is currently not implemented",
        )
    }

    /// The body.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A detail of an error, as `google.rpc` has them.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "@type")]
pub(super) enum Detail {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo {
        domain: Cow<'static, str>,
        metadata: Option<BTreeMap<&'static str, String>>,
        reason: Cow<'static, str>,
    },
    #[serde(rename = "type.googleapis.com/google.rpc.ResourceInfo")]
    ResourceInfo {
        description: &'static str,
        owner: &'static str,
        resource_name: String,
        resource_type: &'static str,
    },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest")]
    BadRequest { field_violations: Vec<Violation> },
    #[serde(rename = "type.googleapis.com/google.rpc.Help")]
    Help { links: Vec<Link> },
}

/// What is wrong with a field.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Violation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    pub(super) description: String,
}

/// Where to read more.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Link {
    pub(super) description: &'static str,
    pub(super) url: &'static str,
}

impl Detail {
    /// A reason of Dapr's, such as `DAPR_STATE_NOT_FOUND`.
    pub(super) fn reason(reason: &'static str) -> Self {
        Self::ErrorInfo {
            domain: Cow::Borrowed(DOMAIN),
            metadata: None,
            reason: Cow::Borrowed(reason),
        }
    }

    /// A reason with metadata.
    pub(super) fn reason_with<const N: usize>(
        reason: &'static str,
        metadata: [(&'static str, String); N],
    ) -> Self {
        Self::ErrorInfo {
            domain: Cow::Borrowed(DOMAIN),
            metadata: Some(metadata.into()),
            reason: Cow::Borrowed(reason),
        }
    }

    /// The component concerned.
    pub(super) fn resource(resource_type: &'static str, name: &str) -> Self {
        Self::ResourceInfo {
            description: "",
            owner: "",
            resource_name: name.to_owned(),
            resource_type,
        }
    }
}
