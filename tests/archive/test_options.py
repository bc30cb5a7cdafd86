"""Archives with the options that a few users need: TLS, a cache on the disk, the other storage engine, buckets that keep all versions."""

import pytest

from harness import api
from harness.archive import QUICK_LINES, archived, check, create, fill, in_state
from harness.broker import eventually
from harness.object_stores import MinioTls


async def round_trip(broker, unique) -> None:
    broker.start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(200))
        await archived(broker, unique, 200, local_start=160)
        await check(stub, unique, range(200))


async def test_a_store_is_reached_by_tls_with_an_authority_of_its_own(archiving, tmp_path, unique):
    store = MinioTls(tmp_path / "store").start()
    try:
        broker = archiving(store)
        await round_trip(broker, unique)
        broker.stop()
        # Another authority than the certificate's: nothing is sent, and the reason is told.
        broker.lines = "\n".join(line for line in broker.lines.splitlines() if "archive.ca" not in line)
        broker.start()
        found = await in_state(broker, unique, "failing", "refused")
        assert "certificate" in found["error"].lower() or "UnknownIssuer" in found["error"], found
    finally:
        store.end()


async def test_what_was_read_is_read_again_from_the_cache_on_the_disk(behind, network, unique):
    behind.lines += "\narchive.cache.disk: 100000000"
    cached = behind.data_dir / "archive-cache"
    await round_trip(behind, unique)

    async def written():
        return cached.exists() and any(path.is_file() for path in cached.rglob("*"))

    behind.stop()
    # What was just published is in memory, so it is read from the bucket only now.
    assert await fetched(behind, network, unique) > segments(network)
    await eventually(written, "blocks are in the cache")
    behind.stop()
    # Nothing is in memory: footers are fetched, and blocks are not.
    assert await fetched(behind, network, unique) == segments(network)
    behind.stop()
    # Damage in it is found, and what it held is fetched.
    for path in cached.rglob("*"):
        if path.is_file():
            path.write_bytes(b"rotten" + path.read_bytes()[6:-6] + b"rotten")
    assert await fetched(behind, network, unique) > segments(network)


async def fetched(broker, network, stream) -> int:
    """Requests for objects of segments that a replay takes on a broker that has just been started."""
    del network.seen[:]
    broker.start()
    async with api.connected(broker) as stub:
        await check(stub, stream, range(200))
    return sum(method == "GET" and "/segments/" in path for method, path in network.seen)


def segments(network) -> int:
    """Segments that were asked for."""
    return len({path for method, path in network.seen if method == "GET" and "/segments/" in path})


@pytest.mark.parametrize("name", ["directory", "minio"])
async def test_streams_in_the_other_storage_engine_are_archived_alike(archiving, stores, unique, name):
    broker = archiving(stores(name), lines=f"{QUICK_LINES}\nstorage.backend: redb")
    await round_trip(broker, unique)
    broker.kill()
    broker.start()
    async with api.connected(broker) as stub:
        await fill(stub, unique, range(200, 300))
        await archived(broker, unique, 300, local_start=260)
        await check(stub, unique, range(300))


@pytest.mark.parametrize("locked", [False, True], ids=["versioned", "locked"])
async def test_a_bucket_that_keeps_every_version_is_as_good_as_any_other(archiving, stores, unique, locked):
    store = stores("minio")
    store.bucket = "keeps-all"
    client = store.client()
    client.create_bucket(Bucket=store.bucket, ObjectLockEnabledForBucket=locked)
    client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    broker = archiving(store)
    await round_trip(broker, unique)
    broker.kill()
    broker.start()
    async with api.connected(broker) as stub:
        await fill(stub, unique, range(200, 260))
        await archived(broker, unique, 260)
        await check(stub, unique, range(260))
