"""A real nats-server."""

from pathlib import Path

from harness import settings
from harness.process import Process, free_addresses


class NatsServer:
    """Keeps its port over restarts."""

    def __init__(self, directory: Path, lines: str = "") -> None:
        self.directory = directory
        [self.nats] = free_addresses(1)
        self.lines = lines
        self.process = None

    @property
    def nats_url(self) -> str:
        return f"nats://{self.nats}"

    def start(self) -> "NatsServer":
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "nats-server.conf"
        config.write_text(f"listen: {self.nats}\n{self.lines}\n")
        self.process = Process([settings.nats_server_binary(), "-c", config], self.directory / "log")
        self.process.wait_for_ports([self.nats])
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
