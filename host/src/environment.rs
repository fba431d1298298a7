//! The environment variables that the host reads.

use std::collections::HashMap;
use std::env;
use std::fmt;

/// Environment variables, given along instead of read where they are needed. `Debug` shows no values: they may be
/// secrets.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of this process. A value that is not Unicode is left out.
    #[must_use]
    pub fn of_process() -> Self {
        env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable. An empty one counts as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The namespace of this host: `NAMESPACE`.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.get("NAMESPACE")
    }

    /// The value of a variable that a resource's `envRef` names, if it may have it. Dapr's own variables and tokens are
    /// refused; `DAPR_ENV_KEYS`, where it is set, lists what is allowed, in upper case and with spaces between.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn get_for_resource(&self, name: &str) -> Result<&str, &'static str> {
        let upper = name.to_uppercase();
        if upper == "APP_API_TOKEN" || upper.starts_with("DAPR_") {
            return Err("variables of Dapr are not given to components");
        }
        if upper.is_empty() || upper.contains(' ') {
            return Err("it is no name of a variable");
        }
        if let Some(allowed) = self.get("DAPR_ENV_KEYS")
            && !allowed.split(' ').any(|key| key == upper)
        {
            return Err("it is not among those that DAPR_ENV_KEYS allows");
        }
        Ok(self.get(name).unwrap_or_default())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl<N: Into<String>, V: Into<String>, const LEN: usize> From<[(N, V); LEN]> for Environment {
    fn from(variables: [(N, V); LEN]) -> Self {
        variables.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_gets_what_is_not_daprs() {
        let environment = Environment::from([
            ("REGION", "eu"),
            ("lower", "l"),
            ("DAPR_API_TOKEN", "secret"),
            ("dapr_x", "secret"),
            ("APP_API_TOKEN", "secret"),
            ("WITH SPACE", "x"),
        ]);
        for (name, expected) in [
            ("REGION", Some("eu")),
            ("lower", Some("l")),
            ("UNSET", Some("")),
            ("DAPR_API_TOKEN", None),
            ("dapr_x", None),
            ("APP_API_TOKEN", None),
            ("app_api_token", None),
            ("WITH SPACE", None),
            ("", None),
        ] {
            assert_eq!(environment.get_for_resource(name).ok(), expected, "{name}");
        }
    }

    #[test]
    fn a_list_of_keys_allows_those_alone() {
        let of = |keys: &str| {
            Environment::from([("DAPR_ENV_KEYS", keys), ("REGION", "eu"), ("zone", "a")])
        };
        let environment = of("REGION ZONE");
        assert_eq!(environment.get_for_resource("REGION"), Ok("eu"));
        assert_eq!(environment.get_for_resource("zone"), Ok("a"));
        assert!(environment.get_for_resource("HOME").is_err());
        assert!(of("region").get_for_resource("REGION").is_err());
        assert_eq!(of("").get_for_resource("REGION"), Ok("eu"));
        // Naming one of Dapr's own does not give it away.
        assert!(
            of("DAPR_ENV_KEYS")
                .get_for_resource("DAPR_ENV_KEYS")
                .is_err()
        );
    }

    #[test]
    fn values_are_not_shown() {
        let environment = Environment::from([("TOKEN", "hunter2")]);
        let shown = format!("{environment:?}");
        assert!(
            shown.contains("TOKEN") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
