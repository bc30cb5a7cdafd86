"""Serving a bucket read-only: what a cluster has archived is read from a broker that writes nothing there, and follows it."""

import asyncio
import json
import os
import shutil
import stat
import subprocess

import pytest

from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from grpc.aio import AioRpcError
from gufo.liftbridge.api_pb2 import (
    CreateStreamRequest,
    DeleteStreamRequest,
    FetchCursorRequest,
    FetchMetadataRequest,
    FetchPartitionMetadataRequest,
    PauseStreamRequest,
    PublishRequest,
    PublishToSubjectRequest,
    SetCursorRequest,
    SetStreamReadonlyRequest,
    SubscribeRequest,
)

from harness import api, plugins, settings
from harness.archive import QUICK_LINES, archived, check, create, fails, fill, run
from harness.broker import eventually
from harness.process import Process, free_addresses

LINES = f"{QUICK_LINES}\nencryption.key: 0123456789abcdef\ncursors.stream.partitions: 1\n"


class Mount:
    """A mount as its users start it."""

    def __init__(self, directory, store, *, lines="encryption.key: 0123456789abcdef\narchive.fetch.timeout: 2s\n", words=(), wrapper=()):
        self.directory, self.words, self.wrapper = directory, words, wrapper
        self.directory.mkdir(parents=True)
        self.grpc, self.http = free_addresses(2)
        self.lines, self.env = f"{store.lines}\n{lines}", dict(store.env)
        self.process = None

    def start(self):
        self.spawn().wait_for_ports([self.grpc])
        return self

    def spawn(self):
        config = self.directory / "mount.yaml"
        config.write_text(self.lines)
        words = ["archive", "mount", "--config", config, "--listen", self.grpc, "--http-listen", self.http, "--every", "100ms"]
        # So that it can be seen what is left of it.
        self.env["TMPDIR"] = str(self.directory)
        command = [*self.wrapper, settings.broker_binary(), *words, *self.words]
        self.process = Process(command, self.directory / "log", env=self.env)
        return self.process

    def kill(self):
        if self.process is not None:
            self.process.kill()

    def log(self):
        return self.process.log()


@pytest.fixture
def mounting(tmp_path):
    made = []

    def make(store, **options):
        made.append(Mount(tmp_path / f"mount-{len(made)}", store, **options))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture(params=["directory", "minio"])
def store(request, stores):
    return stores(request.param)


async def end(stub, stream, partition=0):
    request = FetchPartitionMetadataRequest(stream=stream, partition=partition)
    return (await stub.FetchPartitionMetadata(request, timeout=api.PATIENCE)).metadata.newestOffset + 1


async def reaches(stub, stream, offset):
    async def there():
        try:
            return await end(stub, stream) >= offset
        except AioRpcError:
            return False

    await eventually(there, f"{stream} is mounted up to {offset}")


async def refused(call, request):
    with pytest.raises(AioRpcError) as refusal:
        await call(request, timeout=api.PATIENCE)
    assert refusal.value.code() == StatusCode.FAILED_PRECONDITION, refusal.value
    assert "read-only mount" in refusal.value.details(), refusal.value.details()


def contents(store):
    return {name: None for name in store.objects()}


def plain(messages):
    return [MessageToDict(message) for message in messages]


async def test_a_mount_serves_record_by_record_what_is_archived_and_follows_it(archiving, mounting, store, unique):
    broker = archiving(store, lines=LINES).start()
    secret = f"{unique}-secret"
    async with api.connected(broker) as live:
        await create(live, unique)
        await create(live, secret, encryption=True)
        for name in (unique, secret):
            await fill(live, name, range(200))
            await archived(broker, name, 200, local_start=160)
        before = {name: plain(await api.replay(live, name)) for name in (unique, secret)}
        request = SetCursorRequest(stream=unique, partition=0, cursorId="c", offset=77)
        await live.SetCursor(request, timeout=api.PATIENCE)

        mount = mounting(store).start()
        other = mounting(store).start()
        async with api.connected(mount) as stub:
            for name in (unique, secret):
                await reaches(stub, name, 200)
                assert plain(await api.replay(stub, name)) == before[name]
            # The same numbers, and another broker's address.
            found = await stub.FetchMetadata(FetchMetadataRequest(), timeout=api.PATIENCE)
            assert {one.name for one in found.streamMetadata if not one.name.startswith("__")} == {unique, secret}
            assert [f"{one.host}:{one.port}" for one in found.brokers] == [str(mount.grpc)]
            # From the middle, backwards, by time.
            assert plain(await api.replay(stub, unique, start=123)) == before[unique][123:]
            messages, _, _ = await api.follow(stub, unique, startPosition=4, startTimestamp=int(before[unique][60]["timestamp"]))
            assert messages[0].offset <= 60 and messages[-1].offset == 199

            async def cursor():
                request = FetchCursorRequest(stream=unique, partition=0, cursorId="c")
                return (await stub.FetchCursor(request, timeout=api.PATIENCE)).offset == 77

            await eventually(cursor, "the cursor is there")
            # Who waits at the end gets what is archived next.
            tail = stub.Subscribe(SubscribeRequest(stream=unique, startPosition=0), timeout=api.PATIENCE)
            await tail.read()
            await fill(live, unique, range(200, 300))
            assert [(await tail.read()).offset for _ in range(100)] == list(range(200, 300))
            tail.cancel()
            # Streams that come and go, and settings that change.
            late = f"{unique}-late"
            await create(live, late)
            await fill(live, late, range(100))
            await reaches(stub, late, 100)
            await check(stub, late, range(100))
            run(broker, "stream", "set", late, "--retention-max-age", "77h")

            async def followed():
                return "277200000" in run(mount, "stream", "info", late, "--json") or "77h" in run(mount, "stream", "info", late)

            await eventually(followed, "the setting is followed")
            await live.DeleteStream(DeleteStreamRequest(name=late), timeout=api.PATIENCE)

            async def gone():
                found = await stub.FetchMetadata(FetchMetadataRequest(), timeout=api.PATIENCE)
                return late not in {one.name for one in found.streamMetadata}

            await eventually(gone, "the stream is gone")
            # Made again under the same name it is another one.
            await create(live, late)
            await fill(live, late, range(500, 540))
            await reaches(stub, late, 40)
            await check(stub, late, range(500, 540))
        async with api.connected(other) as stub:
            await check(stub, unique, range(300))
        # Nobody was disturbed.
        await fill(live, unique, range(300, 400))
        found = await archived(broker, unique, 400, local_start=360)
        assert found["state"] == "archiving" and not found["error"], found
    assert mount.process.stop() == 0, mount.log()
    assert not [one for one in mount.directory.iterdir() if one.name.startswith("strandline-mount-")]


async def test_every_change_is_refused_by_name(archiving, mounting, directory, unique):
    broker = archiving(directory, lines=LINES).start()
    async with api.connected(broker) as live:
        await create(live, unique)
        await fill(live, unique, range(100))
        await archived(broker, unique, 100)
        plugins.done(broker, "push", "drop", plugins.FILTER)
    mount = mounting(directory).start()
    async with api.connected(mount) as stub:
        await reaches(stub, unique, 100)
        before = contents(directory)
        await refused(stub.Publish, PublishRequest(stream=unique, value=b"x"))
        await refused(stub.PublishToSubject, PublishToSubjectRequest(subject=unique, value=b"x"))
        await refused(stub.CreateStream, CreateStreamRequest(name="new", subject="new"))
        await refused(stub.DeleteStream, DeleteStreamRequest(name=unique))
        await refused(stub.PauseStream, PauseStreamRequest(name=unique))
        await refused(stub.SetStreamReadonly, SetStreamReadonlyRequest(name=unique))
        await refused(stub.SetCursor, SetCursorRequest(stream=unique, partition=0, cursorId="c", offset=1))
        call = stub.PublishAsync(timeout=api.PATIENCE)
        # It is told at once. The client library has no status for a message that it was about to write then.
        with pytest.raises(AioRpcError):
            await call.read()
        assert await call.code() == StatusCode.FAILED_PRECONDITION and "read-only mount" in await call.details()
        for words in (
            ("stream", "set", unique, "--retention-max-age", "1h"),
            ("stream", "trim", unique, "--before", "5"),
            ("stream", "erase", unique, "--key", "k"),
            ("plugin", "push", "other", plugins.FILTER),
            ("plugin", "attach", unique, "drop@1", "--side", "read"),
            ("plugin", "delete", "drop"),
            ("archive", "restore"),
        ):
            said = fails(mount, *words)
            assert "read-only mount" in said, (words, said)
        # What only looks is answered.
        assert unique in run(mount, "archive", "status")
        assert unique in run(mount, "stream", "list")
        await check(stub, unique, range(100))
        assert contents(directory) == before


async def test_credentials_that_can_only_read_are_enough_on_s3(archiving, mounting, stores, unique):
    minio = stores("minio")
    broker = archiving(minio, lines=LINES).start()
    async with api.connected(broker) as live:
        await create(live, unique)
        await fill(live, unique, range(100))
        await archived(broker, unique, 100)
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::archive/*"]},
            {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::archive"]},
        ],
    }
    minio.client().put_bucket_policy(Bucket=minio.bucket, Policy=json.dumps(policy))
    mount = mounting(minio)
    mount.env = {"AWS_SKIP_SIGNATURE": "true", "AWS_REGION": "us-east-1"}
    mount.start()
    async with api.connected(mount) as stub:
        await reaches(stub, unique, 100)
        await check(stub, unique, range(100))
    # They can only read, indeed.
    tool = [settings.broker_binary(), "archive", "check", "--config", mount.directory / "mount.yaml"]
    done = subprocess.run([str(word) for word in tool], capture_output=True, text=True, timeout=60, env={**os.environ, **mount.env})
    assert done.returncode == 1 and "FAILED" in done.stdout, done


async def test_a_directory_that_can_only_be_read_is_enough(archiving, mounting, directory, unique):
    broker = archiving(directory, lines=LINES).start()
    async with api.connected(broker) as live:
        await create(live, unique)
        await fill(live, unique, range(100))
        await archived(broker, unique, 100)
    broker.stop()
    wrapper = ()
    if os.getuid() == 0:
        # Root may write whatever the permissions say, unless it gives that up.
        if not shutil.which("setpriv"):
            pytest.skip("setpriv is needed to give up root's rights")
        wrapper = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    every = [directory.directory, *(path for path in directory.directory.rglob("*"))]
    modes = {path: path.stat().st_mode for path in every}
    for path in every:
        path.chmod(stat.S_IMODE(modes[path]) & ~0o222)
    try:
        mount = mounting(directory, wrapper=wrapper).start()
        async with api.connected(mount) as stub:
            await reaches(stub, unique, 100)
            await check(stub, unique, range(100))
    finally:
        for path in every:
            path.chmod(stat.S_IMODE(modes[path]))


async def test_a_bucket_that_goes_away_is_waited_for_and_a_mount_that_is_killed_is_mounted_again(archiving, mounting, store, unique):
    broker = archiving(store, lines=LINES).start()
    async with api.connected(broker) as live:
        await create(live, unique)
        await fill(live, unique, range(200))
        await archived(broker, unique, 200)
    words = ("--data-dir", broker.directory / "mounted", "--set", "archive.cache.disk=100000000")
    mount = mounting(store, words=words).start()
    async with api.connected(mount) as stub:
        await reaches(stub, unique, 200)
        store.stop()
        messages, code, details = await api.follow(stub, unique)
        assert messages == [] and code == StatusCode.UNAVAILABLE and "archive" in details, (code, details)
        store.start()
        await check(stub, unique, range(200))
        async with api.connected(broker) as live:
            await fill(live, unique, range(200, 300))
        await reaches(stub, unique, 300)
        await check(stub, unique, range(300))
    mount.kill()
    mount.start()
    async with api.connected(mount) as stub:
        await reaches(stub, unique, 300)
        await check(stub, unique, range(300))
    mount.kill()
    # Without its bucket it does not begin, and says why.
    store.stop()
    process = mount.spawn()
    assert await asyncio.to_thread(process.wait) != 0
    assert "archive" in mount.log()
    # The directory of a broker is not one of a mount's.
    store.start()
    wrong = mounting(store, words=("--data-dir", broker.data_dir))
    broker.stop()
    assert await asyncio.to_thread(wrong.spawn().wait) == 4
    assert "data directory of a broker" in wrong.log()
    assert (broker.data_dir / "metadata").exists()


async def test_damage_is_named_and_the_rest_is_served(archiving, mounting, directory, unique):
    broker = archiving(directory, lines=LINES).start()
    other = f"{unique}-other"
    async with api.connected(broker) as live:
        for name in (unique, other):
            await create(live, name)
            await fill(live, name, range(200))
            await archived(broker, name, 200)
    broker.stop()
    segments = sorted(name for name in directory.objects() if "/segments/" in name and f"/{unique}." in name)
    damaged = directory.directory / segments[2]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    mount = mounting(directory).start()
    async with api.connected(mount) as stub:
        await reaches(stub, unique, 200)
        messages, code, details = await api.follow(stub, unique)
        assert code == StatusCode.DATA_LOSS and segments[2] in details, (code, details)
        first = int(segments[3].rsplit("/", 1)[1].split("-")[0])
        assert [one.offset for one in messages] == list(range(int(segments[2].rsplit("/", 1)[1].split("-")[0])))
        await check_from(stub, unique, first, 200)
        await check(stub, other, range(200))
    mount.kill()
    # A HEAD that is none keeps its stream out of service, and no other one, until it is back.
    head = directory.directory / segments[0].split("/segments/")[0] / "HEAD"
    kept = head.read_bytes()
    head.write_bytes(kept[:-1] + b"x")
    mount.start()
    async with api.connected(mount) as stub:
        await reaches(stub, other, 200)
        messages, code, details = await api.follow(stub, unique)
        assert messages == [] and code != StatusCode.OK and "HEAD" in details, (code, details)
        assert "out of service" in mount.log()
        head.write_bytes(kept)
        await reaches(stub, unique, 200)
        await check_from(stub, unique, first, 200)


async def check_from(stub, stream, first, last):
    found = await api.replay(stub, stream, start=first)
    assert [message.offset for message in found] == list(range(first, last))


async def test_encrypted_streams_need_the_master_key_and_filters_hold(archiving, mounting, directory, unique):
    broker = archiving(directory, lines=LINES).start()
    secret, filtered = f"{unique}-secret", f"{unique}-filtered"
    async with api.connected(broker) as live:
        for name, options in ((unique, {}), (secret, {"encryption": True}), (filtered, {})):
            await create(live, name, **options)
            await fill(live, name, range(100))
            await archived(broker, name, 100)
        plugins.done(broker, "push", "drop", plugins.FILTER)
        plugins.attach(broker, filtered, "drop@1", side="read")
        await asyncio.sleep(3)  # the archive is told of it
        expected = plain(await api.replay(live, filtered))
        mount = mounting(directory, lines="").start()
        async with api.connected(mount) as stub:
            await reaches(stub, unique, 100)
            await check(stub, unique, range(100))
            messages, code, details = await api.follow(stub, secret)
            assert messages == [] and "encrypt" in details and "key" in details, (code, details)
            assert plain(await api.replay(stub, filtered)) == expected
            # A subscription's own filter, and the other direction.
            for words in (("--filter", "drop@1"), ("--reverse", "--limit", 7), ("--filter", "drop@1", "--reverse")):
                words = ("subscribe", unique, "--format", "json", *words)
                assert run(mount, *words) == run(broker, *words)
            # A filter that comes later holds, too; without its bytes the stream is not served at all.
            plugins.attach(broker, unique, "drop@1", side="read")

            async def filtered_too():
                return len(await api.replay(stub, unique)) == len(expected)

            await eventually(filtered_too, "the filter is followed")
            with_key = mounting(directory).start()
            async with api.connected(with_key) as other:
                await reaches(other, secret, 100)
                await check(other, secret, range(100))
    for module in directory.directory.glob("*/modules/*"):
        module.unlink()
    bare = mounting(directory).start()
    async with api.connected(bare) as stub:
        await check(stub, secret, range(100))
        messages, code, details = await api.follow(stub, filtered)
        assert messages == [] and "drop" in details and "could not be attached" in details, (code, details)


async def test_of_several_clusters_the_one_that_is_named_is_mounted(archiving, mounting, directory, unique):
    names = [f"{unique}-{number}" for number in range(2)]
    for name in names:
        broker = archiving(directory, lines=LINES).start()
        async with api.connected(broker) as live:
            await create(live, name)
            await fill(live, name, range(100))
            await archived(broker, name, 100)
        await asyncio.sleep(2)  # the archive is told of it
        broker.stop()
    undecided = mounting(directory)
    assert await asyncio.to_thread(undecided.spawn().wait) == 4
    assert "several clusters, say which" in undecided.log()
    clusters = {one.split("/")[1].rsplit(".", 1)[0]: one.split("/")[0] for one in directory.objects() if one.endswith("/HEAD")}
    for name in names:
        mount = mounting(directory, words=("--cluster", clusters[name])).start()
        async with api.connected(mount) as stub:
            await reaches(stub, name, 100)
            await check(stub, name, range(100))
            found = await stub.FetchMetadata(FetchMetadataRequest(), timeout=api.PATIENCE)
            assert [one.name for one in found.streamMetadata] == [name]
    nowhere = mounting(directory, words=("--cluster", "nowhere"))
    assert await asyncio.to_thread(nowhere.spawn().wait) == 4
    assert "nowhere/CLUSTER" in nowhere.log(), nowhere.log()
