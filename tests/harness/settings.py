"""What tests/run hands to the suites. A missing tool is an error and never a reason to skip."""

import os
import sys
from pathlib import Path


def required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: run the suites through tests/run")
    return value


def broker_binary() -> Path:
    return Path(required("STRANDLINE_TEST_BROKER"))


def counted_broker_binary() -> Path:
    """With the system's allocator instead of a linked one, so that what it asks for can be counted."""
    return Path(required("STRANDLINE_TEST_COUNTED_BROKER"))


def nats_server_binary() -> Path:
    return Path(required("STRANDLINE_TEST_NATS_SERVER"))


def natscli_binary() -> Path:
    return Path(required("STRANDLINE_TEST_NATSCLI"))


def minio_binary() -> Path:
    return Path(required("STRANDLINE_TEST_MINIO"))


def tool(name: str) -> Path:
    """A command that came with one of the Python packages of the suites."""
    found = Path(sys.executable).parent / name
    if not found.exists():
        raise RuntimeError(f"{found} is not there: run the suites through tests/run")
    return found


def against_liftbridge() -> bool:
    """Whether the suites run against a real Liftbridge, to check the suites themselves."""
    return os.environ.get("STRANDLINE_TEST_KIND") == "liftbridge"


def rounds() -> int:
    """How often the kill suite kills."""
    return int(os.environ.get("STRANDLINE_TEST_ROUNDS", "10"))
