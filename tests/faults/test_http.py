"""The HTTP port: what monitoring reads, from the first moment of a broker to the last."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import nats
import pytest
from grpc.aio import AioRpcError
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from harness import api
from harness.broker import eventually
from harness.process import free_addresses

pytestmark = pytest.mark.differs_from_liftbridge("it has no such port")

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# How long anything may take before a test gives up.
PATIENCE = 60.0


@pytest.fixture
def monitored(brokers):
    """A broker with an HTTP port."""
    [address] = free_addresses(1)
    running = brokers(lines=f"http.listen: {address}\nmetrics.per.partition: true")
    running.http = address
    return running.start()


def get(address, path, method="GET", **headers):
    """Status, headers and body, whatever the status."""
    request = urllib.request.Request(f"http://{address}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def samples(families):
    """Values by name and labels; a sample that stands twice is an error."""
    found = {}
    for family in families:
        assert family.documentation, family
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def scrape(address):
    status, headers, text = get(address, "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), headers
    return samples(prometheus(text))


async def test_numbers_follow_what_is_published(monitored, unique):
    async with api.connected(monitored) as stub:
        await api.create(stub, unique)
        for number in range(5):
            await api.publish(stub, unique, b"%d" % number)
        client = await nats.connect(monitored.nats_url)
        for _ in range(7):
            await client.request(unique, b"over nats", timeout=PATIENCE, headers={"Strandline-Ack": "leader"})
        await client.close()
        assert len(await api.replay(stub, unique)) == 12
    found = scrape(monitored.http)
    expected = {
        ("strandline_door_messages_total", ("door", "grpc_call")): 5,
        ("strandline_door_messages_total", ("door", "nats")): 7,
        ("strandline_appended_records_total",): 12,
        ("strandline_acks_total",): 12,
        ("strandline_read_records_total",): 12,
        ("strandline_batch_records_sum",): 12,
        ("strandline_partition_committed_offset", ("partition", "0"), ("stream", unique)): 12,
        ("strandline_partitions_led",): 1,
        ("strandline_ready",): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["strandline_file_sync_seconds_count", ("files", "streams")] >= 1
    assert found["strandline_nats_messages_total", ("direction", "in")] >= 7
    assert found["process_resident_memory_bytes",] > 0


def test_both_formats_parse_strictly_and_say_the_same(monitored):
    classic = scrape(monitored.http)
    status, headers, text = get(monitored.http, "/metrics", Accept=f"{OPENMETRICS};q=0.9,text/plain;q=0.1")
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert samples(openmetrics(text)).keys() == classic.keys()


def test_a_port_in_use_is_named_with_the_fix(monitored, brokers):
    second = brokers(lines=f"http.listen: {monitored.http}")
    process = second.spawn()
    assert process.wait(PATIENCE) == 4, process.tail()
    for word in (str(monitored.http), "in use", "--http-listen"):
        assert word in process.log(), process.tail()
    assert "panicked" not in process.log()
    assert get(monitored.http, "/healthz")[0] == 200


def test_without_the_setting_there_is_no_port(own_broker):
    assert "--http-listen" in own_broker.log()
    assert 'http="off"' in own_broker.log()


def test_it_is_ready_once_it_serves_and_not_any_more_when_it_stops(monitored):
    status, headers, text = get(monitored.http, "/readyz")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(text) == {"status": "ready", "reasons": []}
    assert get(monitored.http, "/healthz")[0] == 200
    # A client that stays connected and reads nothing holds up the stop for a moment, which is long enough to look.
    with monitored.grpc.connect() as held:
        held.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        held.recv(9)
        seen = []
        watching = threading.Thread(target=watch_readiness, args=(monitored, seen))
        watching.start()
        monitored.process.signal(signal.SIGTERM)
        assert monitored.process.wait(PATIENCE) == 0
        watching.join()
    stopping = [answer for status, answer in seen if status == 503]
    assert stopping and all("stopping" in [why["reason"] for why in json.loads(text)["reasons"]] for text in stopping), seen
    assert not monitored.http.listens()


def watch_readiness(broker, seen):
    deadline = time.monotonic() + PATIENCE
    while broker.process.running() and time.monotonic() < deadline:
        try:
            status, _, text = get(broker.http, "/readyz")
            seen.append((status, text))
        except OSError:
            return


async def test_a_log_that_failed_is_a_reason_to_restart(monitored, tmp_path, unique):
    strace = shutil.which("strace")
    assert strace, "strace is missing; on Debian: apt-get install strace"
    async with api.connected(monitored) as stub:
        await api.create(stub, unique)
        tracer = subprocess.Popen(
            [strace, "-f", "-qq", "-o", str(tmp_path / "strace"), "-e", "trace=fdatasync,fsync",
             "-e", "inject=fdatasync,fsync:error=EIO", "-p", str(monitored.process.pid)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        try:
            async def refused():
                try:
                    await api.publish(stub, unique, b"maybe", timeout=20)
                except AioRpcError as error:
                    return error
                return None

            await eventually(refused, "a publish fails")
        finally:
            tracer.terminate()
            tracer.wait(PATIENCE)
    status, _, text = get(monitored.http, "/healthz")
    assert status == 503 and [why["reason"] for why in json.loads(text)["reasons"]] == ["log_failed"]
    assert get(monitored.http, "/readyz")[0] == 200
    found = scrape(monitored.http)
    assert found["strandline_partitions_failed",] == 1
    assert found["strandline_file_errors_total", ("files", "streams")] >= 1
    assert found["strandline_refused_messages_total", ("reason", "log_failed")] >= 1


async def test_what_retention_removes_is_counted(brokers, unique):
    [address] = free_addresses(1)
    lines = [
        f"http.listen: {address}",
        "metrics.per.partition: true",
        "streams.segment.max.bytes: 1",
        "streams.retention.max.messages: 1",
        "streams.cleaner.interval: 1s",
    ]
    running = brokers(lines="\n".join(lines)).start()
    async with api.connected(running) as stub:
        await api.create(stub, unique)
        for number in range(5):
            await api.publish(stub, unique, b"%d" % number)

    async def removed():
        found = scrape(address)
        start = found["strandline_partition_start_offset", ("partition", "0"), ("stream", unique)]
        assert found["strandline_partition_end_offset", ("partition", "0"), ("stream", unique)] == 5
        counted = found["strandline_retention_removed_records_total",], found["strandline_retention_removed_segments_total",]
        return start >= 3 and counted == (start, start)

    await eventually(removed, "what was removed is counted")


async def test_a_torn_end_that_a_start_cuts_off_is_counted(monitored, unique):
    async with api.connected(monitored) as stub:
        await api.create(stub, unique)
        await api.publish(stub, unique, b"whole")
    assert scrape(monitored.http)["strandline_file_cuts_total", ("files", "streams")] == 0
    monitored.kill()
    [segment] = monitored.data_dir.rglob("*.seg")
    with segment.open("ab") as file:
        file.write(b"torn" * 25)
    await asyncio.to_thread(monitored.start)
    found = scrape(monitored.http)
    assert found["strandline_file_cuts_total", ("files", "streams")] == 1
    assert found["strandline_file_cut_bytes_total", ("files", "streams")] == 100


def test_other_paths_and_methods_are_answered(monitored):
    status, _, text = get(monitored.http, "/")
    assert status == 404 and all(path in text for path in ("/metrics", "/healthz", "/readyz"))
    status, headers, _ = get(monitored.http, "/metrics", method="POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, text = get(monitored.http, "/metrics", method="HEAD")
    assert (status, text) == (200, "") and headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\0" * 4096,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 512,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * (1 << 20),
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000,
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nx",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://elsewhere/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_nonsense_harms_nobody(monitored, nonsense):
    with monitored.http.connect() as idle, monitored.http.connect() as connection:
        connection.settimeout(2)
        try:
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:
            pass  # cut off in the middle of it
        assert get(monitored.http, "/healthz")[0] == 200
        idle.close()
    assert monitored.process.running() and "panicked" not in monitored.log()
