"""Every broker is gone and the bucket is left: a new broker brings back streams, plugins and cursors from it alone."""

import asyncio
import json
import subprocess

import pytest

from gufo.liftbridge.api_pb2 import FetchCursorRequest, SetCursorRequest

from harness import api, plugins, settings
from harness.archive import QUICK_LINES, archived, check, create, fails, fill, in_state, run, status
from harness.broker import eventually

LINES = f"{QUICK_LINES}\nencryption.key: 0123456789abcdef\ncursors.stream.partitions: 1\n"


@pytest.fixture(params=["directory", "minio"])
def store(request, stores):
    return stores(request.param)


async def filled(archiving, store, unique):
    """A broker whose streams, plugins and cursors are in the archive."""
    broker = archiving(store, lines=LINES).start()
    async with api.connected(broker) as stub:
        await create(stub, unique, partitions=1)
        await create(stub, f"{unique}-secret", encryption=True)
        await create(stub, f"{unique}-empty")
        await create(stub, f"{unique}-kept", archive=False)
        for name in (unique, f"{unique}-secret"):
            await fill(stub, name, range(200))
            await archived(broker, name, 200, local_start=160)
        await in_state(broker, f"{unique}-empty", "archiving")
        plugins.done(broker, "push", "drop", plugins.FILTER)
        plugins.attach(broker, unique, "drop@1", side="read")
        for number in range(20):
            request = SetCursorRequest(stream=unique, partition=0, cursorId=f"c{number}", offset=number * 10)
            await stub.SetCursor(request, timeout=api.PATIENCE)
        await told(store, broker, cursors=20, attachments=1)
    return broker


async def told(store, broker, **numbers) -> None:
    """Waits until the archive was told of so many: what another broker would restore says it."""

    async def done():
        documents = sorted(store.objects())
        kinds = {kind: [name for name in documents if f"/{kind}/" in name] for kind in ("metadata", "cursors", "modules")}
        return kinds["metadata"] and (kinds["cursors"] or not numbers["cursors"]) and kinds["modules"]

    await eventually(done, "the archive is told of the cluster")
    # Once more after the last change, with what came within the time in which changes are gathered.
    await asyncio.sleep(3)


async def cursor(stub, stream: str, name: str) -> int:
    request = FetchCursorRequest(stream=stream, partition=0, cursorId=name)
    return (await stub.FetchCursor(request, timeout=api.PATIENCE)).offset


async def test_a_cluster_comes_back_from_the_bucket_alone(archiving, store, unique):
    lost = await filled(archiving, store, unique)
    lost.kill()
    broker = archiving(store, lines=LINES).start()
    secret = f"{unique}-secret"
    look = json.loads(run(broker, "archive", "restore", "--dry-run", "--json", unique, secret))
    assert [one["partitions"][0]["end"] for one in look["streams"]] == [200, 200]
    refused = fails(broker, "archive", "restore", "nowhere")
    assert "nowhere" in refused
    # A stream that never was archived cannot come back, and that is said by the exit code and by name.
    whole = fails_with(broker, "archive", "restore", "--json")
    streams = {one["name"]: one for one in whole["streams"]}
    assert streams[unique]["problem"] is None and streams[secret]["problem"] is None, whole
    assert "never archived" in streams[f"{unique}-kept"]["problem"], whole
    assert (whole["plugin_versions"], whole["attachments"], whole["cursors"]) == (1, 1, 20), whole
    async with api.connected(broker) as stub:
        for name in (unique, secret):
            await check(stub, name, range(200))
        assert [await cursor(stub, unique, f"c{number}") for number in range(20)] == list(range(0, 200, 10))
        attached = plugins.done(broker, "list", "--stream", unique)
        assert (attached["stream"], attached["side"], attached["active"]["version"]) == (unique, "read", 1), attached
        # It goes on where the archive ends, and is archived on.
        for name in (unique, secret):
            await fill(stub, name, range(200, 300))
            await archived(broker, name, 300, local_start=260)
            await check(stub, name, range(300))
    broker.kill()
    broker.start()
    async with api.connected(broker) as stub:
        for name in (unique, secret, f"{unique}-empty"):
            await in_state(broker, name, "archiving")
        for name in (unique, secret):
            await check(stub, name, range(300))
    # Again: there is nothing left to restore but what cannot be.
    again = fails_with(broker, "archive", "restore", "--json")
    assert all(one["problem"] for one in again["streams"]), again
    await the_lost_one_is_fenced(lost, unique)


async def the_lost_one_is_fenced(lost, unique) -> None:
    """It was not lost after all: what it has now belongs to another."""
    lost.start()
    await in_state(lost, unique, "fenced", "refused")
    async with api.connected(lost) as stub:
        await fill(stub, unique, range(1000, 1040))
    assert status(lost, unique)["archive_end"] in (None, 200, 300)


def fails_with(broker, *words) -> dict:
    """What a command says on its output that did not do all that it was asked for."""
    command = [str(settings.broker_binary()), *words, "--servers", str(broker.grpc)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout, done
    return json.loads(done.stdout)


async def test_who_has_nothing_to_restore_is_told_why(archiving, brokers, store, unique):
    broker = archiving(store, lines=LINES).start()
    assert "holds no cluster" in fails(broker, "archive", "restore")
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))
        await archived(broker, unique, 100)
    plain = brokers().start()
    assert "archive.url" in fails(plain, "archive", "restore")
