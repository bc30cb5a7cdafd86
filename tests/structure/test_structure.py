"""What one message costs the broker, counted and not timed: a copy, an allocation, a system call or a wake-up too many fails.

Each work sends a fixed number of messages in step with the broker. With one message in flight every message is a batch of its
own, and what a batch costs is counted; with a window of them what they share is divided among them, and what is left is what
every single one costs. A limit lies less than one more of its kind above what was measured, and noise moves none of them as far:
docs/performance.md has the table.
"""

import asyncio
import os
import urllib.request
from dataclasses import dataclass

import pytest

from prometheus_client.parser import text_string_to_metric_families as metric_families

from harness import api, settings, windows
from harness.broker import Broker
from harness.counted import Counts, Tracer
from harness.process import free_addresses

pytestmark = pytest.mark.differs_from_liftbridge("its own figures are not ours to limit")

# Only copies are counted that can hold a whole value. Hardly a variable that an unoptimised build moves is as large.
SMALL, LARGE = 1024, 4096
WARM_UP, COUNTED, TRACED = 10, 40, 10  # windows


@dataclass(frozen=True)
class Limits:
    """The least and the most of each figure, per message. The least shows that it was counted at all."""

    allocations: tuple
    calls: tuple
    wake_ups: tuple
    copied_bytes: tuple  # per byte of the value
    file_bytes: tuple  # per byte of the value


@dataclass(frozen=True)
class Publish:
    """Windows of messages through one door."""

    publisher: type
    value_bytes: int
    window: int
    repeat: int  # so many times the usual number of windows
    limits: Limits


WORKS = {
    "PublishAsync, 1 in flight": Publish(
        windows.GrpcPublisher, LARGE, 1, 10,
        Limits(allocations=(1, 17.9), calls=(4, 5.9), wake_ups=(2, 5.5), copied_bytes=(2, 3.9), file_bytes=(1, 1.05)),
    ),
    "NATS with acks, 1 in flight": Publish(
        windows.NatsPublisher, LARGE, 1, 10,
        Limits(allocations=(1, 13.9), calls=(4, 4.9), wake_ups=(1.5, 2.9), copied_bytes=(2, 3.9), file_bytes=(1, 1.05)),
    ),
    "PublishAsync, 1 in flight, and its subscriber": Publish(
        windows.TailedPublisher, LARGE, 1, 10,
        Limits(allocations=(1, 20.9), calls=(4, 6.9), wake_ups=(2, 5.2), copied_bytes=(2, 4.9), file_bytes=(1, 1.05)),
    ),
    "PublishAsync, 500 in flight": Publish(
        windows.GrpcPublisher, SMALL, 500, 1,
        Limits(allocations=(0, 0.25), calls=(0.01, 0.1), wake_ups=(0, 0.1), copied_bytes=(2, 3), file_bytes=(1, 1.1)),
    ),
    "NATS with acks, 500 in flight": Publish(
        windows.NatsPublisher, SMALL, 500, 1,
        Limits(allocations=(0, 0.5), calls=(0.01, 0.2), wake_ups=(0, 0.1), copied_bytes=(2, 3.1), file_bytes=(1, 1.1)),
    ),
    "plain NATS, 500 at once": Publish(
        windows.PlainPublisher, SMALL, 500, 1,
        Limits(allocations=(0, 0.5), calls=(0.01, 0.2), wake_ups=(0, 0.1), copied_bytes=(2, 2.9), file_bytes=(1, 1.1)),
    ),
}
REPLAY = Limits(
    allocations=(0, 0.1), calls=(0.01, 0.12), wake_ups=(0, 0.05), copied_bytes=(1, 2.7), file_bytes=(0, 0.01)
)


class Laboratory:
    """A broker whose allocations and copies are counted."""

    def __init__(self, directory) -> None:
        [self.http] = free_addresses(1)
        self.directory = directory
        self.counts = Counts(directory)
        self.broker = Broker(directory / "broker", lines=f"http.listen: {self.http}", binary=settings.counted_broker_binary())
        self.broker.start(wrapper=self.counts.wrapper())

    def create(self, stream: str) -> None:
        async def create() -> None:
            async with api.connected(self.broker) as stub:
                await api.create(stub, stream)

        asyncio.run(create())

    def batches(self) -> int:
        """Batches that were appended since the start."""
        with urllib.request.urlopen(f"http://{self.http}/metrics") as answer:
            families = metric_families(answer.read().decode())
        return sum(s.value for family in families for s in family.samples if s.name == "strandline_batch_records_count")

    def measure(self, value_bytes: int, run, traced_run) -> dict:
        """Figures per message of what `run` does, and of what `traced_run` does under strace; both say how many they were."""
        before = self.counts.read()
        messages = run()
        memory = self.counts.read().since(before)
        with Tracer(self.broker.process, self.broker.data_dir, self.directory / "strace") as seen:
            traced = traced_run()
        print("calls per message:", {name: round(number / traced, 3) for name, number in seen.number.most_common()})
        return {
            "allocations": sum(memory.allocations.number) / messages,
            "copied_bytes": memory.copies.bytes_of(value_bytes) / messages / value_bytes,
            "wake_ups": seen.wake_ups / traced,
            "calls": seen.number.total() / traced,
            "file_bytes": seen.file_bytes / traced / value_bytes,
        }


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    made = Laboratory(tmp_path_factory.mktemp("counted"))
    yield made
    made.broker.kill()


@pytest.mark.parametrize("name", WORKS)
def test_a_published_message_costs_no_more(laboratory, structure_table, unique, name):
    work = WORKS[name]
    laboratory.create(unique)
    publisher = work.publisher(laboratory.broker, unique, os.urandom(work.value_bytes))

    def publish(count: int) -> int:
        for _ in range(count * work.repeat):
            publisher.window(work.window)
        publisher.settle()
        return count * work.repeat * work.window

    publish(WARM_UP)
    before = laboratory.batches()
    figures = laboratory.measure(work.value_bytes, lambda: publish(COUNTED), lambda: publish(TRACED))
    batches = laboratory.batches() - before
    publisher.close()
    if work.window == 1:
        assert batches == (COUNTED + TRACED) * work.repeat, "a message in flight alone is a batch of its own"
    judge(structure_table, name, figures, work.limits)


def test_a_replayed_message_costs_no_more(laboratory, structure_table, unique):
    laboratory.create(unique)
    # Batches so small that a read joins several, which copies them once more. Whether larger ones need that is up to the moment.
    publisher = windows.GrpcPublisher(laboratory.broker, unique, os.urandom(SMALL))
    for _ in range(200):
        publisher.window(100)
    publisher.close()
    assert windows.replay(laboratory.broker, unique) == 20_000

    def replay() -> int:
        return windows.replay(laboratory.broker, unique)

    judge(structure_table, "replay, 1 subscriber", laboratory.measure(SMALL, replay, replay), REPLAY)


def judge(table, work: str, figures: dict, limits: Limits) -> None:
    table.add(work, figures, limits)
    outside = []
    for name, value in figures.items():
        least, most = getattr(limits, name)
        if not least <= value <= most:
            outside.append(f"{name} {value:.3f}, allowed from {least} to {most}")
    assert not outside, f"{work}, per message: {'; '.join(outside)}. A figure that grew for a good reason needs a new limit here"
