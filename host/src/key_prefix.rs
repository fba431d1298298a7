//! What an application's keys look like to a state store: `<prefix>||<key>`.

use dapr_pluggable::{Error, Result};

const SEPARATOR: &str = "||";

/// What stands before every key of an application in one state store, from the store's metadata `keyPrefix` (case of
/// the value does not count).
///
/// | `keyPrefix` | key in the store |
/// |---|---|
/// | absent, empty, `appid` | `<app id>\|\|<key>` |
/// | `name` | `<component>\|\|<key>` |
/// | `namespace` | `<namespace>.<app id>\|\|<key>`, without a namespace as `appid` |
/// | `none` | `<key>` |
/// | anything else | `<that, in lower case>\|\|<key>` |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPrefix(Option<String>);

/// What a [`KeyPrefix`] may be made of.
#[derive(Clone, Copy, Debug)]
pub struct PrefixContext<'a> {
    /// The application; empty when there is none.
    pub app_id: &'a str,
    /// The component, `metadata.name` of its resource.
    pub component: &'a str,
    /// The namespace of this host, if it has one.
    pub namespace: Option<&'a str>,
}

impl KeyPrefix {
    /// No prefix.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The prefix that `configured`, the value of the metadata `keyPrefix`, stands for.
    ///
    /// # Errors
    /// [`InvalidSettings`](dapr_pluggable::ErrorKind::InvalidSettings) when it contains `||`.
    pub fn new(configured: Option<&str>, context: PrefixContext<'_>) -> Result<Self> {
        let PrefixContext {
            app_id,
            component,
            namespace,
        } = context;
        let configured = configured.unwrap_or_default();
        if configured.contains(SEPARATOR) {
            return Err(Error::invalid_settings(illegal(configured)));
        }
        let of_app = || (!app_id.is_empty()).then(|| app_id.to_owned());
        Ok(Self(match configured.to_lowercase().as_str() {
            "" | "appid" => of_app(),
            "name" => Some(component.to_owned()),
            "none" => None,
            "namespace" => of_app().map(|app| match namespace {
                Some(namespace) if !namespace.is_empty() => format!("{namespace}.{app}"),
                _ => app,
            }),
            literal => Some(literal.to_owned()),
        }))
    }

    /// The key as the store has it.
    ///
    /// # Errors
    /// [`InvalidRequest`](dapr_pluggable::ErrorKind::InvalidRequest) when the key contains `||`, with Dapr's text.
    pub fn add(&self, key: &str) -> Result<String> {
        if key.contains(SEPARATOR) {
            return Err(Error::invalid_request(illegal(key)));
        }
        Ok(match &self.0 {
            Some(prefix) => [prefix, SEPARATOR, key].concat(),
            None => key.to_owned(),
        })
    }

    /// The key as the application has it. A key with another prefix, which a query can bring, loses that one.
    #[must_use]
    pub fn strip<'k>(&self, stored: &'k str) -> &'k str {
        let own = self.0.as_deref().and_then(|prefix| {
            stored
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix(SEPARATOR))
        });
        own.or_else(|| stored.split(SEPARATOR).nth(1))
            .unwrap_or(stored)
    }
}

fn illegal(text: &str) -> String {
    format!("input key/keyPrefix '{text}' can't contain '||'")
}

#[cfg(test)]
mod tests;
