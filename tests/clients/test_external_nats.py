"""A broker beside a real nats-server, as Liftbridge is run where NATS is there already."""

import json

import nats
import pytest
from grpc.aio import AioRpcError

from harness import api, settings
from harness.broker import eventually
from harness.nats_server import NatsServer


@pytest.fixture
def nats_server(tmp_path):
    server = NatsServer(tmp_path / "nats").start()
    yield server
    server.kill()


async def recorded(stub, stream, count):
    async def complete():
        messages = await api.replay(stub, stream)
        return messages if len(messages) >= count else None

    return await eventually(complete, f"{stream} holds {count} messages")


async def test_messages_of_an_external_server_are_recorded_and_published_to_it(brokers, nats_server, unique):
    broker = brokers(nats_server=nats_server).start()
    client = await nats.connect(nats_server.nats_url)
    async with api.connected(broker) as stub:
        await api.create(stub, unique, subject=f"{unique}.>")
        plain = await client.subscribe(f"{unique}.>")
        for number in range(200):
            await client.publish(f"{unique}.n", b"%d" % number)
        messages = await recorded(stub, unique, 200)
        assert [message.value for message in messages] == [b"%d" % number for number in range(200)]
        assert messages[0].subject == f"{unique}.n"

        await api.create(stub, f"{unique}-api", subject=f"{unique}.api")
        assert (await api.publish(stub, f"{unique}-api", b"over the api")).offset == 0
        received = [await plain.next_msg(timeout=30) for _ in range(201)]
        assert b"over the api" in received[-1].data
        assert len(await recorded(stub, unique, 201)) == 201
        if not settings.against_liftbridge():
            reply = await client.request(f"{unique}.n", b"v", timeout=30, headers={"Strandline-Ack": "all"})
            assert json.loads(reply.data) == {"stream": unique, "partition": 0, "offset": 201}
    await client.close()


@pytest.mark.differs_from_liftbridge("the process ends when its NATS is away for long")
async def test_a_lost_external_server_means_no_false_ack_and_is_found_again(brokers, nats_server, unique):
    broker = brokers(nats_server=nats_server).start()
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
        assert (await api.publish(stub, unique, b"before")).offset == 0
        nats_server.kill()
        with pytest.raises(AioRpcError):
            await api.publish(stub, unique, b"during", timeout=5)
        assert [message.value for message in await api.replay(stub, unique)] == [b"before"]
        assert broker.process.running()
        nats_server.start()

        async def published():
            try:
                return await api.publish(stub, unique, b"after", timeout=2)
            except AioRpcError:
                return None

        ack = await eventually(published, "a publish after the server is back")
        values = [message.value for message in await api.replay(stub, unique)]
        assert values[ack.offset] == b"after" and values[0] == b"before"


@pytest.mark.differs_from_liftbridge("it logs in with other settings")
async def test_credentials_for_the_external_server_are_used(brokers, tmp_path, unique):
    server = NatsServer(tmp_path / "nats", "authorization { user: ann, password: s3cret }").start()
    try:
        broker = brokers(nats_server=server, lines="nats.user: ann\nnats.password: s3cret").start()
        client = await nats.connect(server.nats_url, user="ann", password="s3cret")
        async with api.connected(broker) as stub:
            await api.create(stub, unique)
            await client.publish(unique, b"x")
            assert [message.value for message in await recorded(stub, unique, 1)] == [b"x"]
        await client.close()
        assert "s3cret" not in broker.log()
    finally:
        server.kill()
