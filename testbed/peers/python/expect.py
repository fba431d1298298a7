"""What checks are made of."""

import queue
import threading

import grpc

from dapr.proto.components.v1 import common_pb2

# In seconds. Long enough for a slow machine; what takes longer has failed.
PATIENCE = 30
# Longer than a component waits before it delivers again.
QUIET = 0.3


class Caller:
    """A connection, and what is sent along with every call."""

    def __init__(self, channel, instance, metadata):
        self.channel = channel
        self.instance = instance
        self.properties = metadata
        self.header = [("x-component-instance", instance)]

    def metadata(self):
        return common_pb2.MetadataRequest(properties=self.properties)

    def call(self, method, request, timeout=PATIENCE):
        return method(request, metadata=self.header, timeout=timeout)

    def stream(self, method, *first, timeout=None):
        return Stream(method, self.header, first, timeout)


class Stream:
    """A stream both ways. What comes is read ahead, so that it can be waited for with a cap."""

    def __init__(self, method, header, first, timeout):
        self.requests = queue.Queue()
        for request in first:
            self.requests.put(request)
        self.answers = queue.Queue(maxsize=16)
        # Ends with None.
        self.call = method(iter(self.requests.get, None), metadata=header, timeout=timeout)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for answer in self.call:
                self.answers.put(answer)
            self.answers.put(None)
        except grpc.RpcError as error:
            self.answers.put(error)

    def send(self, request):
        self.requests.put(request)

    def next(self):
        answer = self.answers.get(timeout=PATIENCE)
        if answer is None:
            raise AssertionError("the stream has ended")
        if isinstance(answer, grpc.RpcError):
            raise answer
        return answer

    def silent(self):
        try:
            raise AssertionError(f"{self.answers.get(timeout=QUIET)} came")
        except queue.Empty:
            pass

    def cancel(self):
        """Ends the stream without a word, and waits until it has ended."""
        self.call.cancel()
        self.requests.put(None)
        code(grpc.StatusCode.CANCELLED, self.drain)

    def close(self):
        """Ends the stream by its requests, and waits until the component ends it as well."""
        self.requests.put(None)
        self.drain()

    def drain(self):
        while (answer := self.answers.get(timeout=PATIENCE)) is not None:
            if isinstance(answer, grpc.RpcError):
                raise answer


def equal(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: {found!r}, expected {expected!r}")


def code(expected, call):
    """The error of a call that must fail."""
    try:
        call()
    except grpc.RpcError as error:
        equal(f"the code ({error.details()})", error.code(), expected)
        return error
    raise AssertionError(f"no error, expected {expected}")


def payload():
    """8 MB, and not the same byte throughout."""
    return bytes(range(251)) * (8 * 1024 * 1024 // 251)
