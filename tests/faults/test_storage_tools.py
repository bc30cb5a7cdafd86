"""The tools for a data directory on real file systems: damage behind a broker's back, and disks that cannot be written to."""

import asyncio
import json
import subprocess

import pytest

from harness import api, settings

pytestmark = pytest.mark.differs_from_liftbridge("it has no such tools")


def storage(*arguments):
    command = [settings.broker_binary(), "storage", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def check(data_dir):
    """The findings, the summary and the exit code."""
    done = storage("check", "--data-dir", data_dir, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines and lines[-1]["kind"] == "summary", done
    return lines[:-1], lines[-1], done.returncode


async def fill(broker, stream, count, **options):
    async with api.connected(broker) as stub:
        await api.create(stub, stream, **options)
        for number in range(count):
            await api.publish(stub, stream, b"%d " % number + b"x" * 2000)


async def test_a_directory_on_a_file_system_that_is_read_only_is_checked(brokers, small_disk, unique):
    broker = brokers(data_dir=small_disk / "data").start()
    await fill(broker, unique, 20, segmentMaxBytes=10_000)
    assert broker.stop() == 0
    subprocess.run(["mount", "-t", "tmpfs", "-o", "remount,ro", "tmpfs", small_disk], check=True)
    findings, summary, code = check(broker.data_dir)
    assert (findings, summary["records"], code) == ([], 20, 0)
    dumped = storage("dump", unique, "--data-dir", broker.data_dir, "--json", "--values", "none")
    records = [json.loads(line) for line in dumped.stdout.splitlines()]
    assert sum(record["kind"] == "record" for record in records) == 20, dumped


async def test_a_broker_that_was_killed_leaves_no_damage(own_broker, unique):
    await fill(own_broker, unique, 50)
    own_broker.kill()
    _, summary, code = check(own_broker.data_dir)
    assert (summary["damage"], code) == (0, 0)
    assert summary["records"] >= 50


async def test_damage_is_dropped_and_the_partition_serves_the_rest(own_broker, unique):
    await fill(own_broker, unique, 50)
    own_broker.kill()
    [segment] = (own_broker.data_dir / "streams").rglob("*.seg")
    content = bytearray(segment.read_bytes())
    place = content.index(b"9 " + b"x" * 2000)
    content[place + 100] ^= 0x55
    segment.write_bytes(content)
    findings, summary, code = check(own_broker.data_dir)
    assert (summary["damage"], code) == (1, 6), findings
    [damage] = [finding for finding in findings if finding["severity"] == "damage"]
    assert damage["file"] == str(segment) and damage["stream"] == unique and damage["position"] < place
    repaired = storage("repair", "--data-dir", own_broker.data_dir, "--stream", f"{unique}:0",
                       "--action", "drop-damaged", "--yes")
    assert repaired.returncode == 0, repaired
    assert check(own_broker.data_dir)[2] == 0
    [kept] = own_broker.data_dir.glob(f"repair-*/streams/*/{segment.name}")
    assert kept.stat().st_size > 100_000
    await asyncio.to_thread(own_broker.start)
    async with api.connected(own_broker) as stub:
        messages = await api.replay(stub, unique)
        assert len(messages) == 49
        for message in messages:
            assert message.value.startswith(b"%d " % message.offset)
        assert (await api.publish(stub, unique, b"next")).offset == 50


async def test_damage_in_redb_is_dropped_and_other_partitions_stay(own_broker, unique):
    other = f"{unique}-other"
    for stream in (unique, other):
        await fill(own_broker, stream, 50, backend="redb")
    assert own_broker.stop() == 0
    database = own_broker.data_dir / "streams-redb" / "store.redb"
    # Those of the offsets 9, 19, 29, 39 and 49.
    damage_all(database, b"9 " + b"x" * 2000)
    findings, _, code = check(own_broker.data_dir)
    assert code == 6 and {finding["file"] for finding in findings} == {str(database)}, findings
    repair = ["repair", "--data-dir", own_broker.data_dir, "--stream", unique, "--action", "drop-damaged"]
    for stream in (unique, other):
        repair[4] = stream
        looked = storage(*repair, "--dry-run")
        lost = [line for line in looked.stdout.splitlines() if line.startswith("lost: ")]
        assert lost == [f"lost: whatever was at the offsets {offset} to {offset}" for offset in range(9, 50, 10)], looked
        assert (looked.returncode, looked.stderr) == (0, "")
        assert storage(*repair).returncode != 0, "records were given up without --yes"
        repaired = storage(*repair, "--yes")
        assert repaired.returncode == 0, repaired
    assert storage(*repair, "--yes").stdout == "there is nothing to do\n"
    assert check(own_broker.data_dir)[2] == 0
    assert len(list(own_broker.data_dir.glob("repair-*/streams-redb/store.redb"))) == 2
    await asyncio.to_thread(own_broker.start)
    async with api.connected(own_broker) as stub:
        for stream in (unique, other):
            offsets = [message.offset for message in await api.replay(stub, stream)]
            assert offsets == [offset for offset in range(50) if offset % 10 != 9]
            assert (await api.publish(stub, stream, b"next")).offset == 50


def damage_all(path, text):
    """A database that writes pages anew has old copies of them."""
    content = bytearray(path.read_bytes())
    place = content.find(text)
    assert place >= 0
    while place >= 0:
        content[place + 100] ^= 0x55
        place = content.find(text, place + 1)
    path.write_bytes(content)
