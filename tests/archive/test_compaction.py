"""Compaction by key in the bucket: the newest record of each key stays, in less room, whatever ends the process."""

import asyncio
import json

import pytest

from gufo.liftbridge.api_pb2 import PublishRequest

from harness import api
from harness.archive import QUICK_LINES, VALUE_BYTES, archived, create, run
from harness.broker import eventually

KEYS = 12


@pytest.fixture(params=["directory", "minio"])
def store(request, stores):
    return stores(request.param)


async def publish(stub, stream: str, numbers, keys: int = KEYS) -> None:
    """Publishes a record for each number, in order, under one of a few keys; a few at a time, so that there are many segments."""
    numbers = list(numbers)
    for begun in range(0, len(numbers), 20):
        await publish_at_once(stub, stream, numbers[begun : begun + 20], keys)


async def publish_at_once(stub, stream: str, numbers, keys: int) -> None:
    call = stub.PublishAsync(timeout=api.PATIENCE)

    async def send() -> None:
        for number in numbers:
            key, value = b"key-%d" % (number % keys), value_of(number)
            await call.write(
                PublishRequest(stream=stream, key=key, value=value, ackPolicy=api.LEADER, expectedOffset=-1)
            )

    sending = asyncio.ensure_future(send())
    for _ in numbers:
        answer = await call.read()
        assert answer and not answer.HasField("asyncError"), answer
    await sending
    call.cancel()


def value_of(number: int) -> bytes:
    text = b"%d " % number
    return text + b"x" * (VALUE_BYTES - len(text))


async def check_newest(stub, stream: str, end: int, keys: int = KEYS) -> int:
    """The newest of each key is there at its offset, and nothing that never was. Returns how many records there are."""
    found = await api.replay(stub, stream)
    offsets = [message.offset for message in found]
    assert offsets == sorted(set(offsets)) and offsets[-1] == end - 1
    for message in found:
        assert message.value == value_of(message.offset) and message.key == b"key-%d" % (message.offset % keys)
    newest = {message.key: message.offset for message in found}
    assert newest == {b"key-%d" % (number % keys): number for number in range(end)}
    return len(found)


async def compacted_to(broker, stream: str, records: int) -> None:
    """Waits until the archive has no more than so many records, by their bytes."""

    async def done():
        found = json.loads(run(broker, "archive", "status", stream, "--json"))["partitions"][0]
        return found["archive_bytes"] is not None and found["archive_bytes"] <= records * VALUE_BYTES * 1.1

    try:
        await eventually(done, "the archive is compacted")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{broker.log()[-3000:]}") from None


@pytest.mark.parametrize("encryption", [False, True])
async def test_an_archive_is_compacted_and_read_as_before(archiving, store, unique, encryption):
    broker = archiving(store, lines=f"{QUICK_LINES}\nencryption.key: 0123456789abcdef\n").start()
    async with api.connected(broker) as stub:
        await create(stub, unique, compactEnabled=True, encryption=encryption)
        await publish(stub, unique, range(400))
        await archived(broker, unique, 400, local_start=360)
        await compacted_to(broker, unique, 60)
        await check_newest(stub, unique, 400)
        # It goes on, and is compacted again when there is as much as that anew.
        await publish(stub, unique, range(400, 800))
        await archived(broker, unique, 800, local_start=760)
        await compacted_to(broker, unique, 60)
        await check_newest(stub, unique, 800)
    broker.restart()
    # Now nothing is in memory of what was appended.
    async with api.connected(broker) as stub:
        count = await check_newest(stub, unique, 800)
        assert count < 60, count
    assert "the archive is compacted by key" in broker.log()


async def test_a_broker_that_is_killed_while_it_compacts_loses_no_key(archiving, directory, unique):
    slow = "archive.upload.rate: 200000\nstreams.compact.min.dirty.percent: 1\n"
    broker = archiving(directory, lines=f"{QUICK_LINES}\n{slow}").start()
    async with api.connected(broker) as stub:
        await create(stub, unique, compactEnabled=True)
        # As many keys that much is left, and writing it takes its time.
        await publish(stub, unique, range(600), keys=300)
        await archived(broker, unique, 600)
    for _ in range(4):
        await asyncio.sleep(0.7)
        broker.kill()
        broker.start()
        async with api.connected(broker) as stub:
            await check_newest(stub, unique, 600, keys=300)
    async with api.connected(broker) as stub:
        async def done():
            return len(await api.replay(stub, unique)) <= 360

        await eventually(done, "it is compacted in the end")
        await check_newest(stub, unique, 600, keys=300)
    # What the kills left over is collected, and nothing else.
    said = run(broker, "archive", "gc", "--older-than", "0", "--json").splitlines()
    partition, summary = json.loads(said[0]), json.loads(said[-1])
    assert summary["deleted"] == len(partition["deleted"]) and summary["foreign"] == 0, said
    async with api.connected(broker) as stub:
        await check_newest(stub, unique, 600, keys=300)
