"""The records of an archive, printed from the bucket with no broker."""

import json
import os
import subprocess

import pytest

from harness import api, settings
from harness.archive import QUICK_LINES, archived, create, fill, values

LINES = f"{QUICK_LINES}\nencryption.key: 0123456789abcdef\n"


@pytest.fixture(params=["directory", "minio"])
def store(request, stores):
    return stores(request.param)


@pytest.fixture
def cat(tmp_path):
    """Runs the command; gives its exit code, its lines and what it says else."""

    def look(store, *words, lines="encryption.key: 0123456789abcdef\n"):
        done = subprocess.run(command(tmp_path, store, words, lines), capture_output=True, timeout=120, env=environment(store))
        return done.returncode, done.stdout.splitlines(), done.stderr.decode()

    return look


def command(tmp_path, store, words, lines="encryption.key: 0123456789abcdef\n"):
    config = tmp_path / "cat.yaml"
    config.write_text(f"{store.lines}\n{lines}")
    return [str(word) for word in (settings.broker_binary(), "archive", "cat", *words, "--config", config)]


def environment(store):
    return {**{name: value for name, value in os.environ.items() if not name.startswith("STRANDLINE_")}, **store.env}


async def filled(archiving, store, unique):
    broker = archiving(store, lines=LINES).start()
    async with api.connected(broker) as stub:
        for name, options in ((unique, {}), (f"{unique}-secret", {"encryption": True})):
            await create(stub, name, **options)
            await fill(stub, name, range(200))
            await archived(broker, name, 200)
        replayed = await api.replay(stub, unique)
    broker.stop()
    return replayed


async def test_records_are_printed_in_every_form_and_range(archiving, store, cat, unique):
    replayed = await filled(archiving, store, unique)
    before = store.objects()
    for name in (unique, f"{unique}-secret"):
        code, lines, said = cat(store, name, "--format", "raw")
        assert code == 0 and lines == values(range(200)), said
    code, lines, said = cat(store, unique, "--json")
    found = [json.loads(line) for line in lines]
    assert code == 0 and [one["offset"] for one in found] == list(range(200)), said
    assert [one["timestamp"] for one in found] == [message.timestamp for message in replayed]
    assert {(one["stream"], one["partition"], one["subject"]) for one in found} == {(unique, 0, unique)}

    def offsets(*words):
        code, lines, said = cat(store, unique, "--json", *words)
        assert code == 0, said
        return [json.loads(line)["offset"] for line in lines]

    assert offsets("--from", 50, "--to", 59) == list(range(50, 60))
    assert offsets("--from", "earliest", "--limit", 3) == [0, 1, 2]
    assert offsets("--from", 199) == [199] and offsets("--from", 200) == [] and offsets("--to", 0) == [0]
    assert offsets("--from", "time:1h", "--limit", 1) == [0] and offsets("--to", "time:1h") == []
    assert offsets("--from", f"time:{found[60]['time']}")[-1] == 199
    assert offsets("--from", f"time:{found[60]['time']}")[0] <= 60
    # By its place.
    place = next(name for name in before if f"/{unique}." in name and name.endswith("/HEAD"))
    place = "/".join(place.split("/")[-4:-1])
    code, lines, _ = cat(store, place, "--format", "hex", "--limit", 1)
    assert code == 0 and lines == [values([0])[0].hex().encode()]
    assert store.objects() == before


async def test_what_cannot_be_read_is_named(archiving, directory, cat, unique, tmp_path):
    await filled(archiving, directory, unique)
    code, lines, said = cat(directory, f"{unique}-secret", lines="")
    assert code == 6 and not lines and "encrypted" in said and "master key" in said, said
    code, lines, said = cat(directory, "nowhere")
    assert code == 1 and "holds no archive of nowhere" in said and "archive list" in said, said
    code, lines, said = cat(directory, unique, "--partition", 7)
    assert code == 1 and "holds no archive" in said, said
    # Nobody reads on: that is no mistake.
    process = subprocess.Popen(
        command(tmp_path, directory, (unique,)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(directory)
    )
    process.stdout.read(10)
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(60) in (0, 1) and said == b"", said
    segments = sorted(name for name in directory.objects() if "/segments/" in name and f"/{unique}." in name)
    damaged, missing = directory.directory / segments[1], directory.directory / segments[3]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    missing.unlink()
    ranges = [tuple(int(part) for part in name.rsplit("/", 1)[1].split("-")[:2]) for name in segments]
    code, lines, said = cat(directory, unique, "--json")
    assert code == 6 and segments[1].split("/")[-1] in said and "--skip-damaged" in said, said
    assert [json.loads(line)["offset"] for line in lines] == list(range(ranges[1][0]))
    code, lines, said = cat(directory, unique, "--json", "--skip-damaged")
    assert code == 6 and said.count("skipped: ") == 2 and segments[3].split("/")[-1] in said, said
    lost = {offset for at in (1, 3) for offset in range(*ranges[at])}
    assert [json.loads(line)["offset"] for line in lines] == [offset for offset in range(200) if offset not in lost]
