"""The state store of the component."""

import asyncio

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from dapr.proto.components.v1 import common_pb2, state_pb2, state_pb2_grpc
from notes import note

FIRST_WRITE = state_pb2.StateOptions.CONCURRENCY_FIRST_WRITE
# The key whose Get has no answer until the caller gives up.
HELD = "held"


class Store:
    """A map with etags, which never come again."""

    def __init__(self):
        self.entries = {}  # key -> (value, etag)
        self.last = 0

    def conflict(self, operations):
        """The first key that is not as an operation expects it."""
        for operation in operations:
            wanted = operation.etag.value
            current = self.entries.get(operation.key, (b"", ""))[1]
            first = operation.options.concurrency == FIRST_WRITE
            if wanted and wanted != current or first and not wanted and current:
                return operation.key
        return None

    def apply(self, operation):
        if isinstance(operation, state_pb2.SetRequest):
            self.last += 1
            self.entries[operation.key] = (operation.value, str(self.last))
        else:
            self.entries.pop(operation.key, None)

    def get(self, key):
        if key not in self.entries:
            return {}
        value, etag = self.entries[key]
        return {"data": value, "etag": state_pb2.Etag(value=etag)}


class State(
    state_pb2_grpc.StateStoreServicer,
    state_pb2_grpc.TransactionalStateStoreServicer,
    state_pb2_grpc.TransactionalStoreMultiMaxSizeServicer,
):
    def __init__(self, worlds):
        self.worlds = worlds

    async def Init(self, request, context):
        self.worlds.open("state", request, context)
        return state_pb2.InitResponse()

    async def Features(self, request, context):
        await self.store(context)
        return common_pb2.FeaturesResponse(features=["ETAG", "TRANSACTIONAL"])

    async def Ping(self, request, context):
        return common_pb2.PingResponse()

    async def Get(self, request, context):
        store = await self.store(context)
        if request.key == HELD:
            await hold(self.worlds.name(context))
        return state_pb2.GetResponse(**store.get(request.key))

    async def Set(self, request, context):
        await self.apply([request], context)
        return state_pb2.SetResponse()

    async def Delete(self, request, context):
        await self.apply([request], context)
        return state_pb2.DeleteResponse()

    async def BulkGet(self, request, context):
        store = await self.store(context)
        items = [state_pb2.BulkStateItem(key=item.key, **store.get(item.key)) for item in request.items]
        return state_pb2.BulkGetResponse(items=items)

    async def BulkSet(self, request, context):
        await self.apply(request.items, context)
        return state_pb2.BulkSetResponse()

    async def BulkDelete(self, request, context):
        await self.apply(request.items, context)
        return state_pb2.BulkDeleteResponse()

    async def Transact(self, request, context):
        operations = [getattr(operation, operation.WhichOneof("request")) for operation in request.operations]
        await self.apply(operations, context)
        return state_pb2.TransactionalStateResponse()

    async def MultiMaxSize(self, request, context):
        note(deadline="MultiMaxSize", milliseconds=int((context.time_remaining() or 0) * 1000))
        return state_pb2.MultiMaxSizeResponse(max_size=-1)

    async def store(self, context):
        return (await self.worlds.of("state", context)).store

    async def apply(self, operations, context):
        """Checks all of the operations before it does any."""
        store = await self.store(context)
        key = store.conflict(operations)
        if key is not None:
            await refuse_etag(key, context)
        for operation in operations:
            store.apply(operation)


async def refuse_etag(key, context):
    """Has the one detail by which Dapr's runtime knows it."""
    text = f"the etag of {key!r} is another"
    detail = any_pb2.Any()
    violation = error_details_pb2.BadRequest.FieldViolation(field="etag", description=text)
    detail.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    status = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=text, details=[detail])
    trailer = ("grpc-status-details-bin", status.SerializeToString())
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text, (trailer,))


async def hold(name):
    """Waits until the caller gives up, and says so."""
    note(held=name)
    try:
        await asyncio.Event().wait()
    finally:
        note(released=name)
