"""Plugins built from the examples of three languages, on the way of real clients' messages."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import nats
import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from gufo.liftbridge.api_pb2 import PublishRequest

from harness import api, settings

pytestmark = pytest.mark.differs_from_liftbridge("it has no plugins")

EXAMPLES = Path(os.environ.get("STRANDLINE_TEST_PLUGINS", "plugins-are-not-built"))
PATIENCE = 60.0
FIELD = {"field": "$.level", "any_of": ["error"]}


def done(broker, *words):
    """What a command that succeeds prints."""
    command = [str(settings.broker_binary()), "plugin", *map(str, words), "--servers", str(broker.grpc), "--timeout", "120s"]
    command += [] if words[0] == "detach" else ["--json"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout) if "--json" in command else None


def example(broker, name):
    """Pushes an example, once for each broker."""
    module = name.replace("_", "-")
    done(broker, "push", module, EXAMPLES / f"{name}.wasm")
    return module


def level(number, wanted="error"):
    return json.dumps({"number": number, "level": wanted}).encode()


def values(messages):
    return [json.loads(message.value)["number"] for message in messages]


async def test_a_filter_on_the_way_in_keeps_messages_out_and_tells_their_publishers(own_broker, unique):
    plugin = example(own_broker, "json_field")
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique)
        assert (await api.publish(stub, unique, b"before the filter")).offset == 0
        done(own_broker, "attach", unique, plugin, "--settings", json.dumps(FIELD))
        offsets = []
        for number in range(6):
            ack = await api.publish(stub, unique, level(number, "error" if number % 2 else "info"))
            offsets.append(ack.offset)
        assert offsets == [-1, 1, -1, 2, -1, 3]
        client = await nats.connect(own_broker.nats_url)
        headers = {"Strandline-Ack": "leader"}
        replies = [await client.request(unique, level(9, word), headers=headers, timeout=PATIENCE) for word in ("info", "error")]
        assert [json.loads(reply.data)["offset"] for reply in replies] == [-1, 4]
        await client.close()
        own_broker.kill()
        own_broker.start()
    async with api.connected(own_broker) as stub:
        assert (await api.publish(stub, unique, level(10, "debug"))).offset == -1
        assert (await api.publish(stub, unique, level(11))).offset == 5
        messages = await api.replay(stub, unique, start=1)
        assert values(messages) == [1, 3, 5, 9, 11]
        assert [message.offset for message in messages] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name, settings_, value, key", [
    ("key_from_json", {"field": "$.number"}, b'{"number": 7}', b"7"),
    ("column", {"column": 1, "divider": ";"}, b"a;b;c", b"b"),
])
async def test_a_key_extractor_gives_keys_to_messages_without_one(broker, unique, name, settings_, value, key):
    plugin = example(broker, name)
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        done(broker, "attach", unique, plugin, "--side", "key", "--settings", json.dumps(settings_))
        await api.publish(stub, unique, value)
        await api.publish(stub, unique, value, key=b"own")
        assert [message.key for message in await api.replay(stub, unique)] == [key, b"own"]


async def test_a_record_that_a_plugin_fails_on_goes_to_the_dead_letters_before_it_is_acked(broker, unique):
    plugin, letters = example(broker, "least"), f"{unique}-letters"
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        await api.create(stub, letters)
        done(broker, "attach", unique, plugin, "--settings", '{"field": "amount", "least": 10}',
             "--on-error", "dead-letter", "--dead-letters", letters)
        amounts = ["5", "50", '"many"', "10"]
        acks = [await api.publish(stub, unique, b'{"amount": %s}' % amount.encode(), headers={"a": b"b"}) for amount in amounts]
        assert [ack.offset for ack in acks] == [-1, 0, -1, 1]
        [letter] = await api.replay(stub, letters)
        assert letter.value == b'{"amount": "many"}' and letter.headers["a"] == b"b"
        told = {name[len("Strandline-Dead-Letter-"):]: text for name, text in letter.headers.items() if name.startswith("Strandline")}
        assert told.pop("Reason"), told
        assert told == {"Stream": unique.encode(), "Partition": b"0", "Offset": b"-1", "Subject": unique.encode(), "Plugin": b"least@1"}


async def test_without_dead_letters_a_failure_is_the_publishers_to_know(broker, unique):
    plugin = example(broker, "least")
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        number = done(broker, "attach", unique, plugin, "--settings", '{"field": "amount", "least": 10}')["id"]
        with pytest.raises(AioRpcError) as refused:
            await api.publish(stub, unique, b'{"amount": "many"}')
        assert refused.value.code() == StatusCode.ABORTED and "plugin" in refused.value.details()
        assert (await api.publish(stub, unique, b'{"amount": 10}')).offset == 0
        numbers = done(broker, "stats", number)["active"]
        assert (numbers["records"], numbers["passed"], numbers["failed"]) == (2, 1, 1), numbers


async def test_a_subscriber_has_its_own_filter_and_hears_of_progress(broker, unique):
    plugin = example(broker, "json_field")
    wishes = (("strandline-filter", plugin), ("strandline-filter-settings", json.dumps(FIELD)))
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        for number in range(20):
            await api.publish(stub, unique, level(number, "error" if number % 5 == 0 else "info"))
        messages, code, _ = await api.follow(stub, unique, wishes)
        assert (values(messages), code) == ([0, 5, 10, 15], StatusCode.RESOURCE_EXHAUSTED)
        assert [message.offset for message in messages] == [0, 5, 10, 15]
        messages, _, _ = await api.follow(stub, unique, (*wishes, ("strandline-progress", "true")))
        last = messages[-1]
        assert values(messages[:-1]) == [0, 5, 10, 15] and last.offset == 19 and "strandline-progress" in last.headers
        for wrong, says in [("no-such-plugin", "no plugin"), (f"{plugin}@77", "no plugin"), ("a/b", "NAME")]:
            _, code, details = await api.follow(stub, unique, (("strandline-filter", wrong),))
            assert code == StatusCode.INVALID_ARGUMENT and says in details, details


async def test_a_filter_on_the_way_out_is_every_subscribers(broker, unique):
    plugin = example(broker, "json_field")
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        for number in range(10):
            assert (await api.publish(stub, unique, level(number, "error" if number % 3 == 0 else "info"))).offset == number
        attached = done(broker, "attach", unique, plugin, "--side", "read", "--settings", json.dumps(FIELD))["id"]
        assert values(await api.replay(stub, unique)) == [0, 3, 6, 9]
        done(broker, "detach", attached)
        assert values(await api.replay(stub, unique)) == list(range(10))


async def test_plugins_come_and_go_under_load_without_loss_or_disorder(broker, unique):
    plugin = example(broker, "json_field")
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        call, acked, sent, over = stub.PublishAsync(timeout=PATIENCE), [], 0, asyncio.Event()

        async def publish():
            nonlocal sent
            while not over.is_set():
                value = level(sent, "error" if sent % 2 else "info")
                await call.write(PublishRequest(stream=unique, value=value, correlationId=str(sent), expectedOffset=-1))
                sent += 1
                if sent % 64 == 0:
                    await asyncio.sleep(0)
            await call.done_writing()

        async def read():
            while len(acked) < sent or not over.is_set():
                answer = await call.read()
                if not hasattr(answer, "ack"):
                    return
                assert not answer.HasField("asyncError"), answer
                acked.append((int(answer.correlationId), answer.ack.offset))

        async def change():
            for _ in range(6):
                number = (await asyncio.to_thread(done, broker, "attach", unique, plugin, "--settings", json.dumps(FIELD)))["id"]
                await asyncio.sleep(0.1)
                await asyncio.to_thread(done, broker, "detach", number)
            over.set()

        await asyncio.gather(publish(), read(), change())
        assert [number for number, _ in acked] == list(range(sent)), "each is answered once, in order"
        stored = [(number, offset) for number, offset in acked if offset >= 0]
        assert [offset for _, offset in stored] == list(range(len(stored)))
        assert all(number % 2 == 0 for number, offset in acked if offset < 0) and len(stored) < sent
        messages = await api.replay(stub, unique)
        assert list(zip(values(messages), (message.offset for message in messages))) == stored
