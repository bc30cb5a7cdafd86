"""The author's loop: `strandline plugin new`, `build`, `test`, `bench`, `cases` and `replay`, from nothing to a stream and back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from gufo.liftbridge.api_pb2 import SubscribeRequest

from harness import api, settings

pytestmark = pytest.mark.differs_from_liftbridge("it has no plugins")

LANGUAGES = ["rust", "go", "c"]
NATIVE = {
    "rust": "cargo test --quiet",
    "go": "go vet . && go test .",
    "c": "cc -Wall -Wextra -Werror -I strandline/c plugin_test.c -o plugin_test && ./plugin_test",
}
FIELD = json.dumps({"field": "level", "is": "error"})
PATIENCE = 600


@pytest.fixture(scope="module")
def toolchains(tmp_path_factory):
    """An environment in which projects in Rust share what they are built of, and where a zig of the suites' Python is found."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "CARGO_TARGET_DIR": str(tmp_path_factory.mktemp("target"))}


class Author:
    """Somebody with an empty directory and the binary."""

    def __init__(self, directory: Path, env: dict, broker=None) -> None:
        self.directory, self.env, self.broker = directory, env, broker

    def plugin(self, *words, status: int = 0) -> str:
        """What a command prints, to its errors where it fails."""
        return self.strandline("plugin", *words, status=status)

    def strandline(self, *words, status: int = 0) -> str:
        command = [str(settings.broker_binary()), *map(str, words)]
        if self.broker is not None:
            command += ["--servers", str(self.broker.grpc), "--timeout", "120s"]
        done = subprocess.run(
            command, cwd=self.directory, env=self.env, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + (done.stderr if status else "")

    def new(self, name: str, language: str, *words) -> Path:
        self.plugin("new", name, "--lang", language, *words)
        return self.directory / name

    def native_test(self, project: Path, language: str) -> None:
        done = subprocess.run(
            NATIVE[language], shell=True, cwd=project, env=self.env, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def author(tmp_path, toolchains):
    return Author(tmp_path, toolchains)


@pytest.fixture
def connected(tmp_path, toolchains, broker):
    return Author(tmp_path, toolchains, broker)


async def publish(broker, stream: str, *values: str) -> list:
    async with api.connected(broker) as stub:
        return [(await api.publish(stub, stream, value.encode())).offset for value in values]


async def create(broker, stream: str) -> None:
    async with api.connected(broker) as stub:
        await api.create(stub, stream)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_filter_goes_from_nothing_to_a_stream(connected, broker, unique, language):
    name = f"{language}-{unique}"
    project = connected.new(name, language)
    connected.native_test(project, language)
    built = json.loads(connected.plugin("build", name, "--json"))
    assert (built["world"], built["needs"]) == ("filter", "value")
    assert built["bytes"] == os.path.getsize(project / f"{name}.wasm")
    assert "strandline:plugin/log@1.0.0" in built["imports"] or language == "c"
    assert f"{name}.wasm: 4 passed, 0 failed" in connected.plugin("test", name)
    bench = connected.plugin("bench", f"{name}/{name}.wasm", "--size", 100, "--batch", 100, "--settings", FIELD, "--json")
    bench = json.loads(bench)
    nanos = bench["nanos_a_record"]
    assert 0 < nanos["copy"] < nanos["plugin"] and bench["failed_percent"] == 0 and bench["batch_records"] == 100
    assert 0 < bench["budget_share"] and 0 < bench["memory_bytes"] <= 64 << 20

    pushed = json.loads(connected.plugin("push", name, f"{name}/{name}.wasm", "--json"))
    assert pushed["version"]["sha256"] == built["sha256"]
    await create(broker, unique)
    connected.plugin("attach", unique, name, "--settings", FIELD)
    assert await publish(broker, unique, '{"level": "error"}', '{"level": "info"}', '{"level": "error"}') == [0, -1, 1]
    assert connected.strandline("publish", unique, '{"level": "info"}') == f"{unique} partition 0 kept out by a filter\n"


@pytest.mark.parametrize("language", ["rust", "c"])
async def test_a_key_extractor_goes_from_nothing_to_a_stream(connected, broker, unique, language):
    name = f"{language}-{unique}"
    project = connected.new(name, language, "--world", "key-extractor")
    connected.native_test(project, language)
    assert "4 passed, 0 failed" in connected.plugin("test", name)
    connected.plugin("push", name, f"{name}/{name}.wasm")
    await create(broker, unique)
    field, value = ("user.id", '{"user": {"id": "ada"}}') if language == "rust" else ("user", '{"user": "ada"}')
    connected.plugin("attach", unique, name, "--side", "key", "--settings", json.dumps({"field": field}))
    await publish(broker, unique, value)
    async with api.connected(broker) as stub:
        [message] = await api.replay(stub, unique)
    assert message.key == b"ada"


async def test_versions_are_compared_over_what_is_stored_through_filters_of_its_readers(connected, broker, unique):
    project = connected.new(unique, "c")
    connected.plugin("build", unique)
    connected.plugin("push", unique, f"{unique}/{unique}.wasm")
    source = (project / "plugin.c").read_text()
    fatal = 'if (!strandline_equal(found, is) && !strandline_equal(found, strandline_from("fatal")))'
    wider = source.replace("if (!strandline_equal(found, is))", fatal)
    assert wider != source
    (project / "plugin.c").write_text(wider)
    connected.plugin("build", unique)
    connected.plugin("push", unique, f"{unique}/{unique}.wasm")

    await create(broker, unique)
    await publish(broker, unique, *(json.dumps({"level": level}) for level in ["error", "fatal", "info", "fatal"]), "no JSON")
    connected.plugin("attach", unique, f"{unique}@1", "--side", "read", "--settings", FIELD)
    lines = connected.plugin(
        "replay", unique, "--version", f"{unique}@2", "--against", f"{unique}@1", "--settings", FIELD, "--format", "json"
    ).splitlines()
    *differing, summary = map(json.loads, lines)
    assert [one["offset"] for one in differing] == [1, 3]
    assert differing[0]["version"] == {"verdict": "pass"}
    assert differing[0]["against"] == {"verdict": "drop", "reason": "the field is another text"}
    assert (summary["records"], summary["different"]) == (5, 2)
    assert summary["version"] == {"plugin": f"{unique}@2", "counts": {"pass": 3, "drop": 2}}
    assert summary["against"] == {"plugin": f"{unique}@1", "counts": {"pass": 1, "drop": 4}}
    text = connected.plugin(
        "replay", unique, "--version", f"{unique}/{unique}.wasm", "--against", f"{unique}@1", "--settings", FIELD,
        "--show", "1", "--from", "1",
    )
    assert "0/1  drop: the field is another text -> pass" in text and "(1 more, --all shows them)" in text
    assert "records: 4\n" in text and "2 judged otherwise" in text

    # What version 1 says of the stream today are cases that version 2 fails.
    cases = connected.plugin("cases", unique, "--plugin", f"{unique}@1", "--settings", FIELD)
    (connected.directory / "captured.json").write_text(cases)
    report = connected.plugin("test", f"{unique}/{unique}.wasm", "--cases", "captured.json", status=1)
    assert f"FAIL  {unique}/0/1" in report and "3 passed, 2 failed" in report
    assert "expected  drop: the field is another text" in report and "got       pass" in report


async def test_what_filters_keep_from_readers_is_for_administrators_only(tmp_path, toolchains, brokers, unique):
    broker = brokers(lines="admin.token: 0123456789abcdef").start()
    author = Author(tmp_path, {**toolchains, "STRANDLINE_ADMIN_TOKEN": "0123456789abcdef"}, broker)
    author.new(unique, "c")
    author.plugin("build", unique)
    author.plugin("push", unique, f"{unique}/{unique}.wasm")
    await create(broker, unique)
    await publish(broker, unique, '{"level": "info"}', '{"level": "error"}')
    author.plugin("attach", unique, unique, "--side", "read", "--settings", FIELD)

    async def offsets(*metadata):
        request = SubscribeRequest(stream=unique, startPosition=api.EARLIEST, stopPosition=api.STOP_LATEST)
        async with api.connected(broker) as stub:
            call = stub.Subscribe(request, timeout=60, metadata=metadata)
            found = []
            try:
                await call.read()  # the handshake
                while message := await call._read():
                    found.append(message.offset)
            except AioRpcError:
                pass  # a call that is refused at once
            return found, await call.code()

    token = ("authorization", "Bearer 0123456789abcdef")
    assert await offsets() == ([1], StatusCode.RESOURCE_EXHAUSTED)
    assert await offsets(("strandline-unfiltered", "true"), token) == ([0, 1], StatusCode.RESOURCE_EXHAUSTED)
    assert await offsets(("strandline-unfiltered", "false"), token) == ([1], StatusCode.RESOURCE_EXHAUSTED)
    wrong = ("authorization", "Bearer another token of its length")
    assert await offsets(("strandline-unfiltered", "true"), wrong) == ([], StatusCode.PERMISSION_DENIED)
    assert await offsets(("strandline-unfiltered", "yes"), token) == ([], StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize(
    "language, file, line, broken",
    [
        ("rust", "src/lib.rs", "    match record.json()", "    assert!(record.value().len() < 50);\n"),
        ("c", "plugin.c", "    strandline_text found;\n    if", "    if (record->value.len >= 50) __builtin_trap();\n"),
        ("go", "main.go", "	field, found := ", "	if len(record.Value) >= 50 {\n		panic(len(record.Value))\n	}\n"),
    ],
    ids=["rust", "c", "go"],
)
def test_a_trap_points_to_the_line_of_the_authors_code(author, language, file, line, broken):
    path = author.new("my-filter", language) / file
    source = path.read_text()
    assert source.count(line) == 1
    path.write_text(source.replace(line, broken + line))
    number = source[: source.index(line)].count("\n") + 1 + (language == "go")
    cases = author.directory / "my-filter" / "cases.json"
    cases.write_text(cases.read_text().replace("disk full", "disk full " * 9))
    report = author.plugin("test", "my-filter", status=1)
    assert "FAIL  an error passes" in report and "got       fail: judge trapped" in report
    assert f"{path.name}:{number}" in report


@pytest.mark.parametrize(
    "language, tool",
    [("rust", "rustup target add wasm32-wasip2"), ("go", "go.dev"), ("c", "apt-get install clang")],
    ids=LANGUAGES,
)
def test_a_missing_toolchain_is_named_with_how_to_get_it(author, language, tool):
    author.new("my-filter", language)
    author.env = {**author.env, "PATH": "/nonexistent", "WASM_CC": ""}
    said = author.plugin("build", "my-filter", status=1)
    assert "missing" in said or "need" in said
    assert tool in said


def test_errors_of_the_compiler_are_passed_through_and_write_nothing(author):
    project = author.new("my-filter", "c")
    (project / "plugin.c").write_text("#include \"strandline_plugin.h\"\nint broken(void) { return missing_name; }\n")
    said = author.plugin("build", "my-filter", status=1)
    assert "plugin.c:2" in said and "missing_name" in said and "could not build the plugin" in said
    (project / "plugin.c").write_text('#include "strandline_plugin.h"\n')
    assert "exports nothing of the contract" in author.plugin("build", "my-filter", status=1)
    assert not (project / "my-filter.wasm").exists()


def test_what_is_there_is_never_written_over(author):
    author.new("mine", "c")
    assert "not empty" in author.plugin("new", "mine", "--lang", "go", status=1)
    for name in ["Mine", "a_b", "../up", "fn"]:
        author.plugin("new", name, "--lang", "c", status=2)
    assert sorted(path.name for path in author.directory.iterdir()) == ["mine"]
