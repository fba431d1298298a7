//! What a secret store must do.

use std::future::Future;
use std::sync::Arc;

use dapr_pluggable::secret::{GetSecretRequest, Secret, SecretStore};
use dapr_pluggable::{Block, ErrorKind, Metadata};

use crate::check::{Check, Finding, Need, Verdict};
use crate::expect::{equal, holds, refused};
use crate::fixture::Fixture;

pub(crate) fn checks() -> Vec<Check> {
    vec![
        check("get", &[Need::Secrets], get),
        check("missing", &[], missing),
        check("bulk_get", &[Need::Secrets], bulk_get),
    ]
}

fn check<F: Future<Output = Verdict> + Send + 'static>(
    name: &str,
    needs: &'static [Need],
    run: fn(Arc<Fixture>, Arc<dyn SecretStore>) -> F,
) -> Check {
    let name = format!("secret::{name}");
    Check::new(Block::SecretStore, name, needs, move |fixture| async move {
        let (instance, properties) = (fixture.instance(), fixture.properties(&[]));
        let store = fixture.open_secret_store(&instance, &properties).await?;
        run(fixture, store).await
    })
}

async fn get(fixture: Arc<Fixture>, store: Arc<dyn SecretStore>) -> Verdict {
    for (name, value) in &fixture.subject().setup().secrets {
        let secret = store.get(GetSecretRequest::new(name)).await?;
        // Its value is not for a report, even of a test.
        equal(
            format!("whether secret {name:?} has its value"),
            secret == Secret::single(name, value),
            true,
        )?;
    }
    Ok(())
}

async fn missing(fixture: Arc<Fixture>, store: Arc<dyn SecretStore>) -> Verdict {
    let name = fixture.name("missing");
    let outcome = store.get(GetSecretRequest::new(&name)).await;
    let error = refused(
        "a secret that is not there",
        outcome,
        &[ErrorKind::NotFound],
    )?;
    holds(
        format!("{name:?} to be named in the error {error}"),
        error.message().contains(&name),
    )
}

/// Every secret that is there, as a get gives it.
async fn bulk_get(fixture: Arc<Fixture>, store: Arc<dyn SecretStore>) -> Verdict {
    let all = match store.bulk_get(Metadata::new()).await {
        Err(error) if *error.kind() == ErrorKind::Unsupported => {
            return Err(Finding::Skipped("it lists no secrets".to_owned()));
        }
        outcome => outcome?,
    };
    for name in fixture.subject().setup().secrets.keys() {
        holds(
            format!("secret {name:?} in the list"),
            all.contains_key(name),
        )?;
    }
    for (name, secret) in all {
        let alone = store.get(GetSecretRequest::new(&name)).await?;
        equal(
            format!("whether secret {name:?} is the same alone"),
            secret == alone,
            true,
        )?;
    }
    Ok(())
}
