"""A component with all five building blocks in memory, one world for each instance name."""

import asyncio
import signal

import grpc
from grpc_reflection.v1alpha import reflection

from dapr.proto.components.v1 import bindings_pb2, common_pb2, pubsub_pb2, pubsub_pb2_grpc, secretstore_pb2, state_pb2
from dapr.proto.components.v1 import bindings_pb2_grpc, secretstore_pb2_grpc, state_pb2_grpc
from notes import note
from queues import Queue, deliver
from state import State, Store

# What large messages need.
LARGEST = 16 << 20


async def serve(socket):
    options = [("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST)]
    server = grpc.aio.server(options=options)
    worlds = Worlds()
    state = State(worlds)
    state_pb2_grpc.add_StateStoreServicer_to_server(state, server)
    state_pb2_grpc.add_TransactionalStateStoreServicer_to_server(state, server)
    state_pb2_grpc.add_TransactionalStoreMultiMaxSizeServicer_to_server(state, server)
    pubsub_pb2_grpc.add_PubSubServicer_to_server(Broker(worlds), server)
    bindings_pb2_grpc.add_InputBindingServicer_to_server(Input(worlds), server)
    bindings_pb2_grpc.add_OutputBindingServicer_to_server(Output(worlds), server)
    secretstore_pb2_grpc.add_SecretStoreServicer_to_server(Secrets(worlds), server)
    names = ["StateStore", "TransactionalStateStore", "TransactionalStoreMultiMaxSize", "PubSub"]
    names += ["InputBinding", "OutputBinding", "SecretStore"]
    services = [f"dapr.proto.components.v1.{name}" for name in names]
    reflection.enable_server_reflection([*services, reflection.SERVICE_NAME], server)
    server.add_insecure_port(f"unix:{socket}")

    stop = asyncio.Event()
    for number in [signal.SIGTERM, signal.SIGINT]:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    note(serving=socket)
    await stop.wait()
    await server.stop(grace=1)


class World:
    """What the building blocks of one instance name share. A block is in opened once it had its Init."""

    def __init__(self):
        self.opened = set()
        self.store = Store()
        self.consumer = ""
        self.queues = {}
        self.flowing = asyncio.Event()
        self.events = Queue()
        self.secrets = {}


class Worlds:
    def __init__(self):
        self.by_name = {}

    def open(self, block, request, context):
        name = self.name(context)
        properties = dict(request.metadata.properties)
        note(init=block, instance=name, metadata=properties)
        world = self.by_name.setdefault(name, World())
        world.opened.add(block)
        return world, properties

    async def of(self, block, context):
        world = self.by_name.get(self.name(context))
        if world is None or block not in world.opened:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"no Init received for {self.name(context)!r}")
        return world

    def name(self, context):
        """The instance that a call is for."""
        return dict(context.invocation_metadata()).get("x-component-instance", "")


class Broker(pubsub_pb2_grpc.PubSubServicer):
    def __init__(self, worlds):
        self.worlds = worlds

    async def Init(self, request, context):
        world, properties = self.worlds.open("pubsub", request, context)
        world.consumer = properties.get("consumerID", "")
        world.flowing.set()
        return pubsub_pb2.PubSubInitResponse()

    async def Features(self, request, context):
        await self.worlds.of("pubsub", context)
        return common_pb2.FeaturesResponse(features=["BULK_PUBSUB", "BULK_SUBSCRIBE_IMMEDIATE"])

    async def Ping(self, request, context):
        return common_pb2.PingResponse()

    async def Publish(self, request, context):
        queue = self.queue(await self.worlds.of("pubsub", context), request.topic)
        queue.add(request.data, dict(request.metadata), request.content_type)
        return pubsub_pb2.PublishResponse()

    async def BulkPublish(self, request, context):
        queue = self.queue(await self.worlds.of("pubsub", context), request.topic)
        for entry in request.entries:
            queue.add(entry.event, dict(entry.metadata), entry.content_type)
        return pubsub_pb2.BulkPublishResponse()

    async def PullMessages(self, requests, context):
        world = await self.worlds.of("pubsub", context)
        first = await anext(aiter(requests))
        topic = first.topic.name

        async def send(item):
            await world.flowing.wait()
            await context.write(pubsub_pb2.PullMessagesResponse(
                id=item.id, topic_name=topic, data=item.data, metadata=item.metadata, content_type=item.content_type))

        def answer(request):
            return request.ack_message_id, not request.HasField("ack_error")

        await deliver(self.queue(world, topic), requests, send, answer)

    async def Pause(self, request, context):
        (await self.worlds.of("pubsub", context)).flowing.clear()
        return pubsub_pb2.PauseResponse()

    async def Resume(self, request, context):
        (await self.worlds.of("pubsub", context)).flowing.set()
        return pubsub_pb2.ResumeResponse()

    def queue(self, world, topic):
        """The queue of the consumer group that the last Init named."""
        return world.queues.setdefault((topic, world.consumer), Queue())


class Input(bindings_pb2_grpc.InputBindingServicer):
    """Reads what Output has created under the same instance name."""

    def __init__(self, worlds):
        self.worlds = worlds

    async def Init(self, request, context):
        self.worlds.open("input", request, context)
        return bindings_pb2.InputBindingInitResponse()

    async def Ping(self, request, context):
        return common_pb2.PingResponse()

    async def Read(self, requests, context):
        world = await self.worlds.of("input", context)

        async def send(item):
            await context.write(bindings_pb2.ReadResponse(
                message_id=item.id, data=item.data, metadata=item.metadata, content_type=item.content_type))

        def answer(request):
            return request.message_id, not request.HasField("response_error")

        await deliver(world.events, requests, send, answer)


class Output(bindings_pb2_grpc.OutputBindingServicer):
    def __init__(self, worlds):
        self.worlds = worlds

    async def Init(self, request, context):
        self.worlds.open("output", request, context)
        return bindings_pb2.OutputBindingInitResponse()

    async def Ping(self, request, context):
        return common_pb2.PingResponse()

    async def ListOperations(self, request, context):
        await self.worlds.of("output", context)
        return bindings_pb2.ListOperationsResponse(operations=["create"])

    async def Invoke(self, request, context):
        world = await self.worlds.of("output", context)
        if request.operation != "create":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"operation {request.operation!r}: expected create")
        world.events.add(request.data, dict(request.metadata), "")
        return bindings_pb2.InvokeResponse()


class Secrets(secretstore_pb2_grpc.SecretStoreServicer):
    """Takes every entry of its metadata for a secret."""

    def __init__(self, worlds):
        self.worlds = worlds

    async def Init(self, request, context):
        world, properties = self.worlds.open("secret", request, context)
        world.secrets = properties
        return secretstore_pb2.SecretStoreInitResponse()

    async def Features(self, request, context):
        await self.worlds.of("secret", context)
        return common_pb2.FeaturesResponse()

    async def Ping(self, request, context):
        return common_pb2.PingResponse()

    async def Get(self, request, context):
        world = await self.worlds.of("secret", context)
        if request.key not in world.secrets:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no secret {request.key!r}")
        return secretstore_pb2.GetSecretResponse(data={request.key: world.secrets[request.key]})

    async def BulkGet(self, request, context):
        world = await self.worlds.of("secret", context)
        data = {key: secretstore_pb2.SecretResponse(secrets={key: value}) for key, value in world.secrets.items()}
        return secretstore_pb2.BulkGetSecretResponse(data=data)
