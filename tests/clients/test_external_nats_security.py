"""A broker that has to show something to the external NATS: every way, with what is right and with what is not."""

import ssl

import nats
import nkeys
import pytest

from harness import api
from harness.broker import eventually
from harness.certificates import Authority
from harness.credentials import Key, Operator
from harness.nats_server import NatsServer

pytestmark = pytest.mark.differs_from_liftbridge("it logs in with other settings")


@pytest.fixture
def serve(tmp_path):
    """Starts a nats-server with these lines of configuration."""
    started = []

    def start(lines: str) -> NatsServer:
        started.append(NatsServer(tmp_path / "nats", lines))
        return started[-1].start()

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path)
    for name in ("server", "client"):
        made.issue(name)
    return made


@pytest.fixture
def records(brokers, unique):
    """Starts a broker with these settings and sees it record what another client of the NATS publishes."""

    async def check(server, lines: str, secret: str = "", **options) -> None:
        broker = brokers(nats_server=server, lines=lines).start()
        client = await nats.connect(server.nats_url, allow_reconnect=False, **options)
        async with api.connected(broker) as stub:
            await api.create(stub, unique)
            await client.publish(unique, b"over NATS")
            assert (await api.publish(stub, unique, b"over the api", ackPolicy=api.LEADER)).offset in (0, 1)

            async def complete():
                values = {message.value for message in await api.replay(stub, unique)}
                return values == {b"over NATS", b"over the api"}

            await eventually(complete, "both messages are recorded")
        await client.close()
        assert not secret or secret not in broker.log()
        assert broker.stop() == 0

    return check


@pytest.fixture
def is_refused(brokers):
    """Starts a broker with these settings, which has to say what is wrong and end."""

    def check(server, lines: str, *says: str, secret: str = "") -> None:
        process = brokers(nats_server=server, lines=lines).spawn()
        status = process.wait(60)
        log = process.log()
        assert status in (3, 4), log
        assert "panicked" not in log and str(server.nats) in log
        assert any(text in log.lower() for text in says), log
        assert not secret or secret not in log

    return check


async def test_a_user_with_a_password(serve, records, is_refused):
    server = serve("authorization { user: ann, password: s3cret }")
    await records(server, "nats.user: ann\nnats.password: s3cret", "s3cret", user="ann", password="s3cret")
    is_refused(server, "nats.user: ann\nnats.password: wr0ng", "authorization", secret="wr0ng")
    is_refused(server, "", "authorization")


async def test_a_token(serve, records, is_refused):
    server = serve("authorization { token: s3cret }")
    await records(server, "nats.token: s3cret", "s3cret", token="s3cret")
    is_refused(server, "nats.token: wr0ng", "authorization", secret="wr0ng")


async def test_an_nkey(serve, records, is_refused, tmp_path):
    known, stranger = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    files = {}
    for name, key in (("known", known), ("stranger", stranger)):
        files[name] = tmp_path / f"{name}.nk"
        files[name].write_bytes(key.seed + b"\n")
    server = serve(f"authorization {{ users: [ {{ nkey: {known.public} }} ] }}")
    seed = known.seed.decode()
    await records(server, f"nats.nkey.file: {files['known']}", seed, nkeys_seed=str(files["known"]))
    is_refused(server, f"nats.nkey.file: {files['stranger']}", "authorization", secret=stranger.seed.decode())


async def test_a_credentials_file(serve, records, is_refused, tmp_path):
    operator = Operator()
    known = operator.write_user(tmp_path / "known.creds")
    stranger = Operator().write_user(tmp_path / "stranger.creds")
    server = serve(operator.server_lines())
    await records(server, f"nats.credentials.file: {known}", known.read_text().split("\n")[1], user_credentials=str(known))
    is_refused(server, f"nats.credentials.file: {stranger}", "authorization")


@pytest.mark.parametrize(
    "key, content",
    [("nats.credentials.file", None), ("nats.credentials.file", "no credentials"), ("nats.nkey.file", None), ("nats.nkey.file", "SUX")],
)
def test_a_file_that_is_missing_or_holds_something_else_is_named(serve, brokers, tmp_path, key, content):
    path = tmp_path / "secret-file"
    if content is not None:
        path.write_text(content)
    process = brokers(nats_server=serve(""), lines=f"{key}: {path}").spawn()
    assert process.wait(60) in (3, 4)
    assert str(path) in process.log() and key in process.log() and "panicked" not in process.log()


class TestTls:
    async def test_a_server_is_trusted_by_its_authority(self, serve, records, is_refused, authority, tmp_path):
        server = serve(tls_lines(authority))
        await records(server, f"nats.tls.ca: {authority.path('ca')}", tls=client_context(authority))
        (tmp_path / "other").mkdir()
        is_refused(server, f"nats.tls.ca: {Authority(tmp_path / 'other').path('ca')}", "certificate")
        is_refused(server, "", "certificate", "tls")

    async def test_the_broker_shows_its_certificate(self, serve, records, is_refused, authority):
        server = serve(tls_lines(authority, f'ca_file: "{authority.path("ca")}", verify: true'))
        own = f"nats.tls.cert: {authority.path('client')}\nnats.tls.key: {authority.path('client-key')}\n"
        await records(server, f"{own}nats.tls.ca: {authority.path('ca')}", tls=client_context(authority, "client"))
        is_refused(server, f"nats.tls.ca: {authority.path('ca')}", "certificate", "tls", "closed", "reset")

    async def test_credentials_go_over_tls_too(self, serve, records, authority):
        server = serve(tls_lines(authority) + "\nauthorization { user: ann, password: s3cret }")
        lines = f"nats.tls.ca: {authority.path('ca')}\nnats.user: ann\nnats.password: s3cret"
        await records(server, lines, "s3cret", tls=client_context(authority), user="ann", password="s3cret")


def tls_lines(authority: Authority, more: str = "") -> str:
    files = f'cert_file: "{authority.path("server")}", key_file: "{authority.path("server-key")}"'
    return f"tls {{ {files}{', ' if more else ''}{more} }}"


def client_context(authority: Authority, own: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.path("ca")))
    if own:
        context.load_cert_chain(authority.path(own), authority.path(f"{own}-key"))
    return context
