//! The messages of bindings, in and out.

use dapr_pluggable_protocol::components::v1 as proto;

use super::{Identified, Wire, non_empty};
use crate::binding::{Event, InvokeRequest, InvokeResponse};
use crate::delivery::Reply;
use crate::error::{Error, Result};
use crate::metadata::Metadata;

impl Wire for Identified<Event> {
    type Message = proto::ReadResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(Self {
            id: message.message_id,
            content: Event {
                data: message.data,
                metadata: Metadata::from(message.metadata),
                content_type: non_empty(message.content_type),
            },
        })
    }

    fn into_wire(self) -> Self::Message {
        let Self { id, content } = self;
        proto::ReadResponse {
            data: content.data,
            metadata: content.metadata.into_map(),
            content_type: content.content_type.unwrap_or_default(),
            message_id: id,
        }
    }
}

/// The reply that a frame of a read stream holds, and to which event.
pub(crate) fn read_reply(message: proto::ReadRequest) -> (String, Reply) {
    let reply = match message.response_error {
        Some(error) => Reply::Failed(error.message),
        None => Reply::Handled(message.response_data),
    };
    (message.message_id, reply)
}

/// The frame that replies to an event; `None` for an abandoned one, which is told by silence.
pub(crate) fn reply(id: String, reply: Reply) -> Option<proto::ReadRequest> {
    let (response_data, response_error) = match reply {
        Reply::Handled(data) => (data, None),
        Reply::Failed(message) => (
            bytes::Bytes::new(),
            Some(proto::AckResponseError { message }),
        ),
        Reply::Abandoned => return None,
    };
    Some(proto::ReadRequest {
        response_data,
        message_id: id,
        response_error,
    })
}

impl Wire for InvokeRequest {
    type Message = proto::InvokeRequest;

    fn from_wire(message: Self::Message) -> Result<Self> {
        if message.operation.is_empty() {
            return Err(Error::invalid_request("the call has no operation"));
        }
        Ok(Self {
            operation: message.operation,
            data: message.data,
            metadata: Metadata::from(message.metadata),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::InvokeRequest {
            data: self.data,
            metadata: self.metadata.into_map(),
            operation: self.operation,
        }
    }
}

impl Wire for InvokeResponse {
    type Message = proto::InvokeResponse;

    fn from_wire(message: Self::Message) -> Result<Self> {
        Ok(Self {
            data: message.data,
            metadata: Metadata::from(message.metadata),
            content_type: non_empty(message.content_type),
        })
    }

    fn into_wire(self) -> Self::Message {
        proto::InvokeResponse {
            data: self.data,
            metadata: self.metadata.into_map(),
            content_type: self.content_type.unwrap_or_default(),
        }
    }
}
