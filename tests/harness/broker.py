"""A broker as its users start it: a real process with files, ports and a data directory of its own."""

import asyncio
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from grpc import RpcError, StatusCode, insecure_channel

from gufo.liftbridge.api_pb2 import DeleteStreamRequest
from gufo.liftbridge.api_pb2_grpc import APIStub

from harness import settings
from harness.nats_server import NatsServer
from harness.process import Process, ProcessFailed, START_WAIT, free_addresses


class Broker:
    """Keeps its ports and its data directory over restarts."""

    def __init__(
        self,
        directory: Path,
        *,
        data_dir: Optional[Path] = None,
        nats_lines: str = "",
        lines: str = "",
        nats_server: Optional[NatsServer] = None,
        binary: Optional[Path] = None,
    ) -> None:
        """`lines` go to the broker's configuration file, `nats_lines` to that of its embedded NATS server. With a
        `nats_server` it uses that and embeds none. `binary` is another one than that of the other suites."""
        self.directory = directory
        self.data_dir = data_dir or directory / "data"
        self.grpc, self.nats = free_addresses(2)
        self.nats_server = nats_server
        if nats_server is not None:
            self.nats = nats_server.nats
        self.binary = binary or settings.broker_binary()
        self.nats_lines = nats_lines
        self.lines = lines
        self.env: Dict[str, str] = {}
        self.process: Optional[Process] = None

    @property
    def nats_url(self) -> str:
        return f"nats://{self.nats}"

    def start(self, *, wrapper: Sequence[object] = ()) -> "Broker":
        """Starts the process, under `wrapper` if one is given, and returns once it serves."""
        self.spawn(wrapper=wrapper)
        self._process().wait_for_ports([self.grpc, self.nats])
        self._wait_until_serving()
        return self

    def spawn(self, *, wrapper: Sequence[object] = ()) -> Process:
        """Starts the process and waits for nothing."""
        command = [*wrapper, self.binary, *self.arguments()]
        self.process = Process(command, self.directory / "log", env=self.env)
        return self.process

    def arguments(self) -> List[object]:
        """Liftbridge's own invocation, which must go on working unchanged."""
        embedded = [] if self.nats_server else ["--embedded-nats"]
        return ["-c", self._write_config(), "-d", self.data_dir, *embedded, "--raft-bootstrap-seed"]

    def stop(self) -> int:
        return self._process().stop()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def restart(self) -> "Broker":
        self.stop()
        return self.start()

    def log(self) -> str:
        return self._process().log()

    def _process(self) -> Process:
        if self.process is None:
            raise RuntimeError("the broker has not been started")
        return self.process

    def _write_config(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [f"listen: {self.grpc}"]
        if self.nats_server is None:
            nats_config = self.directory / "nats.conf"
            nats_config.write_text(f"listen: {self.nats}\n{self.nats_lines}\n")
            lines += ["nats.embedded: true", f"nats.embedded.config: {nats_config}"]
        if settings.against_liftbridge():
            lines.append("telemetry.enabled: false")  # it reports home unless told not to
        if settings.against_liftbridge() or self.nats_server:
            # Liftbridge finds even its own embedded server only when told where that is.
            lines.append(f'nats.servers: ["{self.nats_url}"]')
        config = self.directory / "broker.yaml"
        config.write_text("\n".join([*lines, self.lines, ""]))
        return config

    def _wait_until_serving(self) -> None:
        """Liftbridge listens before it can change streams; only the answer of a change tells."""
        if "tls.cert" in self.lines:
            return
        deadline = time.monotonic() + START_WAIT
        with insecure_channel(str(self.grpc)) as channel:
            while time.monotonic() < deadline:
                try:
                    APIStub(channel).DeleteStream(DeleteStreamRequest(name="no-such-stream"), timeout=2)
                except RpcError as error:
                    if error.code() == StatusCode.NOT_FOUND:
                        return
                    last = error
                time.sleep(0.02)
        raise ProcessFailed(f"did not serve within {START_WAIT} s: {last}\n{self._process().tail()}")


async def eventually(condition, what: str, seconds: float = 60.0):
    """Polls until the condition gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = await condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)
