"""State stores."""

from google.protobuf import any_pb2
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_status import rpc_status

from dapr.proto.components.v1 import common_pb2, state_pb2, state_pb2_grpc
from expect import code, equal, payload

FIRST_WRITE = state_pb2.StateOptions.CONCURRENCY_FIRST_WRITE


class State:
    def __init__(self, caller):
        self.caller = caller
        self.store = state_pb2_grpc.StateStoreStub(caller.channel)

    def all(self):
        yield "before init", self.before_init
        yield "init and features", self.init
        yield "get, set, delete", self.values
        yield "etags", self.etags
        yield "bulk", self.bulk
        yield "transaction", self.transaction
        yield "query", self.query
        yield "deadlines", self.deadlines
        yield "cancel", self.cancel
        yield "8 MB", self.large
        yield "many at once", self.many

    def key(self, name):
        return f"{self.caller.instance}||{name}"

    def get(self, key):
        return self.caller.call(self.store.Get, state_pb2.GetRequest(key=key))

    def set(self, key, value, **more):
        return self.caller.call(self.store.Set, state_pb2.SetRequest(key=key, value=value, **more))

    def before_init(self):
        self.caller.call(self.store.Ping, common_pb2.PingRequest())
        code(StatusCode.FAILED_PRECONDITION, lambda: self.get("k"))

    def init(self):
        self.caller.call(self.store.Init, state_pb2.InitRequest(metadata=self.caller.metadata()))
        features = self.caller.call(self.store.Features, common_pb2.FeaturesRequest()).features
        equal("the features that are missing", {"ETAG", "TRANSACTIONAL", "QUERY_API", "TTL"} - set(features), set())

    def values(self):
        key = self.key("values")
        equal("a missing key", self.get(key), state_pb2.GetResponse())
        for value in [b'"first"', b"\x00\xff", b""]:
            self.set(key, value)
            equal("the value", self.get(key).data, value)
        for _ in range(2):
            self.caller.call(self.store.Delete, state_pb2.DeleteRequest(key=key))
        equal("a deleted key", self.get(key), state_pb2.GetResponse())

    def etags(self):
        key = self.key("etags")
        first = state_pb2.StateOptions(concurrency=FIRST_WRITE)
        self.set(key, b"1", options=first)
        refused(lambda: self.set(key, b"2", options=first))
        old = self.get(key).etag
        self.set(key, b"3", etag=old)
        refused(lambda: self.set(key, b"4", etag=old))
        refused(lambda: self.caller.call(self.store.Delete, state_pb2.DeleteRequest(key=key, etag=old)))
        equal("the value", self.get(key).data, b"3")

    def bulk(self):
        keys = [self.key(f"bulk{index}") for index in range(20)]
        items = [state_pb2.SetRequest(key=key, value=key.encode()) for key in keys]
        self.caller.call(self.store.BulkSet, state_pb2.BulkSetRequest(items=items))
        items = [state_pb2.GetRequest(key=key) for key in [*keys, self.key("nothing")]]
        found = self.caller.call(self.store.BulkGet, state_pb2.BulkGetRequest(items=items)).items
        equal("the keys", [item.key for item in found], [item.key for item in items])
        equal("the values", [item.data for item in found], [*[key.encode() for key in keys], b""])
        items = [state_pb2.DeleteRequest(key=key) for key in keys]
        self.caller.call(self.store.BulkDelete, state_pb2.BulkDeleteRequest(items=items))
        equal("a deleted key", self.get(keys[0]), state_pb2.GetResponse())

    def transaction(self):
        store = state_pb2_grpc.TransactionalStateStoreStub(self.caller.channel)
        limit = state_pb2_grpc.TransactionalStoreMultiMaxSizeStub(self.caller.channel)
        a, b = self.key("a"), self.key("b")

        def transact(*operations):
            self.caller.call(store.Transact, state_pb2.TransactionalStateRequest(operations=operations))

        def set(key, value, etag=None):
            return state_pb2.TransactionalStateOperation(set=state_pb2.SetRequest(key=key, value=value, etag=etag))

        remove = state_pb2.TransactionalStateOperation(delete=state_pb2.DeleteRequest(key=a))
        transact(set(a, b"1"), set(b, b"1"))
        wrong = state_pb2.Etag(value="999999999")
        code(StatusCode.FAILED_PRECONDITION, lambda: transact(remove, set(b, b"2", wrong)))
        # Nothing of it has happened.
        equal("the values", (self.get(a).data, self.get(b).data), (b"1", b"1"))
        transact(remove, set(b, b"3"))
        equal("the values", (self.get(a).data, self.get(b).data), (b"", b"3"))
        equal("the limit", self.caller.call(limit.MultiMaxSize, state_pb2.MultiMaxSizeRequest()).max_size, -1)

    def query(self):
        store = state_pb2_grpc.QueriableStateStoreStub(self.caller.channel)
        for city in ["Rome", "Oslo", "Lima"]:
            self.set(self.key(city), f'{{"city":"{city}","run":"{self.caller.instance}"}}'.encode())
        # Dapr's runtime puts JSON as it is into the value of an Any, and names no type.
        mine = any_pb2.Any(value=f'{{"run":"{self.caller.instance}"}}'.encode())
        query = state_pb2.Query(
            filter={"EQ": mine},
            sort=[state_pb2.Sorting(key="city", order=state_pb2.Sorting.DESC)],
            pagination=state_pb2.Pagination(limit=2),
        )
        page = self.caller.call(store.Query, state_pb2.QueryRequest(query=query))
        equal("the keys", [item.key for item in page.items], [self.key("Rome"), self.key("Oslo")])
        equal("whether there is more", page.token != "", True)

    def deadlines(self):
        for seconds in [30, 90 * 60, 1000 * 3600]:
            self.caller.call(self.store.Get, state_pb2.GetRequest(key="k"), timeout=seconds)

    def cancel(self):
        """The connection goes on when calls are given up."""
        request = state_pb2.GetRequest(key=self.key("cancel"))
        calls = [self.store.Get.future(request, metadata=self.caller.header) for _ in range(50)]
        for call in calls[::2]:
            call.cancel()
        for call in calls[1::2]:
            equal("the answer", call.result(timeout=30), state_pb2.GetResponse())

    def large(self):
        key, value = self.key("large"), payload()
        self.set(key, value)
        equal("whether 8 MB are the same", self.get(key).data == value, True)
        # Refused by the component, whose limit is 16 MiB; the connection goes on.
        code(StatusCode.RESOURCE_EXHAUSTED, lambda: self.set(key, 3 * value))
        self.caller.call(self.store.Delete, state_pb2.DeleteRequest(key=key))

    def many(self):
        keys = [self.key(f"many{index}") for index in range(200)]
        sets = [state_pb2.SetRequest(key=key, value=key.encode()) for key in keys]
        for call in [self.store.Set.future(request, metadata=self.caller.header) for request in sets]:
            call.result(timeout=30)
        gets = [state_pb2.GetRequest(key=key) for key in keys]
        calls = [self.store.Get.future(request, metadata=self.caller.header) for request in gets]
        equal("the values", [call.result(timeout=30).data for call in calls], [key.encode() for key in keys])


def refused(call):
    """Wants what Dapr's runtime takes for an etag mismatch: one detail, a BadRequest of one violation."""
    status = rpc_status.from_call(code(StatusCode.FAILED_PRECONDITION, call))
    equal("the number of details", len(status.details), 1)
    detail = error_details_pb2.BadRequest()
    equal("whether the detail is a BadRequest", status.details[0].Unpack(detail), True)
    equal("the fields", [violation.field for violation in detail.field_violations], ["etag"])
