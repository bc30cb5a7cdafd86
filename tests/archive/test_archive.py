"""Streams in the archive, in every kind of object store: what was acked is read once and in order, whatever happens."""

import asyncio
from collections import deque

import pytest

from grpc import StatusCode
from gufo.liftbridge.api_pb2 import SubscribeRequest

from harness import api
from harness.archive import archived, check, create, fill, in_state, run, status
from harness.broker import eventually
from harness.object_stores import KINDS

LASTING = [kind for kind in KINDS if kind != "moto"]  # which forgets all when it is stopped


@pytest.fixture(params=KINDS)
def store(request, stores):
    return stores(request.param)


@pytest.fixture(params=LASTING)
def lasting_store(request, stores):
    return stores(request.param)


async def test_a_stream_moves_to_the_archive_and_is_read_from_there_while_publishing_goes_on(archiving, store, unique):
    broker = archiving(store).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(300))
        found = await archived(broker, unique, 300, local_start=260)
        assert found["state"] == "archiving" and found["archive_start"] == 0
        publishing = asyncio.ensure_future(fill(stub, unique, range(300, 700)))
        call = stub.Subscribe(SubscribeRequest(stream=unique, startPosition=api.EARLIEST), timeout=api.PATIENCE)
        await call.read()
        offsets = deque()
        while len(offsets) < 700:
            offsets.append((await call.read()).offset)
        call.cancel()
        assert list(offsets) == list(range(700))
        await publishing
        await archived(broker, unique, 700, local_start=660)
        await check(stub, unique, range(700))
        # From the middle, by offset.
        found = await api.replay(stub, unique, start=123)
        assert [message.offset for message in found] == list(range(123, 700))


async def test_a_broker_that_is_killed_goes_on_where_it_was(archiving, lasting_store, unique):
    broker = archiving(lasting_store).start()
    for number in range(3):
        async with api.connected(broker) as stub:
            if number == 0:
                await create(stub, unique)
            await fill(stub, unique, range(number * 100, number * 100 + 100))
            if number == 1:
                await archived(broker, unique, 120)
        broker.kill()
        broker.start()
    async with api.connected(broker) as stub:
        await archived(broker, unique, 300, local_start=260)
        await check(stub, unique, range(300))


async def test_a_store_that_does_not_answer_holds_up_nobody_but_who_reads_from_it(archiving, lasting_store, unique):
    broker = archiving(lasting_store).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(200))
        await archived(broker, unique, 200, local_start=160)
    broker.restart()  # nothing is cached
    lasting_store.stop()
    async with api.connected(broker) as stub:
        tail = stub.Subscribe(SubscribeRequest(stream=unique), timeout=api.PATIENCE)
        await tail.read()
        await fill(stub, unique, range(200, 260))
        assert [(await tail.read()).offset for _ in range(60)] == list(range(200, 260))
        tail.cancel()
        messages, code, details = await api.follow(stub, unique)
        assert messages == [] and code == StatusCode.UNAVAILABLE and "archive" in details, (code, details)
        found = await in_state(broker, unique, "failing", "refused")
        assert found["error"] and found["lag_records"] >= 60
        lasting_store.start()
        await archived(broker, unique, 260)
        await check(stub, unique, range(260))
        assert status(broker, unique)["error"] == ""


async def test_the_state_is_told_in_words_and_in_numbers(archiving, store, unique):
    broker = archiving(store).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await create(stub, f"{unique}-other", archive=False)
        await fill(stub, unique, range(100))
        await archived(broker, unique, 100)

        async def without_lag():
            return status(broker, unique)["lag_records"] == 0

        await eventually(without_lag, "there is no lag")
        text = run(broker, "archive", "status")
        assert unique in text and "archiving" in text and f"{unique}-other" not in text
        assert "archive " in run(broker, "stream", "info", unique)
