"""Nonsense on every port: the sender is cut off or told, everybody else is served on."""

import asyncio
import os
import random
import socket
import struct

import nats
import pytest
from gufo.liftbridge.api_pb2 import PublishRequest, SubscribeRequest
from grpc import StatusCode
from grpc.aio import AioRpcError

from harness import api

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
pytestmark = pytest.mark.differs_from_liftbridge("the process ends on some of these")


async def still_serves(broker, stream):
    """Both ports take messages, and all of them are read back."""
    async with api.connected(broker) as stub:
        before = len(await api.replay(stub, stream))
        ack = await api.publish(stub, stream, b"over the api")
        assert ack.offset == before
        client = await nats.connect(broker.nats_url)
        await client.request(stream, b"over nats", timeout=60, headers={"Strandline-Ack": "leader"})
        await client.close()
        messages = await api.replay(stub, stream)
        assert [message.value for message in messages[before:]] == [b"over the api", b"over nats"]
    assert broker.process.running()
    log = broker.log()
    assert "panicked" not in log, log


@pytest.fixture
async def stream(broker, unique):
    async with api.connected(broker) as stub:
        await api.create(stub, unique)
    return unique


def send(address, *pieces):
    """Sends and reads until the server closes or falls silent; gives what it said."""
    said = b""
    with address.connect() as connection:
        connection.settimeout(2)
        try:
            for piece in pieces:
                connection.sendall(piece)
            while chunk := connection.recv(65536):
                said += chunk
                if len(said) > 1 << 22:
                    break
        except (TimeoutError, socket.timeout, ConnectionError):
            pass
    return said


def http2_frame(kind, flags, stream, payload, length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


GARBAGE = random.Random(3).randbytes(200_000)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\x00"],
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
        [GARBAGE],
        [PREFACE, GARBAGE],
        [PREFACE, http2_frame(4, 0, 0, b"\xff" * 7)],
        [PREFACE, http2_frame(4, 0, 0, b""), http2_frame(1, 4, 1, b"\xff" * 500)],
        [PREFACE, http2_frame(4, 0, 0, b""), http2_frame(0, 0, 1, b"", length=0xFFFFFF)],
        [PREFACE, http2_frame(4, 0, 0, b""), *(http2_frame(6, 0, 0, b"\x00" * 8) for _ in range(20_000))],
        [PREFACE, http2_frame(4, 0, 0, b""), *(http2_frame(4, 0, 0, b"\x00\x03\x00\x00\x00\x01") for _ in range(20_000))],
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + GARBAGE[:500]],
    ],
    ids=["a byte", "http1", "noise", "noise after the preface", "torn settings", "bad headers", "a huge frame", "pings", "settings",
         "tls"],
)
async def test_garbage_on_the_api_port(broker, stream, pieces):
    await asyncio.to_thread(send, broker.grpc, *pieces)
    await still_serves(broker, stream)


@pytest.mark.parametrize(
    "pieces, says",
    [
        ([b"\x00\xff\xfe\r\n"], b"Unknown Protocol Operation"),
        ([GARBAGE], b""),
        ([b"CONNECT {}\r\n", GARBAGE], b""),
        ([b"CONNECT {not json}\r\n"], b""),
        ([b"CONNECT " + b"{" * 100_000 + b"\r\n"], b"-ERR"),
        ([b"A" * 1_000_000], b"-ERR"),
        ([b"CONNECT {}\r\nPUB " + b"a" * 1_000_000], b"Maximum Control Line Exceeded"),
        ([b"CONNECT {}\r\nPUB foo -1\r\n\r\n"], b""),
        ([b"CONNECT {}\r\nPUB foo 99999999999999999999\r\n"], b""),
        ([b"CONNECT {}\r\nPUB foo 2000000000\r\n"], b""),
        ([b"CONNECT {}\r\nPUB foo 3\r\nabcdef\r\n"], b"-ERR"),
        ([b"CONNECT {\"headers\":true}\r\nHPUB foo 10 5\r\nabcde\r\n"], b""),
        ([b"CONNECT {}\r\nSUB a..b 1\r\nPING\r\n"], b"Invalid Subject"),
        ([b"CONNECT {\"pedantic\":true}\r\nPUB a..b 1\r\nx\r\nPING\r\n"], b"Invalid Publish Subject"),
        ([b"CONNECT {}\r\nUNSUB\r\n"], b"-ERR"),
    ],
    ids=["bytes", "noise", "noise after connect", "bad json", "deep json", "an endless verb", "an endless line", "negative size",
         "huge size", "a payload over the limit", "a wrong size", "a header longer than the message", "bad subject",
         "bad publish subject", "no arguments"],
)
async def test_garbage_on_the_nats_port(broker, stream, pieces, says):
    said = await asyncio.to_thread(send, broker.nats, *pieces)
    # What a real nats-server says; where it just hangs up, nothing is expected.
    assert said.startswith(b"INFO {") and says.lower() in said.lower(), said[-500:]
    await still_serves(broker, stream)


async def test_half_open_and_idle_connections_hold_nobody_up(broker, stream):
    held = [address.connect() for address in (broker.grpc, broker.nats) for _ in range(100)]
    for number, connection in enumerate(held):
        connection.sendall([b"", b"P", PREFACE[:10], b"CONNECT {"][number % 4])
    await still_serves(broker, stream)
    for connection in held:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset instead of an end
        connection.close()
    await still_serves(broker, stream)


async def test_a_reader_that_never_reads_holds_nobody_up(broker, stream):
    silent = broker.nats.connect()
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    silent.sendall(b"CONNECT {}\r\nSUB %s 1\r\nPING\r\n" % stream.encode())
    async with api.connected(broker) as stub:
        stuck = stub.Subscribe(SubscribeRequest(stream=stream, startPosition=api.EARLIEST))
        for _ in range(100):
            await api.publish(stub, stream, os.urandom(500_000))
        await still_serves(broker, stream)
        stuck.cancel()
    silent.close()


@pytest.mark.parametrize("size", [2 << 20, 20 << 20, 60 << 20])
async def test_an_oversized_request_is_refused_by_name(broker, stream, size):
    async with api.connected(broker) as stub:
        with pytest.raises(AioRpcError) as refused:
            await api.publish(stub, stream, b"x" * size)
        assert refused.value.code() in (StatusCode.INVALID_ARGUMENT, StatusCode.RESOURCE_EXHAUSTED), refused.value
        assert "exceed" in refused.value.details() or "large" in refused.value.details(), refused.value
    await still_serves(broker, stream)


async def test_requests_that_are_no_protobuf_are_refused(broker, stream):
    from grpc.aio import insecure_channel

    async with insecure_channel(str(broker.grpc)) as channel:
        for name in ("CreateStream", "DeleteStream", "Publish", "FetchMetadata", "FetchPartitionMetadata", "PublishToSubject"):
            call = channel.unary_unary(f"/proto.API/{name}")
            for junk in (b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab"):
                with pytest.raises(AioRpcError) as refused:
                    await call(junk, timeout=30)
                assert refused.value.code() in (StatusCode.INVALID_ARGUMENT, StatusCode.INTERNAL), (name, refused.value)
        with pytest.raises(AioRpcError) as refused:
            await channel.unary_unary("/proto.API/NoSuchCall")(b"", timeout=30)
        assert refused.value.code() == StatusCode.UNIMPLEMENTED
    await still_serves(broker, stream)


async def test_absurd_names_and_numbers_are_refused(broker, stream):
    names = ["", "/", "..", "../../x", "a b", "a\nb", "\u202e", "n" * 100_000]
    async with api.connected(broker) as stub:
        for name in names:
            with pytest.raises(AioRpcError) as refused:
                await api.publish(stub, name, b"x")
            assert refused.value.code() in (StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND), (name, refused.value)
        for partition in (-1, 1, 2**31 - 1, -(2**31)):
            with pytest.raises(AioRpcError) as refused:
                await api.publish(stub, stream, b"x", partition=partition)
            assert refused.value.code() == StatusCode.NOT_FOUND
        for options in ({"partitions": -1}, {"partitions": 2**31 - 1}, {"replicationFactor": -2},
                        {"segmentMaxBytes": -1}, {"retentionMaxAge": -(2**63)}, {"minIsr": -1}, {"cleanerInterval": -1}):
            with pytest.raises(AioRpcError) as refused:
                await api.create(stub, f"{stream}-bad", **options)
            assert refused.value.code() == StatusCode.INVALID_ARGUMENT, (options, refused.value)
        with pytest.raises(AioRpcError) as refused:
            await api.create(stub, f"{stream}-bad", replicationFactor=2**31 - 1)
        # What this version does not have is refused by name, whatever the number.
        assert refused.value.code() == StatusCode.FAILED_PRECONDITION, refused.value
        for fields in ({"startPosition": 77}, {"stopPosition": 77}, {"stopPosition": 1, "stopOffset": -5}):
            with pytest.raises(AioRpcError) as refused:
                await stub.Subscribe(SubscribeRequest(stream=stream, **fields)).read()
            assert refused.value.code() in (StatusCode.INVALID_ARGUMENT, StatusCode.RESOURCE_EXHAUSTED), (fields, refused.value)
    await still_serves(broker, stream)


async def test_a_publish_stream_outlives_every_bad_request_on_it(broker, stream):
    async with api.connected(broker) as stub:
        call = stub.PublishAsync()
        bad = [PublishRequest(stream=name, correlationId="bad", value=b"x") for name in ("", "unknown", "../x")]
        bad.append(PublishRequest(stream=stream, partition=9, correlationId="bad", value=b"x"))
        bad.append(PublishRequest(stream=stream, correlationId="bad", value=b"x" * (2 << 20)))
        for request in bad:
            await call.write(request)
            answer = await call.read()
            assert answer.correlationId == "bad" and answer.HasField("asyncError"), answer
        await call.write(PublishRequest(stream=stream, correlationId="good", value=b"x", expectedOffset=-1))
        assert (await call.read()).ack.correlationId == "good"
        await call.done_writing()
        assert not await call.read()
    await still_serves(broker, stream)
