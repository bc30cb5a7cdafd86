"""gufo-liftbridge, unchanged: its whole API as far as this version serves it."""

import asyncio

import pytest
from gufo.liftbridge.client import LiftbridgeClient
from gufo.liftbridge.error import ErrorAlreadyExists, ErrorNotFound
from gufo.liftbridge.types import AckPolicy, StartPosition
from grpc.aio import AioRpcError

from harness.broker import eventually


@pytest.fixture
async def client(broker):
    async with LiftbridgeClient([str(broker.grpc)]) as connected:
        yield connected


async def take(client, stream, count, **options):
    """The next messages of a new subscription."""
    messages = []

    async def read():
        async for message in client.subscribe(stream, **options):
            messages.append(message)
            if len(messages) == count:
                return

    await asyncio.wait_for(read(), 60)
    return messages


async def published(client, stream, count, **options):
    """Publishes v0, v1, ... and returns once they can be read; a publish of this client does not wait for its ack."""
    for number in range(count):
        await client.publish(b"v%d" % number, stream=stream, ack_policy=AckPolicy.ALL, **options)
    partition = options.get("partition") or 0

    async def committed():
        return (await client.get_partition_metadata(stream, partition)).high_watermark >= count - 1

    await eventually(committed, "the messages are committed")


async def test_a_stream_is_created_once(client, unique):
    await client.create_stream(unique, wait_for_stream=True)
    with pytest.raises(ErrorAlreadyExists):
        await client.create_stream(unique)


async def test_every_option_of_a_stream_is_taken(client, unique):
    await client.create_stream(
        unique,
        subject=f"subject.{unique}",
        group="workers",
        replication_factor=1,
        minisr=1,
        partitions=3,
        enable_compact=False,
        retention_max_age=3600,
        retention_max_bytes=1 << 20,
        segment_max_age=60,
        segment_max_bytes=1 << 16,
        wait_for_stream=True,
    )
    described = await client.get_metadata(unique)
    assert [stream.name for stream in described.metadata] == [unique]
    assert described.metadata[0].subject == f"subject.{unique}"
    assert sorted(described.metadata[0].partitions) == [0, 1, 2]


async def test_a_deleted_stream_is_gone(client, unique):
    await client.create_stream(unique)
    await published(client, unique, 3)
    await client.delete_stream(unique)
    with pytest.raises(ErrorNotFound):
        await client.delete_stream(unique)
    await client.create_stream(unique)
    assert (await client.get_partition_metadata(unique, 0)).newest_offset == -1


async def test_metadata_names_the_broker_and_the_leader(client, broker, unique):
    await client.create_stream(unique, partitions=2)
    await published(client, unique, 2, partition=1)
    described = await client.get_metadata(unique)
    assert [(one.host, one.port) for one in described.brokers] == [("127.0.0.1", broker.grpc.port)]
    leader = described.brokers[0].id
    for partition in described.metadata[0].partitions.values():
        assert (partition.leader, partition.replicas, partition.isr, partition.paused) == (leader, [leader], [leader], False)
    one = await client.get_partition_metadata(unique, 1)
    assert (one.id, one.newest_offset, one.high_watermark) == (1, 1, 1)


async def test_metadata_of_an_unknown_partition_is_refused(client, unique):
    await client.create_stream(unique)
    await client.get_metadata()
    client.leaders[unique, 7] = client.leaders[unique, 0]
    with pytest.raises(AioRpcError) as refused:
        await client.get_partition_metadata(unique, 7)
    assert refused.value.code().name == "NOT_FOUND"


async def test_messages_come_back_whole_and_in_order(client, unique):
    await client.create_stream(unique)
    await client.publish(b"first", stream=unique, key=b"key", headers={"h": b"v", "empty": b""})
    await published_after(client, unique, first=1, count=3)
    messages = await take(client, unique, 4, start_position=StartPosition.EARLIEST)
    assert [message.offset for message in messages] == [0, 1, 2, 3]
    assert [message.value for message in messages] == [b"first", b"v1", b"v2", b"v3"]
    first = messages[0]
    assert (first.key, first.subject, first.partition) == (b"key", unique, 0)
    assert dict(first.headers) == {"h": b"v", "empty": b"", "subject": unique.encode(), "reply": b""}
    times = [message.timestamp for message in messages]
    assert times == sorted(times) and times[0] > 1_500_000_000 * 10**9


async def published_after(client, stream, first, count):
    for number in range(first, first + count):
        await client.publish(b"v%d" % number, stream=stream)


async def test_compressed_values_pass_through(broker, unique):
    for method in ("zlib", "lzma"):
        async with LiftbridgeClient([str(broker.grpc)], compression_method=method, compression_threshold=10) as client:
            stream = f"{unique}-{method}"
            await client.create_stream(stream)
            await client.publish(b"a" * 1000, stream=stream, auto_compress=True)
            [message] = await take(client, stream, 1, start_position=StartPosition.EARLIEST)
            assert message.value == b"a" * 1000


async def test_publishing_to_an_unknown_stream_is_refused(client, unique):
    with pytest.raises(ErrorNotFound):
        await client.publish(b"x", stream=unique)


@pytest.mark.parametrize("policy", list(AckPolicy))
async def test_every_ack_policy_stores_the_message(client, unique, policy):
    await client.create_stream(unique)
    await client.publish(b"x", stream=unique, ack_policy=policy, ack_inbox=f"acks.{unique}", correlation_id="c")
    [message] = await take(client, unique, 1, start_position=StartPosition.EARLIEST)
    assert message.value == b"x"


async def test_bulk_publishing_acks_every_message_even_when_correlation_ids_repeat(client, unique):
    await client.create_stream(unique)
    requests = [
        client.get_publish_request(b"v%d" % number, stream=unique, partition=0, correlation_id="same")
        for number in range(500)
    ]
    answers = [answer async for answer in client.publish_bulk(requests, wait=True)]
    assert len(answers) == 500
    assert sorted(answer.ack.offset for answer in answers) == list(range(500))
    assert {answer.correlationId for answer in answers} == {"same"}
    messages = await take(client, unique, 500, start_position=StartPosition.EARLIEST)
    assert [message.value for message in messages] == [b"v%d" % number for number in range(500)]


async def test_bulk_publishing_reports_each_failure_and_goes_on(client, unique):
    await client.create_stream(unique)
    streams = [unique, "no-such-stream", unique]
    requests = [client.get_publish_request(b"x", stream=stream, correlation_id=stream) for stream in streams]
    answers = [answer async for answer in client.publish_bulk(requests, wait=True)]
    failed = [answer for answer in answers if answer.HasField("asyncError")]
    assert [(one.correlationId, one.asyncError.code) for one in failed] == [("no-such-stream", 2)]
    assert sorted(one.ack.offset for one in answers if not one.HasField("asyncError")) == [0, 1]


async def test_subscriptions_start_where_they_say(client, unique):
    await client.create_stream(unique)
    await published(client, unique, 5)
    for options, first in [
        ({"start_position": StartPosition.EARLIEST}, 0),
        ({"start_position": StartPosition.LATEST}, 4),
        ({"start_offset": 3}, 3),
        ({"start_timestamp": 1.0}, 0),
    ]:
        [message] = await take(client, unique, 1, **options)
        assert message.offset == first, options


async def test_a_subscription_to_new_messages_sees_only_those(client, unique):
    await client.create_stream(unique)
    await published(client, unique, 3)
    reading = asyncio.ensure_future(take(client, unique, 1))

    async def arrived():
        await client.publish(b"new", stream=unique)
        return reading.done()

    await eventually(arrived, "a new message is seen")
    [message] = await reading
    assert message.value == b"new" and message.offset >= 3


async def test_partitions_are_read_one_by_one_and_from_any_replica(client, unique):
    await client.create_stream(unique, partitions=2)
    await published(client, unique, 2, partition=1)
    await client.get_metadata(unique)
    messages = await take(
        client, unique, 2, partition=1, start_position=StartPosition.EARLIEST, allow_isr=True, resume=True
    )
    assert [(message.partition, message.offset) for message in messages] == [(1, 0), (1, 1)]
    assert messages[0].subject == f"{unique}.1"


@pytest.fixture
def cursor_broker(brokers):
    """The client looks for all cursors in partition 0."""
    return brokers(lines="cursors.stream.partitions: 1").start()


async def test_a_cursor_is_what_was_stored_last(cursor_broker, unique):
    async with LiftbridgeClient([str(cursor_broker.grpc)]) as client:
        await asyncio.wait_for(client.wait_for_cursors(), 60)
        await client.create_stream(unique)
        assert await client.get_cursor(unique, 0, "c") == -1
        for offset in (5, 10):
            await client.set_cursor(unique, 0, "c", offset)
            assert await client.get_cursor(unique, 0, "c") == offset + 1  # the client stores what comes next


@pytest.mark.differs_from_liftbridge("a cursor that it has answered may be gone")
async def test_a_cursor_survives_a_kill(cursor_broker, unique):
    async with LiftbridgeClient([str(cursor_broker.grpc)]) as client:
        await client.create_stream(unique)
        await client.set_cursor(unique, 0, "c", 6)
        cursor_broker.kill()
        await asyncio.to_thread(cursor_broker.start)
    async with LiftbridgeClient([str(cursor_broker.grpc)]) as client:
        assert await client.get_cursor(unique, 0, "c") == 7


async def test_a_subscription_by_cursor_goes_on_behind_the_last_handled_record(cursor_broker, unique):
    async with LiftbridgeClient([str(cursor_broker.grpc)]) as client:
        await client.create_stream(unique)
        await published(client, unique, 4)
        messages = await take(client, unique, 2, start_position=StartPosition.EARLIEST)
        assert [message.offset for message in messages] == [0, 1]
        await client.set_cursor(unique, 0, "worker", messages[-1].offset)
        messages = await take(client, unique, 2, cursor_id="worker", start_position=StartPosition.RESUME)
        assert [message.offset for message in messages] == [2, 3]


@pytest.mark.differs_from_liftbridge("it waits for the stream to appear")
async def test_without_their_stream_cursors_are_refused(broker):
    from gufo.liftbridge.api_pb2 import FetchCursorRequest, SetCursorRequest

    from harness import api

    async with api.connected(broker) as stub:
        for call in (
            stub.SetCursor(SetCursorRequest(stream="s", cursorId="c", offset=1)),
            stub.FetchCursor(FetchCursorRequest(stream="s", cursorId="c")),
        ):
            with pytest.raises(AioRpcError) as refused:
                await call
            assert refused.value.code().name == "INTERNAL"
            assert refused.value.details() == "Cursors stream does not exist"


@pytest.mark.differs_from_liftbridge("a message that it has acked and not checkpointed may be gone")
async def test_a_subscription_carries_on_over_a_restart(own_broker, unique):
    async with LiftbridgeClient([str(own_broker.grpc)]) as client:
        await client.create_stream(unique)
        await published(client, unique, 2)
        reading = asyncio.ensure_future(take(client, unique, 3, start_position=StartPosition.EARLIEST))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_broker.restart)
        await client.publish(b"after", stream=unique)
        messages = await reading
        assert [message.offset for message in messages] == [0, 1, 2]
        assert messages[2].value == b"after"

