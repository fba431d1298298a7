"""A Dapr state store in Python: etags, bulk calls, one store for each resource that uses it.

Serves notes.sock, which a Dapr runtime knows as the type state.notes. The values are in memory.
"""

import os
import signal
import threading
from concurrent import futures
from pathlib import Path

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from dapr.proto.components.v1 import common_pb2, state_pb2, state_pb2_grpc

SERVICE = "dapr.proto.components.v1.StateStore"


class Store:
    """What one resource file opens."""

    def __init__(self, properties):
        self.max_keys = int(properties.get("maxKeys", "1000"))
        self.lock = threading.Lock()
        self.values = {}  # key -> (value, etag)
        self.last_etag = 0


class Notes(state_pb2_grpc.StateStoreServicer):
    def __init__(self):
        self.lock = threading.Lock()
        self.opened = {}  # name of the resource -> store; two runtimes share the values of one name

    def Init(self, request, context):
        name, properties = instance(context), request.metadata.properties
        try:
            store = Store(properties)
        except ValueError:
            text = f"maxKeys is {properties['maxKeys']!r}: expected a whole number"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        with self.lock:
            # A runtime that starts again sends Init again; the values stay.
            if name in self.opened:
                self.opened[name].max_keys = store.max_keys
            else:
                self.opened[name] = store
        return state_pb2.InitResponse()

    def Features(self, request, context):
        return common_pb2.FeaturesResponse(features=["ETAG"])

    def Ping(self, request, context):
        return common_pb2.PingResponse()

    def Get(self, request, context):
        store = self.store(context)
        with store.lock:
            return get(store, request.key)

    def Set(self, request, context):
        store = self.store(context)
        with store.lock:
            put(store, request, context)
        return state_pb2.SetResponse()

    def Delete(self, request, context):
        store = self.store(context)
        with store.lock:
            remove(store, request, context)
        return state_pb2.DeleteResponse()

    # A runtime sends more than one item in one of these.

    def BulkGet(self, request, context):
        store = self.store(context)
        with store.lock:
            found = [(item.key, get(store, item.key)) for item in request.items]
        items = [state_pb2.BulkStateItem(key=key, data=one.data, etag=one.etag if one.HasField("etag") else None) for key, one in found]
        return state_pb2.BulkGetResponse(items=items)

    def BulkSet(self, request, context):
        store = self.store(context)
        with store.lock:
            for item in request.items:
                put(store, item, context)
        return state_pb2.BulkSetResponse()

    def BulkDelete(self, request, context):
        store = self.store(context)
        with store.lock:
            for item in request.items:
                remove(store, item, context)
        return state_pb2.BulkDeleteResponse()

    def store(self, context):
        name = instance(context)
        with self.lock:
            store = self.opened.get(name)
        if store is None:
            # Seen after a restart of this process alone: the runtime does not send Init again.
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"no Init received for {name!r}")
        return store


def instance(context):
    """The name of the resource (metadata.name), which comes with every call."""
    return dict(context.invocation_metadata()).get("x-component-instance", "")


def get(store, key):
    # A key without a value is an empty answer, not an error.
    if key not in store.values:
        return state_pb2.GetResponse()
    value, etag = store.values[key]
    return state_pb2.GetResponse(data=value, etag=state_pb2.Etag(value=etag))


def put(store, request, context):
    check_etag(store, request, context)
    if request.key not in store.values and len(store.values) >= store.max_keys:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"no room for key {request.key!r}")
    store.last_etag += 1
    store.values[request.key] = (request.value, str(store.last_etag))


def remove(store, request, context):
    check_etag(store, request, context)
    store.values.pop(request.key, None)


def check_etag(store, request, context):
    current = store.values.get(request.key, (b"", ""))[1]
    first_write = request.options.concurrency == state_pb2.StateOptions.CONCURRENCY_FIRST_WRITE
    # An etag that is there and empty counts as none.
    wanted = request.etag.value if request.HasField("etag") else ""
    if wanted and wanted != current or first_write and not wanted and current:
        text = f"the etag of {request.key!r} is {current!r}, not {wanted!r}"
        # With exactly this detail the application gets a conflict (409); without it, an internal error.
        violation = error_details_pb2.BadRequest.FieldViolation(field="etag", description=text)
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        status = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=text, details=[detail])
        context.abort_with_status(rpc_status.to_status(status))


def main():
    folder = Path(os.environ.get("DAPR_COMPONENTS_SOCKETS_FOLDER") or "/tmp/dapr-components-sockets")
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder / "notes.sock"
    # What a process that was killed left behind would hold a runtime up.
    socket.unlink(missing_ok=True)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    state_pb2_grpc.add_StateStoreServicer_to_server(Notes(), server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = [SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)

    # Whoever may write to the socket may connect: user and group. In a container that is everybody.
    os.umask(0o111 if os.path.exists("/.dockerenv") or "KUBERNETES_SERVICE_HOST" in os.environ else 0o117)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    for name in ["", SERVICE]:
        checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    print(f"serving {socket}", flush=True)

    stop = threading.Event()
    for number in [signal.SIGTERM, signal.SIGINT]:
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    # Calls in flight are finished; new ones are refused.
    server.stop(grace=5).wait()
    socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
