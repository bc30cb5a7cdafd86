"""Publishers and readers that run until the broker goes away under them, and write down every ack."""

import asyncio
import json
from typing import List

import nats
from grpc.aio import AioRpcError
from nats.errors import Error as NatsError

from gufo.liftbridge.api_pb2 import Ack, Message, PublishRequest, SubscribeRequest

from harness import api
from harness.ledger import Ledger, value

WINDOW = 128  # messages in flight per publisher
ENVELOPE = b"\xb9\x0e\x43\xb4\x00\x08\x00"
GONE = (AioRpcError, NatsError, ConnectionError, OSError, asyncio.InvalidStateError)


class Publisher:
    """One publisher of one partition through one door."""

    def __init__(self, name: str, broker, ledger: Ledger, stream: str, subject: str, partition: int, policy: int) -> None:
        self.name, self.broker, self.ledger, self.stream, self.policy = name, broker, ledger, stream, policy
        self.partition = partition
        self.subject = f"{subject}.{partition}" if partition else subject
        self.pending = {}
        self.number = 0

    async def run(self, run: int) -> None:
        """Publishes until the connection breaks."""
        self.pending, self.number = {}, 0
        self.window = asyncio.Semaphore(WINDOW)
        try:
            await self.publish(run)
        except GONE:
            pass

    async def publish(self, run: int) -> None:
        raise NotImplementedError

    async def next_value(self, run: int):
        await self.window.acquire()
        made = value(self.name, run, self.number)
        key = str(self.number)
        self.pending[key] = made
        self.number += 1
        return key, made

    def acked(self, key: str, stream: str, partition: int, offset: int) -> None:
        assert (stream, partition) == (self.stream, self.partition)
        # An ack that comes twice has no message waiting for it any more.
        self.ledger.record_ack((stream, partition, offset), self.pending.pop(key))
        self.window.release()


class ApiPublisher(Publisher):
    """PublishAsync over gRPC."""

    async def publish(self, run: int) -> None:
        async with api.connected(self.broker) as stub:
            call = stub.PublishAsync()
            acks = asyncio.ensure_future(self._read_acks(call))
            try:
                while not acks.done():
                    key, made = await self._next_or_end(acks, run)
                    request = PublishRequest(
                        stream=self.stream, partition=self.partition, value=made, correlationId=key,
                        ackPolicy=self.policy, expectedOffset=-1, key=self.key_of(made),
                    )
                    await call.write(request)
                acks.result()
            finally:
                acks.cancel()

    def key_of(self, made: bytes) -> bytes:
        return b""

    async def _next_or_end(self, acks, run: int):
        following = asyncio.ensure_future(self.next_value(run))
        await asyncio.wait([following, acks], return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            return following.result()
        following.cancel()
        acks.result()
        raise ConnectionError("the stream of acks has ended")

    async def _read_acks(self, call) -> None:
        while True:
            answer = await call.read()
            if not answer:
                raise ConnectionError("the stream of acks has ended")
            assert not answer.HasField("asyncError"), f"{self.name}: {answer.asyncError}"
            self.acked(answer.correlationId, answer.ack.stream, self.partition, answer.ack.offset)


class KeyedPublisher(ApiPublisher):
    """As its keyed ledger says, few keys that come again and again."""

    def key_of(self, made: bytes) -> bytes:
        return self.ledger.key_of(made)


class NatsPublisher(Publisher):
    """Something published on the NATS port, with acks on an inbox of its own."""

    async def publish(self, run: int) -> None:
        broken = asyncio.get_running_loop().create_future()

        async def lost() -> None:
            if not broken.done():
                broken.set_result(None)

        client = await nats.connect(self.broker.nats_url, allow_reconnect=False, closed_cb=lost, disconnected_cb=lost)
        try:
            inbox = client.new_inbox()
            await client.subscribe(f"{inbox}.*", cb=self.received)
            while not broken.done():
                following = asyncio.ensure_future(self.next_value(run))
                await asyncio.wait([following, broken], return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    return
                await self.send(client, inbox, *following.result())
        finally:
            await client.close()

    async def send(self, client, inbox: str, key: str, made: bytes) -> None:
        raise NotImplementedError

    async def received(self, message) -> None:
        raise NotImplementedError


class HeaderPublisher(NatsPublisher):
    """Plain messages whose header asks for an ack."""

    async def send(self, client, inbox, key, made) -> None:
        policy = "all" if self.policy == api.ALL else "leader"
        await client.publish(self.subject, made, reply=f"{inbox}.{key}", headers={"Strandline-Ack": policy})

    async def received(self, message) -> None:
        answer = json.loads(message.data)
        assert "error" not in answer, f"{self.name}: {answer}"
        self.acked(message.subject.rsplit(".", 1)[1], answer["stream"], answer["partition"], answer["offset"])


class EnvelopePublisher(NatsPublisher):
    """Liftbridge's envelope, as its clients publish it on NATS."""

    async def send(self, client, inbox, key, made) -> None:
        message = Message(value=made, ackInbox=f"{inbox}.{key}", correlationId=key, ackPolicy=self.policy, offset=-1)
        await client.publish(self.subject, ENVELOPE + b"\x00" + message.SerializeToString())

    async def received(self, message) -> None:
        assert message.data.startswith(ENVELOPE + b"\x01")
        ack = Ack.FromString(message.data[8:])
        assert ack.ackError == 0, f"{self.name}: {ack}"
        self.acked(ack.correlationId, ack.stream, self.partition, ack.offset)


async def read_until_gone(broker, ledger: Ledger, stream: str, partition: int) -> None:
    """A subscriber that writes down what it sees; that must not vanish either."""
    try:
        async with api.connected(broker) as stub:
            call = stub.Subscribe(SubscribeRequest(stream=stream, partition=partition))  # what is new
            await call.read()
            while message := await call.read():
                ledger.record_read((stream, partition, message.offset), message.value)
    except GONE:
        pass


async def run_all(publishers: List[Publisher], run: int, others: List = ()) -> None:
    """Returns when all have lost the broker; a broken promise of any of them is raised."""
    await asyncio.gather(*(publisher.run(run) for publisher in publishers), *others)
