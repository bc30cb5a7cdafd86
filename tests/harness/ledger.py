"""What publishers were told, and whether the broker still keeps to it."""

import hashlib
import os
from typing import Dict, Iterable, List, Tuple

Place = Tuple[str, int, int]  # stream, partition, offset


class Ledger:
    """Values carry their publisher and number, so that one replay shows loss, damage, repetition and disorder."""

    def __init__(self) -> None:
        self.acked: Dict[Place, bytes] = {}
        self.seen: Dict[Place, bytes] = {}

    def record_ack(self, place: Place, value: bytes) -> None:
        known = self.acked.setdefault(place, _digest(value))
        assert known == _digest(value), f"{place} was acked for two messages"

    def record_read(self, place: Place, value: bytes) -> None:
        known = self.seen.setdefault(place, _digest(value))
        assert known == _digest(value), f"readers saw two messages at {place}"

    def check(self, stream: str, partition: int, messages: List) -> None:
        """Compares a whole partition with everything that was acked and read until now."""
        offsets = [message.offset for message in messages]
        assert offsets == list(range(len(messages))), f"{stream}/{partition}: offsets are not dense"
        held = {(stream, partition, message.offset): _digest(message.value) for message in messages}
        for what, expected in (("acked", self.acked), ("read", self.seen)):
            mine = {place: digest for place, digest in expected.items() if place[:2] == (stream, partition)}
            lost = sorted(place[2] for place in mine if place not in held)
            assert not lost, f"{stream}/{partition}: {what} but gone: {len(lost)} of {len(mine)}, first at offset {lost[0]}"
            changed = sorted(place[2] for place, digest in mine.items() if held[place] != digest)
            assert not changed, f"{stream}/{partition}: {what} but not the same: offsets {changed[:5]}"
        check_order(stream, partition, (message.value for message in messages))


class KeyedLedger(Ledger):
    """What publishers of a compacted stream were told: the newest value of each key has to be there."""

    def __init__(self, keys: int) -> None:
        super().__init__()
        self.keys = keys
        self.newest: Dict[Tuple[str, int, bytes], int] = {}

    def key_of(self, value: bytes) -> bytes:
        publisher, _, number, _ = value.split(b" ", 3)
        return b"%s %d" % (publisher, int(number) % self.keys)

    def record_ack(self, place: Place, value: bytes) -> None:
        super().record_ack(place, value)
        stream, partition, offset = place
        key = (stream, partition, self.key_of(value))
        self.newest[key] = max(offset, self.newest.get(key, -1))

    def check_compacted(self, stream: str, partition: int, messages: List, start: int = 0) -> None:
        """As `check`, but only the newest record of each key has to be there, and only from an offset on."""
        offsets = [message.offset for message in messages]
        assert offsets == sorted(set(offsets)), f"{stream}/{partition}: offsets do not grow"
        held: Dict[bytes, int] = {}
        for message in messages:
            assert message.key == self.key_of(message.value), f"{stream}/{partition}: a key and its value were mixed up"
            held[message.key] = message.offset
            for told in (self.acked, self.seen):
                known = told.get((stream, partition, message.offset))
                assert known in (None, _digest(message.value)), f"{stream}/{partition}: {message.offset} is not the same"
        for (name, number, key), offset in self.newest.items():
            if (name, number) == (stream, partition) and offset >= start:
                there = held.get(key, -1)
                assert there >= offset, f"{stream}/{partition}: newest of {key} acked at {offset} but gone, there is {there}"


def value(publisher: str, run: int, number: int, size: int = 200) -> bytes:
    """A message nobody else sends: the `number`th of this publisher since start `run` of the broker."""
    return f"{publisher} {run} {number} ".encode() + os.urandom(size)


def check_order(stream: str, partition: int, values: Iterable[bytes]) -> None:
    """Each publisher's messages of one run are there once, in order, and without one missing before another."""
    following: Dict[Tuple[bytes, int], int] = {}
    last_run: Dict[bytes, int] = {}
    for one in values:
        publisher, run, number, _ = one.split(b" ", 3)
        key = (publisher, int(run))
        assert int(run) >= last_run.get(publisher, 0), f"{stream}/{partition}: {publisher} went back to run {run}"
        last_run[publisher] = int(run)
        expected = following.get(key, 0)
        assert int(number) == expected, f"{stream}/{partition}: {publisher} of run {run}: {number} where {expected} belongs"
        following[key] = expected + 1


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
