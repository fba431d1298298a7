//! TLS, and who trusts whom.

use dapr_pluggable::{ErrorKind, Metadata};
use dapr_pluggable_testbed::Redis;

use super::{get, open, refusal, set};
use crate::program::Program;

#[tokio::test]
async fn who_cannot_talk_hears_why() {
    let test = "who_cannot_talk_hears_why";
    let Some(tls) = Redis::builder().mutual_tls().start(test).await else {
        return;
    };
    let host = tls.host();
    let made = tls.certificates();
    let anyone = ("insecureSkipTLSVerify", "true");
    for (properties, text) in [(&[][..], "SSL_CERT_FILE"), (&[anyone][..], "clientCert")] {
        let properties = [
            &[("redisHost", host.as_str()), ("enableTLS", "true")],
            properties,
        ]
        .concat();
        let error = refusal(&properties).await;
        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains(text), "{error}");
    }
    let store = open(&[
        ("redisHost", &host),
        ("enableTLS", "true"),
        anyone,
        ("clientCert", &made.client),
        ("clientKey", &made.client_key),
    ])
    .await;
    set(&store, "key", "value").await.unwrap();
    assert_eq!(get(&store, "key").await.unwrap().as_deref(), Some("value"));

    let error = refusal(&[("redisHost", &host)]).await;
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("enableTLS"), "{error}");

    let plain = Redis::start(test).await.unwrap();
    let error = refusal(&[
        ("redisHost", &plain.host()),
        ("enableTLS", "true"),
        ("dialTimeout", "1s"),
    ])
    .await;
    assert!(error.message().contains("enableTLS"), "{error}");
}

#[tokio::test]
async fn a_program_trusts_whom_the_system_trusts() {
    let test = "a_program_trusts_whom_the_system_trusts";
    let Some(redis) = Redis::builder().tls().start(test).await else {
        return;
    };
    let authority = redis.folder().join("ca.pem");
    let program = Program::start_with(&[("SSL_CERT_FILE", &authority)]).await;
    // The certificate is for both names.
    for name in ["localhost", "127.0.0.1"] {
        let host = format!("{name}:{}", redis.port());
        let metadata = Metadata::from([("redisHost", host.as_str()), ("enableTLS", "true")]);
        let store = program.state_store(&metadata).await.unwrap();
        set(&store, "key", name).await.unwrap();
        assert_eq!(get(&store, "key").await.unwrap().as_deref(), Some(name));
    }
}

#[tokio::test]
async fn what_is_no_pem_is_named_and_not_shown() {
    let made = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (cert, key, named) in [
        ("mine", "secret", "clientCert"),
        (made, "secret", "clientKey"),
    ] {
        let error = refusal(&[
            ("enableTLS", "true"),
            ("clientCert", cert),
            ("clientKey", key),
        ])
        .await;
        assert_eq!(*error.kind(), ErrorKind::InvalidSettings);
        let message = error.message();
        assert!(
            message.contains(named) && message.contains("PEM"),
            "{message}"
        );
        assert!(
            !message.contains("secret") && !message.contains("mine"),
            "{message}"
        );
        assert!(
            message.contains("redis client configuration error"),
            "{message}"
        );
    }
}
