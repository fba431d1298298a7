"""Queues of messages and events: each item goes to one stream, and again until it is accepted."""

import asyncio
from collections import deque
from dataclasses import dataclass

# How long a refused item waits, in seconds.
REDELIVER = 0.1


@dataclass
class Item:
    id: str
    data: bytes
    metadata: dict
    content_type: str


class Queue:
    def __init__(self):
        self.waiting = deque()
        self.fresh = asyncio.Event()
        self.last = 0

    def add(self, data, metadata, content_type):
        self.last += 1
        self.put(Item(str(self.last), data, metadata, content_type))

    def put(self, item):
        self.waiting.append(item)
        self.fresh.set()

    def give_back(self, items):
        """Puts what nobody answered in front again."""
        self.waiting.extendleft(reversed(items))
        self.fresh.set()

    async def next(self):
        while not self.waiting:
            self.fresh.clear()
            await self.fresh.wait()
        return self.waiting.popleft()


async def deliver(queue, requests, send, answer):
    """Sends until the stream ends; what then has no answer is given back. answer takes a request apart into the id and
    whether it is accepted."""
    unanswered = {}

    async def deliver_all():
        while True:
            item = await queue.next()
            unanswered[item.id] = item
            await send(item)

    sending = asyncio.create_task(deliver_all())
    try:
        async for request in requests:
            id, accepted = answer(request)
            item = unanswered.pop(id, None)
            if item is not None and not accepted:
                asyncio.get_running_loop().call_later(REDELIVER, queue.put, item)
    finally:
        sending.cancel()
        queue.give_back(list(unanswered.values()))
