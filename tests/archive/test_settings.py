"""Turning archiving on and off, and what becomes of streams that are deleted; in a local directory."""

import asyncio

from harness import api
from harness.archive import SEGMENT_BYTES, archived, check, create, fails, fill, in_state, run, status
from harness.broker import eventually


async def test_archiving_is_turned_on_for_a_stream_with_history_off_and_on_again(archiving, directory, unique):
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique, archive=False)
        await fill(stub, unique, range(100))
        assert status(broker, unique) == {}
        run(broker, "stream", "set", unique, "--archive", "true")
        await archived(broker, unique, 100, local_start=60)
        run(broker, "stream", "set", unique, "--archive", "false")
        await in_state(broker, unique, "off")
        end = status(broker, unique)["archive_end"]
        await fill(stub, unique, range(100, 200))
        await check(stub, unique, range(200))
        broker.restart()
    async with api.connected(broker) as stub:
        await in_state(broker, unique, "off")
        assert status(broker, unique)["archive_end"] == end
        await check(stub, unique, range(200))
        run(broker, "stream", "set", unique, "--archive", "true")
        await archived(broker, unique, 200, local_start=160)
        await check(stub, unique, range(200))


async def test_a_stream_that_is_made_again_under_its_name_begins_anew_and_the_old_objects_stay(archiving, directory, unique):
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(100))
        before = (await archived(broker, unique, 100))["place"]
        run(broker, "stream", "delete", unique)
        old = [name for name in directory.objects() if name.startswith(before)]
        assert any("/segments/" in name for name in old)
        await create(stub, unique)
        await fill(stub, unique, range(1000, 1060))
        after = (await archived(broker, unique, 60))["place"]
        assert after != before
        await check(stub, unique, range(1000, 1060))
        assert set(old) <= set(directory.objects())


async def test_retention_goes_over_both_tiers(archiving, directory, unique):
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique, retentionMaxMessages=100)
        await fill(stub, unique, range(300))
        await archived(broker, unique, 300, local_start=260)

        async def few():
            found = await api.replay(stub, unique)
            return found if len(found) <= 100 else None

        found = await eventually(few, "retention removes what is archived")
        assert len(found) > 20 and found[-1].offset == 299
        assert [message.offset for message in found] == list(range(found[0].offset, 300))


async def test_the_newest_records_stay_though_their_segment_is_over_the_limit(archiving, directory, unique):
    # 300 records in one batch, of a stream that keeps 100: once their segment was sealed to be archived, all of them went.
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique, retentionMaxMessages=100, segmentMaxBytes=100 * SEGMENT_BYTES)
        await fill(stub, unique, range(300), at_once=300)
        await archived(broker, unique, 300, local_start=300)
        await asyncio.sleep(3)
        found = await api.replay(stub, unique)
        assert found and found[-1].offset == 299


async def test_what_cannot_be_archived_is_refused_with_the_setting_that_is_missing(brokers, unique):
    broker = brokers().start()
    async with api.connected(broker) as stub:
        await create(stub, unique, archive=False)
    assert "archive.url" in fails(broker, "stream", "create", f"{unique}-more", "--archive")
    assert "archive.url" in fails(broker, "stream", "set", unique, "--archive", "true")
    assert "archive.url" in run(broker, "archive", "status")


async def test_records_of_an_archived_stream_are_not_erased_by_half(archiving, directory, unique):
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(60))
        await archived(broker, unique, 60)
    assert "archived" in fails(broker, "stream", "trim", unique, "--before", "10")
    assert "archived" in fails(broker, "stream", "erase", unique, "--key", "k")


async def test_a_broker_does_not_start_without_the_archive_that_its_streams_are_in(archiving, directory, unique):
    broker = archiving(directory).start()
    async with api.connected(broker) as stub:
        await create(stub, unique)
        await fill(stub, unique, range(60))
        await archived(broker, unique, 60)
    broker.stop()
    lines, broker.lines = broker.lines, ""
    process = broker.spawn()
    assert process.wait() == 4
    assert f"stream {unique} is archived" in process.log() and "archive.url" in process.log()
    broker.lines = lines
    broker.start()
    async with api.connected(broker) as stub:
        await check(stub, unique, range(60))
