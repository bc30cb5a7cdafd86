"""What plain NATS clients publish is recorded, can be replayed, and is acked durably on request."""

import json

import nats
import pytest

from harness import api
from harness.broker import eventually
from harness.nats_client import flush


@pytest.fixture
async def client(broker):
    connected = await nats.connect(broker.nats_url)
    yield connected
    await connected.close()


async def recorded(stub, stream, count, partition=0):
    async def complete():
        messages = await api.replay(stub, stream, partition)
        return messages if len(messages) >= count else None

    messages = await eventually(complete, f"{stream} holds {count} messages")
    assert [message.offset for message in messages] == list(range(count))
    return messages


async def test_plain_publishes_become_records_with_reserved_headers(broker, client, unique):
    async with api.connected(broker) as stub:
        await api.create(stub, unique, subject=f"{unique}.>")
        await client.publish(f"{unique}.a", b"one")
        await client.publish(f"{unique}.b.c", b"two", reply="answers.here", headers={"Own": "ignored"})
        await client.publish(f"{unique}.a", b"")
        first, second, third = await recorded(stub, unique, 3)
        assert (first.value, first.subject, first.replySubject) == (b"one", f"{unique}.a", "")
        assert dict(first.headers) == {"subject": f"{unique}.a".encode(), "reply": b""}
        assert (second.value, second.subject, second.replySubject) == (b"two", f"{unique}.b.c", "answers.here")
        assert dict(second.headers) == {"subject": f"{unique}.b.c".encode(), "reply": b"answers.here"}
        assert third.value == b"" and first.timestamp <= second.timestamp <= third.timestamp


async def test_every_stream_on_a_subject_records_a_message_once(broker, client, unique):
    async with api.connected(broker) as stub:
        names = [f"{unique}-{number}" for number in range(3)]
        for name in names:
            await api.create(stub, name, subject=unique)
        plain = await client.subscribe(unique)
        for number in range(500):
            await client.publish(unique, b"%d" % number)
        for name in names:
            messages = await recorded(stub, name, 500)
            assert [message.value for message in messages] == [b"%d" % number for number in range(500)]
        await flush(client)
        assert plain.pending_msgs == 500


async def test_an_api_publish_reaches_plain_subscribers_once(broker, client, unique):
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        plain = await client.subscribe(unique)
        await flush(client)
        ack = await api.publish(stub, unique, b"value", key=b"key")
        assert ack.offset == 0
        message = await plain.next_msg(timeout=30)
        assert message.data.startswith(b"\xb9\x0e\x43\xb4\x00\x08\x00\x00") and b"\x1a\x05value" in message.data
        with pytest.raises(nats.errors.TimeoutError):
            await plain.next_msg(timeout=0.3)


async def test_binary_payloads_come_back_byte_for_byte(broker, client, unique):
    payloads = [bytes(range(256)), b"\r\n", b"PUB x 1\r\nx\r\n", b"\xb9\x0e\x43\xb4", b"\x00" * 100_000, b"NATS/1.0\r\n\r\n"]
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        for payload in payloads:
            await client.publish(unique, payload)
        assert [message.value for message in await recorded(stub, unique, len(payloads))] == payloads


@pytest.mark.differs_from_liftbridge("it has no such header")
class TestAckOnRequest:
    @pytest.mark.parametrize("policy", ["leader", "all", "ALL", "whatever"])
    async def test_a_request_with_the_header_is_answered_with_its_offset(self, broker, client, unique, policy):
        stream = f"{unique}-{policy}"
        async with api.connected(broker) as stub:
            await api.create(stub, stream)
            for offset in range(3):
                reply = await client.request(stream, b"v%d" % offset, timeout=30, headers={"Strandline-Ack": policy})
                assert json.loads(reply.data) == {"stream": stream, "partition": 0, "offset": offset}
            messages = await recorded(stub, stream, 3)
            assert [message.value for message in messages] == [b"v0", b"v1", b"v2"]

    async def test_every_stream_on_the_subject_answers(self, broker, client, unique):
        async with api.connected(broker) as stub:
            names = [f"{unique}-{number}" for number in range(2)]
            for name in names:
                await api.create(stub, name, subject=f"{unique}.*")
            inbox = client.new_inbox()
            replies = await client.subscribe(inbox)
            await client.publish(f"{unique}.x", b"v", reply=inbox, headers={"Strandline-Ack": "leader"})
            answers = [json.loads((await replies.next_msg(timeout=30)).data) for _ in names]
            assert sorted(answer["stream"] for answer in answers) == names
            assert {answer["offset"] for answer in answers} == {0}

    async def test_the_partition_that_recorded_the_message_is_named(self, broker, client, unique):
        async with api.connected(broker) as stub:
            await api.create(stub, unique, partitions=3)
            reply = await client.request(f"{unique}.2", b"v", timeout=30, headers={"Strandline-Ack": "leader"})
            assert json.loads(reply.data) == {"stream": unique, "partition": 2, "offset": 0}

    async def test_a_request_without_the_header_is_left_to_its_responder(self, broker, client, unique):
        async with api.connected(broker) as stub:
            await api.create(stub, unique)

            async def answer(message):
                await message.respond(b"answer")

            await client.subscribe(unique, cb=answer)
            assert (await client.request(unique, b"question", timeout=30)).data == b"answer"
            [message] = await recorded(stub, unique, 1)
            assert message.value == b"question" and message.replySubject.startswith("_INBOX.")

    async def test_a_refusal_is_told_in_the_answer(self, broker, client, unique):
        async with api.connected(broker) as stub:
            await api.create(stub, unique, optimisticConcurrencyControl=True)
            first = await client.request(unique, b"v", timeout=30, headers={"Strandline-Ack": "leader"})
            assert json.loads(first.data)["offset"] == 0
            # A plain message expects offset 0, which is taken now.
            second = json.loads((await client.request(unique, b"v", timeout=30, headers={"Strandline-Ack": "leader"})).data)
            assert second["stream"] == unique and "offset" not in second and "offset" in second["error"]


async def test_requests_in_flight_are_all_recorded_in_order(broker, client, unique):
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        for number in range(2000):
            await client.publish(unique, b"%d" % number)
        await flush(client)
        messages = await recorded(stub, unique, 2000)
        assert [message.value for message in messages] == [b"%d" % number for number in range(2000)]
