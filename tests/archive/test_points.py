"""Named points, and streams as they were at one or at a time: in an empty broker, and beside an original that goes on."""

import asyncio
import json
import os
import subprocess

import pytest

from gufo.liftbridge.api_pb2 import FetchCursorRequest, SetCursorRequest

from harness import api, settings
from harness.archive import QUICK_LINES, archived, check, create, fails, fill, in_state, run, status
from harness.broker import eventually

# Segments are young for an hour unless somebody waits for them.
LINES = """
archive.upload.max.age: 1h
archive.local.max.age: 0
archive.local.max.bytes: 1
archive.fetch.timeout: 2s
cursors.stream.partitions: 1
"""


@pytest.fixture(params=["directory", "minio"])
def store(request, stores):
    return stores(request.param)


def snapshot(broker, *words) -> dict:
    return json.loads(run(broker, "archive", "snapshot", *words, "--json"))


def restore(broker, *words) -> dict:
    return json.loads(run(broker, "archive", "restore", *words, "--json"))


def points(broker, *words) -> list:
    return [json.loads(line) for line in run(broker, "archive", "snapshot", "--list", *words, "--json").splitlines()]


def end_of(found: dict, stream: str, partition: int = 0) -> int:
    return next(one for one in found["streams"] if one["name"] == stream)["partitions"][partition]["end"]


def cluster_of(store) -> str:
    names = {name.split("/CLUSTER")[0].split("/")[-1] for name in store.objects() if name.endswith("/CLUSTER")}
    (cluster,) = names
    return cluster


async def set_cursor(stub, stream, name, offset):
    await stub.SetCursor(SetCursorRequest(stream=stream, partition=0, cursorId=name, offset=offset), timeout=api.PATIENCE)


async def cursor(stub, stream, name) -> int:
    return (await stub.FetchCursor(FetchCursorRequest(stream=stream, partition=0, cursorId=name), timeout=api.PATIENCE)).offset


async def test_a_point_keeps_the_cluster_as_it_was_and_an_empty_broker_brings_it_back(archiving, store, unique):
    broker = archiving(store, lines=LINES).start()
    async with api.connected(broker) as stub:
        assert "nothing that a point could keep" in fails(broker, "archive", "snapshot", "early")
        await create(stub, unique, retentionMaxMessages=100)
        await create(stub, f"{unique}-empty")
        await create(stub, f"{unique}-plain", archive=False)
        await fill(stub, unique, range(90))
        await set_cursor(stub, unique, "c", 70)
        made = snapshot(broker, "then")
        # Also what is in a segment that nobody would have sealed for an hour.
        assert end_of(made, unique) == 90 and end_of(made, f"{unique}-empty") == 0
        assert made["left_out"] == [f"{unique}-plain"] and made["cursors"] == 1, made
        assert "already" in fails(broker, "archive", "snapshot", "then")
        assert "lent-" in fails(broker, "archive", "snapshot", "lent-1")
        # It goes on, and retention takes all of what the point keeps.
        await fill(stub, unique, range(90, 400))
        await set_cursor(stub, unique, "c", 399)
        await retained(broker, unique, 90)
        made = snapshot(broker, "later")
        assert end_of(made, unique) == 400
        assert [point["name"] for point in points(broker)] == ["later", "then"]
        cluster = cluster_of(store)
    other = archiving(store, lines=LINES).start()
    assert [point["name"] for point in points(other, "--cluster", cluster)] == ["later", "then"]
    assert "no point nowhere" in fails(other, "archive", "restore", "--point", "nowhere")
    look = restore(other, "--point", "then", "--dry-run", unique)
    assert end_of(look, unique) == 90 and other_streams(other) == []
    failed = fails_with(other, "archive", "restore", "--point", "then")
    problems = {one["name"]: one["problem"] for one in failed["streams"]}
    assert problems.pop(f"{unique}-plain") and not any(problems.values()), failed
    async with api.connected(other) as copy, api.connected(broker) as stub:
        await check(copy, unique, range(90))
        assert await cursor(copy, unique, "c") == 70
        # Both go on, each in its own place.
        await in_state(broker, unique, "archiving")
        await fill(copy, unique, range(1000, 1060))
        await fill(stub, unique, range(400, 460))
        snapshot(other, "copied")
        snapshot(broker, "more")
        found = await api.replay(stub, unique)
        assert found[-1].offset == 459
        found = await api.replay(copy, unique)
        assert [message.offset for message in found] == list(range(found[0].offset, 150))
        other.kill()
        other.start()
    async with api.connected(other) as copy:
        found = await api.replay(copy, unique)
        assert [message.offset for message in found] == list(range(found[0].offset, 150))
        await in_state(other, unique, "archiving")
    for name in ("then", "later", "more"):
        run(broker, "archive", "snapshot", "--remove", name)
    assert "no point then" in fails(broker, "archive", "snapshot", "--remove", "then")
    assert points(broker) == []
    verify(broker)


async def retained(broker, stream, start):
    async def done():
        return (status(broker, stream).get("archive_start") or 0) >= start

    await eventually(done, f"retention has taken what is below {start}")


def other_streams(broker) -> list:
    return [one["stream"] for one in json.loads(run(broker, "archive", "status", "--json"))["partitions"]]


def fails_with(broker, *words) -> dict:
    command = [str(settings.broker_binary()), *words, "--json", "--servers", str(broker.grpc)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout, done
    return json.loads(done.stdout)


def verify(broker) -> None:
    """Every byte of every place of the bucket, those that borrow included."""
    configuration = broker.directory / "verify.yaml"
    configuration.write_text(broker.lines)
    command = [str(settings.broker_binary()), "archive", "scrub", "--config", str(configuration), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **broker.env})
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_stream_is_copied_as_of_a_time_into_an_empty_broker(archiving, store, unique):
    broker = archiving(store, lines=LINES).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(150))
        await asyncio.sleep(0.2)
        messages = await api.replay(stub, unique)
        await fill(stub, unique, range(150, 300))
        snapshot(broker, "end")
        await told(store)
        then = messages[-1].timestamp
    other = archiving(store, lines=LINES).start()
    look = restore(other, "--to", str(then), "--dry-run", unique)
    assert end_of(look, unique) == 150, look
    assert end_of(restore(other, "--to", str(then), unique), unique) == 150
    nothing = f"{unique}-nothing"
    assert end_of(restore(other, "--to", "1980-01-01", "--as", nothing, "--subject", nothing, unique), nothing) == 0
    async with api.connected(other) as copy:
        await check(copy, unique, range(150))
        await fill(copy, unique, range(150, 200))
        await check(copy, unique, range(200))
        await check(copy, nothing, [])
        await fill(copy, nothing, range(10))
        await check(copy, nothing, range(10))
    async with api.connected(broker) as stub:
        await check(stub, unique, range(300))
        await in_state(broker, unique, "archiving")
    verify(broker)


async def told(store) -> None:
    async def done():
        return any(name.endswith("/CLUSTER") for name in store.objects())

    await eventually(done, "the archive is told of the cluster")
    await asyncio.sleep(3)


async def test_a_copy_lives_beside_its_original_while_both_go_on(archiving, store, unique):
    broker = archiving(store, lines=QUICK_LINES).start()
    copy = f"{unique}-copy"
    async with api.connected(broker) as stub:
        await create(stub, unique, retentionMaxMessages=200)
        await fill(stub, unique, range(150))
        await archived(broker, unique, 150)
        times = [message.timestamp for message in await api.replay(stub, unique)]
        then = times[109]
        assert "under other names" in fails(broker, "archive", "restore", "--cluster", cluster_of(store))
        taken = fails_with(broker, "archive", "restore", "--as", unique, unique)
        assert "exists here" in taken["streams"][0]["problem"], taken
        assert "one stream" in fails(broker, "archive", "restore", "--as", copy)
        publishing = asyncio.ensure_future(fill(stub, unique, range(150, 500)))
        found = restore(broker, "--as", copy, "--subject", copy, "--to", str(then), unique)
        end = end_of(found, copy)
        assert 0 < end <= sum(time <= then for time in times), (found, times)
        await check(stub, copy, range(end))
        await publishing
        await fill(stub, copy, range(2000, 2100))
        await archived(broker, copy, end + 100)
        await archived(broker, unique, 500)
        await retained(broker, unique, 120)
        # Segments that only the copy has are still there, but for those that its own retention has taken.
        found = await api.replay(stub, copy)
        assert found[0].offset < end
        assert [message.offset for message in found] == list(range(found[0].offset, end + 100))
        broker.kill()
        broker.start()
    async with api.connected(broker) as stub:
        await in_state(broker, copy, "archiving")
        found = await api.replay(stub, copy)
        assert found[0].offset < end
        assert [message.offset for message in found] == list(range(found[0].offset, end + 100))
        found = await api.replay(stub, unique)
        assert found[-1].offset == 499
        await fill(stub, copy, range(3000, 3300))
        await archived(broker, copy, end + 400)
        await retained(broker, copy, 1)
        # A stream that was deleted is brought back from a point under its own name.
        snapshot(broker, "saved")
        run(broker, "stream", "delete", unique)
        restore(broker, "--cluster", cluster_of(store), "--point", "saved", unique)
        found = await api.replay(stub, unique)
        assert found[-1].offset == 499 and [message.offset for message in found] == list(range(found[0].offset, 500))
    verify(broker)


async def test_a_broker_that_is_killed_while_it_makes_points_makes_them_again(archiving, directory, unique):
    broker = archiving(directory, lines=LINES).start()
    for number in range(4):
        async with api.connected(broker) as stub:
            if number == 0:
                await create(stub, unique, partitions=1)
            await fill(stub, unique, range(number * 100, number * 100 + 100))
            command = [str(settings.broker_binary()), "archive", "snapshot", "same", "--servers", str(broker.grpc)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            await asyncio.sleep(0.05 * number)
            broker.kill()
            process.wait()
        broker.start()
        if points(broker):
            run(broker, "archive", "snapshot", "--remove", "same")
    made = snapshot(broker, "same")
    assert end_of(made, unique) == 400
    run(broker, "archive", "snapshot", "--remove", "same")
    async with api.connected(broker) as stub:
        await check(stub, unique, range(400))


async def test_a_point_is_not_made_of_what_cannot_be_archived(archiving, directory, unique):
    broker = archiving(directory, lines=LINES).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))
        snapshot(broker, "early")
        directory.stop()
        await fill(stub, unique, range(100, 200))
        fails(broker, "archive", "snapshot", "late", "--wait", "1s")
        directory.start()
        assert end_of(snapshot(broker, "late"), unique) == 200
        await check(stub, unique, range(200))
