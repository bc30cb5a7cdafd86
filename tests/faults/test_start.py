"""A start that cannot work ends with one clear message, and touches nothing."""

import shutil

import pytest

from harness import api
from harness.process import Process

pytestmark = pytest.mark.differs_from_liftbridge("its messages are its own")


def fails_to_start(broker, *words):
    """Starts, expects the process to end by itself with an error, and checks what it says."""
    process = broker.spawn()
    assert process.wait(60) not in (0, 101), process.tail()  # 101 is a panic
    said = process.log()
    assert "panicked" not in said, said
    missing = [word for word in words if str(word).lower() not in said.lower()]
    assert not missing, f"{missing} not named in:\n{said}"


def test_a_port_in_use_is_named(own_broker, brokers):
    for port in ("grpc", "nats"):
        second = brokers()
        setattr(second, port, getattr(own_broker, port))
        fails_to_start(second, getattr(own_broker, port).port, "in use")
    assert own_broker.process.running()


async def test_a_data_directory_in_use_is_named_and_left_alone(own_broker, brokers, unique):
    second = brokers(data_dir=own_broker.data_dir)
    fails_to_start(second, own_broker.data_dir, "in use")
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique)
        assert (await api.publish(stub, unique, b"x")).offset == 0


def other_text_version(data):
    text = data.decode()
    assert text.rstrip().endswith(" 1"), text
    return text.replace(" 1", " 901").encode()


def other_binary_version(data):
    assert data[8:10] == b"\x01\x00", data[:16]
    return data[:8] + (901).to_bytes(2, "little") + data[10:]


@pytest.mark.parametrize(
    "pattern, change",
    [("streams/format", other_text_version), ("metadata/identity", other_binary_version), ("metadata/*.log", other_binary_version)],
)
def test_a_data_directory_of_another_version_is_refused_and_left_alone(own_broker, pattern, change):
    own_broker.stop()
    [marked] = own_broker.data_dir.glob(pattern)
    original = marked.read_bytes()
    marked.write_bytes(change(original))
    before = _files(marked.parent)
    fails_to_start(own_broker, marked, "version", "901")
    assert _files(marked.parent) == before
    marked.write_bytes(original)
    own_broker.start()


def _files(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_data_directory_that_is_a_file_is_refused(brokers, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("not a directory")
    fails_to_start(brokers(data_dir=blocked), blocked)
    assert blocked.read_text() == "not a directory"


@pytest.mark.parametrize(
    "lines, named",
    [
        ("no.such.key: 1", ["no.such.key"]),
        ("listne: 1", ["listne", "listen"]),
        ("streams.retention.max.agee: 1h", ["agee", "streams.retention.max.age"]),
        ("streams.segment.max.bytes: many", ["streams.segment.max.bytes", "many"]),
        ("streams.retention.max.age: -5h", ["streams.retention.max.age"]),
        ("tls.cert: /nowhere.pem\ntls.key: /nowhere-key.pem", ["/nowhere"]),
        ("tls.key: /nowhere-key.pem", ["tls.cert"]),
        ("streams.encryption: true", ["streams.encryption"]),
        (": : :\n- [", []),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(brokers, lines, named):
    fails_to_start(brokers(lines=lines), *named)


@pytest.mark.parametrize(
    "lines, named",
    [("jetstream: enabled", ["jetstream"]), ("cluster { listen: 1 }", ["cluster"]), ("max_payload: lots", ["max_payload"]),
     ("authorization { user: a", [])],
)
def test_a_wrong_setting_of_the_nats_server_is_named(brokers, lines, named):
    fails_to_start(brokers(nats_lines=lines), *named)


def test_a_missing_configuration_file_is_named(brokers, tmp_path):
    from harness import settings

    missing = tmp_path / "missing.yaml"
    process = Process([settings.broker_binary(), "-c", missing, "-d", tmp_path / "data"], tmp_path / "log")
    assert process.wait(60) not in (0, 101) and str(missing) in process.log()


async def test_a_lost_data_directory_is_not_taken_for_a_new_one(own_broker, unique):
    """A stream whose log has vanished is never started empty."""
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique)
        for number in range(3):
            await api.publish(stub, unique, b"%d" % number)
    own_broker.stop()
    [log] = [path for path in (own_broker.data_dir / "streams").iterdir() if path.is_dir()]
    shutil.rmtree(log)
    process = own_broker.spawn()
    try:
        process.wait_for_ports([own_broker.grpc, own_broker.nats])
    except Exception:
        return  # it refuses to start at all, which is safe too
    async with api.connected(own_broker) as stub:
        with pytest.raises(Exception):
            await api.publish(stub, unique, b"would get offset 0 again", timeout=10)
