//! The connection string: a path or a `file:` URI with options.

use std::fmt::Write;

use dapr_pluggable::{Error, Result};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::forbidden;

const SCHEME: &str = "file:";
const IN_MEMORY: &str = ":memory:";

/// A connection string taken apart.
pub(super) struct Parts {
    path: String,
    options: Vec<(String, String)>,
}

impl Parts {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid_settings(
                "missing connection string: set connectionString, to \"data.db\" for example",
            ));
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = match path.get(..SCHEME.len()) {
            Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {
                path.get(SCHEME.len()..).unwrap_or_default()
            }
            _ => path,
        };
        let options = query
            .split('&')
            .filter(|option| !option.is_empty())
            .map(|option| {
                let (key, value) = option.split_once('=').unwrap_or((option, ""));
                (decode(key), decode(value))
            })
            .collect();
        Ok(Self {
            path: path.to_owned(),
            options,
        })
    }

    /// Whether the database is in memory.
    pub(super) fn is_memory(&self) -> bool {
        let begins = self.path.get(..IN_MEMORY.len());
        begins.is_some_and(|begin| begin.eq_ignore_ascii_case(IN_MEMORY))
            || self.option("mode") == Some("memory")
    }

    /// Whether the database is only read.
    pub(super) fn is_read_only(&self) -> bool {
        self.option("mode") == Some("ro") || self.option("immutable") == Some("1")
    }

    /// The path, for people.
    pub(super) fn name(&self) -> String {
        let path = self.path.split('#').next().unwrap_or_default();
        // A URI of three slashes has an empty host.
        decode_path(path.strip_prefix("//").unwrap_or(path))
    }

    /// The pragmas that the options ask for.
    pub(super) fn pragmas(&self) -> Result<Vec<String>> {
        let asked = self.options.iter().filter(|(key, _)| key == "_pragma");
        asked.map(|(_, pragma)| check_pragma(pragma)).collect()
    }

    /// What SQLite is given to open. The options that begin with an underscore are for the driver and stay here.
    pub(super) fn uri(&self, shared_cache: bool) -> String {
        let mut uri = format!("{SCHEME}{}", self.path);
        let mut separator = '?';
        let mut seen = Vec::new();
        let kept = self
            .options
            .iter()
            .filter(|(key, _)| !(key.starts_with('_') || shared_cache && key == "cache"));
        let added = shared_cache.then_some(("cache", "shared"));
        for (key, value) in kept
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .chain(added)
        {
            // Of several values the first counts.
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            // Writing to a string does not fail.
            let _ = write!(
                uri,
                "{separator}{}={}",
                utf8_percent_encode(key, NON_ALPHANUMERIC),
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            );
            separator = '&';
        }
        uri
    }

    fn option(&self, key: &str) -> Option<&str> {
        let mut values = self.options.iter().filter(|(name, _)| name == key);
        values.next().map(|(_, value)| value.as_str())
    }
}

/// A pragma must be a name with at most one plain value; what would break a promise of the component is refused.
fn check_pragma(pragma: &str) -> Result<String> {
    let pragma = pragma.trim();
    let lower = pragma.to_ascii_lowercase();
    for (name, instead) in [
        ("busy_timeout", "use the metadata key busyTimeout"),
        ("journal_mode", "use the metadata key disableWAL"),
        ("foreign_keys", "there are none"),
    ] {
        if lower.starts_with(name) {
            return Err(forbidden(name, instead));
        }
    }
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte))
    };
    let (name, value) = match pragma.strip_suffix(')') {
        Some(call) => call.split_once('(').unzip(),
        None => match pragma.split_once('=') {
            Some((name, value)) => (Some(name), Some(value)),
            None => (Some(pragma), None),
        },
    };
    if name.is_some_and(is_name) && value.is_none_or(|value| is_name(value.trim())) {
        Ok(pragma.to_owned())
    } else {
        Err(Error::invalid_settings(format!(
            "invalid option '_pragma={pragma}' in the connection string: expected a name with a value in parentheses, \
             such as cache_size(-4000)"
        )))
    }
}

/// An option as a form has it: `+` is a space.
fn decode(text: &str) -> String {
    decode_path(&text.replace('+', " "))
}

fn decode_path(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Parts {
        Parts::parse(text).unwrap()
    }

    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(parts("data.db").uri(false), "file:data.db");
        assert_eq!(
            parts("FILE:/a/b.db?mode=ro").uri(false),
            "file:/a/b.db?mode=ro"
        );
        assert_eq!(
            parts("file:///a%20b.db?x=1&x=2&_txlock=deferred").uri(false),
            "file:///a%20b.db?x=1"
        );
        assert_eq!(parts("file:///a%20b.db?mode=ro").name(), "/a b.db");
    }

    #[test]
    fn memory_is_shared_whatever_was_said() {
        for text in [
            ":memory:",
            "file::MEMORY:?cache=private",
            "file:one?mode=memory",
        ] {
            let parts = parts(text);
            assert!(parts.is_memory(), "{text}");
            assert!(
                parts.uri(true).ends_with("cache=shared"),
                "{}",
                parts.uri(true)
            );
        }
        assert!(!parts("memory.db").is_memory());
    }

    #[test]
    fn read_only_is_said_in_two_ways() {
        assert!(parts("a?mode=ro").is_read_only());
        assert!(parts("a?immutable=1").is_read_only());
        assert!(!parts("a?mode=rw&mode=ro").is_read_only());
    }

    #[test]
    fn pragmas_are_names_with_a_value() {
        let asked =
            parts("a?_pragma=cache_size(-4000)&_pragma=Temp_Store%3DMEMORY&_pragma=optimize");
        assert_eq!(
            asked.pragmas().unwrap(),
            ["cache_size(-4000)", "Temp_Store=MEMORY", "optimize"]
        );
        for bad in [
            "journal_mode(OFF)",
            "BUSY_TIMEOUT(1)",
            "foreign_keys",
            "user_version(1); DROP TABLE state",
            "x(y",
            "x)",
            "",
        ] {
            let option = format!("a?_pragma={}", utf8_percent_encode(bad, NON_ALPHANUMERIC));
            let error = parts(&option).pragmas().unwrap_err();
            assert!(error.message().contains("_pragma"), "{bad}: {error}");
        }
    }

    #[test]
    fn nothing_is_no_database() {
        let error = Parts::parse("").map(|_| ()).unwrap_err();
        assert!(
            error.message().starts_with("missing connection string"),
            "{error}"
        );
    }
}
