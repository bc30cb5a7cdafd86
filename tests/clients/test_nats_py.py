"""nats-py, unchanged, against the embedded NATS server."""

import asyncio

import nats
import pytest
from nats.errors import MaxPayloadError, NoRespondersError, TimeoutError

from harness.nats_client import flush


@pytest.fixture
async def client(broker):
    connected = await nats.connect(broker.nats_url)
    yield connected
    await connected.close()


async def collect(subscription, count):
    return [await subscription.next_msg(timeout=30) for _ in range(count)]


async def test_a_message_reaches_every_matching_subscription(client, unique):
    patterns = [unique + ".a.b", unique + ".*.b", unique + ".>"]
    subscriptions = [await client.subscribe(pattern) for pattern in patterns]
    other = await client.subscribe(unique + ".a")
    await client.publish(unique + ".a.b", b"payload", reply="answers", headers={"Name": "value"})
    for subscription in subscriptions:
        message = await subscription.next_msg(timeout=30)
        assert (message.subject, message.data, message.reply) == (unique + ".a.b", b"payload", "answers")
        assert message.headers == {"Name": "value"}
    with pytest.raises(TimeoutError):
        await other.next_msg(timeout=0.2)


async def test_messages_of_one_publisher_keep_their_order(client, unique):
    subscription = await client.subscribe(unique)
    for number in range(5000):
        await client.publish(unique, b"%d" % number)
    assert [message.data for message in await collect(subscription, 5000)] == [b"%d" % number for number in range(5000)]


async def test_a_request_gets_the_first_answer(client, unique):
    async def answer(message):
        await message.respond(b"re: " + message.data)

    await client.subscribe(unique, cb=answer)
    assert (await client.request(unique, b"hello", timeout=30)).data == b"re: hello"
    assert (await client.request(unique, b"again", timeout=30, old_style=True)).data == b"re: again"


async def test_a_request_without_responders_fails_at_once(client, unique):
    with pytest.raises(NoRespondersError):
        await client.request(unique, b"hello", timeout=30)


async def test_members_of_a_queue_group_share_messages(broker, client, unique):
    others = [await nats.connect(broker.nats_url) for _ in range(3)]
    received = []

    async def take(message):
        received.append(message.data)

    for other in others:
        await other.subscribe(unique, queue="workers", cb=take)
        await flush(other)
    everything = await client.subscribe(unique)
    for number in range(300):
        await client.publish(unique, b"%d" % number)
    await collect(everything, 300)
    for other in others:
        await other.drain()
    assert sorted(received, key=int) == [b"%d" % number for number in range(300)]


async def test_a_subscription_ends_after_its_limit(client, unique):
    subscription = await client.subscribe(unique)
    await subscription.unsubscribe(limit=2)
    for _ in range(4):
        await client.publish(unique, b"x")
    await collect(subscription, 2)
    await flush(client)
    assert subscription.pending_msgs == 0


async def test_draining_delivers_what_was_sent(broker, unique):
    draining = await nats.connect(broker.nats_url)
    received = []

    async def take(message):
        received.append(message.data)

    await draining.subscribe(unique, cb=take)
    for number in range(100):
        await draining.publish(unique, b"%d" % number)
    await draining.drain()
    assert draining.is_closed and len(received) == 100


async def test_headers_with_several_values_survive(client, unique):
    subscription = await client.subscribe(unique)
    headers = {"One": "1", "Empty": "", "Spaces": "a b  c", "Unicode": "grün"}
    await client.publish(unique, b"", headers=headers)
    message = await subscription.next_msg(timeout=30)
    assert message.data == b"" and message.headers["One"] == "1"
    assert message.headers["Spaces"] == "a b  c" and message.headers["Unicode"] == "grün"


async def test_the_payload_limit_is_announced_and_kept(client, unique):
    subscription = await client.subscribe(unique)
    await client.publish(unique, b"x" * client.max_payload)
    assert len((await subscription.next_msg(timeout=30)).data) == client.max_payload
    with pytest.raises(MaxPayloadError):
        await client.publish(unique, b"x" * (client.max_payload + 1))


async def test_round_trips_are_answered(client):
    for _ in range(10):
        assert await client.rtt() > 0


async def test_an_echo_can_be_declined(broker, unique):
    quiet = await nats.connect(broker.nats_url, no_echo=True)
    subscription = await quiet.subscribe(unique)
    await quiet.publish(unique, b"own")
    with pytest.raises(TimeoutError):
        await subscription.next_msg(timeout=0.2)
    await quiet.close()


async def test_a_client_carries_on_over_a_restart(own_broker, unique):
    client = await nats.connect(own_broker.nats_url, reconnect_time_wait=0.1, max_reconnect_attempts=-1)
    subscription = await client.subscribe(unique)
    own_broker.kill()
    await asyncio.to_thread(own_broker.start)
    for _ in range(300):
        await client.publish(unique, b"after")
        try:
            assert (await subscription.next_msg(timeout=0.5)).data == b"after"
            break
        except TimeoutError:
            continue
    else:
        pytest.fail("the subscription was not restored")
    await client.close()
