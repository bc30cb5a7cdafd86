"""A bucket that is emptied, and two brokers that write to one; nothing is lost or forked."""

import shutil

import pytest

from grpc import StatusCode

from harness import api
from harness.archive import archived, check, create, fill, in_state, status


@pytest.fixture(params=["directory", "minio"])
def store(request, stores):
    return stores(request.param)


async def test_a_bucket_that_was_emptied_is_refused_and_never_taken_for_a_new_one(archiving, store, unique):
    broker = archiving(store).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))
        await archived(broker, unique, 100)
    broker.stop()
    store.empty()
    broker.start()
    async with api.connected(broker) as stub:
        found = await in_state(broker, unique, "refused")
        assert "emptied" in found["error"], found
        await fill(stub, unique, range(100, 160))
        messages, code, _ = await api.follow(stub, unique)
        assert code not in (StatusCode.OK, StatusCode.RESOURCE_EXHAUSTED), (len(messages), code)
    assert store.objects() == []
    assert "emptied" in broker.log()


async def test_of_two_brokers_with_one_data_directory_the_older_is_fenced_and_goes_on_serving(archiving, store, unique):
    first, second = await two_brokers(archiving, store, unique)
    first.start()
    await in_state(first, unique, "archiving")
    second.start()
    await in_state(second, unique, "archiving")
    async with api.connected(first) as old, api.connected(second) as new:
        await fill(old, unique, range(100, 200))
        found = await in_state(first, unique, "fenced")
        assert found["error"]
        await fill(old, unique, range(200, 260))
        await check(old, unique, range(260))
        await fill(new, unique, range(1000, 1100))
        await archived(second, unique, 200)
        await check(new, unique, [*range(100), *range(1000, 1100)])
    assert "stopped archiving" in first.log() and status(first, unique)["state"] == "fenced"


async def test_a_copy_that_lacks_what_the_archive_has_does_not_take_it_over(archiving, store, unique):
    first, second = await two_brokers(archiving, store, unique)
    first.start()
    async with api.connected(first) as stub:
        await fill(stub, unique, range(100, 200))
        await archived(first, unique, 200)
        second.start()
        found = await in_state(second, unique, "refused")
        assert "lost committed records" in found["error"]
        await fill(stub, unique, range(200, 260))
        await archived(first, unique, 260)
        await check(stub, unique, range(260))


async def two_brokers(archiving, store, stream):
    """Stopped brokers with the same stream of 100 records, which are archived."""
    first, second = archiving(store).start(), archiving(store)
    async with api.connected(first) as stub:
        await create(stub, stream)
        await fill(stub, stream, range(100))
        await archived(first, stream, 100)
    first.stop()
    shutil.copytree(first.data_dir, second.data_dir)
    return first, second
