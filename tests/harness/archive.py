"""What the archive's suites ask of a broker and its commands."""

import json
import subprocess
from typing import List, Sequence

from gufo.liftbridge.api_pb2 import CreateStreamRequest, PublishRequest

from harness import api, settings
from harness.broker import Broker, eventually

VALUE_BYTES = 1000
SEGMENT_BYTES = 20 * VALUE_BYTES

# Everything at once, so that no test has to wait for a default.
QUICK_LINES = """
archive.upload.max.age: 1s
archive.local.max.age: 0
archive.local.max.bytes: 1
archive.fetch.timeout: 2s
"""


def run(broker: Broker, *words: object) -> str:
    """A command of the binary that has to work."""
    command = [settings.broker_binary(), *words, "--servers", broker.grpc]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(broker: Broker, *words: object) -> str:
    """A command that must not work; what it says."""
    command = [settings.broker_binary(), *words, "--servers", broker.grpc]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0, done.stdout
    return done.stderr


def status(broker: Broker, stream: str, partition: int = 0) -> dict:
    """What the archive's status says of a partition."""
    found = json.loads(run(broker, "archive", "status", stream, "--json"))["partitions"]
    return next(one for one in found if one["partition"] == partition) if found else {}


async def create(stub, name: str, *, archive: bool = True, **options) -> None:
    options.setdefault("segmentMaxBytes", SEGMENT_BYTES)
    request = CreateStreamRequest(name=name, subject=name, partitions=options.pop("partitions", 1))
    for key, value in options.items():
        getattr(request, key).value = value
    metadata = (("strandline-archive", "true" if archive else "false"),)
    await stub.CreateStream(request, timeout=api.PATIENCE, metadata=metadata)


def values(numbers: Sequence[int]) -> List[bytes]:
    return [b"%d " % number + b"x" * (VALUE_BYTES - len(b"%d " % number)) for number in numbers]


async def fill(stub, stream: str, numbers: Sequence[int], *, at_once: int = 20) -> None:
    """Publishes a record for each number, in order, and waits for all acks. No more of them than `at_once` can come in one batch,
    and so in one segment, however slow the machine is."""
    call = stub.PublishAsync(timeout=api.PATIENCE)
    numbers = list(numbers)
    for first in range(0, len(numbers), at_once):
        for value in values(numbers[first : first + at_once]):
            await call.write(PublishRequest(stream=stream, value=value, ackPolicy=api.LEADER, expectedOffset=-1))
        for _ in numbers[first : first + at_once]:
            answer = await call.read()
            assert answer and not answer.HasField("asyncError"), answer
    call.cancel()


async def archived(broker: Broker, stream: str, end: int, *, local_start: int = None) -> dict:
    """Waits until everything below `end` is archived and, if asked for, gone from the disk below `local_start`."""

    async def done():
        found = status(broker, stream)
        far_enough = (found.get("archive_end") or 0) >= end
        gone = local_start is None or found.get("local_start", 0) >= local_start
        return found if far_enough and gone else None

    try:
        return await eventually(done, f"{stream} is archived up to {end}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {status(broker, stream)}\n{broker.log()[-3000:]}") from None


async def in_state(broker: Broker, stream: str, *states: str) -> dict:
    async def there():
        found = status(broker, stream)
        return found if found.get("state") in states else None

    try:
        return await eventually(there, f"{stream} is {states}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {status(broker, stream)}\n{broker.log()[-3000:]}") from None


async def check(stub, stream: str, numbers: Sequence[int], *, first: int = 0) -> None:
    """Everything is there once, in order, at the offsets from `first` on."""
    found = await api.replay(stub, stream)
    assert [message.offset for message in found] == list(range(first, first + len(numbers)))
    assert [message.value for message in found] == values(numbers)
