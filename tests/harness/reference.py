"""What `plugins/hostile.wat` makes of records with the settings `{"hash":"…"}`, worked out a second time."""

from dataclasses import dataclass, field
from typing import Dict, Optional

from harness.plugins import compact

BASIS, PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
RESERVED = ("subject", "reply")


@dataclass(frozen=True)
class Record:
    """A message as a publisher knows it."""

    subject: str
    key: Optional[bytes]
    value: bytes
    headers: Dict[str, bytes] = field(default_factory=dict)

    @staticmethod
    def of(message) -> "Record":
        """A message as a subscriber gets it, which cannot tell an empty key from none."""
        headers = {name: value for name, value in message.headers.items() if name not in RESERVED}
        return Record(message.subject, message.key or None, message.value, headers)


class HashFilter:
    """Drops about a third of all records, by those parts that it needs."""

    def __init__(self, needs: str, words: str) -> None:
        """`needs` as `ksh9`: key, subject, headers, `-` in place of one; then bytes of the value, `w` all or `n` none."""
        self.needs = needs
        self.settings = {"hash": f"{needs} {words}"}
        self.seed = _mix(BASIS, compact(self.settings).encode())

    def passes(self, record: Record) -> bool:
        key, subject, headers, value = self.needs
        mixed = _mix(self.seed, b"\0" if record.key is None else b"\1")
        if key == "k":
            mixed = _mix(mixed, record.key or b"")
        if subject == "s":
            mixed = _mix(mixed, record.subject.encode())
        mixed = _mix(mixed, b"\2")
        needed = record.headers.items() if headers == "h" else ()
        all_headers = sum(_mix(BASIS, name.encode() + b"\0" + text) for name, text in needed)
        mixed = (mixed ^ (all_headers & MASK)) * PRIME & MASK
        most = {"n": 0, "w": len(record.value)}.get(value)
        mixed = _mix(mixed, record.value[:int(value) if most is None else most])
        mixed = _mix(mixed, len(record.value).to_bytes(4, "little"))
        return (mixed >> 32) % 3 != 0


def _mix(hash_: int, data: bytes) -> int:
    for byte in data:
        hash_ = (hash_ ^ byte) * PRIME & MASK
    return hash_
