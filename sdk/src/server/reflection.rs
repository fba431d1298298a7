//! Reflection, `v1alpha` and `v1`. Dapr's runtime finds the building blocks of a socket by `v1alpha` alone.

use std::collections::BTreeSet;
use std::path::Path;

use dapr_pluggable_protocol::COMPONENTS_DESCRIPTOR_SET;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;

use super::core::{Dispatch, Offload};
use crate::dial::dial;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::services;

/// Adds reflection, which lists what `dispatch` holds, itself included, and nothing else. Gives that list.
pub(super) fn serve(dispatch: &mut Dispatch) -> Result<BTreeSet<&'static str>> {
    let mut served: BTreeSet<&'static str> = dispatch.names().collect();
    served.insert(v1::server_reflection_server::SERVICE_NAME);
    served.insert(v1alpha::server_reflection_server::SERVICE_NAME);
    let builder = || {
        let builder = Builder::configure()
            .include_reflection_service(false)
            .register_encoded_file_descriptor_set(COMPONENTS_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET);
        served
            .iter()
            .copied()
            .fold(builder, Builder::with_service_name)
    };
    let fail = |error| Error::internal("describe the services").with_source(BoxError::from(error));
    let (v1, v1alpha) = (builder().build_v1(), builder().build_v1alpha());
    dispatch.add(v1.map_err(fail)?, Offload::No);
    dispatch.add(v1alpha.map_err(fail)?, Offload::No);
    Ok(served)
}

/// Makes sure that the socket at this address answers as a runtime will ask it, with these services.
pub(super) async fn check(address: &Path, expected: &BTreeSet<&'static str>) -> Result<()> {
    let fail = |why: String| {
        let text = format!("have reflection answered on the new socket: {why}");
        Err(Error::new(ErrorKind::Unavailable, text))
    };
    let listed = async { services::list(dial(address).await?, address).await };
    match listed.await {
        Ok(listed) if listed.iter().eq(expected) => Ok(()),
        Ok(listed) => fail(format!("it lists {listed:?}")),
        Err(error) => fail(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;

    use super::super::core::{Limits, Workers, default_workers};
    use super::*;

    #[tokio::test]
    async fn a_socket_that_lists_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let workers = Workers::start(default_workers()).unwrap();
        let mut dispatch = Dispatch::default();
        let mut listed = serve(&mut dispatch).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let _listening = workers
            .listen(listener, dispatch, Limits::default(), Arc::new(()))
            .unwrap();
        check(&path, &listed).await.unwrap();
        listed.insert("more");
        let error = check(&path, &listed).await.unwrap_err().to_string();
        assert!(error.contains("it lists"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_is_silent_is_refused_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let error = check(&path, &BTreeSet::new()).await.unwrap_err();
        assert!(error.to_string().contains("no answer within 5s"), "{error}");
    }
}
