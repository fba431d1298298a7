//! What this host answers otherwise than Dapr's runtime, and why.

const TEXT_KEPT: &str = "the text of a value is kept, where Dapr's runtime writes the value anew";
const NO_SUCH_API: &str = "an API that this host leaves to Dapr's runtime";

/// The case and the reason.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[
    ("state-save/value-float-forms", TEXT_KEPT),
    ("state-save/value-big-int", TEXT_KEPT),
    ("state-save/value-html", TEXT_KEPT),
    ("state-save/value-lone-surrogate", TEXT_KEPT),
    ("state-save/value-control", TEXT_KEPT),
    ("state-get/big-int", TEXT_KEPT),
    ("state-get/html", TEXT_KEPT),
    (
        "state-get/key-invalid-utf8",
        "a key that is not UTF-8 is the caller's mistake: 400, not 500",
    ),
    (
        "state-bulk/response-metadata",
        "a key that is not there has no metadata, in a bulk get as in a get",
    ),
    ("route/lock", NO_SUCH_API),
    ("route/unlock", NO_SUCH_API),
    ("route/crypto", NO_SUCH_API),
    ("route/actors", NO_SUCH_API),
    ("route/actor-state", NO_SUCH_API),
    ("route/workflow-beta", NO_SUCH_API),
    ("route/conversation", NO_SUCH_API),
    ("route/conversation2", NO_SUCH_API),
    (
        "route/header-20k",
        "the answer to a head that is too large has the same status, and no body",
    ),
];

pub(crate) fn reason(id: &str) -> Option<&'static str> {
    DIFFERENCES
        .iter()
        .find(|(other, _)| *other == id)
        .map(|(_, reason)| *reason)
}
