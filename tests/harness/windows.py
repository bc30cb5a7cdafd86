"""Publishers and a reader that keep step with the broker: a window of messages leaves in one write, and the next one only when
the last answer to it is there. The same bytes at the same moments, so that what they cost can be counted."""

import json
import re
import socket
import struct
from typing import Iterator

import h2.config
import h2.connection
import h2.events
import h2.settings

from gufo.liftbridge.api_pb2 import Ack, Message, PublishRequest, PublishResponse, SubscribeRequest

from harness import api
from harness.process import Address

PATIENCE = 60.0  # seconds; only ends what hangs
READ_BYTES = 1 << 20
ENVELOPE = b"\xb9\x0e\x43\xb4\x00\x08\x00\x00"
FLOW_CONTROL_MAX = (1 << 31) - 1


class GrpcCall:
    """One streaming call on a connection of its own, with flow control that never holds the broker back."""

    def __init__(self, address: Address, method: str) -> None:
        self.socket = address.connect(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: FLOW_CONTROL_MAX})
        self.http.increment_flow_control_window(FLOW_CONTROL_MAX - self.http.inbound_flow_control_window)
        self.stream = self.http.get_next_available_stream_id()
        headers = {":method": "POST", ":scheme": "http", ":authority": str(address), ":path": f"/proto.API/{method}"}
        self.http.send_headers(self.stream, [*headers.items(), ("content-type", "application/grpc"), ("te", "trailers")])
        self.socket.sendall(self.http.data_to_send())
        self.received = bytearray()
        self.ended = False
        self.status = None

    def send(self, frames: bytes) -> None:
        at = 0
        while at < len(frames):
            room = min(self.http.local_flow_control_window(self.stream), self.http.max_outbound_frame_size)
            if room == 0:
                self.socket.sendall(self.http.data_to_send())
                self._receive()
                continue
            self.http.send_data(self.stream, frames[at : at + room])
            at += room
        self.socket.sendall(self.http.data_to_send())

    def finish_sending(self) -> None:
        self.http.end_stream(self.stream)
        self.socket.sendall(self.http.data_to_send())

    def messages(self) -> Iterator[bytes]:
        """The answers, until the call ends."""
        while True:
            at = 0
            while len(self.received) >= at + 5:
                _, length = struct.unpack_from(">BI", self.received, at)
                if len(self.received) < at + 5 + length:
                    break
                yield bytes(self.received[at + 5 : at + 5 + length])
                at += 5 + length
            del self.received[:at]
            if self.ended:
                return
            self._receive()

    def _receive(self) -> None:
        data = self.socket.recv(READ_BYTES)
        assert data, "the broker has closed the connection"
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self.received += event.data
            elif isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                self.status = dict(event.headers).get("grpc-status", self.status)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self.ended = True
        answer = self.http.data_to_send()
        if answer:
            self.socket.sendall(answer)

    def close(self) -> None:
        self.socket.close()


class GrpcPublisher:
    """PublishAsync."""

    def __init__(self, broker, stream: str, value: bytes) -> None:
        self.call = GrpcCall(broker.grpc, "PublishAsync")
        self.answers = self.call.messages()
        request = PublishRequest(stream=stream, value=value, correlationId="0123456789", expectedOffset=-1)
        self.frame = framed(request.SerializeToString())
        self.next_offset = 0

    def window(self, messages: int) -> None:
        self.call.send(self.frame * messages)
        for _ in range(messages):
            answer = PublishResponse.FromString(next(self.answers))
            assert answer.ack.offset == self.next_offset, answer
            self.next_offset += 1

    def settle(self) -> None:
        """Returns when all is stored, which it is already."""

    def close(self) -> None:
        self.call.close()


class TailedPublisher(GrpcPublisher):
    """PublishAsync, and a subscriber that gets every message as soon as it is committed."""

    def __init__(self, broker, stream: str, value: bytes) -> None:
        super().__init__(broker, stream, value)
        self.subscription = subscribe(broker, SubscribeRequest(stream=stream))
        self.delivered = self.subscription.messages()
        next(self.delivered)  # the handshake

    def window(self, messages: int) -> None:
        first = self.next_offset
        super().window(messages)
        for offset in range(first, self.next_offset):
            assert Message.FromString(next(self.delivered)).offset == offset

    def close(self) -> None:
        super().close()
        self.subscription.close()


class NatsConnection:
    """A NATS client of few lines."""

    OPERATION = re.compile(rb"(?:MSG (\S+) (\S+) (?:(\S+) )?(\d+)|PONG|PING|INFO .*|(-ERR .*))\r\n")

    def __init__(self, address: Address) -> None:
        self.socket = address.connect(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        options = {"verbose": False, "pedantic": False, "headers": True, "name": "windows", "lang": "python", "version": "1"}
        self.socket.sendall(b"CONNECT " + json.dumps(options).encode() + b"\r\nSUB answers 1\r\n")
        self.ping()

    def send(self, operations: bytes) -> None:
        self.socket.sendall(operations)

    def ping(self) -> None:
        """Returns when the server has taken everything that was sent before."""
        self.socket.sendall(b"PING\r\n")
        while self._operation()[0] != b"PONG\r\n":
            pass

    def payload(self) -> bytes:
        """Of the next message."""
        while True:
            operation = self._operation()
            if operation[4] is not None:
                return self._take(int(operation[4]) + 2)[:-2]

    def _operation(self):
        while not (found := self.OPERATION.match(self.received)):
            self._receive()
        operation = (found[0], *found.groups())
        assert operation[5] is None, operation
        del self.received[: found.end()]
        return operation

    def _take(self, size: int) -> bytes:
        while len(self.received) < size:
            self._receive()
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    def _receive(self) -> None:
        data = self.socket.recv(READ_BYTES)
        assert data, "the broker has closed the connection"
        self.received += data

    def close(self) -> None:
        self.socket.close()


class NatsPublisher:
    """Liftbridge's envelope on the NATS port, with acks on an inbox."""

    def __init__(self, broker, stream: str, value: bytes) -> None:
        self.connection = NatsConnection(broker.nats)
        message = Message(value=value, ackInbox="answers", correlationId="0123456789", ackPolicy=api.LEADER, offset=-1)
        self.operation = published(stream, ENVELOPE + message.SerializeToString())
        self.next_offset = 0

    def window(self, messages: int) -> None:
        self.connection.send(self.operation * messages)
        for _ in range(messages):
            ack = Ack.FromString(self.connection.payload()[len(ENVELOPE) :])
            assert (ack.ackError, ack.offset) == (0, self.next_offset), ack
            self.next_offset += 1

    def settle(self) -> None:
        """Returns when all is stored, which it is already."""

    def close(self) -> None:
        self.connection.close()


class PlainPublisher:
    """Something on the NATS port that asks for no answer."""

    def __init__(self, broker, stream: str, value: bytes) -> None:
        self.connection = NatsConnection(broker.nats)
        self.subject = stream.encode()
        self.operation = published(stream, value)

    def window(self, messages: int) -> None:
        self.connection.send(self.operation * messages)
        self.connection.ping()

    def settle(self) -> None:
        """Publishes one more message, whose answer tells that all before it are stored."""
        headers = b"NATS/1.0\r\nStrandline-Ack: leader\r\n\r\n"
        self.connection.send(b"HPUB %s answers %d %d\r\n%s\r\n" % (self.subject, len(headers), len(headers), headers))
        answer = json.loads(self.connection.payload())
        assert "error" not in answer, answer

    def close(self) -> None:
        self.connection.close()


def replay(broker, stream: str) -> int:
    """Reads all that a stream holds; how many records that were."""
    call = subscribe(broker, SubscribeRequest(stream=stream, startPosition=api.EARLIEST, stopPosition=api.STOP_LATEST))
    messages = call.messages()
    next(messages)  # the handshake
    records = sum(1 for _ in messages)
    # The end of what was asked for is told as ResourceExhausted.
    assert call.status == "8", call.status
    call.close()
    return records


def subscribe(broker, request: SubscribeRequest) -> GrpcCall:
    call = GrpcCall(broker.grpc, "Subscribe")
    call.send(framed(request.SerializeToString()))
    call.finish_sending()
    return call


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def published(subject: str, payload: bytes) -> bytes:
    return b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(payload), payload)
