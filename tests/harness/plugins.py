"""Plugins as an operator handles them, with the command."""

import json
import subprocess
from pathlib import Path

from harness import settings

DIRECTORY = Path(__file__).parent.parent / "plugins"
FILTER = DIRECTORY / "filter.wasm"
HOSTILE = DIRECTORY / "hostile.wasm"
HOSTILE_KEYS = DIRECTORY / "hostile-keys.wasm"


def run(broker, *words) -> subprocess.CompletedProcess:
    command = [str(settings.broker_binary()), "plugin", *map(str, words), "--servers", str(broker.grpc), "--timeout", "120s"]
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def done(broker, *words):
    """What a command that succeeds prints: one object or, with several lines, a list of them."""
    finished = run(broker, *words, *([] if words[0] in ("detach", "delete") else ["--json"]))
    assert finished.returncode == 0, finished.stderr
    lines = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    return lines[0] if len(lines) == 1 else lines


def refused(broker, *words) -> str:
    """Why the broker does not do it."""
    finished = run(broker, *words)
    assert finished.returncode == 1 and not finished.stdout, finished
    return finished.stderr


def compact(wanted) -> str:
    """Settings as text, the same whoever writes it."""
    return json.dumps(wanted, separators=(",", ":"))


def attach(broker, stream, plugin, wanted=None, **options) -> int:
    """Attaches a plugin with these settings; options are those of the command. Returns the attachment's number."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value) if word is not True]
    return done(broker, "attach", stream, plugin, "--settings", compact(wanted or {}), *words)["id"]


def numbers(broker, attachment) -> dict:
    return done(broker, "stats", attachment)["active"]


def marked(module: Path, mark: int) -> bytes:
    """A module in other bytes that mean the same: a section that nobody reads follows them."""
    return module.read_bytes() + bytes([0, 3, 1]) + b"m" + bytes([mark])
