"""The real process is killed or stopped under load, and keeps everything it has acked."""

import asyncio
import random
import signal

import nats
import pytest
from gufo.liftbridge.api_pb2 import DeleteStreamRequest, FetchMetadataRequest, SubscribeRequest
from grpc import StatusCode
from grpc.aio import AioRpcError

from harness import api, settings
from harness.ledger import KeyedLedger, Ledger
from harness.load import (
    GONE, ApiPublisher, EnvelopePublisher, HeaderPublisher, KeyedPublisher, read_until_gone, run_all,
)

PARTITIONS = 3
STREAM, SUBJECT = "orders", "orders.new"


def publishers(broker, ledger):
    """Every door and policy, and two publishers in every partition."""
    kinds = [ApiPublisher, EnvelopePublisher]
    if not settings.against_liftbridge():
        kinds.append(HeaderPublisher)
    policies = [api.LEADER, api.ALL]
    return [
        kind(f"{kind.__name__}-{policy}-{number}", broker, ledger, STREAM, SUBJECT, (number + policy) % PARTITIONS, policy)
        for number, kind in enumerate(kinds)
        for policy in policies
    ]


async def create(broker, backend=None):
    async with api.connected(broker) as stub:
        # Small segments, so that kills also hit the change from one to the next.
        await api.create(stub, STREAM, SUBJECT, PARTITIONS, backend, segmentMaxBytes=64 << 10)


async def check(broker, ledger):
    async with api.connected(broker) as stub:
        for partition in range(PARTITIONS):
            ledger.check(STREAM, partition, await api.replay(stub, STREAM, partition))


class Churn:
    """Creates and deletes streams, and remembers which were acked."""

    def __init__(self, broker):
        self.broker = broker
        self.created, self.deleted, self.unknown = set(), set(), set()

    async def run(self, run: int) -> None:
        try:
            async with api.connected(self.broker) as stub:
                for number in range(10_000):
                    name = f"churn-{run}-{number}"
                    self.unknown.add(name)
                    await api.create(stub, name)
                    self.unknown.discard(name)
                    self.created.add(name)
                    if number % 2:
                        self.unknown.add(name)
                        await stub.DeleteStream(DeleteStreamRequest(name=name), timeout=api.PATIENCE)
                        self.unknown.discard(name)
                        self.created.discard(name)
                        self.deleted.add(name)
                    await asyncio.sleep(0.05)
        except GONE:
            pass

    async def check(self) -> None:
        async with api.connected(self.broker) as stub:
            there = {stream.name for stream in (await stub.FetchMetadata(FetchMetadataRequest(), timeout=api.PATIENCE)).streamMetadata}
            lost = self.created - self.unknown - there
            assert not lost, f"created but gone: {sorted(lost)}"
            back = (self.deleted - self.unknown) & there
            assert not back, f"deleted but back: {sorted(back)}"
            for name in sorted(self.created - self.unknown)[-2:]:
                assert (await api.publish(stub, name, b"still works")).stream == name


@pytest.mark.timeout(120 + 60 * settings.rounds())
@pytest.mark.differs_from_liftbridge("it loses what was acked and not yet checkpointed")
@pytest.mark.parametrize("backend", ["segment", "redb"])
async def test_nothing_acked_is_lost_when_the_process_is_killed_again_and_again(own_broker, backend):
    ledger, churn = Ledger(), Churn(own_broker)
    random.seed(3)
    await create(own_broker, backend)
    load = publishers(own_broker, ledger)
    for run in range(settings.rounds()):
        before = len(ledger.acked)
        readers = [read_until_gone(own_broker, ledger, STREAM, partition) for partition in range(PARTITIONS)]
        running = asyncio.ensure_future(run_all(load, run, [*readers, churn.run(run)]))
        await asyncio.wait([running], timeout=random.uniform(0.3, 1.5))
        while len(ledger.acked) == before and not running.done():
            await asyncio.sleep(0.05)
        own_broker.kill()
        await running
        assert len(ledger.acked) > before, "no message was acked in this round"
        await asyncio.to_thread(own_broker.start)
        await check(own_broker, ledger)
        await churn.check()
    print(f"{len(ledger.acked)} acked records and {len(ledger.seen)} read ones survived {settings.rounds()} kills")


class Compacted:
    """A stream that rolls, cleans and compacts all the time, and its publishers."""

    def __init__(self, broker, name: str, backend: str, **limits):
        self.broker, self.name, self.backend, self.limits = broker, name, backend, limits
        self.ledger = KeyedLedger(keys=40)
        self.publishers = [
            KeyedPublisher(f"{name}-{number}", broker, self.ledger, name, name, number % 2, api.LEADER)
            for number in range(4)
        ]

    async def create(self) -> None:
        async with api.connected(self.broker) as stub:
            await api.create(
                stub, self.name, partitions=2, backend=self.backend, segmentMaxBytes=32 << 10, compactEnabled=True,
                cleanerInterval=1, **self.limits,
            )

    async def check(self) -> int:
        """How many records compaction or retention has taken away, at the least."""
        gone = 0
        async with api.connected(self.broker) as stub:
            for partition in range(2):
                messages = await api.replay(stub, self.name, partition)
                # Retention takes leading segments: what lies before the first record may be gone by right.
                start = messages[0].offset if self.limits and messages else 0
                self.ledger.check_compacted(self.name, partition, messages, start)
                gone += messages[-1].offset + 1 - len(messages) if messages else 0
        return gone


@pytest.mark.timeout(120 + 60 * settings.rounds())
@pytest.mark.differs_from_liftbridge("it loses what was acked and not yet checkpointed")
@pytest.mark.parametrize("backend", ["segment", "redb"])
async def test_compacted_streams_keep_the_newest_of_every_key_through_kills(own_broker, backend):
    random.seed(5)
    plain = Compacted(own_broker, "plain", backend)
    both = Compacted(own_broker, "both", backend, retentionMaxBytes=1 << 20)
    for stream in (plain, both):
        await stream.create()
    gone = 0
    for run in range(settings.rounds()):
        load = plain.publishers + both.publishers
        running = asyncio.ensure_future(run_all(load, run))
        # Compaction has its turn every second.
        await asyncio.wait([running], timeout=random.uniform(1.0, 2.5))
        own_broker.kill()
        await running
        await asyncio.to_thread(own_broker.start)
        gone += await plain.check() + await both.check()
    assert gone > 0, "nothing was compacted"
    print(f"{len(plain.ledger.acked) + len(both.ledger.acked)} acked, {gone} compacted away in {settings.rounds()} kills")


async def test_a_kill_while_starting_does_no_harm(own_broker):
    ledger = Ledger()
    await create(own_broker)
    load = publishers(own_broker, ledger)[:1]
    running = asyncio.ensure_future(run_all(load, 0))
    await asyncio.sleep(1)
    own_broker.stop() if settings.against_liftbridge() else own_broker.kill()
    await running
    for delay in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
        own_broker.spawn()
        await asyncio.sleep(delay)
        own_broker.kill()
    await asyncio.to_thread(own_broker.start)
    if not settings.against_liftbridge():
        await check(own_broker, ledger)


@pytest.mark.differs_from_liftbridge("it does not stop while clients are connected")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_under_load_is_clean_and_keeps_everything(own_broker, number):
    ledger = Ledger()
    await create(own_broker)
    load = publishers(own_broker, ledger)
    running = asyncio.ensure_future(run_all(load, 0, [read_until_gone(own_broker, ledger, STREAM, 0)]))
    while len(ledger.acked) < 1000 and not running.done():
        await asyncio.sleep(0.05)
    own_broker.process.signal(number)
    status = await asyncio.to_thread(own_broker.process.wait)
    await running
    assert status == 0
    await asyncio.to_thread(own_broker.start)
    await check(own_broker, ledger)


@pytest.mark.differs_from_liftbridge("it does not stop while clients are connected")
async def test_subscribers_of_a_stopping_broker_are_told_to_come_back(own_broker):
    await create(own_broker)
    async with api.connected(own_broker) as stub:
        call = stub.Subscribe(SubscribeRequest(stream=STREAM))
        await call.read()
        own_broker.process.signal(signal.SIGTERM)
        with pytest.raises(AioRpcError) as told:
            await call.read()
        # The only code on which go-liftbridge subscribes again.
        assert told.value.code() == StatusCode.UNAVAILABLE
    assert await asyncio.to_thread(own_broker.process.wait) == 0


@pytest.mark.differs_from_liftbridge("it knows one way to stop")
async def test_a_second_signal_stops_at_once(own_broker):
    ledger = Ledger()
    await create(own_broker)
    running = asyncio.ensure_future(run_all(publishers(own_broker, ledger), 0))
    while len(ledger.acked) < 500 and not running.done():
        await asyncio.sleep(0.05)
    own_broker.process.signal(signal.SIGTERM)
    own_broker.process.signal(signal.SIGTERM)
    await asyncio.to_thread(own_broker.process.wait)
    await running
    await asyncio.to_thread(own_broker.start)
    await check(own_broker, ledger)


async def test_a_broker_in_lame_duck_mode_tells_its_nats_clients_and_stops(brokers, unique):
    broker = brokers(nats_lines="lame_duck_duration: 30s\nlame_duck_grace_period: 1s").start()
    told = asyncio.Event()

    async def lame_duck():
        told.set()

    client = await nats.connect(broker.nats_url, allow_reconnect=False, lame_duck_mode_cb=lame_duck)
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        broker.process.signal(signal.SIGUSR2)
        await asyncio.wait_for(told.wait(), 60)
        # It records until the end.
        assert (await api.publish(stub, unique, b"still", ackPolicy=api.LEADER)).offset == 0
    assert await asyncio.to_thread(broker.process.wait, 60) == 0
    await client.close()
