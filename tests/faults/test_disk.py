"""A full disk, a failing sync and damaged files, with the real process on real file systems."""

import asyncio
import os
import shutil
import subprocess

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from harness import api
from harness.broker import eventually

pytestmark = pytest.mark.differs_from_liftbridge("it loses or hangs here")


async def fill(stub, stream, size):
    """Publishes until a publish is refused; returns how many were acked, and the refusal."""
    acked = 0
    while acked < 1000:
        try:
            ack = await api.publish(stub, stream, b"x" * size)
        except AioRpcError as error:
            return acked, error
        assert ack.offset == acked
        acked += 1
    pytest.fail("the disk never filled up")


async def test_a_full_disk_refuses_publishers_serves_readers_and_resumes(brokers, small_disk, unique):
    broker = brokers(data_dir=small_disk / "data").start()
    async with api.connected(broker) as stub:
        await api.create(stub, unique, segmentMaxBytes=1 << 20)
        acked, refusal = await fill(stub, unique, 500_000)
        # Not RESOURCE_EXHAUSTED: that is how clients are told of a message that is too large, and gufo-liftbridge drops it.
        assert refusal.code() == StatusCode.UNAVAILABLE, refusal
        assert "full" in refusal.details() or "space" in refusal.details(), refusal

        # Readers go on, and the broker says so again instead of hanging.
        assert len(await api.replay(stub, unique)) == acked
        with pytest.raises(AioRpcError) as again:
            await api.publish(stub, unique, b"x" * 500_000)
        assert again.value.code() == StatusCode.UNAVAILABLE

        # Writing resumes when there is room, without a restart.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "remount,size=96m", "tmpfs", small_disk], check=True)

        async def resumed():
            try:
                return await api.publish(stub, unique, b"after")
            except AioRpcError:
                return None

        ack = await eventually(resumed, "a publish after there is room again")
        assert ack.offset == acked
        messages = await api.replay(stub, unique)
        assert [message.offset for message in messages] == list(range(acked + 1))
        assert messages[-1].value == b"after"
    assert broker.stop() == 0
    await asyncio.to_thread(broker.start)
    async with api.connected(broker) as stub:
        assert len(await api.replay(stub, unique)) == acked + 1


async def test_a_broker_killed_on_a_full_disk_starts_again(brokers, small_disk, unique):
    broker = brokers(data_dir=small_disk / "data").start()
    async with api.connected(broker) as stub:
        await api.create(stub, unique, segmentMaxBytes=1 << 20)
        acked, _ = await fill(stub, unique, 100_000)
    broker.kill()
    await asyncio.to_thread(broker.start)
    async with api.connected(broker) as stub:
        messages = await api.replay(stub, unique)
        assert [message.offset for message in messages] == list(range(len(messages)))
        assert len(messages) >= acked


@pytest.fixture
def strace():
    found = shutil.which("strace")
    if not found:
        pytest.fail("strace is missing; on Debian: apt-get install strace")
    return found


async def test_a_failed_sync_is_never_acked_and_poisons_the_log(brokers, strace, tmp_path, unique):
    broker = brokers().start()
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        for number in range(5):
            await api.publish(stub, unique, b"before %d" % number)
        tracer = subprocess.Popen(
            [strace, "-f", "-qq", "-o", str(tmp_path / "strace"), "-e", "trace=fdatasync,fsync",
             "-e", "inject=fdatasync,fsync:error=EIO", "-p", str(broker.process.pid)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        try:
            async def refused():
                try:
                    # Until the tracer has attached, syncs succeed.
                    await api.publish(stub, unique, b"maybe", timeout=20)
                except AioRpcError as error:
                    return error
                return None

            error = await eventually(refused, "a publish fails", 60)
            assert error.code() != StatusCode.DEADLINE_EXCEEDED, error
        finally:
            tracer.terminate()
            tracer.wait(30)
        # The disk works again; the log does not pretend that nothing happened.
        with pytest.raises(AioRpcError):
            await api.publish(stub, unique, b"too late", timeout=20)
        assert broker.process.running()
        assert "panicked" not in broker.log()
    broker.kill()
    await asyncio.to_thread(broker.start)
    async with api.connected(broker) as stub:
        messages = await api.replay(stub, unique)
        assert [message.offset for message in messages] == list(range(len(messages)))
        assert [message.value for message in messages[:5]] == [b"before %d" % number for number in range(5)]
        assert (await api.publish(stub, unique, b"after a new start")).offset == len(messages)


async def damaged(broker, stream, count, change):
    """Publishes, kills, and changes the one segment of the stream."""
    async with api.connected(broker) as stub:
        await api.create(stub, stream)
        for number in range(count):
            await api.publish(stub, stream, b"%d " % number + os.urandom(2000))
    broker.kill()
    [segment] = (broker.data_dir / "streams").rglob("*.seg")
    change(segment)
    return segment


async def test_a_torn_tail_is_cut_and_the_rest_served(own_broker, unique):
    def tear(log):
        with open(log, "ab") as file:
            file.write(os.urandom(777))

    await damaged(own_broker, unique, 50, tear)
    await asyncio.to_thread(own_broker.start)
    async with api.connected(own_broker) as stub:
        messages = await api.replay(stub, unique)
        assert [message.offset for message in messages] == list(range(50))
        assert (await api.publish(stub, unique, b"next")).offset == 50


async def test_damage_in_the_middle_is_reported_with_file_and_position_and_not_cut_away(own_broker, unique):
    def flip(log):
        with open(log, "r+b") as file:
            file.seek(20_000)
            byte = file.read(1)
            file.seek(20_000)
            file.write(bytes([byte[0] ^ 0x55]))

    log = await damaged(own_broker, unique, 50, flip)
    size = log.stat().st_size
    process = own_broker.spawn()
    try:
        process.wait_for_ports([own_broker.grpc, own_broker.nats])
    except Exception:
        pass  # it may refuse to start
    else:
        async with api.connected(own_broker) as stub:
            with pytest.raises(AioRpcError):
                messages = await api.replay(stub, unique)
                assert len(messages) == 50, "fewer records than were acked, without an error"
    said = own_broker.log()
    assert f"{log.name} is damaged at byte" in said, said[-3000:]
    kept = [path for path in own_broker.data_dir.rglob("*") if path.is_file() and path.name.startswith(log.name)]
    assert max(path.stat().st_size for path in kept) >= size, "the damaged file was cut"


async def test_damage_to_the_metadata_log_is_reported_with_its_file_and_left_alone(own_broker, unique):
    async with api.connected(own_broker) as stub:
        for number in range(20):
            await api.create(stub, f"{unique}-{number}")
    own_broker.kill()
    [log] = (own_broker.data_dir / "metadata").glob("*.log")
    data = bytearray(log.read_bytes())
    data[2000] ^= 0x55
    log.write_bytes(data)
    process = own_broker.spawn()
    assert process.wait(60) not in (0, 101), process.tail()
    assert log.name in process.log() and "panicked" not in process.log(), process.tail()
    assert log.read_bytes() == bytes(data)
