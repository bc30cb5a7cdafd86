"""Looking after a bucket: what is left over, what nobody needs any more, and what was lost."""

import json
import os
import subprocess

import pytest

from harness import api, settings
from harness.archive import archived, check, create, fails, fill, in_state, run, status
from harness.broker import eventually


@pytest.fixture(params=["directory", "minio"])
def store(request, stores):
    return stores(request.param)


@pytest.fixture
def tool(tmp_path):
    """Runs a command that looks at a bucket; gives its exit code, the objects that it prints, and what it says else."""

    def look(store, *words):
        configuration = tmp_path / "tool.yaml"
        configuration.write_text(store.lines)
        command = [settings.broker_binary(), "archive", *words, "--config", configuration, "--json"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STRANDLINE_")}
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=120, env={**environment, **store.env}
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return look


async def test_what_nothing_refers_to_is_collected_through_the_broker(archiving, directory, unique):
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))
        await archived(broker, unique, 100)
    place = directory.directory / status(broker, unique)["place"]
    left = place / "segments" / f"{0:020}-{20:020}-1-0123456789abcdef"
    left.write_bytes(b"an upload that a crash ended")
    (place / "notes.txt").write_text("mine")
    before = directory.objects()

    def collect(*words):
        return [json.loads(line) for line in run(broker, "archive", "gc", *words, "--json").splitlines()]

    partition, summary = collect(unique)
    assert (summary["deleted"], summary["spared"], summary["foreign"]) == (0, 1, 1), "it is young"
    partition, summary = collect("--older-than", "0", "--dry-run")
    assert partition["deleted"] == [f"segments/{left.name}"] and directory.objects() == before
    partition, summary = collect("--older-than", "0")
    assert summary["deleted"] == 1 and partition["problem"] is None
    assert sorted(directory.objects()) == sorted(name for name in before if left.name not in name)
    shown = run(broker, "archive", "gc", unique, "--older-than", "0")
    assert "0 objects deleted" in shown and unique in shown, shown
    # The partition goes on: it was not fenced by its own command.
    async with api.connected(broker) as stub:
        await fill(stub, unique, range(100, 160))
        await archived(broker, unique, 160)
        await check(stub, unique, range(160))
    assert "does not exist" in fails(broker, "archive", "gc", "no-such-stream")


async def test_the_archive_of_a_deleted_stream_is_purged_and_no_other(archiving, store, tool, unique):
    broker = archiving(store).start()
    gone, kept = f"{unique}-gone", f"{unique}-kept"
    async with api.connected(broker) as stub:
        for name in (gone, kept):
            await create(stub, name, partitions=1)
            await fill(stub, name, range(60))
            await archived(broker, name, 60)
        roots = {name: status(broker, name)["place"].rsplit("/", 1)[0] for name in (gone, kept)}
        await told_of(store, tool, roots[gone])
        code, _, said = tool(store, "purge", roots[gone], "--yes")
        assert code == 1 and "in use" in said, said
        run(broker, "stream", "delete", gone)
    await nobody_needs(store, tool, roots[gone])
    code, said, why = tool(store, "purge", roots[gone], "--dry-run")
    assert code == 0 and said[-1]["objects"] >= 2 and said[-1]["deleted"] is False, (said, why)
    before = store.objects()
    code, _, said = tool(store, "purge", roots[gone])
    assert code == 1 and "--yes" in said and store.objects() == before
    code, said, why = tool(store, "purge", roots[gone], "--yes")
    assert code == 0 and said[-1]["deleted"] is True, (said, why)
    assert not [name for name in store.objects() if roots[gone] in name]
    code, found, _ = tool(store, "list")
    assert code == 0 and [one["place"] for one in found] == [roots[kept]], found
    code, _, said = tool(store, "purge", roots[gone], "--yes")
    assert code == 1 and "nothing in" in said, said
    async with api.connected(broker) as stub:
        await check(stub, kept, range(60))


async def told_of(store, tool, root):
    async def done():
        _, found, _ = tool(store, "list")
        return any(one["place"] == root and one["needed_by"] for one in found)

    await eventually(done, "the cluster says what it needs")


async def nobody_needs(store, tool, root):
    async def done():
        _, found, _ = tool(store, "list")
        return any(one["place"] == root and one["needed_by"] == [] for one in found)

    await eventually(done, "the cluster says that it needs it no more")


async def test_an_archive_that_was_lost_begins_anew_with_what_is_on_the_disk(archiving, store, unique):
    lines = "archive.upload.max.age: 1s\narchive.local.max.bytes: 60000\narchive.fetch.timeout: 2s\n"
    broker = archiving(store, lines=lines).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        for number in range(0, 200, 20):
            await fill(stub, unique, range(number, number + 20))
        await archived(broker, unique, 200)
        assert "nothing is begun anew" in fails(broker, "archive", "begin-anew", unique, "--yes")

        async def cut():
            return status(broker, unique)["local_start"] > 0

        await eventually(cut, "some of it is in the archive alone")
    broker.stop()
    store.empty()
    broker.start()
    found = await in_state(broker, unique, "refused")
    assert "begin-anew" in found["error"], found
    start = found["local_start"]
    assert 0 < start < 200
    said = fails(broker, "archive", "begin-anew", unique)
    assert status(broker, unique)["place"] == found["place"], said
    look = json.loads(run(broker, "archive", "begin-anew", unique, "--dry-run", "--json"))
    assert look["done"] is False and look["partitions"][0]["lost"] == [0, start], look
    done = json.loads(run(broker, "archive", "begin-anew", unique, "--yes", "--json"))
    assert done["done"] is True and done["partitions"][0]["kept"] == [start, 200], done
    again = await archived(broker, unique, 200)
    assert again["place"] != found["place"] and again["archive_start"] == start, again
    for _ in range(2):
        async with api.connected(broker) as stub:
            await check(stub, unique, range(start, 200), first=start)
        broker.kill()
        broker.start()
    async with api.connected(broker) as stub:
        await fill(stub, unique, range(200, 400))
        await archived(broker, unique, 400)
        await check(stub, unique, range(start, 400), first=start)
