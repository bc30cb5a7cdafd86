"""Plugins that do what none should, under real publishers and readers: their stream does what its error policy says,
everything else goes on, and nothing that was acked is lost. `plugins/hostile.wat` says what the letters mean."""

import asyncio
import re

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from gufo.liftbridge.api_pb2 import PublishRequest

from harness import api, plugins
from harness.broker import eventually
from harness.load import GONE
from harness.plugins import HOSTILE, HOSTILE_KEYS, attach, compact, done, numbers, refused

pytestmark = pytest.mark.differs_from_liftbridge("it has no plugins")

POLICIES = ["fail", "drop", "pass", "dead-letter"]
# Records that fail: by the plugin's own word, no verdict, one too many, trap, exit, endless recursion, all memory, an answer and
# a print that are too large.
FAILING = "fvwtxrmzp"
PATIENT = "60s"  # a budget that nothing reaches, however busy the machine is
# What a broker may gain whatever plugins take: two batches' instances at their limit of 64 MiB, and what the engine keeps.
GAIN_MAX = 256 << 20
PREFIX = "Strandline-Dead-Letter-"


@pytest.fixture(autouse=True)
def nothing_panics(request):
    running = [request.getfixturevalue(name) for name in ("broker", "own_broker") if name in request.fixturenames]
    yield
    for one in running:
        assert "panicked" not in one.log()


@pytest.fixture(scope="module")
def pushed(broker):
    """The hostile plugins, at a broker that all tests share."""
    push(broker)
    return broker


def push(broker):
    done(broker, "push", "hostile", HOSTILE)
    done(broker, "push", "hostile-keys", HOSTILE_KEYS)


def memory(broker) -> int:
    with open(f"/proc/{broker.process.pid}/status") as status:
        [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", status.read())
    return int(kilobytes) << 10


async def outcome(stub, stream, value: bytes):
    """The offset that a publisher is told, or `refused`."""
    try:
        return (await api.publish(stub, stream, value)).offset
    except AioRpcError as error:
        assert error.code() == StatusCode.ABORTED and "plugin" in error.details(), error
        return "refused"


def told(letter) -> dict:
    headers = letter.headers.items()
    return {name[len(PREFIX):]: text.decode() for name, text in headers if name.startswith(PREFIX)}


# On the way in.


async def test_every_failure_is_its_own_records_and_what_was_acked_survives_a_kill(own_broker):
    push(own_broker)
    # Never so many failures among the last batches that the breaker opens.
    values = [f"{word}{number}".encode() for number, letter in enumerate(FAILING + "dqgo") for word in (letter, "A", "B")]
    values += [b"", b"A" * (1 << 20)]
    acked, attachments = {}, {}
    async with api.connected(own_broker) as stub:
        await api.create(stub, "plain")
        before = memory(own_broker)
        for policy in POLICIES:
            await api.create(stub, policy)
            await api.create(stub, f"{policy}-letters")
            letters = {"dead_letters": f"{policy}-letters"} if policy in ("dead-letter", "drop") else {}
            attachments[policy] = attach(own_broker, policy, "hostile", on_error=policy, budget=PATIENT, **letters)
            acked[policy] = [(value, await outcome(stub, policy, value)) for value in values]
            # Nobody else notices.
            assert (await api.publish(stub, "plain", policy.encode())).offset == POLICIES.index(policy)
        assert memory(own_broker) < before + GAIN_MAX
    for policy, outcomes in acked.items():
        check_outcomes(policy, outcomes)
        counted = numbers(own_broker, attachments[policy])
        assert (counted["records"], counted["breaker"]) == (len(values), "closed"), counted
        assert (counted["dropped"], counted["failed"], counted["dead_lettered"]) == (1, len(FAILING), 1), counted
    own_broker.kill()
    own_broker.start()
    async with api.connected(own_broker) as stub:
        for policy, outcomes in acked.items():
            stored = [(message.value, message.offset) for message in await api.replay(stub, policy)]
            assert stored == [(value, offset) for value, offset in outcomes if offset not in (-1, "refused")]
            check_letters(policy, outcomes, await api.replay(stub, f"{policy}-letters"))
            assert await outcome(stub, policy, b"d") == -1, "the plugin is there again"
        assert [message.value.decode() for message in await api.replay(stub, "plain")] == POLICIES


def check_outcomes(policy, outcomes):
    """Each publisher is told what the policy says, and offsets are dense."""
    following = 0
    for value, found in outcomes:
        letter = value[:1].decode()
        if letter == "d" and value:
            expected = -1
        elif letter == "q" and policy in ("dead-letter", "drop"):
            expected = -1
        elif letter and letter in FAILING + "q":
            expected = {"fail": "refused", "pass": following}.get(policy, -1)
        else:
            expected = following
        assert found == expected, (policy, value[:10])
        following += found == following


def check_letters(policy, outcomes, letters):
    sent = {"drop": "q", "dead-letter": FAILING + "q"}.get(policy, "")
    expected = [value for value, _ in outcomes if value and value[:1].decode() in sent]
    assert [letter.value for letter in letters] == expected
    for letter in letters:
        reason = told(letter).pop("Reason")
        assert 0 < len(reason) < 1_000 and reason.isprintable(), reason
        where = {"Stream": policy, "Partition": "0", "Offset": "-1", "Subject": policy, "Plugin": "hostile@1"}
        assert told(letter) == {**where, "Reason": reason}


@pytest.mark.parametrize("why, expected", [("t", "the plugin sent it there"), ("l", "the plugin sent it there"),
                                           ("n", "the plugin sent it there"), ("e", "x" * 1_000 + "…"), ("b", "because")])
async def test_a_dead_letter_is_kept_whatever_its_filter_says_of_it(pushed, unique, why, expected):
    """A reason of some MiB made the letter larger than a message may be, and so its message was refused."""
    letters = f"{unique}-letters"
    async with api.connected(pushed) as stub:
        for stream in (unique, letters):
            await api.create(stub, stream)
        number = attach(pushed, unique, "hostile", {"why": why}, dead_letters=letters, budget="200ms", debug=True)
        assert [await outcome(stub, unique, value) for value in (b"q", b"d", b"A")] == [-1, -1, 0]
        [letter] = await api.replay(stub, letters)
        assert (letter.value, told(letter)["Reason"]) == (b"q", expected)
        assert numbers(pushed, number)["failed"] == 0


@pytest.mark.parametrize("letter, policy", list(zip("tlmrwvzxp", (POLICIES * 3)[3:])))
async def test_a_plugin_that_always_fails_is_left_alone_and_others_go_on(pushed, unique, letter, policy):
    async with api.connected(pushed) as stub:
        letters = f"{unique}-letters"
        for stream in (unique, letters, f"{unique}-plain"):
            await api.create(stub, stream)
        before = memory(pushed)
        options = {"dead_letters": letters} if policy == "dead-letter" else {}
        budget = "50ms" if letter == "l" else PATIENT
        number = attach(pushed, unique, "hostile", {"all": letter}, on_error=policy, budget=budget, **options)
        over = asyncio.Event()

        async def publish():
            found = [await outcome(stub, unique, b"%d" % number) for number in range(8)]
            over.set()
            return found

        async def publish_elsewhere():
            offsets = []
            while not over.is_set():
                offsets.append((await api.publish(stub, f"{unique}-plain", b"x")).offset)
            return offsets

        found, elsewhere = await asyncio.gather(publish(), publish_elsewhere())
        assert found == {"fail": ["refused"] * 8, "pass": list(range(8))}.get(policy, [-1] * 8)
        assert elsewhere == list(range(len(elsewhere))) and elsewhere
        counted = numbers(pushed, number)
        assert (counted["failed"], counted["breaker"], counted["breaker_openings"]) == (8, "open", 1), counted
        assert counted["calls"] == 5 and counted["refused_batches"] == 3, counted
        if policy == "dead-letter":
            reasons = [told(message)["Reason"] for message in await api.replay(stub, letters)]
            assert len(reasons) == 8 and all("failed too often" in reason for reason in reasons[5:]), reasons
        assert memory(pushed) < before + GAIN_MAX
        said = [line["text"] for line in done(pushed, "logs", number)]
        assert any("keeps failing" in text for text in said), said


async def test_many_plugins_that_never_end_hold_up_nobody_else(pushed, unique):
    """More of them than there are threads for plugins."""
    async with api.connected(pushed) as stub:
        streams = [f"{unique}-{number}" for number in range(6)]
        for stream in [*streams, unique]:
            await api.create(stub, stream)
        for stream in streams:
            attach(pushed, stream, "hostile", {"all": "l"}, on_error="drop", budget="100ms")
        attach(pushed, unique, "hostile")

        async def stuck(stream):
            return [await outcome(stub, stream, b"x") for _ in range(10)]

        async def well():
            return [await outcome(stub, unique, b"d" if number % 2 else b"A") for number in range(50)]

        *dropped, found = await asyncio.gather(*map(stuck, streams), well())
        assert dropped == [[-1] * 10] * 6
        assert found == [-1 if number % 2 else number // 2 for number in range(50)]


async def test_a_flood_of_words_is_cut_and_counted(pushed, unique):
    async with api.connected(pushed) as stub:
        await api.create(stub, unique)
        number = attach(pushed, unique, "hostile", budget=PATIENT)
        assert await outcome(stub, unique, b"g") == 0
        await asyncio.sleep(0.2)  # until some more lines are let through
        assert await outcome(stub, unique, b"o") == 1
        lines = done(pushed, "logs", number)
        assert 50 < len(lines) <= 1_000 and all(len(line["text"]) <= 4_100 for line in lines)
        assert {line["source"] for line in lines} == {"plugin", "stdout"}
        assert sum(line["left_out"] for line in lines) > 500


@pytest.mark.parametrize("policy", POLICIES)
async def test_spans_that_are_none_cost_their_own_record_its_key_or_its_place(pushed, unique, policy):
    letters = f"{unique}-letters"
    failing = (b"f", b"o", b"b", b"y", b"t")
    values = [b"%s%d" % (word, number) for number, bad in enumerate(failing) for word in (bad, b"A", b"n", b"x")]
    async with api.connected(pushed) as stub:
        await api.create(stub, unique)
        await api.create(stub, letters)
        options = {"dead_letters": letters} if policy == "dead-letter" else {}
        attach(pushed, unique, "hostile-keys", side="key", on_error=policy, budget=PATIENT, **options)
        found = [(value, await outcome(stub, unique, value)) for value in values]
        await api.publish(stub, unique, b"y", key=b"own")
        stored = {message.value: message.key for message in await api.replay(stub, unique)}
        for value, offset in found:
            if value[:1] not in failing:
                assert stored[value] == {b"A": value, b"n": b"", b"x": b"key"}[value[:1]]
            elif policy == "pass":
                assert stored[value] == b"", "it goes on without a key"
            else:
                assert value not in stored and offset == ("refused" if policy == "fail" else -1)
        assert stored[b"y"] == b"own", "a record with a key is not looked at"
        assert len(await api.replay(stub, letters)) == (5 if policy == "dead-letter" else 0)


# On the way out.


@pytest.mark.parametrize("policy", POLICIES[:3])
async def test_readers_are_told_at_which_record_a_filter_failed(pushed, unique, policy):
    values = [b"A", b"d", b"q", b"A", b"", *(bytes([letter]) for letter in FAILING.encode()), b"A"]
    async with api.connected(pushed) as stub:
        await api.create(stub, unique)
        for number, value in enumerate(values):
            assert (await api.publish(stub, unique, value)).offset == number
        number = attach(pushed, unique, "hostile", side="read", on_error=policy, budget=PATIENT)
        messages, code, details = await api.follow(stub, unique)
        offsets = [message.offset for message in messages]
        first = values.index(b"f")
        if policy == "fail":
            assert (offsets, code) == ([0, 3, 4], StatusCode.ABORTED)
            assert f"offset {first}" in details and "hostile@1" in details, details
            behind = {"startPosition": api.OFFSET, "startOffset": len(values) - 1}
            messages, code, _ = await api.follow(stub, unique, **behind)
            assert ([message.value for message in messages], code) == ([b"A"], StatusCode.RESOURCE_EXHAUSTED)
        elif policy == "drop":
            assert (offsets, code) == ([0, 3, 4, len(values) - 1], StatusCode.RESOURCE_EXHAUSTED)
        else:
            assert (offsets, code) == ([0, 3, 4, *range(first, len(values))], StatusCode.RESOURCE_EXHAUSTED)
        done(pushed, "detach", number)
        assert len(await api.replay(stub, unique)) == len(values), "nothing of it is gone"


@pytest.mark.parametrize("wanted, code, says", [
    ({"all": "t"}, StatusCode.ABORTED, "offset 0"),
    ({"all": "l"}, StatusCode.ABORTED, "offset 0"),
    ({"all": "q"}, StatusCode.RESOURCE_EXHAUSTED, ""),
    ({"init": "r"}, StatusCode.INVALID_ARGUMENT, "it takes no settings of anybody"),
    ({"init": "e"}, StatusCode.INVALID_ARGUMENT, "xxx"),
    ({"init": "t"}, StatusCode.INVALID_ARGUMENT, "init trapped"),
])
async def test_a_subscribers_own_filter_is_its_own_trouble(pushed, unique, wanted, code, says):
    async with api.connected(pushed) as stub:
        await api.create(stub, unique)
        await api.publish(stub, unique, b"x")
        wishes = (("strandline-filter", "hostile"), ("strandline-filter-settings", compact(wanted)))
        messages, found, details = await api.follow(stub, unique, wishes)
        assert (messages, found) == ([], code) and says in details, (found, details)
        assert len(details) < 2_000
        assert len(await api.replay(stub, unique)) == 1


# Changes.


async def test_what_is_no_plugin_is_refused_and_leaves_nothing(pushed, tmp_path, unique):
    filter_ = plugins.FILTER.read_bytes()
    cases = {
        "wrong world": (filter_.replace(b"plugin/filtering@", b"plugin/filtermng@"), "exports neither"),
        "newer contract": (filter_.replace(b"@1.0.0", b"@2.0.0"), "version 2.0.0 of the contract"),
        "newer minor contract": (filter_.replace(b"@1.0.0", b"@1.1.0"), "version 1.1.0 of the contract"),
        "forbidden import": (filter_.replace(b"strandline:plugin/types", b"strandlime:plugin/types"), "strandlime:plugin/types@"),
        "core module": (b"\0asm\x01\0\0\0", "core WebAssembly module"),
        "not WebAssembly": (b"#!/bin/sh\n", "not WebAssembly"),
        "cut": (HOSTILE.read_bytes()[:-100], "cannot push"),
    }
    modules = pushed.data_dir / "plugins" / "modules"
    before = sorted(modules.iterdir())
    for what, (module, says) in cases.items():
        path = tmp_path / "module.wasm"
        path.write_bytes(module)
        text = refused(pushed, "push", unique, path)
        assert says in text and len(text) < 2_000, (what, text)
    assert sorted(modules.iterdir()) == before


async def test_a_plugin_that_does_not_start_is_not_attached(pushed, unique):
    cases = {
        "t": "init trapped",
        "l": "did not return in time",
        "m": "more than the 64 MiB",
        "r": "takes no settings of anybody",
        "e": "xxx",
    }
    async with api.connected(pushed) as stub:
        await api.create(stub, unique)

        def attaching(letter):
            return refused(pushed, "attach", unique, "hostile", "--settings", compact({"init": letter}))

        texts = await asyncio.gather(*(asyncio.to_thread(attaching, letter) for letter in cases))
        for text, says in zip(texts, cases.values()):
            assert says in text and len(text) < 2_000, text
        number = attach(pushed, unique, "hostile")
        text = refused(pushed, "set", number, "--settings", compact({"init": "t"}))
        assert "init trapped" in text
        assert await outcome(stub, unique, b"d") == -1 and await outcome(stub, unique, b"A") == 0, "it goes on as it was"


async def test_plugins_change_in_the_middle_of_batches_until_the_broker_is_killed(own_broker, tmp_path):
    """Version 2 drops what version 1 lets pass, and the third fails on everything."""
    push(own_broker)
    second = tmp_path / "second.wasm"
    second.write_bytes(plugins.marked(HOSTILE, 2))
    done(own_broker, "push", "hostile", second)
    acked, sent, over = [], 0, asyncio.Event()
    async with api.connected(own_broker) as stub:
        await api.create(stub, "orders")
        number = attach(own_broker, "orders", "hostile@1", on_error="drop", budget=PATIENT)
        call = stub.PublishAsync(timeout=api.PATIENCE)

        async def publish():
            nonlocal sent
            while not over.is_set():
                letter = {1: "d", 2: "t"}.get(sent % 16, "A")
                fields = {"value": f"{letter}{sent}".encode(), "correlationId": str(sent), "expectedOffset": -1}
                await call.write(PublishRequest(stream="orders", **fields))
                sent += 1
                if sent % 32 == 0:
                    await asyncio.sleep(0)

        async def read():
            while hasattr(answer := await call.read(), "ack"):
                assert not answer.HasField("asyncError"), answer
                acked.append((int(answer.correlationId), answer.ack.offset))

        async def change():
            for words in [
                ("canary", number, "--percent", 50, "--version", 2, "--settings", compact({"all": "d"})),
                ("promote", number),
                ("rollback", number),
                ("canary", number, "--shadow", "--version", 2, "--settings", compact({"all": "t"})),
                ("rollback", number),
                ("set", number, "--settings", compact({"all": "t"})),
                ("set", number, "--settings", "{}"),
                ("set", number, "--version", 2),
            ]:
                await asyncio.to_thread(done, own_broker, *words)
                await asyncio.sleep(0.1)
            # However slow the machine is: something has to be lost by the kill.
            while sum(offset >= 0 for _, offset in acked) <= 100:
                await asyncio.sleep(0.05)
            await asyncio.to_thread(own_broker.kill)
            over.set()

        ended = await asyncio.gather(publish(), read(), change(), return_exceptions=True)
        for broken in ended:
            if broken is not None and not isinstance(broken, GONE):
                raise broken
    assert [number for number, _ in acked] == list(range(len(acked))), "each is answered once, in order"
    stored = [(number, offset) for number, offset in acked if offset >= 0]
    assert [offset for _, offset in stored] == list(range(len(stored))) and len(stored) > 100
    own_broker.start()
    assert done(own_broker, "list", "--stream", "orders")["active"] == {"version": 2, "settings": {}}
    async with api.connected(own_broker) as stub:
        held = [(int(message.value[1:]), message.offset) for message in await api.replay(stub, "orders")]
        assert held[:len(stored)] == stored, "what was acked is there"
        # Of what was on its way some is there, in its order.
        rest = [number for number, _ in held[len(stored):]]
        assert rest == sorted(set(rest)) and all(len(acked) <= number < sent for number in rest)
        values = [message.value[:1] for message in await api.replay(stub, "orders")]
        assert set(values) == {b"A"}
        assert await outcome(stub, "orders", b"d") == -1


async def test_a_canary_goes_on_after_a_kill_as_it_was(own_broker, tmp_path):
    push(own_broker)
    second = tmp_path / "second.wasm"
    second.write_bytes(plugins.marked(HOSTILE, 2))
    done(own_broker, "push", "hostile", second)
    async with api.connected(own_broker) as stub:
        for stream in ("share", "shadow", "letters"):
            await api.create(stub, stream)
        share = attach(own_broker, "share", "hostile@1", dead_letters="letters", budget=PATIENT)
        shadow = attach(own_broker, "shadow", "hostile@1", budget=PATIENT)
        done(own_broker, "canary", share, "--percent", 50, "--version", 2, "--settings", compact({"all": "q"}))
        done(own_broker, "canary", shadow, "--shadow", "--version", 2, "--settings", compact({"all": "d"}))
        assert await share_of_letters(stub) == 10

    async def listed():
        return [done(own_broker, "list", "--stream", name) for name in ("share", "shadow")]

    before = await listed()
    own_broker.kill()
    own_broker.start()

    async def is_as_before():
        return await listed() == before

    await eventually(is_as_before, "everything is loaded, as it was")
    async with api.connected(own_broker) as stub:
        assert await share_of_letters(stub) == 10
        # A letter names the version that sent it there.
        letters = await api.replay(stub, "letters")
        assert len(letters) == 20 and {told(letter)["Plugin"] for letter in letters} == {"hostile@2"}
        assert [await outcome(stub, "shadow", b"A") for _ in range(5)] == list(range(5)), "a shadow decides on nothing"

        async def compared():
            return done(own_broker, "stats", shadow)["shadow_different"] >= 1

        await eventually(compared, "the shadow is compared")
        done(own_broker, "promote", share)
        done(own_broker, "rollback", shadow)
        assert await outcome(stub, "share", b"A") == -1 and await outcome(stub, "shadow", b"A") == 5


async def share_of_letters(stub) -> int:
    return [await outcome(stub, "share", b"A") for _ in range(20)].count(-1)


async def test_compiled_plugins_that_are_damaged_or_anothers_are_made_anew(own_broker):
    push(own_broker)
    async with api.connected(own_broker) as stub:
        for stream in ("damaged", "foreign"):
            await api.create(stub, stream)
        attach(own_broker, "damaged", "hostile")
        attach(own_broker, "foreign", "hostile-keys", side="key")
    own_broker.stop()
    files = sorted((own_broker.data_dir / "plugins" / "compiled").glob("*.plugin"), key=lambda file: file.stat().st_size)
    keys, filter_ = (file.read_bytes() for file in files)
    flipped = bytearray(filter_)
    flipped[len(flipped) // 2] ^= 1
    files[1].write_bytes(flipped)
    files[0].write_bytes(filter_)  # whole, and of another module
    own_broker.start()
    async with api.connected(own_broker) as stub:
        assert await outcome(stub, "damaged", b"d") == -1 and await outcome(stub, "damaged", b"A") == 0
        assert await outcome(stub, "foreign", b"d") == 0
        assert [message.key for message in await api.replay(stub, "foreign")] == [b"d"]
    log = own_broker.log()
    assert "cannot use a compiled plugin, compiling it again" in log
    assert "it is damaged" in log and "it is of another module, engine or processor" in log
    assert [len(file.read_bytes()) for file in files] == [len(keys), len(filter_)], "they are as they were"
    assert bytes(flipped) != files[1].read_bytes()
