//! What the generated services of every building block have in common: who calls, which value answers, and how a
//! result becomes an answer.

use std::sync::Arc;

use dapr_pluggable_protocol::components::v1 as proto;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status};

use super::core::{Dispatch, Offload, Peer, Service, sized};
use super::instances::{Found, Instances, Lifecycle};
use super::lost_init::LostInit;
use super::peers::Peers;
use crate::blocks::{Blocks, Registration};
use crate::component::Component as _;
use crate::error::{Error, Result};
use crate::guard::Kind;
use crate::wire::{INSTANCE_HEADER, Wire, init_properties, status};

/// How large an answer Dapr's runtime takes, in bytes.
const RUNTIME_LIMIT: usize = 4 << 20;

/// What the generated services give.
pub(super) type Answer<M> = Result<Response<M>, Status>;

/// One socket, while its services are being added.
pub(super) struct Socket<'a> {
    pub(super) dispatch: &'a mut Dispatch,
    pub(super) blocks: &'a Blocks,
    pub(super) max_message_size: usize,
    pub(super) peers: &'a Arc<Peers>,
    pub(super) lost_init: &'a Arc<LostInit>,
    /// The values of the building blocks added so far.
    pub(super) instances: Vec<Arc<dyn Lifecycle>>,
}

impl Socket<'_> {
    /// Makes the values of one building block, and notes them.
    pub(super) fn instances<K: Kind>(
        &mut self,
        registration: &Registration<K>,
    ) -> Arc<Instances<K>> {
        let instances = Arc::new(Instances::new(
            registration.clone(),
            Arc::clone(self.peers),
            Arc::clone(self.lost_init),
        ));
        self.instances.push(Arc::<Instances<K>>::clone(&instances));
        instances
    }

    /// Adds a service of a building block.
    pub(super) fn add<K: Kind>(&mut self, service: impl Service) {
        let offload = if self.blocks.is_offloaded(K::BLOCK) {
            Offload::Yes
        } else {
            Offload::No
        };
        self.dispatch.add(service, offload);
    }
}

/// Who calls, and for which instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub(super) peer: &'a Peer,
    pub(super) instance: &'a str,
}

impl<'a> Caller<'a> {
    /// The caller of a request.
    pub(super) fn of<M>(request: &'a Request<M>) -> Result<Self, Status> {
        Self::from_parts(request.metadata(), request.extensions())
    }

    /// The caller of a request that was taken apart.
    pub(super) fn from_parts(
        headers: &'a MetadataMap,
        extensions: &'a Extensions,
    ) -> Result<Self, Status> {
        let instance = headers.get(INSTANCE_HEADER).map(|header| {
            header.to_str().map_err(|_| {
                Status::invalid_argument(format!("the header {INSTANCE_HEADER} is not ASCII text"))
            })
        });
        let peer = extensions.get::<Peer>();
        Ok(Self {
            peer: peer.ok_or_else(|| Status::internal("the connection has no peer"))?,
            instance: instance.transpose()?.unwrap_or_default(),
        })
    }
}

impl<K: Kind> Instances<K> {
    /// The value for a request, and the request as the trait has it.
    pub(super) fn accept<R: Wire>(
        &self,
        request: Request<R::Message>,
    ) -> Result<(Found<K>, R), Status> {
        let found = self.answering(&request)?;
        let request = R::from_wire(request.into_inner()).map_err(refuse)?;
        Ok((found, request))
    }

    /// The value for a request that says nothing more.
    pub(super) fn answering<M>(&self, request: &Request<M>) -> Result<Found<K>, Status> {
        let caller = Caller::of(request)?;
        self.find(caller.instance, caller.peer).map_err(refuse)
    }

    /// Opens a value, as an Init asks for it.
    pub(super) async fn open<M: Default>(
        &self,
        caller: Caller<'_>,
        metadata: Option<proto::MetadataRequest>,
    ) -> Answer<M> {
        let properties = init_properties(metadata).map_err(refuse)?;
        done(self.init(caller.instance, caller.peer, properties).await)
    }

    /// Whether the backend of the value answers. Without a value, whether we do.
    pub(super) async fn answer_ping(
        &self,
        request: &Request<proto::PingRequest>,
    ) -> Answer<proto::PingResponse> {
        let caller = Caller::of(request)?;
        done(match self.find_if_any(caller.instance, caller.peer) {
            Some(found) => found.ping().await,
            None => Ok(()),
        })
    }
}

/// The status of an error.
pub(super) fn refuse(error: Error) -> Status {
    status::from_error(&error)
}

/// The answer that says a result.
pub(super) fn reply<T: Wire<Message: Message>>(
    rpc: &'static str,
    result: Result<T>,
) -> Answer<T::Message> {
    let message = result.map_err(refuse)?.into_wire();
    let bytes = warn_of_size(rpc, &message);
    Ok(sized(Response::new(message), bytes))
}

/// The answer without content.
pub(super) fn done<M: Default>(result: Result<()>) -> Answer<M> {
    result.map_err(refuse)?;
    Ok(Response::new(M::default()))
}

/// Warns of a message that Dapr's runtime will not take. Gives how many bytes it is.
pub(super) fn warn_of_size(rpc: &'static str, message: &impl Message) -> usize {
    let bytes = message.encoded_len();
    if bytes > RUNTIME_LIMIT {
        tracing::warn!(
            rpc,
            bytes,
            limit = RUNTIME_LIMIT,
            "an answer is larger than Dapr's runtime takes"
        );
    }
    bytes
}
