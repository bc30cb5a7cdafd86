"""A network, or a store, that fails in all the ways that such things do: it costs time and nothing else."""

import pytest

from grpc import StatusCode

from harness import api, bad_network
from harness.archive import archived, check, create, fill, in_state, status
from harness.bad_network import always, every
from harness.broker import eventually

PASSING = {
    "unavailable": bad_network.UNAVAILABLE,
    "broken": bad_network.BROKEN,
    "too many": bad_network.TOO_MANY,
    "done but broken": bad_network.DONE_BUT_BROKEN,
    "done but unheard": bad_network.DONE_BUT_UNHEARD,
    "half": bad_network.HALF,
    "in the way": bad_network.IN_THE_WAY,
    "late": bad_network.LATE,
}


@pytest.mark.parametrize("fault", PASSING)
async def test_faults_that_pass_cost_time_and_nothing_else(behind, network, unique, fault):
    network.rule = every(3, PASSING[fault])
    behind.start()
    async with api.connected(behind) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(200))
        await archived(behind, unique, 200, local_start=160)
        await check(stub, unique, range(200))
        behind.kill()
    behind.start()
    async with api.connected(behind) as stub:
        await fill(stub, unique, range(200, 300))
        await archived(behind, unique, 300)
        await check(stub, unique, range(300))


async def test_a_store_that_says_nothing_holds_up_nobody_but_who_reads_from_it(behind, network, unique):
    behind.start()
    async with api.connected(behind) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))
        await archived(behind, unique, 100, local_start=60)
    behind.stop()
    network.rule = always(bad_network.SILENT)
    behind.start()  # nothing is cached
    async with api.connected(behind) as stub:
        await fill(stub, unique, range(100, 160))
        messages, code, details = await api.follow(stub, unique)
        assert messages == [] and code == StatusCode.UNAVAILABLE and "archive" in details, (code, details)
        await fill(stub, unique, range(160, 200))
        # Requests that are on their way hold up nothing either: the one that tells the bucket of the cluster was waited for.
        assert behind.stop() == 0
    network.rule = lambda method, path: None
    behind.start()
    async with api.connected(behind) as stub:
        await archived(behind, unique, 200)
        await check(stub, unique, range(200))


async def test_a_store_that_refuses_is_told_of_and_tried_again(behind, network, unique):
    behind.start()
    async with api.connected(behind) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))
        await archived(behind, unique, 100)
        network.rule = always(bad_network.DENIED)
        await fill(stub, unique, range(100, 200))
        found = await in_state(behind, unique, "refused", "failing")
        assert "denies" in found["error"] and "credentials" in found["error"], found
        network.rule = lambda method, path: None
        await archived(behind, unique, 200)
        await check(stub, unique, range(200))


async def test_a_broker_that_is_killed_before_it_hears_that_its_archive_is_made_takes_it_up(behind, network, minio, unique):
    # HEAD is there and the metadata does not know of it yet: it is neither another's archive nor an emptied bucket.
    def rule(method, path):
        return bad_network.Fault(seconds=3600) if method == "PUT" and path.endswith("/0/HEAD") else None

    network.rule = rule
    behind.start()
    async with api.connected(behind) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))

        async def asked():
            return any(method == "PUT" and path.endswith("/0/HEAD") for method, path in network.seen)

        await eventually(asked, "HEAD is to be written")
    behind.kill()
    # What was on its way arrives.
    network.rule = lambda method, path: bad_network.DONE_BUT_UNHEARD if method == "PUT" and path.endswith("/0/HEAD") else None
    behind.start()
    async with api.connected(behind) as stub:

        async def written():
            return any(key.endswith("/0/HEAD") for key in minio.objects())

        await eventually(written, "HEAD is written")
        behind.kill()
    network.rule = lambda method, path: None
    behind.start()
    async with api.connected(behind) as stub:
        await archived(behind, unique, 100, local_start=60)
        await check(stub, unique, range(100))
        assert status(behind, unique)["archive_start"] == 0
