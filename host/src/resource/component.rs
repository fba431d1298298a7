//! From a YAML document to a Component resource, by Dapr's rules: names of fields in any case, the last of several wins,
//! unknown fields are ignored, `value` is any JSON.

use std::path::Path;
use std::time::Duration;

use dapr_pluggable::settings::parse_go_duration;

use super::yaml::{Content, Fault, Node};
use super::{ComponentResource, DEFAULT_INIT_TIMEOUT, Property, SecretKeyRef, Source};
use crate::registry::Identity;

const COMPONENT: &str = "Component";
const SUBSCRIPTION: &str = "Subscription";
const COMPONENT_VERSION: &str = "dapr.io/v1alpha1";
const SUBSCRIPTION_VERSIONS: [&str; 2] = ["dapr.io/v1alpha1", "dapr.io/v2alpha1"];

/// What a document is.
#[derive(Debug)]
pub(crate) enum Document {
    Component(ComponentResource),
    /// Of that name.
    Subscription(String),
    /// Something that is not for this host: another kind, another program's file, nothing at all.
    Other,
}

/// Reads a document.
pub(crate) fn read(node: &Node, path: &Path) -> Result<Document, Fault> {
    if matches!(node.content, Content::Null) {
        return Ok(Document::Other);
    }
    let document = Fields::new(node, "")?;
    let api_version = document.string("apiVersion")?.unwrap_or_default();
    let kind = document.string("kind")?.unwrap_or_default();
    let is_dapr = api_version.to_lowercase().starts_with("dapr.io/");
    let versions: &[&str] = match kind {
        COMPONENT => &[COMPONENT_VERSION],
        SUBSCRIPTION => &SUBSCRIPTION_VERSIONS,
        _ => {
            // Dapr passes over it without a word, and its author wonders.
            let meant = [COMPONENT, SUBSCRIPTION]
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(kind));
            return match meant {
                Some(meant) if is_dapr => Err(document.fault(
                    "kind",
                    format!("invalid value {kind:?}: expected {meant}, spelled so"),
                )),
                _ => Ok(Document::Other),
            };
        }
    };
    if !versions.contains(&api_version) {
        return if is_dapr {
            let expected = versions.join(" or ");
            Err(document.fault(
                "apiVersion",
                format!("invalid value {api_version:?}: expected {expected}"),
            ))
        } else {
            Ok(Document::Other)
        };
    }
    if kind == SUBSCRIPTION {
        let metadata = document.map("metadata")?;
        let name = metadata.string("name")?.unwrap_or_default().to_owned();
        return Ok(Document::Subscription(name));
    }
    component(node.line, &document, path).map(Document::Component)
}

fn component(line: u64, document: &Fields<'_>, path: &Path) -> Result<ComponentResource, Fault> {
    let metadata = document.map("metadata")?;
    let spec = document.map("spec")?;
    let name = metadata.string("name")?.unwrap_or_default();
    if let Some(reason) = bad_name(name) {
        return Err(metadata.fault("name", format!("invalid value {name:?}: {reason}")));
    }
    let text = |fields: &Fields<'_>, name| -> Result<String, Fault> {
        Ok(fields.string(name)?.unwrap_or_default().to_owned())
    };
    Ok(ComponentResource {
        identity: Identity::new(name, text(&spec, "type")?, text(&spec, "version")?),
        namespace: text(&metadata, "namespace")?,
        secret_store: text(&document.map("auth")?, "secretStore")?,
        scopes: scopes(document)?,
        ignore_errors: spec.boolean("ignoreErrors")?.unwrap_or(false),
        init_timeout: init_timeout(spec.string("initTimeout")?),
        properties: properties(&spec)?,
        source: Source::File {
            path: path.to_owned(),
            line,
        },
    })
}

/// Kubernetes' rule for a segment of a path, which Dapr applies to every resource, and that there must be a name.
fn bad_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("a component needs a name"),
        "." | ".." => Some("a name cannot be '.' or '..'"),
        _ if name.contains(['/', '%']) => Some("a name cannot contain '/' or '%'"),
        _ => None,
    }
}

fn scopes(document: &Fields<'_>) -> Result<Vec<String>, Fault> {
    document
        .list("scopes")?
        .iter()
        .map(|scope| match &scope.content {
            Content::String(app_id) => Ok(app_id.clone()),
            _ => Err(misfit(scope, "scopes", "a list of app ids")),
        })
        .collect()
}

/// What cannot be read counts as not there, as in Dapr.
fn init_timeout(text: Option<&str>) -> Duration {
    text.and_then(|text| parse_go_duration(text).ok())
        .and_then(|duration| duration.positive())
        .unwrap_or(DEFAULT_INIT_TIMEOUT)
}

fn properties(spec: &Fields<'_>) -> Result<Vec<Property>, Fault> {
    let path = spec.path_of("metadata");
    spec.list("metadata")?
        .iter()
        .enumerate()
        .map(|(index, node)| property(&Fields::new(node, &format!("{path}[{index}]"))?))
        .collect()
}

fn property(fields: &Fields<'_>) -> Result<Property, Fault> {
    let name = fields.string("name")?.unwrap_or_default();
    if name.is_empty() {
        return Err(fields.fault("name", "a property needs a name".to_owned()));
    }
    let reference = fields.map("secretKeyRef")?;
    let secret = match reference.string("name")?.unwrap_or_default() {
        "" => None,
        secret => Some(SecretKeyRef {
            name: secret.to_owned(),
            key: match reference.string("key")?.unwrap_or_default() {
                "" => secret.to_owned(),
                key => key.to_owned(),
            },
        }),
    };
    Ok(Property {
        name: name.to_owned(),
        value: fields.get("value").map(|node| match &node.content {
            Content::String(text) => text.clone(),
            _ => node.to_json(),
        }),
        secret,
        env: fields
            .string("envRef")?
            .filter(|variable| !variable.is_empty())
            .map(str::to_owned),
    })
}

/// The fields of a map, found as Dapr finds them, and where the map stands.
struct Fields<'a> {
    entries: &'a [(String, Node)],
    line: u64,
    path: String,
}

impl<'a> Fields<'a> {
    fn new(node: &'a Node, path: &str) -> Result<Self, Fault> {
        match &node.content {
            Content::Map(entries) => Ok(Self {
                entries,
                line: node.line,
                path: path.to_owned(),
            }),
            _ => Err(misfit(node, path, "a map")),
        }
    }

    /// The last field of that name, in any case, that is not null.
    fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries
            .iter()
            .rev()
            .find(|(other, node)| {
                other.eq_ignore_ascii_case(name) && !matches!(node.content, Content::Null)
            })
            .map(|(_, node)| node)
    }

    fn string(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        self.take(name, "a string", |content| match content {
            Content::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.take(name, "true or false", |content| match content {
            Content::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// Without elements when it is absent.
    fn list(&self, name: &str) -> Result<&'a [Node], Fault> {
        let list = self.take(name, "a list", |content| match content {
            Content::List(nodes) => Some(nodes.as_slice()),
            _ => None,
        })?;
        Ok(list.unwrap_or_default())
    }

    /// Without fields when it is absent.
    fn map(&self, name: &str) -> Result<Self, Fault> {
        let path = self.path_of(name);
        match self.get(name) {
            Some(node) => Self::new(node, &path),
            None => Ok(Self {
                entries: &[],
                line: self.line,
                path,
            }),
        }
    }

    fn take<T>(
        &self,
        name: &str,
        expected: &str,
        take: impl FnOnce(&'a Content) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(node) = self.get(name) else {
            return Ok(None);
        };
        match take(&node.content) {
            Some(value) => Ok(Some(value)),
            None => Err(misfit(node, &self.path_of(name), expected)),
        }
    }

    fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// About a field, on its line, or on that of the map where the field is missing.
    fn fault(&self, name: &str, message: String) -> Fault {
        Fault {
            line: self.get(name).map_or(self.line, |node| node.line),
            message: format!("{}: {message}", self.path_of(name)),
        }
    }
}

fn misfit(node: &Node, path: &str, expected: &str) -> Fault {
    let subject = if path.is_empty() {
        "the document"
    } else {
        path
    };
    let kind = node.kind();
    let hint = match &node.content {
        Content::Bool(_) | Content::Number(_) if expected == "a string" => {
            format!(" (write \"{}\")", node.to_json())
        }
        _ => String::new(),
    };
    Fault {
        line: node.line,
        message: format!("{subject}: expected {expected}, found {kind}{hint}"),
    }
}
