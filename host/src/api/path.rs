//! Paths and query strings, read as Dapr's HTTP server reads them.

use std::borrow::Cow;

use dapr_pluggable::Metadata;
use percent_encoding::percent_decode_str;

/// What stands before the name of a metadata entry in a query string.
const METADATA: &str = "metadata.";

/// The segments of an escaped path, cleaned: without empty ones and `.`, with `..` taken back. They are still escaped,
/// so `%2F` stays inside its segment and `%2E%2E` is a name.
pub(super) fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    segments
}

/// Whether each `%` is followed by two hexadecimal digits.
pub(super) fn is_well_escaped(text: &str) -> bool {
    let mut parts = text.as_bytes().split(|byte| *byte == b'%');
    parts.next();
    parts.all(|part| {
        part.get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A segment or a part of a query string, unescaped: `+` is a space. `None` when the bytes are not UTF-8.
pub(super) fn unescape(text: &str) -> Option<String> {
    let spaced = spaced(text);
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// As [`unescape`], with U+FFFD where the bytes are not UTF-8.
pub(super) fn unescape_lossy(text: &str) -> String {
    let spaced = spaced(text);
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn spaced(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// The parameters of a query string, in their order. A pair with a bad escape or a `;` is left out, as Dapr does.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the part after `?`.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&');
        let parameters = pairs
            .filter(|pair| !pair.is_empty() && !pair.contains(';') && is_well_escaped(pair))
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (unescape_lossy(name), unescape_lossy(value))
            });
        Self(parameters.collect())
    }

    /// The first value of a name, spelled exactly so.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// Puts the entries `metadata.<name>` into `metadata`, over what is there. Of equal names the first counts.
    pub(super) fn merge_metadata(&self, metadata: &mut Metadata) {
        for (name, value) in self.0.iter().rev() {
            if let Some(name) = name.strip_prefix(METADATA) {
                metadata.insert(name, value.as_str());
            }
        }
    }

    /// The entries `metadata.<name>`.
    pub(super) fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::new();
        self.merge_metadata(&mut metadata);
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_before_they_are_unescaped() {
        for (path, expected) in [
            ("/v1.0//state/mem//k/", vec!["v1.0", "state", "mem", "k"]),
            ("/v1.0/state/./mem/../k", vec!["v1.0", "state", "k"]),
            ("/../..", vec![]),
            ("/a%2Fb/%2E%2E", vec!["a%2Fb", "%2E%2E"]),
        ] {
            assert_eq!(segments(path), expected, "{path}");
        }
        for (text, expected) in [
            ("a%2Fb", Some("a/b")),
            ("a+b%2B", Some("a b+")),
            ("%2E%2E", Some("..")),
            ("a%2520b", Some("a%20b")),
            ("%ff", None),
        ] {
            assert_eq!(unescape(text).as_deref(), expected, "{text}");
        }
        assert_eq!(unescape_lossy("%ff"), "\u{fffd}");
    }

    #[test]
    fn escapes_need_two_digits() {
        for (text, good) in [
            ("", true),
            ("a%20b%2f", true),
            ("%", false),
            ("a%2", false),
            ("%zz", false),
            ("%%20", false),
            ("%2g", false),
        ] {
            assert_eq!(is_well_escaped(text), good, "{text}");
        }
    }

    #[test]
    fn of_equal_parameters_the_first_counts_and_bad_ones_are_left_out() {
        let query = "metadata.x=1&metadata.x=2&Metadata.y=3&metadata.=e&metadata.z=%zz&&a;b=1&metadata.w&consistency=strong&";
        let parameters = Parameters::parse(Some(query));
        let mut metadata = Metadata::from([("x", "body"), ("own", "o")]);
        parameters.merge_metadata(&mut metadata);
        let expected = Metadata::from([("x", "1"), ("", "e"), ("w", ""), ("own", "o")]);
        assert_eq!(metadata, expected);
        assert_eq!(parameters.first("consistency"), Some("strong"));
        assert_eq!(parameters.first("Consistency"), None);
        assert!(Parameters::parse(None).metadata().is_empty());
    }
}
