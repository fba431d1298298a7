"""Bindings and secrets."""

from grpc import StatusCode

from dapr.proto.components.v1 import bindings_pb2, bindings_pb2_grpc, common_pb2, secretstore_pb2, secretstore_pb2_grpc
from expect import code, equal


class Bindings:
    def __init__(self, caller):
        self.caller = caller
        self.input = bindings_pb2_grpc.InputBindingStub(caller.channel)
        self.output = bindings_pb2_grpc.OutputBindingStub(caller.channel)

    def all(self):
        yield "init and operations", self.init
        yield "events and answers", self.events

    def invoke(self, operation, data):
        return self.caller.call(self.output.Invoke, bindings_pb2.InvokeRequest(operation=operation, data=data))

    def init(self):
        code(StatusCode.FAILED_PRECONDITION, lambda: self.invoke("create", b"early"))
        metadata = self.caller.metadata()
        self.caller.call(self.output.Init, bindings_pb2.OutputBindingInitRequest(metadata=metadata))
        self.caller.call(self.input.Init, bindings_pb2.InputBindingInitRequest(metadata=metadata))
        operations = self.caller.call(self.output.ListOperations, bindings_pb2.ListOperationsRequest()).operations
        equal("the operations", list(operations), ["create"])
        code(StatusCode.INVALID_ARGUMENT, lambda: self.invoke("explode", b""))

    def events(self):
        """The event is refused once, left without an answer once, then handled."""
        self.invoke("create", b"event")
        stream = self.read()
        refused = bindings_pb2.AckResponseError(message="not yet")
        stream.send(bindings_pb2.ReadRequest(message_id=self.event(stream), response_error=refused))
        self.event(stream)
        stream.cancel()
        stream = self.read()
        stream.send(bindings_pb2.ReadRequest(message_id=self.event(stream), response_data=b"handled"))
        stream.silent()
        stream.close()

    def read(self):
        return self.caller.stream(self.input.Read)

    def event(self, stream):
        event = stream.next()
        equal("the event", event.data, b"event")
        return event.message_id


class Secrets:
    """Expects each entry of the metadata to be a secret."""

    def __init__(self, caller):
        self.caller = caller
        self.store = secretstore_pb2_grpc.SecretStoreStub(caller.channel)

    def all(self):
        yield "init, get, bulk get", self.secrets

    def secrets(self):
        self.caller.call(self.store.Init, secretstore_pb2.SecretStoreInitRequest(metadata=self.caller.metadata()))
        self.caller.call(self.store.Features, common_pb2.FeaturesRequest())
        everything = self.caller.call(self.store.BulkGet, secretstore_pb2.BulkGetSecretRequest()).data
        for key, value in self.caller.properties.items():
            equal(f"the secret {key}", dict(self.get(key).data), {key: value})
            equal(f"the secret {key}", dict(everything[key].secrets), {key: value})
        code(StatusCode.NOT_FOUND, lambda: self.get("no such secret"))

    def get(self, key):
        return self.caller.call(self.store.Get, secretstore_pb2.GetSecretRequest(key=key))
