"""The API as the generated stubs of gufo-liftbridge give it, for what that client does not reach."""

from contextlib import asynccontextmanager
from typing import AsyncIterator, List, Optional, Tuple

from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata, insecure_channel

from gufo.liftbridge.api_pb2 import Ack, CreateStreamRequest, Message, PublishRequest, SubscribeRequest
from gufo.liftbridge.api_pb2_grpc import APIStub

OFFSET, EARLIEST, STOP_LATEST = 1, 2, 2
LEADER, ALL, NONE = 0, 1, 2
LIMIT = 64 << 20
PATIENCE = 60.0  # seconds; only ends what hangs


@asynccontextmanager
async def connected(broker) -> AsyncIterator[APIStub]:
    options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
    async with insecure_channel(str(broker.grpc), options=options) as channel:
        yield APIStub(channel)


async def create(
    api: APIStub, name: str, subject: Optional[str] = None, partitions: int = 1, backend: Optional[str] = None, **options
) -> None:
    """Creates a stream, on the server's storage engine unless told otherwise."""
    request = CreateStreamRequest(name=name, subject=subject or name, partitions=partitions)
    for key, value in options.items():
        field = getattr(request, key)
        if hasattr(field, "value"):
            field.value = value
        else:
            setattr(request, key, value)
    metadata = (("strandline-backend", backend),) if backend else ()
    await api.CreateStream(request, timeout=PATIENCE, metadata=metadata)


async def publish(api: APIStub, stream: str, value: bytes, *, timeout: float = PATIENCE, **fields) -> Ack:
    fields.setdefault("expectedOffset", -1)
    request = PublishRequest(stream=stream, value=value, **fields)
    return (await api.Publish(request, timeout=timeout)).ack


async def replay(api: APIStub, stream: str, partition: int = 0, start: Optional[int] = None) -> List[Message]:
    """What the partition holds now, all of it or from an offset on."""
    begin = {} if start is None else {"startPosition": OFFSET, "startOffset": start}
    messages, code, details = await follow(api, stream, partition=partition, **begin)
    # A partition that is empty, and the end of what was asked for, are both told like this.
    if code not in (StatusCode.OK, StatusCode.RESOURCE_EXHAUSTED):
        raise AioRpcError(code, Metadata(), Metadata(), details)
    return messages


async def follow(api: APIStub, stream: str, metadata=(), **fields) -> Tuple[List[Message], StatusCode, str]:
    """Messages of a subscription, to what the stream holds now unless told otherwise, and how it ended."""
    fields = {"startPosition": EARLIEST, "stopPosition": STOP_LATEST, **fields}
    call = api.Subscribe(SubscribeRequest(stream=stream, **fields), timeout=PATIENCE, metadata=metadata)
    messages = []
    try:
        await call.read()  # the handshake
        # Not the call's own iterator: it takes the empty first message for the end.
        while message := await call._read():
            messages.append(message)
    except AioRpcError:
        pass  # a call that is refused at once
    return messages, await call.code(), await call.details() or ""
