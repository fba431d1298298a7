"""Calls a component as Dapr's runtime does, and reports what it finds, a line a check."""

import grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from check_bindings import Bindings, Secrets
from check_pubsub import PubSub
from check_state import State
from dapr.proto.components.v1 import common_pb2
from expect import PATIENCE, Caller, code, equal
from notes import note

# What large answers need. Without it a client takes 4 MiB, as Dapr's runtime does.
SIZES = [("grpc.max_receive_message_length", 16 << 20)]
# This library takes the path of the socket for the name of the host, which HTTP/2 does not allow.
AUTHORITY = ("grpc.default_authority", "localhost")

BLOCKS = {
    "state": (State, ["StateStore", "TransactionalStateStore", "QueriableStateStore"]),
    "pubsub": (PubSub, ["PubSub"]),
    "binding": (Bindings, ["InputBinding", "OutputBinding"]),
    "secret": (Secrets, ["SecretStore"]),
}


def check(socket, instance, metadata, blocks):
    """The exit code: 1 when something is not as it should be."""
    target = f"unix:{socket}"
    failed = 0
    with grpc.insecure_channel(target, options=[AUTHORITY]) as channel:
        failed += not run("services", lambda: services(channel, blocks))
    with grpc.insecure_channel(target) as channel:
        failed += not run("the path as authority is refused", lambda: refused(channel))
    for block in blocks:
        checks, _ = BLOCKS[block]
        # A connection for each building block, as Dapr's runtime has it.
        with grpc.insecure_channel(target, options=[AUTHORITY, *SIZES]) as channel:
            caller = Caller(channel, instance, metadata)
            for name, one in checks(caller).all():
                failed += not run(f"{block} {name}", one)
    return 1 if failed else 0


def run(name, one):
    try:
        one()
    except Exception as error:
        note(check=name, ok=False, error=f"{type(error).__name__}: {error}")
        return False
    note(check=name, ok=True)
    return True


def services(channel, blocks):
    found = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    for block in blocks:
        wanted = {f"dapr.proto.components.v1.{name}" for name in BLOCKS[block][1]}
        equal("the services that are missing", wanted - found, set())


def refused(channel):
    ping = channel.unary_unary(
        "/dapr.proto.components.v1.StateStore/Ping",
        request_serializer=common_pb2.PingRequest.SerializeToString,
        response_deserializer=common_pb2.PingResponse.FromString,
    )
    code(grpc.StatusCode.INTERNAL, lambda: ping(common_pb2.PingRequest(), timeout=PATIENCE))
