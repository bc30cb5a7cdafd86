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
