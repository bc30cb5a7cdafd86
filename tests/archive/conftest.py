"""Brokers with an archive in one of the object stores."""

import pytest

from harness.archive import QUICK_LINES
from harness.bad_network import BadNetwork
from harness.broker import Broker
from harness.object_stores import KINDS, Directory


@pytest.fixture
def stores(tmp_path):
    """Starts object stores; all of them are gone afterwards."""
    made = []

    def make(kind: str):
        made.append(KINDS[kind](tmp_path / f"store-{len(made)}"))
        return made[-1].start()

    yield make
    for one in made:
        one.end()


@pytest.fixture
def directory(stores) -> Directory:
    return stores("directory")


@pytest.fixture
def archiving(brokers):
    """Prepares brokers that archive into a store."""

    def make(store, *, lines: str = QUICK_LINES, **options) -> Broker:
        broker = brokers(lines=f"{store.lines}\n{lines}", **options)
        broker.env = store.env
        return broker

    return make


@pytest.fixture
def minio(stores):
    return stores("minio")


@pytest.fixture
def network(minio):
    network = BadNetwork(minio.address).start()
    yield network
    network.end()


@pytest.fixture
def behind(archiving, minio, network):
    """A broker that reaches the store through the network."""
    broker = archiving(minio)
    broker.lines = broker.lines.replace(str(minio.address), str(network.address))
    return broker
