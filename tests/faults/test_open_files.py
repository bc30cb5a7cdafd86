"""More partitions than files that may be open, with the real process under a low limit."""

import asyncio
import os
from collections import Counter

import pytest

from gufo.liftbridge.api_pb2 import PublishRequest

from harness import api

pytestmark = pytest.mark.differs_from_liftbridge("it keeps files open for each partition")

LIMIT = 256
PARTITIONS = 1000
READERS = 32
LOW = ["bash", "-c", f'ulimit -n {LIMIT} && exec "$@"', "bash"]


async def publish_to_all(stub, stream, round_number):
    """One message for each partition, all in flight at once; every ack has to come."""
    call = stub.PublishAsync()
    for partition in range(PARTITIONS):
        key = f"{partition} {round_number}"
        await call.write(
            PublishRequest(stream=stream, partition=partition, value=key.encode(), correlationId=key, expectedOffset=-1)
        )
    acked = set()
    while len(acked) < PARTITIONS:
        answer = await asyncio.wait_for(call.read(), api.PATIENCE)
        assert answer and not answer.HasField("asyncError"), answer
        acked.add(answer.correlationId)
    await call.done_writing()
    return acked


async def read_from_all(stub, stream, rounds):
    gate = asyncio.Semaphore(READERS)

    async def read(partition):
        async with gate:
            messages = await api.replay(stub, stream, partition)
        assert [message.value for message in messages] == [b"%d %d" % (partition, one) for one in range(rounds)]

    await asyncio.gather(*(read(partition) for partition in range(PARTITIONS)))


def open_segments(broker):
    """How many descriptors the process has, and how many of them are segments."""
    directory = f"/proc/{broker.process.pid}/fd"
    kinds = Counter()
    for number in os.listdir(directory):
        try:
            kinds[os.readlink(f"{directory}/{number}").endswith(".seg")] += 1
        except FileNotFoundError:
            pass
    return kinds.total(), kinds[True]


async def test_a_thousand_partitions_are_written_and_read_with_256_files_over_two_restarts(brokers, unique):
    broker = await asyncio.to_thread(brokers().start, wrapper=LOW)
    for round_number in range(3):
        async with api.connected(broker) as stub:
            if round_number == 0:
                await api.create(stub, unique, partitions=PARTITIONS)
            else:
                await read_from_all(stub, unique, round_number)
            assert len(await publish_to_all(stub, unique, round_number)) == PARTITIONS
            everything, segments = open_segments(broker)
            assert everything < LIMIT and segments <= LIMIT / 2, (everything, segments)
            await read_from_all(stub, unique, round_number + 1)
        if round_number == 0:
            assert await asyncio.to_thread(broker.stop) == 0
        else:
            broker.kill()
        if round_number < 2:
            await asyncio.to_thread(broker.start, wrapper=LOW)
    assert "Too many open files" not in broker.log()
