//! The connection, and what goes through it for one instance.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::component::InstanceId;
use crate::dial::{broken, dial};
use crate::error::{Error, Result};
use crate::wire::{INSTANCE_HEADER, Wire, status};

/// How large an answer may be, in bytes: above what our own server takes, since it sets no limit to what it sends.
pub(super) const LARGEST_ANSWER: usize = 64 << 20;

/// A connection to a socket.
#[derive(Debug)]
pub(super) struct Connection {
    socket: PathBuf,
    channel: Channel,
}

impl Connection {
    pub(super) async fn open(socket: &Path) -> Result<Self> {
        Ok(Self {
            channel: dial(socket).await?,
            socket: socket.to_owned(),
        })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

/// One instance behind a connection.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    connection: Arc<Connection>,
    header: MetadataValue<Ascii>,
}

impl Instance {
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a name that cannot stand in a header.
    pub(super) fn new(connection: Arc<Connection>, id: &InstanceId) -> Result<Self> {
        let header = MetadataValue::try_from(id.as_str().as_bytes()).map_err(|error| {
            Error::invalid_request(format!(
                "name the instance {:?} in a header: control characters are not possible there",
                id.as_str()
            ))
            .with_source(error)
        })?;
        Ok(Self { connection, header })
    }

    pub(super) fn socket(&self) -> &Path {
        self.connection.socket()
    }

    pub(super) fn channel(&self) -> Channel {
        self.connection.channel()
    }

    /// A call for this instance.
    pub(super) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let headers = request.metadata_mut();
        headers.insert(INSTANCE_HEADER, self.header.clone());
        request
    }

    /// The answer to a call.
    pub(super) fn answer<T: Wire>(&self, answer: Answer<T::Message>) -> Result<T> {
        T::from_wire(answer.map_err(|status| self.error(status))?.into_inner())
    }

    /// The answer to a call that says nothing but that it is done.
    pub(super) fn done<M>(&self, answer: Answer<M>) -> Result<()> {
        answer.map(drop).map_err(|status| self.error(status))
    }

    /// The answer to an Init.
    pub(super) fn opened<M>(&self, answer: Answer<M>) -> Result<()> {
        answer.map(drop).map_err(|status| {
            broken(self.socket(), &status).unwrap_or_else(|| status::to_init_error(status))
        })
    }

    pub(super) fn error(&self, status: Status) -> Error {
        broken(self.socket(), &status).unwrap_or_else(|| status::to_error(status))
    }
}

/// How a call ends.
pub(super) type Answer<M> = Result<Response<M>, Status>;
