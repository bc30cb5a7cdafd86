"""Plugins pushed, attached and taken back with the command, over kills of the broker."""

import json
import subprocess
from pathlib import Path

import pytest

from harness import api, settings
from harness.broker import eventually

pytestmark = pytest.mark.differs_from_liftbridge("it has no plugins")

FILTER = Path(__file__).parent.parent / "plugins" / "filter.wasm"


def plugin(broker, *words) -> subprocess.CompletedProcess:
    command = [str(settings.broker_binary()), "plugin", *map(str, words), "--servers", str(broker.grpc), "--timeout", "60s"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def done(broker, *words):
    """What a command that succeeds prints: one object or, with several lines, a list of them."""
    finished = plugin(broker, *words, "--json")
    assert finished.returncode == 0, finished.stderr
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    return lines[0] if len(lines) == 1 else lines


def refused(broker, *words) -> str:
    finished = plugin(broker, *words)
    assert finished.returncode == 1 and not finished.stdout, finished
    return finished.stderr


async def create(broker, *names):
    async with api.connected(broker) as stub:
        for name in names:
            await api.create(stub, name)


@pytest.fixture
def second_filter(tmp_path):
    """The filter in other bytes that mean the same: a section that nobody reads follows them."""
    path = tmp_path / "second.wasm"
    path.write_bytes(FILTER.read_bytes() + b"\x00\x03\x01m!")
    return path


async def test_versions_attachments_and_their_history_survive_kills(own_broker, second_filter, unique):
    await create(own_broker, unique)
    first = done(own_broker, "push", "drop", FILTER)
    assert (first["added"], first["version"]["version"], first["version"]["world"]) == (True, 1, "filter")
    assert first["version"]["bytes"] == FILTER.stat().st_size and first["version"]["contract"] == "1.0"
    assert done(own_broker, "push", "drop", FILTER)["added"] is False
    assert done(own_broker, "push", "drop", second_filter)["version"]["version"] == 2
    attached = done(own_broker, "attach", unique, "drop@1", "--settings", "{}", "--order", "-3")
    assert (attached["active"], attached["problem"]) == ({"version": 1, "settings": {}}, None)
    number = attached["id"]
    done(own_broker, "canary", number, "--percent", "10")
    own_broker.kill()
    own_broker.start()
    [version_1, version_2] = done(own_broker, "list")["versions"]
    assert version_1 == first["version"] and version_2["version"] == 2
    listed = done(own_broker, "list", "--stream", unique)
    assert (listed["id"], listed["order"], listed["side"], listed["on_error"]) == (number, -3, "write", "fail")
    assert listed["canary"]["candidate"] == {"version": 2, "settings": {}} and listed["canary"]["mode"] == "10 %"
    assert done(own_broker, "promote", number)["active"]["version"] == 2
    own_broker.kill()
    own_broker.start()
    assert done(own_broker, "rollback", number)["active"]["version"] == 1
    assert "nothing to roll back to" in refused(own_broker, "rollback", number)
    assert done(own_broker, "set", number, "--debug", "true", "--version", "2")["previous"]["version"] == 1
    events = done(own_broker, "history", "--attachment", number)
    actions = ["attached", "canary started", "promoted", "rolled back", "changed"]
    assert [event["action"] for event in events] == actions
    assert [event["version"] for event in events] == [1, 2, 2, 1, 2]
    assert all("127.0.0.1" in event["by"] and event["at"] > 0 and event["stream"] == unique for event in events)
    assert [event["action"] for event in done(own_broker, "history", "drop")] == ["pushed", "pushed", *actions]


async def test_what_is_in_use_is_not_deleted_and_the_rest_goes_from_the_disk(own_broker, second_filter, unique):
    await create(own_broker, unique)
    done(own_broker, "push", "drop", FILTER)
    done(own_broker, "push", "drop", second_filter)
    number = done(own_broker, "attach", unique, "drop@1")["id"]
    text = refused(own_broker, "delete", "drop")
    assert f"plugin drop version 1 is in use by attachment {number} of stream {unique}" in text
    assert plugin(own_broker, "delete", "drop@2").returncode == 0
    modules = own_broker.data_dir / "plugins" / "modules"
    assert [file.suffix for file in modules.iterdir()] == [".wasm"]
    assert plugin(own_broker, "detach", number).returncode == 0
    assert f"no such attachment: {number}" in refused(own_broker, "detach", number)
    assert "2 versions" not in plugin(own_broker, "delete", "drop").stdout
    assert not list(modules.iterdir())
    assert "there are no plugins" in plugin(own_broker, "list").stdout
    assert done(own_broker, "push", "drop", FILTER)["version"]["version"] == 3, "numbers are not given again"


async def test_a_stream_takes_its_attachments_with_it(broker, unique):
    letters = f"{unique}-letters"
    await create(broker, unique, letters)
    done(broker, "push", unique, FILTER)
    done(broker, "attach", unique, unique, "--on-error", "dead-letter", "--dead-letters", letters)
    command = [str(settings.broker_binary()), "stream", "delete", "--servers", str(broker.grpc)]
    kept = subprocess.run([*command, letters], capture_output=True, text=True)
    assert kept.returncode == 1 and f"stream {letters} takes the dead letters of attachment" in kept.stderr
    assert subprocess.run([*command, unique]).returncode == 0
    assert subprocess.run([*command, letters]).returncode == 0
    assert plugin(broker, "delete", unique).returncode == 0


GARBAGE = {
    "nothing": b"",
    "text": b"this is no WebAssembly",
    "a core module": b"\x00asm\x01\x00\x00\x00",
    "a component of no world": b"\x00asm\x0d\x00\x01\x00",
    "half a component": FILTER.read_bytes()[:600],
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_is_refused_with_a_reason(broker, tmp_path, unique, what):
    path = tmp_path / "garbage.wasm"
    path.write_bytes(GARBAGE[what])
    text = refused(broker, "push", unique, path)
    assert "cannot push" in text and len(text) > len(f"error: cannot push {path}: ") + 10, text
    assert unique not in plugin(broker, "list").stdout
    assert not list((broker.data_dir / "plugins").glob("modules/*.new"))


async def test_what_makes_no_sense_is_refused_by_name(broker, unique):
    await create(broker, unique)
    done(broker, "push", unique, FILTER)
    cases = [
        (["attach", "no-such-stream", unique], "stream does not exist"),
        (["attach", unique, "no-such-plugin"], "no such plugin: no-such-plugin"),
        (["attach", unique, f"{unique}@9"], "has no version 9"),
        (["attach", unique, unique, "--side", "key"], "is a filter: it cannot act on the key side"),
        (["attach", unique, unique, "--settings", "[]"], "the settings are no object"),
        (["attach", unique, unique, "--on-error", "dead-letter"], "the stream for dead letters"),
        (["attach", unique, unique, "--budget", "1ms"], "the budget of an attachment must be from 10 ms"),
        (["push", "a/b", FILTER], "the name of a plugin"),
        (["promote", 9999], "no such attachment: 9999"),
        (["logs", 9999], "no such attachment: 9999"),
        (["history", "no-such-plugin"], "no such plugin"),
        (["info", "no-such-plugin"], "no such plugin"),
    ]
    for words, text in cases:
        assert text in refused(broker, *words), words
    wrong_usage = [
        ["attach", unique, unique, "--settings", "{"],
        ["attach", unique, f"{unique}@x"],
        ["canary", 1],
        ["canary", 1, "--percent", "100"],
        ["canary", 1, "--percent", "5", "--shadow"],
        ["set", 1],
    ]
    for words in wrong_usage:
        assert plugin(broker, *words).returncode == 2, words
    assert plugin(broker, "list", "--stream", unique).stdout.startswith("nothing is attached")


async def test_numbers_and_logs_of_an_attachment_can_be_asked_for(broker, unique):
    await create(broker, unique)
    done(broker, "push", unique, FILTER)
    number = done(broker, "attach", unique, unique)["id"]
    stats = done(broker, "stats", number)
    assert stats["attachment"]["id"] == number and stats["active"]["breaker"] == "closed" and stats["canary"] is None
    assert stats["active"]["records"] == stats["active"]["failed"] == 0
    assert plugin(broker, "logs", number).returncode == 0
    table = plugin(broker, "stats", "--stream", unique).stdout
    assert table.splitlines()[1].split()[:3] == [str(number), unique, f"{unique}@1"]


def test_a_module_over_the_limit_is_refused_before_it_is_sent_on(brokers, tmp_path):
    small = brokers(lines="plugins.module.max.bytes: 1000").start()
    text = refused(small, "push", "drop", FILTER)
    assert "over the limit of 1000 (plugins.module.max.bytes)" in text


async def test_a_damaged_module_is_told_and_mended_by_another_push(own_broker, unique):
    await create(own_broker, unique)
    pushed = done(own_broker, "push", "drop", FILTER)
    done(own_broker, "attach", unique, "drop")
    own_broker.stop()
    module = own_broker.data_dir / "plugins" / "modules" / f"{pushed['version']['sha256']}.wasm"
    damaged = bytearray(module.read_bytes())
    damaged[300] ^= 4
    module.write_bytes(damaged)
    check = [str(settings.broker_binary()), "storage", "check", "--data-dir", str(own_broker.data_dir), "--json"]
    checked = subprocess.run(check, capture_output=True, text=True)
    assert checked.returncode == 6 and str(module) in checked.stdout, checked
    own_broker.start()
    async def told():
        problem = done(own_broker, "list", "--stream", unique)["problem"]
        return "damaged" in problem and problem

    assert str(module) in await eventually(told, "the damage is told")
    assert "does not work" in plugin(own_broker, "stats").stdout
    assert done(own_broker, "push", "drop", FILTER)["added"] is False
    assert done(own_broker, "list", "--stream", unique)["problem"] is None
    own_broker.stop()
    assert subprocess.run(check, capture_output=True).returncode == 0
