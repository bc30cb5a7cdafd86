"""The scrubber of a running broker finds damage to what is stored, and says so."""

import asyncio
import re
import urllib.request

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from harness import api
from harness.broker import eventually
from harness.process import free_addresses

pytestmark = pytest.mark.differs_from_liftbridge("it does not look after what is stored")

RECORDS = 60


def number(address, name):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        found = re.search(rf"^{name} (\d+)", answer.read().decode(), re.MULTILINE)
    return int(found[1])


async def test_damage_to_sealed_records_is_found_and_the_rest_is_served(brokers, unique):
    [http] = free_addresses(1)
    lines = f"http.listen: {http}\nstorage.scrub.interval: 1s\nstorage.scrub.rate.max: 0"
    broker = brokers(lines=lines).start()
    async with api.connected(broker) as stub:
        for stream in (unique, f"{unique}-other"):
            await api.create(stub, stream, segmentMaxBytes=10_000)
            for count in range(RECORDS):
                await api.publish(stub, stream, b"%d " % count + b"x" * 1000)

        async def passed(times):
            before = number(http, "strandline_scrub_passes_total")

            async def more():
                return number(http, "strandline_scrub_passes_total") >= before + times

            await eventually(more, "the scrubber reads everything again")

        await passed(2)
        assert number(http, "strandline_scrub_damaged_segments") == 0
        assert number(http, "strandline_scrub_read_bytes_total") > RECORDS * 1000

        segment = sorted((broker.data_dir / "streams").rglob("*.seg"))[2]
        with open(segment, "r+b") as file:
            file.seek(3000)
            byte = file.read(1)[0]
            file.seek(3000)
            file.write(bytes([byte ^ 0x20]))
        await passed(2)
        assert number(http, "strandline_scrub_damaged_segments") == 1
        said = [line for line in broker.log().splitlines() if "stored records are damaged" in line]
        assert said and all(f"{segment} is damaged at byte" in line and unique in line for line in said), said

    # Until now memory had these records. Those before it and behind it are there, and the other stream is whole.
    await asyncio.to_thread(broker.restart)
    damaged_stream = unique if f"stream={unique} " in said[0] else f"{unique}-other"
    whole_stream = next(name for name in (unique, f"{unique}-other") if name != damaged_stream)
    async with api.connected(broker) as stub:
        assert len(await api.replay(stub, whole_stream)) == RECORDS
        with pytest.raises(AioRpcError) as refused:
            await api.replay(stub, damaged_stream)
        assert refused.value.code() == StatusCode.DATA_LOSS
        after = int(re.search(r" to=(\d+)", said[0])[1])
        assert len(await api.replay(stub, damaged_stream, start=after)) == RECORDS - after
        assert (await api.publish(stub, damaged_stream, b"more")).offset == RECORDS
        await passed(1)
        assert number(http, "strandline_scrub_damaged_segments") == 1

        # Put right, it counts no more.
        with open(segment, "r+b") as file:
            file.seek(3000)
            file.write(bytes([byte]))
        await passed(2)
        assert number(http, "strandline_scrub_damaged_segments") == 0
        assert len(await api.replay(stub, damaged_stream)) == RECORDS + 1
    assert await asyncio.to_thread(broker.stop) == 0
