"""More than the broker can take in or give away: publishers before a slow disk, and subscribers that do not read."""

import asyncio
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager

import nats
import pytest

from gufo.liftbridge.api_pb2 import PublishRequest, SubscribeRequest

from harness import api
from harness.broker import eventually
from harness.nats_client import flush
from harness.process import free_addresses

pytestmark = pytest.mark.differs_from_liftbridge("it fills memory, or loses messages")

VALUE = b"x" * 16_384
# Memory that a broker may gain under pressure: what waits in inboxes (and a chunk of each besides), for a sync and in buffers that
# are used again, the newest records, which stay in memory for readers, and a fifth more that the allocator keeps.
GAIN_MAX = (128 + 16 + 72 + 24 + 256) * 6 // 5 << 20
# So much is sent, and would all be in memory without limits.
SENT_MIN = 700 << 20
PATIENCE = 120.0


@pytest.fixture
def monitored(brokers):
    """Starts a broker with an HTTP port; a NATS client that does not read is cut at 8 MiB."""

    def start():
        [address] = free_addresses(1)
        running = brokers(lines=f"http.listen: {address}", nats_lines="max_pending: 8MB")
        running.http = address
        return running.start()

    return start


def number(broker, name):
    """One number of the broker's own, as a scrape reads it."""
    with urllib.request.urlopen(f"http://{broker.http}/metrics", timeout=PATIENCE) as answer:
        text = answer.read().decode()
    [found] = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found)


def memory(broker):
    with open(f"/proc/{broker.process.pid}/status") as status:
        [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", status.read())
    return int(kilobytes) << 10


@contextmanager
def slow_disk(broker, log, milliseconds):
    """Every sync takes so much longer."""
    strace = shutil.which("strace")
    if not strace:
        pytest.fail("strace is missing; on Debian: apt-get install strace")
    tracer = subprocess.Popen(
        [strace, "-f", "-qq", "-o", str(log), "-e", "trace=fdatasync,fsync",
         "-e", f"inject=fdatasync,fsync:delay_enter={milliseconds * 1000}", "-p", str(broker.process.pid)],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        while "TracerPid:\t0" in open(f"/proc/{broker.process.pid}/status").read():
            time.sleep(0.02)
        yield
    finally:
        tracer.terminate()
        tracer.wait(30)


class Flood:
    """Plain NATS messages, without acks, as fast as the server takes them, over many subjects."""

    def __init__(self, broker, subjects):
        self.sent = 0
        self._over = threading.Event()
        self._socket = broker.nats.connect()
        self._socket.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        self._bursts = [b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(VALUE), VALUE) * 16 for subject in subjects]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            while not self._over.is_set():
                for burst in self._bursts:
                    self._socket.sendall(burst)
                    self.sent += 16 * len(VALUE)
        except OSError:
            pass

    def end(self):
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._socket.close()


async def flood_session(stub, stream):
    """PublishAsync as fast as the server takes it; nobody reads the acks but the library."""
    call = stub.PublishAsync()
    sent = 0
    try:
        while True:
            await call.write(PublishRequest(stream=stream, value=VALUE, correlationId="c", expectedOffset=-1))
            sent += len(VALUE)
    except (asyncio.CancelledError, asyncio.InvalidStateError):
        return sent
    finally:
        call.cancel()


async def test_publishers_before_a_slow_disk_are_held_back_and_memory_stays_bounded(monitored, tmp_path, unique):
    broker = await asyncio.to_thread(monitored)
    streams = [f"{unique}-{number}" for number in range(64)]
    async with api.connected(broker) as stub:
        for stream in streams:
            await api.create(stub, stream)
        before = most = memory(broker)
        with slow_disk(broker, tmp_path / "strace", 500):
            sessions = [asyncio.ensure_future(flood_session(stub, stream)) for stream in streams[:4]]
            flood = await asyncio.to_thread(Flood, broker, streams)
            until = time.monotonic() + PATIENCE
            while flood.sent < SENT_MIN and time.monotonic() < until:
                await asyncio.sleep(0.2)
                most = max(most, memory(broker))
                assert number(broker, "strandline_unsynced_bytes") <= (64 + 8) << 20
                assert number(broker, "strandline_inbox_bytes") <= (128 + 64) << 20
            await asyncio.to_thread(flood.end)
            for session in sessions:
                session.cancel()
            sent = flood.sent + sum(await asyncio.gather(*sessions))
        assert sent > SENT_MIN, "the disk takes too little for this to show anything"
        assert number(broker, "strandline_publisher_wait_seconds_count") > 0
        assert most - before < GAIN_MAX, (before >> 20, most >> 20, sent >> 20)

        async def settled():
            return number(broker, "strandline_unsynced_bytes") == number(broker, "strandline_inbox_bytes") == 0

        await eventually(settled, "what was taken is stored", PATIENCE)
        assert (await api.publish(stub, streams[0], b"after")).offset > 0
    assert broker.process.running()


async def publish_many(stub, stream, count):
    """Acked messages, with a window; the number of each stands in its value."""
    call = stub.PublishAsync()
    window = asyncio.Semaphore(256)

    async def acks():
        for _ in range(count):
            answer = await asyncio.wait_for(call.read(), PATIENCE)
            assert answer and not answer.HasField("asyncError"), answer
            window.release()

    reading = asyncio.ensure_future(acks())
    for one in range(count):
        await window.acquire()
        value = b"%08d" % one + VALUE[8:]
        await call.write(PublishRequest(stream=stream, value=value, correlationId=str(one), expectedOffset=-1))
    await reading
    await call.done_writing()


async def read_many(call, count):
    for one in range(count):
        message = await asyncio.wait_for(call.read(), PATIENCE)
        assert message.offset == one and message.value.startswith(b"%08d" % one)


async def test_api_subscribers_that_do_not_read_cost_a_bounded_queue_and_nobody_else(monitored, unique):
    broker = await asyncio.to_thread(monitored)
    slow, count = 20, 12_000  # 192 MiB
    async with api.connected(broker) as stub, api.connected(broker) as other:
        await api.create(stub, unique)
        request = SubscribeRequest(stream=unique, startPosition=api.EARLIEST)
        sleeping = [other.Subscribe(request) for _ in range(slow)]
        following = stub.Subscribe(request)
        for call in [*sleeping, following]:
            await call.read()  # the handshake
        before = memory(broker)
        await asyncio.gather(publish_many(stub, unique, count), read_many(following, count))
        assert number(broker, "strandline_subscriptions") == slow + 1
        limit = number(broker, 'strandline_grpc_queue_limit_bytes{queue="messages"}')
        assert number(broker, 'strandline_grpc_queue_bytes{queue="messages"}') <= slow * (limit + (512 << 10))
        assert memory(broker) - before < GAIN_MAX, (before >> 20, memory(broker) >> 20)
        # They wake up: nothing is lost.
        await read_many(sleeping[0], count)
        for call in [*sleeping, following]:
            call.cancel()


async def test_a_nats_subscriber_that_does_not_read_is_cut_off_and_others_go_on(monitored, unique):
    broker = await asyncio.to_thread(monitored)
    count = 6000  # 96 MiB
    asleep = broker.nats.connect()
    asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    asleep.sendall(b'CONNECT {"verbose":false}\r\nSUB %s 1\r\nPING\r\n' % unique.encode())
    awake = await nats.connect(broker.nats_url, pending_size=64 << 20)
    received = []

    async def note(message):
        received.append(message)

    await awake.subscribe(unique, cb=note, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await flush(awake)
    before = memory(broker)
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        await publish_many(stub, unique, count)

        async def all_received():
            return len(received) == count

        await eventually(all_received, "the other subscriber has everything", PATIENCE)
    assert number(broker, "strandline_nats_slow_consumers_total") == 1
    assert number(broker, "strandline_nats_connections") == 1
    assert memory(broker) - before < GAIN_MAX, (before >> 20, memory(broker) >> 20)
    asleep.close()
    await awake.close()
