"""Fixtures of the process suites."""

import itertools
import os
import subprocess

import pytest

from harness import settings
from harness.broker import Broker

_numbers = itertools.count()


def pytest_runtest_setup(item):
    marker = item.get_closest_marker("differs_from_liftbridge")
    if marker and settings.against_liftbridge():
        pytest.skip(f"liftbridge: {marker.args[0]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        for name in ("broker", "own_broker"):
            running = item.funcargs.get(name)
            if running is not None and running.process is not None:
                report.sections.append((f"end of the log of {name}", running.process.tail()))
    return report


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """One broker for all tests of a file."""
    running = Broker(tmp_path_factory.mktemp("broker")).start()
    yield running
    running.kill()


@pytest.fixture
def own_broker(tmp_path):
    """A broker for this test alone."""
    running = Broker(tmp_path).start()
    yield running
    running.kill()


@pytest.fixture
def brokers(tmp_path):
    """Prepares brokers that the test starts itself; all of them are gone afterwards."""
    made = []

    def make(**options) -> Broker:
        made.append(Broker(tmp_path / f"broker-{len(made)}", **options))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MiB."""
    if os.geteuid() != 0:
        # Not a skip: without a mount there is no full disk, and the promise stays untested.
        pytest.fail("a small file system cannot be mounted here: run tests/run as root, or leave this test out with --filter")
    mounted = tmp_path / "disk"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", mounted], check=True)
    yield mounted
    subprocess.run(["umount", "-l", mounted], check=True)


@pytest.fixture
def unique():
    """A name that no other test uses."""
    return f"name-{next(_numbers)}"
