"""The ledger itself notices what it is there to notice."""

from types import SimpleNamespace

import pytest

from harness.ledger import Ledger, value

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
