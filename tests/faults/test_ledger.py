"""The ledger itself notices what it is there to notice."""

from types import SimpleNamespace

import pytest

from harness.ledger import KeyedLedger, Ledger, value

VALUES = [value("ann", run, number) for run, count in ((0, 3), (1, 2)) for number in range(count)]


def held(values):
    return [SimpleNamespace(offset=offset, value=one) for offset, one in enumerate(values)]


def ledger_of(values):
    ledger = Ledger()
    for offset, one in enumerate(values):
        ledger.record_ack(("s", 0, offset), one)
    return ledger


def test_everything_in_place_passes():
    ledger_of(VALUES).check("s", 0, held(VALUES))


@pytest.mark.parametrize(
    "what, messages",
    [
        ("gone", held(VALUES[:-1])),
        ("not the same", held(VALUES[:-1] + [value("ann", 1, 1)])),
        ("not dense", held(VALUES)[1:]),
    ],
)
def test_loss_damage_and_gaps_are_noticed(what, messages):
    with pytest.raises(AssertionError, match=what):
        ledger_of(VALUES).check("s", 0, messages)


@pytest.mark.parametrize("order", [[0, 2, 1], [0, 0, 1], [1], [3, 0]])
def test_disorder_repetition_and_holes_are_noticed(order):
    with pytest.raises(AssertionError):
        Ledger().check("s", 0, held([VALUES[index] for index in order]))


def test_an_offset_acked_for_two_messages_is_noticed():
    ledger = ledger_of(VALUES)
    with pytest.raises(AssertionError, match="two messages"):
        ledger.record_ack(("s", 0, 0), VALUES[1])


def keyed(values):
    """A ledger of one key a publisher, and what a compacted stream may hold of it."""
    ledger = KeyedLedger(1)
    for offset, one in enumerate(values):
        ledger.record_ack(("s", 0, offset), one)
    messages = held(values)
    for message in messages:
        message.key = ledger.key_of(message.value)
    return ledger, messages


def test_of_a_compacted_stream_only_the_newest_of_a_key_has_to_be_there():
    ledger, messages = keyed(VALUES)
    ledger.check_compacted("s", 0, messages)
    ledger.check_compacted("s", 0, messages[-1:])
    ledger.check_compacted("s", 0, [], start=len(VALUES))
    for missing, what in ((messages[:-1], "gone"), ([], "gone"), (messages[::-1], "do not grow")):
        with pytest.raises(AssertionError, match=what):
            ledger.check_compacted("s", 0, missing)
