"""What a broker's process does for its messages: allocations, copies, system calls, wake-ups, bytes to files.

Allocations and copies are counted inside the process by `structure/counts.c`, everything else by strace, which slows the process
down and has a turn of its own for that.
"""

import mmap
import re
import shutil
import struct
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import List

from harness.process import Process, ProcessFailed

SOURCE = Path(__file__).resolve().parent.parent / "structure" / "counts.c"
CLASSES = 64
PATIENCE = 60.0  # seconds; only ends what hangs


@dataclass
class Calls:
    """Calls by size: class n holds those of 2^n bytes up to, not including, 2^(n+1)."""

    number: List[int]
    bytes: List[int]

    def since(self, before: "Calls") -> "Calls":
        def less(now: List[int], then: List[int]) -> List[int]:
            return [a - b for a, b in zip(now, then)]

        return Calls(less(self.number, before.number), less(self.bytes, before.bytes))

    def bytes_of(self, smallest: int) -> int:
        """Bytes of calls of at least so many bytes, which must be a power of two."""
        return sum(self.bytes[smallest.bit_length() - 1 :])


class Counts:
    """The counters that `counts.c` keeps in a file."""

    def __init__(self, directory: Path) -> None:
        self.library = directory / "counts.so"
        self.path = directory / "counts"
        compiler = shutil.which("cc")
        assert compiler, "cc is missing; on Debian: apt-get install gcc libc6-dev"
        subprocess.run(
            [compiler, "-O2", "-fno-builtin", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", self.library, SOURCE],
            check=True,
        )

    def wrapper(self) -> List[object]:
        """What to put before the command of the process that is to be counted."""
        return ["env", f"LD_PRELOAD={self.library}", f"STRUCTURE_COUNTS={self.path}"]

    def read(self) -> "Memory":
        with open(self.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as shared:
            numbers = struct.unpack(f"={4 * CLASSES}Q", shared[: 32 * CLASSES])
        parts = [list(numbers[at : at + CLASSES]) for at in range(0, 4 * CLASSES, CLASSES)]
        return Memory(Calls(parts[0], parts[1]), Calls(parts[2], parts[3]))


@dataclass
class Memory:
    allocations: Calls
    copies: Calls

    def since(self, before: "Memory") -> "Memory":
        return Memory(self.allocations.since(before.allocations), self.copies.since(before.copies))


@dataclass
class SystemCalls:
    """What strace saw."""

    number: Counter = field(default_factory=Counter)  # of calls that neither put a thread to sleep nor wake one, by name
    wake_ups: int = 0  # of threads that wait for each other or for sockets
    file_bytes: int = 0  # written to files below the data directory


class Tracer:
    """Counts the system calls of a process while it is entered."""

    ENTRY = re.compile(r"^\d+\s+(\w+)\((.*)")
    # A wait for sockets that ended because something was there, and not because its time was up.
    READY = re.compile(r"^\d+\s+(?:<\.\.\. )?epoll_p?wait2?\b.* = [1-9]\d*$")
    PATH = re.compile(r"\d+<([^>]*)>")
    LENGTH = re.compile(r'""(?:\.\.\.)?, (?:iov_len=)?(\d+)')
    # Those of the allocator, which is not the one that is shipped, and waits that strace interrupted when it came.
    LEFT_OUT = {"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "restart_syscall"}

    def __init__(self, process: Process, data_dir: Path, output: Path) -> None:
        self.process, self.data_dir, self.output = process, data_dir, output
        self.seen = SystemCalls()

    def __enter__(self) -> SystemCalls:
        strace = shutil.which("strace")
        assert strace, "strace is missing; on Debian: apt-get install strace"
        self.strace = subprocess.Popen(
            [strace, "-f", "-qq", "-y", "-s", "0", "-o", str(self.output), "-p", str(self.process.pid)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        self._wait_until_attached()
        return self.seen

    def __exit__(self, *_) -> None:
        self.strace.terminate()
        _, errors = self.strace.communicate(timeout=PATIENCE)
        for line in self.output.read_text().splitlines():
            self._count(line)
        assert self.seen.number, f"strace saw nothing: {errors}"

    def _wait_until_attached(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not all(map(self._is_attached, Path(f"/proc/{self.process.pid}/task").iterdir())):
            if self.strace.poll() is not None or time.monotonic() > deadline:
                raise ProcessFailed(f"strace does not attach: {self.strace.stderr.read()}")
            time.sleep(0.01)

    def _is_attached(self, task: Path) -> bool:
        try:
            return f"TracerPid:\t{self.strace.pid}\n" in (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True  # the thread has ended

    def _count(self, line: str) -> None:
        if self.READY.match(line):
            self.seen.wake_ups += 1
        # A call that another one interrupts in the output has a second line, which is no new call.
        entry = self.ENTRY.match(line)
        if not entry or entry[1] in self.LEFT_OUT:
            return
        call, arguments = entry.groups()
        path = self.PATH.match(arguments)
        if call == "futex":
            self.seen.wake_ups += "FUTEX_WAIT" in arguments
        elif not (call.startswith("epoll_") and "wait" in call or path and "[eventfd]" in path[1]):
            self.seen.number[call] += 1
        if "write" in call and path and path[1].startswith(str(self.data_dir)):
            lengths = self.LENGTH.findall(arguments)
            assert lengths, f"a write of unknown length: {line}"
            self.seen.file_bytes += sum(map(int, lengths))
