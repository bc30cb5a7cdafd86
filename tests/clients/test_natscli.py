"""natscli (`nats`), unchanged, for everything that is core NATS."""

import json
import os
import subprocess
import time

import pytest

from harness import api, settings


class Nats:
    """Runs `nats` commands against one broker, without the user's own contexts."""

    def __init__(self, broker, home) -> None:
        self._server = broker.nats_url
        self._env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "NO_COLOR": "1"}

    def __call__(self, *words, check=True, stdin=None) -> subprocess.CompletedProcess:
        done = subprocess.run(self._command(words), env=self._env, capture_output=True, text=True, timeout=120, input=stdin)
        if check and done.returncode != 0:
            raise AssertionError(f"nats {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def start(self, *words) -> subprocess.Popen:
        return subprocess.Popen(
            self._command(words), env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
        )

    def _command(self, words):
        return [str(settings.natscli_binary()), "--server", self._server, *words]


@pytest.fixture
def cli(broker, tmp_path):
    return Nats(broker, tmp_path)


def listening(process, line):
    """Waits until a started command has printed this."""
    for printed in process.stdout:
        if line in printed:
            return
    raise AssertionError(f"{process.args} ended without printing {line!r}")


def test_published_messages_reach_a_subscriber(cli, unique):
    subscriber = cli.start("sub", unique, "--count", "3", "--raw")
    for _ in range(100):
        # It prints nothing in raw mode; messages are sent until it has had its three.
        cli("pub", unique, "hello", "--header", "Name:value")
        if subscriber.poll() is not None:
            break
        time.sleep(0.05)
    assert subscriber.wait(60) == 0
    assert subscriber.stdout.read().split() == ["hello"] * 3


def test_headers_are_shown(cli, unique):
    subscriber = cli.start("sub", unique, "--count", "1")
    listening(subscriber, "Subscribing on")
    while subscriber.poll() is None:
        cli("pub", unique, "hello", "--header", "Name:value")
        time.sleep(0.05)
    assert "Name: value" in subscriber.communicate()[0]


def test_a_request_is_replied_to(cli, unique):
    responder = cli.start("reply", unique, "answer")
    try:
        listening(responder, "Listening on")
        answered = cli("request", unique, "question", "--raw", "--timeout", "30s")
        assert answered.stdout.strip() == "answer"
    finally:
        responder.kill()
        responder.wait()


def test_a_request_without_responders_says_so(cli, unique):
    done = cli("request", unique, "question", check=False)
    assert "no responders" in (done.stdout + done.stderr).lower()


def test_the_round_trip_time_is_measured(cli, broker):
    assert "127.0.0.1" in cli("rtt", "3", "--json").stdout


def test_the_connection_can_be_checked(cli):
    assert "OK" in cli("server", "check", "connection").stdout


def test_core_benchmarks_run_through(cli, unique):
    count = "20000"
    sub = cli.start("bench", "sub", unique, "--msgs", count, "--no-progress")
    listening(sub, "Starting")
    time.sleep(1)  # it tells that it starts, not that it listens
    cli("bench", "pub", unique, "--msgs", count, "--size", "128", "--no-progress")
    try:
        output, _ = sub.communicate(timeout=60)
    finally:
        sub.kill()
    assert sub.returncode == 0 and "stats" in output


async def test_what_it_publishes_is_recorded(cli, broker, unique):
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        cli("pub", unique, "message {{Count}}", "--count", "5")
        cli("pub", unique, "--force-stdin", stdin="from standard input")
        messages = []
        while len(messages) < 6:
            messages = await api.replay(stub, unique)
        assert [message.value for message in messages[:5]] == [b"message %d" % number for number in range(1, 6)]
        assert messages[5].value.rstrip(b"\n") == b"from standard input"


@pytest.mark.differs_from_liftbridge("it has no such header")
async def test_a_request_with_the_header_prints_the_offset(cli, broker, unique):
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        for offset in range(2):
            done = cli("request", unique, "v", "--header", "Strandline-Ack:leader", "--raw", "--timeout", "30s")
            assert json.loads(done.stdout) == {"stream": unique, "partition": 0, "offset": offset}
