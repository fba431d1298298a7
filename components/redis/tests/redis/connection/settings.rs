//! Metadata, good and bad.

use dapr_pluggable::ErrorKind;
use dapr_pluggable_testbed::Redis;

use super::{open, refusal, set};

#[tokio::test]
async fn every_bad_value_is_named() {
    let mut cases: Vec<(&str, &str)> = Vec::new();
    for key in [
        "failover",
        "enableTLS",
        "insecureSkipTLSVerify",
        "useEntraID",
        "useOIDC",
    ] {
        cases.extend([(key, "yes"), (key, ""), (key, "on")]);
    }
    for key in [
        "redisDB",
        "redisMaxRetries",
        "maxRetries",
        "poolSize",
        "minIdleConns",
        "ttlInSeconds",
    ] {
        cases.extend([(key, "many"), (key, "1.5"), (key, "0x10")]);
    }
    for key in [
        "redisMinRetryInterval",
        "redisMaxRetryInterval",
        "dialTimeout",
        "readTimeout",
        "writeTimeout",
        "poolTimeout",
        "maxConnAge",
        "idleTimeout",
        "idleCheckFrequency",
        "maxRetryBackoff",
    ] {
        cases.extend([(key, "soon"), (key, "1d")]);
    }
    cases.extend([
        ("redisPort", "many"),
        ("redisPort", "-1"),
        ("redisPort", "65536"),
    ]);
    cases.extend([
        ("redisDB", "-1"),
        ("redisHost", "redis:many"),
        ("redisHost", "a,b"),
    ]);
    for (key, value) in cases {
        let error = refusal(&[("redisPassword", "sesame"), (key, value)]).await;
        assert_eq!(*error.kind(), ErrorKind::InvalidSettings, "{key}: {error}");
        let message = error.message();
        assert!(message.contains(key), "{key}={value}: {message}");
        assert!(message.contains("expected"), "{key}={value}: {message}");
        assert!(!message.contains("sesame"), "{message}");
    }
}

#[tokio::test]
async fn what_does_not_go_together_is_named() {
    for (properties, parts) in [
        (
            &[("redisPort", "1"), ("redisHost", "a:2")][..],
            &["redisPort", "redisHost"][..],
        ),
        (&[("failover", "true")][..], &["sentinelMasterName"][..]),
        (&[("clientCert", "x")][..], &["clientKey"][..]),
        (&[("clientKey", "x")][..], &["clientCert"][..]),
        (
            &[("useEntraID", "true")][..],
            &["useEntraID", "not supported"][..],
        ),
        (
            &[("useOIDC", "true")][..],
            &["useOIDC", "not supported"][..],
        ),
    ] {
        let error = refusal(properties).await;
        assert_eq!(*error.kind(), ErrorKind::InvalidSettings, "{error}");
        for part in parts.iter().chain(&["redis client configuration error"]) {
            assert!(error.message().contains(part), "{error}");
        }
    }
}

#[tokio::test]
async fn what_dapr_takes_is_taken() {
    let Some(redis) = Redis::start("what_dapr_takes_is_taken").await else {
        return;
    };
    let (host, port) = (redis.host(), redis.port().to_string());
    for properties in [
        &[("redisPort", port.as_str())][..],
        &[("redisHost", "localhost"), ("redisPort", port.as_str())][..],
        &[
            ("REDISHOST", host.as_str()),
            ("failover", "F"),
            ("enableTLS", "0"),
        ][..],
        &[
            ("redisHost", host.as_str()),
            ("redisUsername", ""),
            ("redisPassword", ""),
            ("redisType", ""),
        ][..],
        &[
            ("redisHost", host.as_str()),
            ("redisType", "standalone"),
            ("redisDB", "7"),
        ][..],
        &[
            ("redisHost", host.as_str()),
            ("maxRetries", "5"),
            ("maxRetryBackoff", "2000000000"),
        ][..],
        &[
            ("redisHost", host.as_str()),
            ("maxRetryBackoff", "2s"),
            ("redisMaxRetries", "-1"),
        ][..],
        &[
            ("redisHost", host.as_str()),
            ("redisMinRetryInterval", "-1"),
            ("redisMaxRetryInterval", "-1"),
            ("dialTimeout", "5000"),
            ("readTimeout", "-1"),
            ("writeTimeout", "0"),
            ("poolTimeout", "-1"),
            ("maxConnAge", "1h"),
            ("idleTimeout", "-1"),
            ("idleCheckFrequency", "-1"),
            ("poolSize", "20"),
            ("minIdleConns", "3"),
        ][..],
    ] {
        let store = open(properties).await;
        set(&store, "key", "value").await.unwrap();
    }
    let info: String = redis.command(&["INFO", "keyspace"]).await;
    assert!(info.contains("db7:keys=1"), "{info}");
}

#[tokio::test]
async fn a_server_of_another_kind_is_said() {
    let Some(redis) = Redis::start("a_server_of_another_kind_is_said").await else {
        return;
    };
    let host = redis.host();
    for (properties, text) in [
        (&[("redisType", "cluster")][..], "redisType"),
        (
            &[("failover", "true"), ("sentinelMasterName", "mymaster")][..],
            "not a sentinel",
        ),
    ] {
        let properties = [&[("redisHost", host.as_str())], properties].concat();
        let error = refusal(&properties).await;
        assert_eq!(*error.kind(), ErrorKind::InvalidSettings, "{error}");
        let message = error.message();
        assert!(
            message.contains(text) && message.contains(&host),
            "{message}"
        );
    }
}
