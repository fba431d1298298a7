"""Brokers."""

from grpc import StatusCode

from dapr.proto.components.v1 import common_pb2, pubsub_pb2, pubsub_pb2_grpc
from expect import code, equal, payload


class PubSub:
    def __init__(self, caller):
        self.caller = caller
        self.broker = pubsub_pb2_grpc.PubSubStub(caller.channel)

    def all(self):
        yield "before init", self.before_init
        yield "init and features", self.init
        yield "acks and nacks", self.answers
        yield "bulk publish", self.bulk
        yield "end of a stream", self.endings
        yield "pause and resume", self.pause
        yield "8 MB", self.large

    def topic(self, name):
        return f"{self.caller.instance}-{name}"

    def publish(self, topic, *messages):
        for data in messages:
            request = pubsub_pb2.PublishRequest(topic=topic, data=data, content_type="text/plain", metadata={"from": "python"})
            self.caller.call(self.broker.Publish, request)

    def pull(self, topic, timeout=None):
        first = pubsub_pb2.PullMessagesRequest(topic=pubsub_pb2.Topic(name=topic))
        return self.caller.stream(self.broker.PullMessages, first, timeout=timeout)

    def before_init(self):
        self.caller.call(self.broker.Ping, common_pb2.PingRequest())
        code(StatusCode.FAILED_PRECONDITION, lambda: self.publish("t", b"early"))

    def init(self):
        self.caller.call(self.broker.Init, pubsub_pb2.PubSubInitRequest(metadata=self.caller.metadata()))
        features = self.caller.call(self.broker.Features, common_pb2.FeaturesRequest()).features
        equal("whether bulk messages come at once", "BULK_SUBSCRIBE_IMMEDIATE" in features, True)

    def answers(self):
        topic = self.topic("answers")
        stream = self.pull(topic)
        self.publish(topic, b"one", b"two", b"three")
        seen = []
        while len(seen) < 4:
            message = stream.next()
            equal("the topic", message.topic_name, topic)
            equal("the metadata", message.metadata["from"], "python")
            again = message.data in seen
            seen.append(message.data)
            answer(stream, message, None if again or message.data != b"two" else "not yet")
        equal("the messages", sorted(seen), [b"one", b"three", b"two", b"two"])
        # A word too much changes nothing.
        stream.send(pubsub_pb2.PullMessagesRequest(ack_message_id="no such id"))
        stream.silent()
        stream.close()

    def bulk(self):
        topic = self.topic("bulk")
        stream = self.pull(topic)
        entries = [pubsub_pb2.BulkMessageEntry(entry_id=str(index), event=str(index).encode()) for index in range(10)]
        request = pubsub_pb2.BulkPublishRequest(topic=topic, entries=entries)
        equal("the failed", list(self.caller.call(self.broker.BulkPublish, request).failed_entries), [])
        for entry in entries:
            expect(stream, entry.event)
        stream.close()

    def endings(self):
        """What has no answer comes again, however the stream ends."""
        topic = self.topic("endings")
        stream = self.pull(topic)
        self.publish(topic, b"again")
        equal("the message", stream.next().data, b"again")
        stream.cancel()
        stream = self.pull(topic)
        equal("the message", stream.next().data, b"again")
        stream.close()
        stream = self.pull(topic, timeout=2)
        equal("the message", stream.next().data, b"again")
        code(StatusCode.DEADLINE_EXCEEDED, stream.drain)
        stream = self.pull(topic)
        expect(stream, b"again")
        stream.close()

    def pause(self):
        topic = self.topic("pause")
        stream = self.pull(topic)
        self.publish(topic, b"before")
        before = stream.next()
        self.caller.call(self.broker.Pause, pubsub_pb2.PauseRequest())
        # What is on its way is answered during the pause; nothing new comes.
        answer(stream, before)
        self.publish(topic, b"during")
        stream.silent()
        self.caller.call(self.broker.Resume, pubsub_pb2.ResumeRequest())
        expect(stream, b"during")
        stream.close()

    def large(self):
        topic, data = self.topic("large"), payload()
        stream = self.pull(topic)
        for _ in range(2):
            self.publish(topic, data)
            message = stream.next()
            equal("whether 8 MB are the same", message.data == data, True)
            answer(stream, message)
        stream.close()


def answer(stream, message, reason=None):
    error = pubsub_pb2.AckMessageError(message=reason) if reason else None
    stream.send(pubsub_pb2.PullMessagesRequest(ack_message_id=message.id, ack_error=error))


def expect(stream, data):
    """Takes the next message, and acknowledges it."""
    message = stream.next()
    equal("the message", message.data, data)
    answer(stream, message)
