//! Resource files. They are written as JSON, which is YAML too.

use serde_json::{Value, json};

/// A component of a type, with metadata of plain values.
pub(crate) fn component(name: &str, component_type: &str, metadata: &[(&str, &str)]) -> Value {
    let metadata = metadata.iter();
    let metadata = metadata.map(|(key, value)| json!({"name": key, "value": value}));
    component_with(name, component_type, metadata.collect())
}

/// A component whose metadata is more than plain values.
pub(crate) fn component_with(name: &str, component_type: &str, metadata: Vec<Value>) -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": component_type, "version": "v1", "metadata": metadata},
    })
}

/// Metadata as people write it for Dapr's own components on Redis.
pub(crate) fn redis_of_dapr(host: &str) -> [(&str, &str); 7] {
    [
        ("redisHost", host),
        ("redisPassword", ""),
        ("redisDB", "0"),
        ("enableTLS", "false"),
        ("redisMaxRetries", "3"),
        ("dialTimeout", "5s"),
        ("readTimeout", "3000"),
    ]
}

/// A subscription whose messages come to `/<topic>`.
pub(crate) fn subscription(pubsub: &str, topic: &str) -> Value {
    json!({
        "apiVersion": "dapr.io/v2alpha1",
        "kind": "Subscription",
        "metadata": {"name": format!("{pubsub}-{topic}")},
        "spec": {"pubsubname": pubsub, "topic": topic, "routes": {"default": format!("/{topic}")}},
    })
}

/// What a runtime looks services up in: a file, not the network.
pub(crate) fn configuration(names: &str) -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "configuration"},
        "spec": {"nameResolution": {
            "component": "sqlite",
            "version": "v1",
            "configuration": {"connectionString": names},
        }},
    })
}
