"""nats-py against the embedded NATS server with the authentication and TLS of nats-server's configuration."""

import asyncio
import ssl

import nats
import nkeys
import pytest
from nats.errors import Error, NoServersError

from harness import settings
from harness.certificates import Authority
from harness.nats_client import flush
from harness.nats_server import NatsServer

# bcrypt of "s3cret", cost 4.
BCRYPT = "$2b$04$vxzfPlUIT2HdatgR9MIfveU1GLWaFosWlTZQZUOg8qAljHA.8U9Ky"


async def refused(url, **options):
    """Connects, expects a refusal, and returns what the server said."""
    said = []

    async def error(problem):
        said.append(str(problem).lower())

    with pytest.raises((NoServersError, Error, ssl.SSLError, ConnectionError)) as failed:
        connected = await nats.connect(url, allow_reconnect=False, error_cb=error, connect_timeout=10, **options)
        await connected.close()
    return " ".join([*said, str(failed.value).lower()])


async def works(url, **options):
    """Connects and sees its own message."""
    connected = await nats.connect(url, allow_reconnect=False, connect_timeout=10, **options)
    subscription = await connected.subscribe("own.subject")
    await connected.publish("own.subject", b"x")
    assert (await subscription.next_msg(timeout=30)).data == b"x"
    await connected.close()


@pytest.fixture
def serve(brokers, tmp_path):
    """Starts a server with these lines of configuration. When the suite itself is checked, it is a real nats-server:
    Liftbridge cannot log in to its own."""
    started = []

    def start(lines):
        server = NatsServer(tmp_path / "nats", lines) if settings.against_liftbridge() else brokers(nats_lines=lines)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()


class TestAuthentication:
    async def test_user_and_password(self, serve):
        server = serve("authorization { user: ann, password: s3cret }")
        await works(server.nats_url, user="ann", password="s3cret")
        assert "authorization violation" in await refused(server.nats_url, user="ann", password="wrong")
        assert "authorization violation" in await refused(server.nats_url)

    async def test_a_bcrypt_password(self, serve):
        server = serve(f'authorization {{ user: ann, password: "{BCRYPT}" }}')
        await works(server.nats_url, user="ann", password="s3cret")
        assert "authorization violation" in await refused(server.nats_url, user="ann", password=BCRYPT)

    async def test_a_token(self, serve):
        server = serve("authorization { token: t0ken }")
        await works(server.nats_url, token="t0ken")
        assert "authorization violation" in await refused(server.nats_url, token="other")

    async def test_an_nkey(self, serve, tmp_path):
        pair = nkeys.from_seed(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER))
        seed = tmp_path / "user.nk"
        seed.write_bytes(bytes(pair.seed))
        public = pair.public_key.decode()
        server = serve(f"authorization {{ users: [ {{ nkey: {public} }} ] }}")
        await works(server.nats_url, nkeys_seed=str(seed))
        assert "authorization violation" in await refused(server.nats_url)

    async def test_permissions_of_users(self, serve):
        server = serve(
            """authorization { users: [
                { user: reader, password: r, permissions: { subscribe: "data.>", publish: { deny: ">" } } }
                { user: writer, password: w, permissions: { publish: { allow: "data.>", deny: "data.secret" } } }
            ] }""",
        )
        problems = []

        async def error(problem):
            problems.append(str(problem).lower())

        reader = await nats.connect(server.nats_url, user="reader", password="r", error_cb=error)
        writer = await nats.connect(server.nats_url, user="writer", password="w", error_cb=error)
        subscription = await reader.subscribe("data.>")
        await reader.subscribe("other")
        await reader.publish("data.x", b"reader must not")
        await flush(reader)
        await writer.publish("data.secret", b"writer must not")
        await writer.publish("data.open", b"ok")
        assert (await subscription.next_msg(timeout=30)).data == b"ok"
        await flush(writer)
        text = " ".join(problems)
        for subject in ['subscription to "other"', 'publish to "data.x"', 'publish to "data.secret"']:
            assert f"permissions violation for {subject}" in text
        await reader.close()
        await writer.close()

    async def test_no_auth_user_stands_in_for_missing_credentials(self, serve):
        server = serve(
            "no_auth_user: guest\nauthorization { users: [ { user: guest, password: g }, { user: ann, password: a } ] }"
        )
        await works(server.nats_url)
        await works(server.nats_url, user="ann", password="a")
        assert "authorization violation" in await refused(server.nats_url, user="ann", password="g")


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path)
    for name in ("server", "client"):
        made.issue(name)
    return made


def context(authority, certificate=None):
    made = ssl.create_default_context(cafile=str(authority.path("ca")))
    if certificate:
        made.load_cert_chain(authority.path(certificate), authority.path(f"{certificate}-key"))
    return made


async def to_the_end(reader):
    """What still comes before the server closes; a reset is an end, too."""
    try:
        return await asyncio.wait_for(reader.read(), timeout=30)
    except ConnectionError:
        return b""


def tls(authority, more=""):
    return f'tls {{ cert_file: "{authority.path("server")}", key_file: "{authority.path("server-key")}" {more} }}'


class TestTls:
    async def test_a_client_upgrades_to_tls(self, serve, authority):
        server = serve(tls(authority))
        await works(server.nats_url, tls=context(authority))

    async def test_tls_may_come_first(self, serve, authority):
        server = serve(tls(authority, ", handshake_first: true"))
        await works(server.nats_url, tls=context(authority), tls_handshake_first=True)

    async def test_a_client_certificate_is_asked_for(self, serve, authority):
        server = serve(tls(authority, f', verify: true, ca_file: "{authority.path("ca")}"'))
        await works(server.nats_url, tls=context(authority, "client"))
        await refused(server.nats_url, tls=context(authority))

    async def test_an_unknown_authority_is_not_trusted_by_the_client(self, serve, authority):
        server = serve(tls(authority))
        await refused(server.nats_url, tls=ssl.create_default_context())


    async def test_tls_may_come_first_or_after_the_greeting(self, serve, authority):
        server = serve(tls(authority, ", handshake_first: auto"))
        await works(server.nats_url, tls=context(authority), tls_handshake_first=True)
        await works(server.nats_url, tls=context(authority))
        address = server.nats_url.removeprefix("nats://")
        reader, writer = await asyncio.open_connection(*address.split(":"))
        assert b'"tls_required":true' in await reader.readline()
        writer.write(b"CONNECT {}\r\nPING\r\n")
        assert b"PONG" not in await to_the_end(reader)
        writer.close()

    async def test_only_pinned_certificates_are_let_in(self, serve, authority):
        authority.issue("stranger")
        pins = f', verify: true, ca_file: "{authority.path("ca")}", pinned_certs: ["{authority.pin("client")}"]'
        server = serve(tls(authority, pins))
        await works(server.nats_url, tls=context(authority, "client"))
        await refused(server.nats_url, tls=context(authority, "stranger"))

    async def test_a_certificate_says_who_comes(self, serve, authority):
        authority.issue("stranger")
        mapped = f', verify_and_map: true, ca_file: "{authority.path("ca")}"'
        users = "users: [ { user: guest }, { user: 'CN=client', permissions: { publish: { deny: other } } } ]"
        server = serve(f"no_auth_user: guest\n{tls(authority, mapped)}\nauthorization {{ {users} }}")
        await works(server.nats_url, tls=context(authority, "client"))
        said = await refused(server.nats_url, tls=context(authority, "stranger"))
        assert "authorization violation" in said
        said = await refused(server.nats_url, tls=context(authority, "stranger"), user="CN=client", password="")
        assert "authorization violation" in said

    async def test_a_mapped_user_with_a_password_shows_it(self, serve, authority):
        mapped = f', verify_and_map: true, ca_file: "{authority.path("ca")}"'
        server = serve(f"{tls(authority, mapped)}\nauthorization {{ users: [ {{ user: localhost, password: s3cret }} ] }}")
        await works(server.nats_url, tls=context(authority, "client"), user="any", password="s3cret")
        assert "authorization violation" in await refused(server.nats_url, tls=context(authority, "client"))
