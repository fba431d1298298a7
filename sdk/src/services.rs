//! Which services a socket has, asked as Dapr's runtime asks: by reflection `v1alpha`.

use std::collections::BTreeSet;
use std::path::Path;

use futures::stream;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;

use crate::dial::{ANSWER_CAP, broken};
use crate::error::{Error, ErrorKind, Result};

/// The names of the services behind a connection to a socket.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) when the peer does not answer, or not in time;
/// [`Unsupported`](ErrorKind::Unsupported) when it has no reflection; [`Internal`](ErrorKind::Internal) for an answer that
/// is none.
pub(crate) async fn list(channel: Channel, socket: &Path) -> Result<BTreeSet<String>> {
    let socket_name = socket.display();
    match timeout(ANSWER_CAP, ask(channel)).await {
        Ok(Ok(Some(MessageResponse::ListServicesResponse(list)))) => Ok(list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect()),
        Ok(Ok(other)) => Err(Error::internal(format!(
            "list the services of {socket_name}: unexpected answer {other:?}"
        ))),
        Ok(Err(status)) => Err(broken(socket, &status).unwrap_or_else(|| {
            let (kind, why) = match status.code() {
                Code::Unimplemented => (
                    ErrorKind::Unsupported,
                    "it has no reflection v1alpha, by which runtimes ask",
                ),
                _ => (ErrorKind::Unavailable, status.message()),
            };
            Error::new(kind, format!("list the services of {socket_name}: {why}"))
        })),
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("list the services of {socket_name}: no answer within {ANSWER_CAP:?}"),
        )),
    }
}

async fn ask(channel: Channel) -> Result<Option<MessageResponse>, Status> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel)
        .server_reflection_info(stream::iter([request]))
        .await?;
    let first = answers.into_inner().message().await?;
    Ok(first.and_then(|answer| answer.message_response))
}
