"""The commands of the binary beside a broker that comes and goes."""

import subprocess

import pytest

from harness import api, settings


def command(broker, *words) -> list:
    return [str(settings.broker_binary()), *words, "--servers", str(broker.grpc)]


@pytest.fixture
def following(own_broker):
    """Starts `subscribe --follow` and gives it back with its output so far, as a function."""
    started = []

    def start(stream, *words):
        process = subprocess.Popen(
            command(own_broker, "subscribe", stream, "--follow", "--format", "raw", *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def publish(broker, stream, values):
    async with api.connected(broker) as stub:
        for value in values:
            await api.publish(stub, stream, value, ackPolicy=api.LEADER)


async def test_a_follower_goes_on_over_kills_without_loss_or_repetition(own_broker, following, unique):
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique)
    values = [b"%d" % number for number in range(300)]
    await publish(own_broker, unique, values[:100])
    follower = following(unique, "--from", "earliest", "--limit", "300")
    read = lines(follower, 100)
    for start in (100, 200):
        own_broker.kill()
        own_broker.start()
        await publish(own_broker, unique, values[start : start + 100])
        read += lines(follower, 100)
    _, error = follower.communicate(timeout=60)
    assert read == [value.decode() for value in values]
    assert follower.returncode == 0 and "connecting again" in error


def lines(process, count) -> list:
    """The next lines that the process prints."""
    return [process.stdout.readline().strip() for _ in range(count)]


async def test_messages_without_ack_are_in_the_stream_when_the_command_ends(own_broker, unique):
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique)
        lines = "".join(f"{number}\n" for number in range(20_000))
        done = subprocess.run(
            command(own_broker, "publish", unique, "--ack", "none"), input=lines, text=True, capture_output=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert [message.value.decode() for message in await api.replay(stub, unique)] == lines.split()


async def test_a_refused_message_without_ack_is_an_error_all_the_same(own_broker, unique):
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique)
    done = subprocess.run(
        command(own_broker, "publish", unique, "x", "--partition", "7", "--ack", "none"), text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 1 and "no such partition: 7" in done.stderr, done.stderr
