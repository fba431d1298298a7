//! The secret store's service.

use dapr_pluggable_protocol::components::v1 as proto;
use tonic::Code;

use super::rig::{refused, to, with_rig};

fn get(name: &str) -> proto::GetSecretRequest {
    proto::GetSecretRequest {
        key: name.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn secrets_come_by_name_and_all_at_once() {
    with_rig(async |rig| {
        rig.open_secrets("s").await;
        let mut secrets = rig.secrets();
        let features = secrets.features(to("s", proto::FeaturesRequest {})).await;
        assert_eq!(
            features.unwrap().into_inner().features,
            ["MULTIPLE_KEY_VALUES_PER_SECRET"]
        );
        let secret = secrets
            .get(to("s", get("door")))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(secret.data.get("door").unwrap(), "sesame");
        let all = secrets
            .bulk_get(to("s", proto::BulkGetSecretRequest::default()))
            .await;
        let all = all.unwrap().into_inner().data;
        let db = &all.get("db").unwrap().secrets;
        assert_eq!(db.get("user").unwrap(), "a");
        assert_eq!(db.get("password").unwrap(), "b");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_or_not_named_is_said() {
    with_rig(async |rig| {
        rig.open_secrets("s").await;
        let mut secrets = rig.secrets();
        refused(
            secrets.get(to("s", get("missing"))).await,
            Code::NotFound,
            &["missing"],
        );
        rig.notes.clear();
        refused(
            secrets.get(to("s", get(""))).await,
            Code::InvalidArgument,
            &["secret name"],
        );
        assert!(rig.notes.all().is_empty());
        refused(
            secrets.get(to("s", get("panic"))).await,
            Code::Internal,
            &["panicked in get"],
        );
    })
    .await;
}
