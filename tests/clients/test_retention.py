"""What retention lets go of is gone for readers and from the disk; what it keeps is there, also after a restart."""

from pathlib import Path

from gufo.liftbridge.api_pb2 import PublishRequest

from harness import api
from harness.broker import Broker, eventually

RECORD = 1000  # bytes of a value; the overhead of a record and of its batch is small beside it


async def test_the_newest_messages_are_kept_by_number(own_broker, unique):
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique, retentionMaxMessages=20, segmentMaxBytes=10 * RECORD, cleanerInterval=100)
        await fill(stub, unique, 200)
        kept = await trimmed(stub, unique, lambda offsets: len(offsets) <= 20)
        # The limit holds, and whole segments go: one segment may be missing to it.
        assert len(kept) > 10 and kept == list(range(kept[0], 200))
    await assert_same_after_a_kill(own_broker, unique, kept)


async def test_the_newest_bytes_are_kept(own_broker, unique):
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique, retentionMaxBytes=40 * RECORD, segmentMaxBytes=10 * RECORD, cleanerInterval=100)
        await fill(stub, unique, 300)
        kept = await trimmed(stub, unique, lambda offsets: len(offsets) <= 40)
        assert len(kept) > 27 and kept == list(range(kept[0], 300))

        async def freed():
            return stored_bytes(own_broker) <= 41 * RECORD

        # Records are gone for readers before their file is.
        await eventually(freed, "the files of removed segments are gone")
    await assert_same_after_a_kill(own_broker, unique, kept)


async def test_old_messages_go_and_offsets_go_on(own_broker, unique):
    async with api.connected(own_broker) as stub:
        options = {"retentionMaxAge": 500, "segmentMaxAge": 200, "cleanerInterval": 100}
        await api.create(stub, unique, **options)
        await fill(stub, unique, 50)
        # A segment that is due by age is sealed also when nothing comes in any more.
        await trimmed(stub, unique, lambda offsets: not offsets)
        ack = await api.publish(stub, unique, b"later", ackPolicy=api.LEADER)
        assert ack.offset == 50
    own_broker.kill()
    own_broker.start()
    async with api.connected(own_broker) as stub:
        await trimmed(stub, unique, lambda offsets: not offsets)
        assert (await api.publish(stub, unique, b"later still", ackPolicy=api.LEADER)).offset == 51


async def test_the_servers_defaults_hold_for_streams_without_settings_of_their_own(brokers, unique):
    lines = "streams:\n  retention.max:\n    messages: 20\n  segment.max:\n    bytes: 10000\n  cleaner.interval: 1s\n"
    broker: Broker = brokers(lines=lines).start()
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        await api.create(stub, f"{unique}-more", retentionMaxMessages=150)
        await fill(stub, unique, 200)
        await fill(stub, f"{unique}-more", 200)
        assert len(await trimmed(stub, unique, lambda offsets: len(offsets) <= 20)) > 10
        more = await trimmed(stub, f"{unique}-more", lambda offsets: len(offsets) <= 150)
        assert len(more) > 140


async def test_a_reader_in_removed_messages_goes_on_at_the_oldest_that_is_kept(own_broker, unique):
    async with api.connected(own_broker) as stub:
        await api.create(stub, unique, retentionMaxMessages=20, segmentMaxBytes=10 * RECORD, cleanerInterval=100)
        await fill(stub, unique, 200)
        kept = await trimmed(stub, unique, lambda offsets: len(offsets) <= 20)
        assert [message.offset for message in await api.replay(stub, unique, start=3)] == kept


async def fill(stub, stream, count):
    """Publishes the records one by one, so that each is a batch and segments are not larger than asked for."""
    call = stub.PublishAsync()
    for number in range(count):
        value = (b"%d " % number).ljust(RECORD, b".")
        await call.write(PublishRequest(stream=stream, value=value, expectedOffset=-1, correlationId=str(number)))
        response = await call.read()
        assert response.ack.offset == number
    await call.done_writing()


async def trimmed(stub, stream, enough):
    """The offsets that are left once `enough` says of them that the cleaner has been there."""

    async def look():
        offsets = [message.offset for message in await api.replay(stub, stream)]
        return (offsets,) if enough(offsets) else None

    return (await eventually(look, f"retention of {stream}"))[0]


async def assert_same_after_a_kill(broker, stream, kept):
    broker.kill()
    broker.start()
    async with api.connected(broker) as stub:
        messages = await api.replay(stub, stream)
        assert [message.offset for message in messages] == kept
        assert all(message.value.startswith(b"%d " % message.offset) for message in messages)


def stored_bytes(broker) -> int:
    total = 0
    for path in Path(broker.data_dir).rglob("*.seg"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass  # the cleaner is at work
    return total
