"""`strandline bench` as its users run it. Figures are not judged, only that they are there."""

import asyncio
import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness import api, settings

PATIENCE = 300


@pytest.fixture
def own_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture
def bench(own_directory):
    """Runs the command in a directory of its own, in which it may leave nothing."""

    def run(*arguments) -> subprocess.CompletedProcess:
        done = subprocess.run(command(*arguments), cwd=own_directory, capture_output=True, text=True, timeout=PATIENCE)
        assert list(own_directory.iterdir()) == []
        return done

    return run


def command(*arguments) -> list:
    return [settings.broker_binary(), "bench", *map(str, arguments)]


def logs(broker) -> list:
    """The directories of the broker's partitions."""
    return [path for path in Path(broker.data_dir, "streams").iterdir() if path.is_dir()]


def jetstream() -> str:
    return f"jetstream={settings.nats_server_binary()}"


def test_every_kind_of_work_has_figures_and_so_have_the_peers(bench):
    works = ["publish", "nats-acks", "ingest", "replay", "window-one", "tail", "spread"]
    done = bench(*works, "--seconds", 1, "--json", "--against", jetstream())
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["limits"]["bidirectional"] > 0 and report["limits"]["server_stream"] > 0
    assert [append["bytes"] for append in report["limits"]["appends"]] == [4096, 65536, 1048576]
    ours = [row for row in report["rows"] if row["server"] == "strandline"]
    assert [row["work"] for row in ours] == works
    for row in report["rows"]:
        assert row["problem"] is None, row
        if row["work"] != "tail":
            assert row["count"] > 0 and row["per_second"] > 0 and row["server_cpu"] > 0 and row["client_cpu"] > 0, row
        if row["work"] in ("publish", "window-one", "tail"):
            assert 0 < row["p50"] <= row["p99"] <= row["p999"], row
    assert next(row for row in ours if row["work"] == "ingest")["count"] == 1_000_000
    peers = {(row["work"], row["server"]) for row in report["rows"] if row["server"] != "strandline"}
    assert {("publish", "jetstream"), ("publish", "jetstream, sync always"), ("replay", "jetstream")} <= peers


def test_the_time_to_the_first_ack_after_a_kill_is_measured_on_all_servers(bench):
    done = bench("restart", "--restart-mib", 16, "--json", "--against", jetstream())
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["server"] for row in rows] == ["strandline", "jetstream"]
    assert all(row["first_ack"] > 0 and row["count"] * 256 >= 16 << 20 for row in rows)


def test_the_table_is_readable(bench):
    done = bench("window-one", "--seconds", 1)
    assert done.returncode == 0, done.stderr
    assert "bare tonic stream both ways" in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("publish, 1 in flight"))
    assert "strandline" in line and "x p99 of a bare 4 KiB append + fdatasync" in line


async def test_a_broker_that_runs_already_is_measured_and_left_as_it_was(own_broker, bench, unique):
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique)
        await api.publish(stub, unique, b"mine", ackPolicy=api.LEADER)
        arguments = ["publish", "nats-acks", "--seconds", 1, "--servers", own_broker.grpc, "--nats", own_broker.nats, "--json"]
        done = await asyncio.to_thread(bench, *arguments)
        assert done.returncode == 0, done.stderr
        assert all(row["count"] > 0 and row["server_cpu"] is None for row in json.loads(done.stdout)["rows"])
        assert [message.value for message in await api.replay(stub, unique)] == [b"mine"]
        assert len(logs(own_broker)) == 1


async def test_an_interrupt_prints_what_there_is_and_cleans_up(own_broker, own_directory):
    arguments = ["window-one", "publish", "--seconds", 60, "--servers", own_broker.grpc]
    process = await asyncio.create_subprocess_exec(
        *command(*arguments), cwd=own_directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not logs(own_broker):
        await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 130 and b"interrupted" in error
    assert b"bare tonic" in output
    assert logs(own_broker) == [] and list(own_directory.iterdir()) == []


def test_a_dead_server_is_named(bench):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    done = bench("publish", "--servers", address)
    assert done.returncode == 5 and address in done.stderr


def test_a_server_of_another_kind_is_named(bench, broker):
    done = bench("publish", "--servers", broker.nats)
    assert done.returncode in (1, 5) and str(broker.nats) in done.stderr


def test_a_peer_that_cannot_be_started_is_named(bench):
    done = bench("idle", "--against", "jetstream=/no/such/nats-server", "--seconds", 1)
    assert done.returncode == 1 and "/no/such/nats-server" in done.stderr


def test_a_peer_that_is_something_else_is_named_and_what_was_measured_before_is_not_lost(bench):
    done = bench("window-one", "--against", "jetstream=/bin/false", "--seconds", 1)
    assert done.returncode == 1 and "nats-server" in done.stderr
    assert "bare tonic" in done.stdout and "publish, 1 in flight" in done.stdout


def test_nonsense_is_answered_with_what_there_is(bench):
    for arguments, says in [
        (["publsh"], "publish-one"),
        (["--size", "1"], "8"),
        (["--against", "nats"], "jetstream=PATH"),
        (["--directory", "/no/such/directory"], "/no/such/directory"),
    ]:
        done = bench(*arguments)
        assert done.returncode in (1, 2) and says in done.stderr, done.stderr


def test_a_full_disk_is_told_as_such(small_disk):
    done = subprocess.run(
        command("publish", "--seconds", 20, "--directory", small_disk), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1 and ("disk" in done.stderr or "space" in done.stderr), done.stderr


def test_a_soak_reads_back_every_acked_record_and_shows_the_course_of_memory(bench):
    done = bench("soak", "--soak-seconds", 4, "--soak-mib", 64, "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert row["count"] > 10_000 and row["p50"] > 0
    assert len(row["course"]) >= 3, "parts are 0.4 s long, and a busy machine looks later"
    for part in row["course"]:
        least, median, most = part["memory"]
        assert 0 < least <= median <= most and part["per_second"] >= 0 and part["stored"] > 0, part


async def test_a_soak_that_is_interrupted_tells_what_it_has_and_cleans_up(own_broker, own_directory):
    arguments = ["soak", "--soak-seconds", 600, "--soak-mib", 64, "--servers", own_broker.grpc]
    process = await asyncio.create_subprocess_exec(
        *command(*arguments), cwd=own_directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not logs(own_broker):
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    process.send_signal(signal.SIGINT)
    output, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 130 and b"interrupted" in error, error
    assert b"soak, 4 x 1,000, all read back  strandline" in output and b"memory least, median, most" in output
    assert logs(own_broker) == [] and list(own_directory.iterdir()) == []


def test_the_latency_of_a_lone_publisher_stands_beside_what_it_is_without_the_load(bench):
    done = bench("fairness", "--seconds", 2, "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["rows"]
    assert 0 < row["alone_p50"] <= row["alone_p99"] and 0 < row["p50"] <= row["p99"]


def minio() -> str:
    return f"minio={settings.minio_binary()}"


def test_what_archiving_costs_stands_beside_the_same_without_it(bench, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("store")
    # More streams than turns that are taken at once: there were too few threads for those, and nothing was archived any more.
    sizes = ["--archive-mib", 4, "--archive-streams", 12, "--archive-seconds", 4]
    done = bench("--archive", minio(), "--archive-directory", elsewhere, *sizes, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rows"] == [] and report["limits"] is None
    figures = {}
    for row in report["archive"]:
        figures.setdefault(row["work"], []).append(row)
        assert row["value"] > 0 and (row["beside"] is None or row["beside"]["value"] > 0), row
    assert list(figures) == ["archive-upload", "archive-read", "archive-publish", "archive-memory", "archive-restore"]
    [upload, writes] = figures["archive-upload"]
    assert upload["times"] > 0 and upload["asked"] == {"times_at_least": 0.8} and upload["is_reached"] in (True, False)
    assert writes["value"] >= 1
    assert list(elsewhere.iterdir()) == []


def test_an_archive_of_ones_own_is_measured_and_emptied_again(bench, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bucket")
    done = bench("archive-restore", "--archive", f"file://{directory}", "--archive-mib", 1)
    assert done.returncode == 0, done.stderr
    assert "restore to the first record" in done.stdout and "at most" in done.stdout
    assert [path for path in directory.rglob("*") if path.is_file() and path.name != ".strandline-lock"] == []


def test_an_archive_that_cannot_be_had_is_named(bench):
    for arguments, says in [
        (["archive-read"], "--archive minio=PATH"),
        (["--archive", "minio"], "minio=PATH"),
        (["--archive", "minio=/no/such/minio"], "/no/such/minio"),
        (["--archive", "minio=/bin/false"], "minio"),
        (["--archive", minio(), "--archive-directory", "/no/such/place"], "/no/such/place"),
        (["--archive", "file:///tmp", "--archive-directory", "/tmp"], "--archive-directory"),
    ]:
        done = bench(*arguments)
        assert done.returncode in (1, 2) and says in done.stderr, done.stderr
