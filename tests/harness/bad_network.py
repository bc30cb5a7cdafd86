"""A proxy before an object store that does to requests what networks and stores do."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

from harness.process import Address, free_addresses

LOOPBACK = "127.0.0.1"
ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"


@dataclass(frozen=True)
class Fault:
    """What happens to a request.

    `reaches`: whether the store gets it at all. `answer`: the status that is told instead of the store's; without one the
    connection is closed. `kept`: the share of the store's own answer that arrives before the connection is closed.
    `seconds`: how long all of it is held up first.
    """

    reaches: bool = True
    answer: Optional[Tuple[int, str]] = None
    kept: float = 0.0
    seconds: float = 0.0


UNAVAILABLE = Fault(reaches=False, answer=(503, "SlowDown"))
BROKEN = Fault(reaches=False, answer=(500, "InternalError"))
TOO_MANY = Fault(reaches=False, answer=(429, "TooManyRequests"))
IN_THE_WAY = Fault(reaches=False, answer=(409, "OperationAborted"))
DENIED = Fault(reaches=False, answer=(403, "AccessDenied"))
DONE_BUT_BROKEN = Fault(answer=(500, "InternalError"))
DONE_BUT_UNHEARD = Fault()
HALF = Fault(kept=0.5)
SILENT = Fault(reaches=False, seconds=3600)
LATE = Fault(kept=1.0, seconds=0.3)

Rule = Callable[[str, str], Optional[Fault]]


class BadNetwork:
    """Listens on an address of its own and hands requests on to the store; `rule` is asked about each of them, with its method and
    path, and may change at any time. It has a thread of its own: tests block theirs."""

    def __init__(self, target: Address) -> None:
        self.address: Address = free_addresses(1)[0]
        self.rule: Rule = lambda method, path: None
        self.seen: List[Tuple[str, str]] = []
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> "BadNetwork":
        self._thread.start()
        serving = asyncio.start_server(self._serve, LOOPBACK, self.address.port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        return self

    def end(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        """Ends what is under way, too: some of it would never end."""
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._one_request(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side has gone
        finally:
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(length_of(head))
        method, path, _ = head.decode("latin-1").split(" ", 2)
        self.seen.append((method, path))
        fault = self.rule(method, path)
        if fault is None:
            writer.write(await self._ask(head, body))
        else:
            await asyncio.sleep(fault.seconds)
            told = await self._ask(head, body) if fault.reaches else b""
            writer.write(told_instead(fault.answer) if fault.answer else told[: int(len(told) * fault.kept)])
        await writer.drain()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        """The store's answer: all of it, as the connection ends with it."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self._target.port)
        try:
            line, rest = head.split(b"\r\n", 1)
            writer.write(line + b"\r\nconnection: close\r\n" + rest + body)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()


def length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def told_instead(answer: Tuple[int, str]) -> bytes:
    status, code = answer
    body = ERROR.format(code=code).encode()
    head = f"HTTP/1.1 {status} x\r\ncontent-type: application/xml\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


def every(nth: int, fault: Fault) -> Rule:
    """The fault for each nth request."""
    count = 0

    def rule(_method: str, _path: str) -> Optional[Fault]:
        nonlocal count
        count += 1
        return fault if count % nth == 0 else None

    return rule


def always(fault: Fault) -> Rule:
    return lambda method, path: fault
