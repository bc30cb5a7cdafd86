"""The API as the generated stubs of gufo-liftbridge give it, for what that client does not reach."""

from contextlib import asynccontextmanager
from typing import AsyncIterator, List, Optional

from grpc import StatusCode
from grpc.aio import AioRpcError, insecure_channel

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
    request = SubscribeRequest(stream=stream, partition=partition, startPosition=EARLIEST, stopPosition=STOP_LATEST)
    if start is not None:
        request.startPosition, request.startOffset = OFFSET, start
    call = api.Subscribe(request, timeout=PATIENCE)
    messages = []
    try:
        await call.read()  # the handshake
        async for message in _messages(call):
            messages.append(message)
    except AioRpcError as error:
        # A partition that is empty, and the end of what was asked for, are both told like this.
        if error.code() != StatusCode.RESOURCE_EXHAUSTED:
            raise
    return messages


async def _messages(call) -> AsyncIterator[Message]:
    # Not the call's own iterator: it takes the empty first message for the end.
    while True:
        message = await call._read()
        if not message:
            code = await call.code()
            if code != StatusCode.OK:
                raise AioRpcError(code, await call.initial_metadata(), await call.trailing_metadata(), await call.details())
            return
        yield message
