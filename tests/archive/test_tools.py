"""Looking at buckets with the command, with and without a broker."""

import json
import os
import subprocess

import pytest

from harness import api, settings
from harness.archive import archived, create, fill
from harness.object_stores import KINDS


@pytest.fixture(params=KINDS)
def any_store(request, stores):
    return stores(request.param)


@pytest.fixture
def tool(tmp_path):
    """Runs a command that looks at a bucket; gives its exit code, the objects that it prints, and what it says else."""
    return lambda store, *words: look(tmp_path / "tool.yaml", store.lines, store.env, words)


def look(configuration, lines, env, words):
    configuration.write_text(lines)
    command = [settings.broker_binary(), "archive", *words, "--config", configuration, "--json"]
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("STRANDLINE_")}, **env}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, env=environment)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


async def test_a_bucket_is_tried_before_anything_is_archived_in_it(any_store, tool):
    code, [found], said = tool(any_store, "check")
    assert code == 0 and found["is_usable"], (found, said)
    assert len(found["tries"]) >= 10 and not any(one["problem"] for one in found["tries"])
    assert any_store.objects() == []


async def test_what_is_in_a_bucket_is_listed_and_what_is_wrong_with_it_named(archiving, directory, tool, unique):
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique, partitions=1)
        await fill(stub, unique, range(100))
        await archived(broker, unique, 100)
    code, [found], _ = tool(directory, "list")
    assert code == 0 and (found["start"], found["end"], found["records"]) == (0, 100, 100), found
    for word in ("verify", "scrub"):
        code, said, _ = tool(directory, word)
        assert code == 0 and [one["kind"] for one in said] == ["summary"], said
        assert (said[0]["partitions"], said[0]["damage"]) == (1, 0) and said[0]["bytes"] > 100_000, said
    broker.stop()
    segments = sorted(name for name in directory.objects() if "/segments/" in name)
    damaged, missing = directory.directory / segments[0], directory.directory / segments[1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    missing.unlink()
    code, said, _ = tool(directory, "verify")
    assert code == 6 and [one["severity"] for one in said[:-1]] == ["damage"], said
    assert said[0]["object"] in segments[1] and "missing" in said[0]["problem"], said
    code, said, _ = tool(directory, "scrub")
    assert code == 6 and said[-1]["damage"] == 2 and {one["object"] for one in said[:-1]} <= set(segments), said


def test_a_bucket_that_cannot_be_used_is_refused_with_what_to_do(tmp_path):
    refused = [
        (f"archive.url: file://{tmp_path}/nowhere", "create it, or mount"),
        ("archive.url: ftp://x", "archive.url"),
        ("", "archive.url"),
    ]
    for lines, fix in refused:
        for word in ("check", "list", "verify"):
            code, printed, said = look(tmp_path / "tool.yaml", lines, {}, [word])
            assert code == 3 and not printed and fix in said, said
