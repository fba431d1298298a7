//! What a run says once it is there: where, with what, and what to try.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use dapr_pluggable_host::{Components, Identity};
use serde::Serialize;

use crate::output::{self, Output, Paint};

/// The state of a run at its start. Serialised, it is the output for machines: members are added, never changed.
#[derive(Debug, Serialize)]
pub(super) struct Announcement {
    app_id: String,
    http_port: u16,
    http_url: String,
    /// None with `--resources-path`.
    data_dir: Option<PathBuf>,
    components: Vec<Component>,
    /// Those that are not open yet.
    waiting: Vec<Waiting>,
    #[serde(skip)]
    state_store: Option<String>,
}

#[derive(Debug, Serialize)]
struct Component {
    name: String,
    #[serde(rename = "type")]
    component_type: String,
    capabilities: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Waiting {
    name: String,
    #[serde(rename = "type")]
    component_type: String,
    reason: String,
}

impl Announcement {
    pub(super) fn new(
        app_id: &str,
        address: SocketAddr,
        data_dir: Option<PathBuf>,
        components: &Components,
    ) -> Self {
        let infos = components.infos();
        let state_store = infos
            .iter()
            .map(|info| info.identity.name.as_str())
            .find(|name| components.state_store(name).is_some());
        Self {
            app_id: app_id.to_owned(),
            http_port: address.port(),
            http_url: format!("http://{address}"),
            data_dir,
            state_store: state_store.map(str::to_owned),
            waiting: components
                .waiting()
                .map(|waiting| Waiting {
                    name: waiting.identity.name.clone(),
                    component_type: waiting.identity.component_type.clone(),
                    reason: waiting.reason.clone(),
                })
                .collect(),
            components: infos
                .into_iter()
                .map(|info| {
                    let Identity {
                        name,
                        component_type,
                        ..
                    } = info.identity;
                    Component {
                        name,
                        component_type,
                        capabilities: info.capabilities,
                    }
                })
                .collect(),
        }
    }

    pub(super) fn print(&self, output: Output) -> Result<()> {
        match output {
            Output::Json => output::print_json_line(self),
            Output::Text => output::print(self.text(Paint::for_stdout())),
        }
    }

    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        let url = paint.bold(&self.http_url);
        line(&format!(
            "Dapr's API for the application {:?} is at {url}",
            self.app_id
        ));
        for component in &self.components {
            line(&format!(
                "  {}  {}",
                component.name, component.component_type
            ));
        }
        for waiting in &self.waiting {
            let Waiting {
                name,
                component_type,
                reason,
            } = waiting;
            let waits = paint.yellow("not ready");
            line(&format!("  {name}  {component_type}  {waits}: {reason}"));
        }
        if self.components.is_empty() && self.waiting.is_empty() {
            let none = paint.yellow("no components");
            line(&format!(
                "  {none}: no resource file has one for this application that can be used; the log says more"
            ));
        }
        if let Some(data) = &self.data_dir {
            line(&format!("  data is in {}", data.display()));
        }
        if let Some(store) = &self.state_store {
            let url = format!("{}/v1.0/state/{}", self.http_url, encode(store));
            line("Save a value, and read it:");
            line(&format!(
                "  curl -d '[{{\"key\":\"greeting\",\"value\":\"hello\"}}]' '{url}'"
            ));
            line(&format!("  curl '{url}/greeting'"));
        }
        text
    }
}

/// A name as a part of a path, which a shell takes in single quotes.
fn encode(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_curl_line() {
        assert_eq!(encode("state-store_1.x~"), "state-store_1.x~");
        assert_eq!(encode("it's [ä]"), "it%27s%20%5B%C3%A4%5D");
    }
}
