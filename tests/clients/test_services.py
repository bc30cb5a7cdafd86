"""What generic gRPC tools ask a broker: the standard health service, and reflection."""

import asyncio

from grpc import StatusCode
from grpc.aio import EOF, AioRpcError, insecure_channel
import pytest

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from gufo.liftbridge import api_pb2

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field, short enough for lengths of one byte."""
    return bytes([number << 3 | 2, len(content)]) + content


def fields(message: bytes):
    """The length-delimited fields of a message that has no others."""
    while message:
        number, length, at = message[0] >> 3, 0, 1
        for shift in range(0, 35, 7):
            length |= (message[at] & 127) << shift
            at += 1
            if not message[at - 1] & 128:
                break
        yield number, message[at : at + length]
        message = message[at + length :]


async def check(channel, service: str) -> bytes:
    call = channel.unary_unary("/grpc.health.v1.Health/Check")
    return await call(field(1, service.encode()) if service else b"", timeout=60)


@pytest.mark.differs_from_liftbridge("it serves no reflection")
async def test_reflection_describes_the_api(broker):
    async with insecure_channel(str(broker.grpc)) as channel:
        ask = channel.stream_stream(REFLECTION)
        (answer,) = [answer async for answer in ask(iter([field(7, b"*")]), timeout=60)]
        services = [content for number, content in fields(answer) if number == 6]
        assert {b"proto.API", b"grpc.health.v1.Health"} <= {
            dict(fields(service))[1] for number, service in fields(services[0]) if number == 1
        }
        (answer,) = [answer async for answer in ask(iter([field(4, b"proto.API")]), timeout=60)]
        files = [content for number, content in fields(answer) if number == 4]
        (described,) = [FileDescriptorProto.FromString(content) for _, content in fields(files[0])]
    known = api_pb2.DESCRIPTOR.services_by_name["API"].methods
    assert {method.name for method in known} <= {method.name for method in described.service[0].method}


async def test_the_broker_and_its_api_are_healthy(broker):
    async with insecure_channel(str(broker.grpc)) as channel:
        for service in ("", "proto.API"):
            assert await check(channel, service) == SERVING
        with pytest.raises(AioRpcError) as refused:
            await check(channel, "proto.Other")
        assert refused.value.code() == StatusCode.NOT_FOUND


@pytest.mark.differs_from_liftbridge("it closes its watchers without telling them")
async def test_who_watches_the_api_is_told_when_the_broker_stops(own_broker):
    async with insecure_channel(str(own_broker.grpc)) as channel:
        call = channel.unary_stream("/grpc.health.v1.Health/Watch")(field(1, b"proto.API"), timeout=60)
        assert await call.read() == SERVING
        stopped = asyncio.ensure_future(asyncio.to_thread(own_broker.stop))
        assert await call.read() == NOT_SERVING
        assert await call.read() == EOF and await call.code() == StatusCode.OK
        assert await stopped == 0
