"""A stream with filters is the reference filter applied to the same messages without: what is stored and acked on the way in,
what is delivered at which offsets on the way out, over changes of the filters and kills of the broker."""

import asyncio
import os
import random
from dataclasses import dataclass
from typing import Dict, List, Optional

import nats
import pytest
from grpc.aio import AioRpcError

from gufo.liftbridge.api_pb2 import Ack, FetchPartitionMetadataRequest, Message, SubscribeRequest

from harness import api, plugins
from harness.load import ENVELOPE
from harness.plugins import HOSTILE, compact, done
from harness.reference import HashFilter, Record

pytestmark = pytest.mark.differs_from_liftbridge("it has no plugins")

ROUNDS = 12
BURST = 80
PLAIN, IN, OUT = STREAMS = ("plain", "in", "out")
PROGRESS = (("strandline-progress", "true"),)
# Of newer versions of the API than the stubs'.
REVERSE = bytes([12 << 3, 1])


@dataclass
class Attached:
    number: int
    filter: HashFilter


class Chain:
    """The filters on one side of a stream, as operators change them."""

    def __init__(self, broker, stream: str, side: str, chance: random.Random) -> None:
        self.broker, self.stream, self.side, self.chance = broker, stream, side, chance
        self.attached: List[Attached] = []

    def filters(self) -> List[HashFilter]:
        return [one.filter for one in self.attached]

    def change(self) -> None:
        """Attaches, replaces or detaches something."""
        chance = self.chance
        what = chance.choice(["attach", "settings", "version", "detach", "canary"]) if self.attached else "attach"
        one = chance.choice(self.attached) if self.attached else None
        wanted = some_filter(chance)
        if what == "attach" and len(self.attached) < 3:
            number = plugins.attach(self.broker, self.stream, f"hostile@{chance.choice([1, 2])}", wanted.settings,
                                    side=self.side, order=chance.randint(-2, 2), budget="60s")
            self.attached.append(Attached(number, wanted))
        elif what == "detach":
            done(self.broker, "detach", one.number)
            self.attached.remove(one)
        elif what == "version":
            # The other version says the same.
            done(self.broker, "set", one.number, "--version", chance.choice([1, 2]))
        elif what == "canary":
            done(self.broker, "canary", one.number, "--shadow", "--version", 2, "--settings", compact(wanted.settings))
            done(self.broker, "promote", one.number)
            one.filter = wanted
        else:
            one = one or self.attached[0]
            done(self.broker, "set", one.number, "--settings", compact(wanted.settings))
            one.filter = wanted


class World:
    """What was sent, and what was heard of it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.sent: List[Record] = []
        # By number of the message; None = the broker was killed before.
        self.acks: Dict[str, Dict[int, Optional[int]]] = {stream: {} for stream in STREAMS}
        self.broken: List[Ack] = []

    async def publish(self, broker, kill_after: Optional[int] = None) -> range:
        """A burst of messages that all streams take, and all their acks; or none, from when the broker is killed in the middle."""
        first, heard = len(self.sent), asyncio.Event()
        client = await nats.connect(broker.nats_url, allow_reconnect=False)
        inbox = client.new_inbox()

        async def received(message) -> None:
            ack = Ack.FromString(message.data[8:])
            known = self.acks[ack.stream].setdefault(int(ack.correlationId), ack.offset)
            if ack.ackError or known != ack.offset:
                self.broken.append(ack)
            if all(len(acks) == first + BURST for acks in self.acks.values()):
                heard.set()

        try:
            await client.subscribe(inbox, cb=received)
            for number in range(first, first + BURST):
                record = self.some_record(number)
                self.sent.append(record)
                message = Message(value=record.value, key=record.key or b"", headers=record.headers, ackInbox=inbox,
                                  correlationId=str(number), ackPolicy=self.chance.choice([api.LEADER, api.ALL]), offset=-1)
                await client.publish(record.subject, ENVELOPE + b"\x00" + message.SerializeToString())
                if self.chance.random() < 0.2:
                    await client.flush()
                    await asyncio.sleep(self.chance.random() * 0.01)
                if number - first == kill_after:
                    broker.kill()
                    break
            else:
                await client.flush()
                await asyncio.wait_for(heard.wait(), api.PATIENCE)
        finally:
            await client.close()
        if kill_after is not None:
            broker.start()
            # What is lost with the broker is never acked: the next burst waits for its own.
            for number in range(first, len(self.sent)):
                for acks in self.acks.values():
                    acks.setdefault(number, None)
        assert not self.broken, self.broken[0]
        return range(first, len(self.sent))

    def some_record(self, number: int) -> Record:
        chance = self.chance
        subject = chance.choice(["w.a", "w.b", "w.b.c"])
        key = chance.choice([None, b"k%d" % chance.randint(0, 9)])
        names = chance.sample(["a", "b", "content-type"], chance.randint(0, 2))
        headers = {name: chance.randbytes(chance.randint(0, 6)) for name in names}
        return Record(subject, key, b"%d " % number + chance.randbytes(chance.choice([0, 1, 20, 3_000])), headers)


def some_filter(chance: random.Random) -> HashFilter:
    parts = [chance.choice([letter, "-"]) for letter in "ksh"]
    return HashFilter("".join(parts) + chance.choice("n19w"), str(chance.randint(0, 999)))


def passes(filters: List[HashFilter], record: Record) -> bool:
    return all(one.passes(record) for one in filters)


def number_of(record: Record) -> int:
    return int(record.value.split(b" ", 1)[0])


# What is stored.


def check_acks(world: World, burst: range, before: List[HashFilter], after: List[HashFilter]) -> None:
    """There is a message from which on the later filters judge, and before which the earlier ones do."""
    verdicts = [world.acks[IN][number] for number in burst]
    found = [None if offset is None else offset >= 0 for offset in verdicts]
    by_before, by_after = ([passes(filters, world.sent[number]) for number in burst] for filters in (before, after))

    def fits(place: int) -> bool:
        expected = by_before[:place] + by_after[place:]
        return all(told is None or told == wanted for told, wanted in zip(found, expected))

    assert any(fits(place) for place in range(len(burst) + 1)), f"{burst}: {found} is neither {by_before} nor {by_after}"


async def check_stored(stub, world: World, stream: str) -> List[Record]:
    """Offsets are dense, what was acked is there as it was sent, in the order in which it was sent, and what was dropped is not."""
    messages = await api.replay(stub, stream)
    assert [message.offset for message in messages] == list(range(len(messages)))
    stored = [Record.of(message) for message in messages]
    numbers = [number_of(record) for record in stored]
    assert numbers == sorted(set(numbers))
    assert all(record == world.sent[number_of(record)] for record in stored)
    offsets = {number: offset for offset, number in enumerate(numbers)}
    for number, acked in world.acks[stream].items():
        # Without an ack it may be there.
        assert acked is None or offsets.get(number, -1) == acked, (stream, number)
    return stored


# What is delivered.


@dataclass
class Reading:
    """What one subscription was delivered, in order: offsets with records, or without one where they only tell of progress."""

    filters: List[HashFilter]
    first: int
    last: int
    delivered: List

    def check(self, stored: List[Record]) -> None:
        step = 1 if self.first <= self.last else -1
        offsets = [offset for offset, _ in self.delivered]
        assert offsets == sorted(set(offsets), reverse=step < 0), "each once, in order"
        wanted = range(self.first, self.last + step, step)
        expected = [(offset, stored[offset]) for offset in wanted if passes(self.filters, stored[offset])]
        assert [(offset, record) for offset, record in self.delivered if record] == expected
        assert offsets[-1] == self.last, "the last message or marker tells that everything was looked at"


async def read(stub, wishes=(), reverse=False, most=None, until=None, **fields) -> List:
    """A subscription, to its end or so many messages, or to one of this offset."""
    request = SubscribeRequest(stream=OUT, **fields)
    if reverse:
        request = SubscribeRequest.FromString(request.SerializeToString() + REVERSE)
    call = stub.Subscribe(request, timeout=api.PATIENCE, metadata=(*PROGRESS, *wishes))
    delivered = []
    try:
        await call.read()  # the handshake
        while (most is None or len(delivered) < most) and (message := await call._read()):
            is_marker = "strandline-progress" in message.headers
            delivered.append((message.offset, None if is_marker else Record.of(message)))
            if message.offset == until:
                break
    except AioRpcError as error:
        raise AssertionError(f"refused: {error.details()}") from error
    call.cancel()
    return delivered


async def end_of(stub) -> int:
    answer = await stub.FetchPartitionMetadata(FetchPartitionMetadataRequest(stream=OUT), timeout=api.PATIENCE)
    return answer.metadata.newestOffset + 1


async def readings(stub, chance: random.Random, filters: List[HashFilter]) -> List[Reading]:
    """One subscription of each kind, one of them with a filter of its own."""
    end = await end_of(stub)
    a, b = sorted(chance.randrange(end) for _ in range(2))
    own = some_filter(chance)
    wishes = (("strandline-filter", "hostile"), ("strandline-filter-settings", compact(own.settings)))
    forward = {"startPosition": api.OFFSET, "startOffset": a, "stopPosition": 1, "stopOffset": b}
    backward = {"startPosition": api.OFFSET, "startOffset": b, "stopPosition": 1, "stopOffset": a, "reverse": True}
    whole = {"startPosition": api.EARLIEST, "stopPosition": api.STOP_LATEST}
    made = [
        Reading(filters, 0, end - 1, await read(stub, **whole)),
        Reading([*filters, own], 0, end - 1, await read(stub, wishes, **whole)),
        Reading(filters, a, b, await read(stub, **forward)),
        Reading([*filters, own], b, a, await read(stub, wishes, **backward)),
    ]
    # In two parts: the second begins behind what the first was told of.
    begun = await read(stub, most=chance.randint(1, 30), **whole)
    behind = begun[-1][0] + 1
    if behind < end:
        begun += await read(stub, **{**whole, "startPosition": api.OFFSET, "startOffset": behind})
    return [*made, Reading(filters, 0, end - 1, begun)]


async def test_filtered_streams_are_the_reference_applied_to_the_unfiltered_one(own_broker, tmp_path):
    seed = int(os.environ.get("STRANDLINE_TEST_SEED") or random.randrange(1 << 32))
    print(f"again with STRANDLINE_TEST_SEED={seed}")
    chance = random.Random(seed)
    second = tmp_path / "second.wasm"
    second.write_bytes(plugins.marked(HOSTILE, 2))
    for module in (HOSTILE, second):
        done(own_broker, "push", "hostile", module)
    async with api.connected(own_broker) as stub:
        for stream in STREAMS:
            await api.create(stub, stream, subject="w.>")
    world = World(chance)
    sides = {IN: "write", OUT: "read"}
    chains = {stream: Chain(own_broker, stream, side, random.Random(f"{seed} {side}")) for stream, side in sides.items()}
    made: List[Reading] = []
    followed: List[Reading] = []
    for number in range(ROUNDS):
        before = chains[IN].filters()
        if number % 4 == 3:
            burst = await world.publish(own_broker, kill_after=chance.randrange(BURST))
        elif number:
            burst, *_ = await asyncio.gather(world.publish(own_broker), asyncio.to_thread(chains[IN].change))
        else:
            burst = await world.publish(own_broker)
        check_acks(world, burst, before, chains[IN].filters())
        if number:
            chains[OUT].change()
        async with api.connected(own_broker) as stub:
            await check_stored(stub, world, IN)
            made += await readings(stub, chance, chains[OUT].filters())
            followed += await follow(stub, followed, chains[OUT].filters())
    for attached in chains[OUT].attached:
        done(own_broker, "detach", attached.number)
    async with api.connected(own_broker) as stub:
        plain = await check_stored(stub, world, PLAIN)
        stored = await check_stored(stub, world, OUT)
        for reading in [*made, *followed]:
            reading.check(stored)
        known = [{number for number, offset in world.acks[stream].items() if offset is not None} for stream in (OUT, PLAIN)]
        acked = set.intersection(*known)
        assert len(acked) > (ROUNDS - 4) * BURST
        assert acked <= {number_of(record) for record in plain} & {number_of(record) for record in stored}
    assert "panicked" not in own_broker.log()


async def follow(stub, followed: List[Reading], filters: List[HashFilter]) -> List[Reading]:
    """A subscriber without a stop goes on where it was, and gets to the end of the stream whatever is filtered out there."""
    first, end = (followed[-1].last + 1 if followed else 0), await end_of(stub)
    if first == end:
        return []
    delivered = await read(stub, until=end - 1, startPosition=api.OFFSET, startOffset=first)
    return [Reading(filters, first, end - 1, delivered)]
