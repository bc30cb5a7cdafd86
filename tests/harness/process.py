"""Starting, watching and ending one process."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence

START_WAIT = 60.0
STOP_WAIT = 30.0


class ProcessFailed(Exception):
    """The process ended, or did not do what was waited for; the text ends with its log."""


class Process:
    """A child process whose output goes to a file."""

    def __init__(self, command: Sequence[object], log: Path, env: Optional[Dict[str, str]] = None) -> None:
        self.log_path = log
        with open(log, "ab") as output:
            self._child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**_clean_environment(), **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def running(self) -> bool:
        return self._child.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_ports(self, addresses: List["Address"]) -> None:
        """Returns once all of the addresses take connections."""
        deadline = time.monotonic() + START_WAIT
        while not all(address.listens() for address in addresses):
            if not self.running():
                raise ProcessFailed(f"left with status {self._child.returncode} while starting\n{self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ProcessFailed(f"did not listen within {START_WAIT} s\n{self.tail()}")
            time.sleep(0.01)

    def wait(self, seconds: float = STOP_WAIT) -> int:
        """The exit status; a process that was killed by a signal has a negative one."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessFailed(f"did not end within {seconds} s\n{self.tail()}") from None

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def stop(self) -> int:
        """Asks the process to leave and returns its exit status."""
        if self.running():
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        if self.running():
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log().splitlines()[-lines:])


def _clean_environment() -> Dict[str, str]:
    """Without the settings of the suites, which a broker would take for misspelt ones of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STRANDLINE_")}


class Address:
    """A TCP address on the loopback interface."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __str__(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self, timeout: float = 30.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def listens(self) -> bool:
        try:
            self.connect(1.0).close()
        except OSError:
            return False
        return True


def free_addresses(count: int) -> List[Address]:
    """Addresses that nothing listened on a moment ago."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    addresses = [Address(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return addresses
