"""NATS keeps the contract of a transport, against its real server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import json
import re
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sklearn_symfed.exceptions import FederationError, SettingError, TransportError
from sklearn_symfed.federation.transports import open_transport
from sklearn_symfed.federation.transports._nats_names import member_of, rights_of, token_of
from sklearn_symfed.federation.transports.nats import NatsTransport
from sklearn_symfed.testing import TransportTests
from sklearn_symfed.testing._transports import drain
from tests.servers._slow import SlowWay
from tests.servers.nats import PASSWORD, USER, NatsServer, require_sdk

pytestmark = pytest.mark.servers


def administer(server, act):
    """Do something by the SDK itself."""
    import nats

    async def work():
        client = await nats.connect(f"nats://127.0.0.1:{server.port}", user=USER, password=PASSWORD)
        await act(client.jetstream())
        await client.close()

    asyncio.run(work())


class TestNats(TransportTests):
    back_end = "nats"
    patience = 2
    sizes = (2**20 - 1025,)
    port = None

    @pytest.fixture(autouse=True)
    def _place(self, nats_server, nats_user, monkeypatch):
        self.server, self.monkeypatch = nats_server, monkeypatch
        self.federation = uuid.uuid4().hex
        NatsTransport(nats_server.url(self.federation), "founder", create=True).close()

    def make(self, member):
        return NatsTransport(self.server.url(self.federation, self.port), member, ack_deadline=1.0)

    @contextlib.contextmanager
    def with_wrong_credentials(self):
        with self.monkeypatch.context() as patch:
            patch.setenv("NATS_PASSWORD", "not-the-password")
            yield "not-the-password"

    @contextlib.contextmanager
    def slowly(self):
        with SlowWay(self.server.port, 0.01) as way:
            self.port = way.port
            yield
            self.port = None

    def restart_server(self):
        self.server.restart()

    def remove_inbox(self, member):
        administer(self.server, lambda js: js.delete_consumer(f"symfed_{self.federation}", token_of(member)))

    def poison(self, member):
        subject = f"symfed.{self.federation}.to.{token_of(member)}.nobody"
        administer(self.server, lambda js: js.publish(subject, b"\7no frame"))


# -- who may do what -------------------------------------------------------------------------------------------------


def permissions(rights):
    """Return rights as the server's configuration has them."""
    return "{ " + ", ".join(f"{verb}: {{ allow: [{', '.join(map(quoted, rights[verb]))}] }}" for verb in rights) + " }"


def quoted(text):
    return f'"{text}"'


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Yield a function that starts a server with some settings."""
    require_sdk()
    for name in ("USER", "PASSWORD", "TOKEN", "NKEY", "CREDS", "CA", "CERT", "KEY"):
        monkeypatch.delenv(f"NATS_{name}", raising=False)
    started = []

    def start(settings):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(NatsServer(folder, settings))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def least(serve, monkeypatch):
    """Return a function that starts a server on which each member has its rights and no more, and opens ends there."""

    def start(*without, **options):
        users = [
            (name, {verb: [each for each in of if each not in without or name == "a"] for verb, of in rights.items()})
            for name, rights in (("a", rights_of("f", "a", admin=True)), ("b", rights_of("f", "b")))
        ]
        listed = ", ".join(
            f"{{ user: {name}, password: of-{name}, permissions: {permissions(rights)} }}" for name, rights in users
        )
        server = serve(f"authorization {{ users: [ {listed} ] }}")

        def open_end(member, **settings):
            monkeypatch.setenv("NATS_USER", member)
            monkeypatch.setenv("NATS_PASSWORD", f"of-{member}")
            return NatsTransport(server.url("f"), member, **settings, **options)

        return open_end

    return start


def exchange(a, b, sizes=(10, 3_000_000)):
    for size in sizes:
        for sender, reader, to in ((a, b, None), (b, a, None), (a, b, "b"), (b, a, "a")):
            data = bytes([size % 251]) * size
            sender.publish(data, to)
            assert drain(reader, patience=2) == [data]


def test_the_least_rights_are_enough(least):
    """With the rights that are listed an admin founds, prepares and discards, and a member does all that it is to."""
    open_end = least()
    with open_end("a", create=True) as a:
        a.prepare("b")
        with open_end("b") as b:
            assert b.existed
            exchange(a, b)
            a.publish(b"given back", to="b")
            (delivery,) = b.receive()
            b.extend([delivery])
        with open_end("b") as b:
            assert drain(b, patience=2) == [b"given back"]
            assert b.dead_letters == 0
            with pytest.raises(TransportError, match=r"not publish to \$JS.API.CONSUMER.DELETE.symfed_f.\*"):
                b.discard("a")
        a.discard("b")
        with pytest.raises(TransportError, match=r"Got no inbox of 'b' at .*an admin who invites this member again"):
            open_end("b")


def test_the_rights_in_the_docs_are_those(serve, monkeypatch):
    """The docs print these rights as the server reads them; an admin can make and remove all, a member cannot."""
    page = (Path(__file__).parents[2] / "docs" / "transports.md").read_text("utf-8")
    (block,) = re.findall(r"```conf\n(.*?)```", page, flags=re.DOTALL)
    listed = [re.findall(r'"([^"]*)"', part) for part in re.findall(r"allow: \[(.*?)\]", block, flags=re.DOTALL)]
    admin, member = rights_of("flights", "north", admin=True), rights_of("flights", "south")
    expected = [admin["publish"], admin["subscribe"], member["publish"], member["subscribe"]]
    assert list(map(sorted, listed)) == expected
    monkeypatch.setenv("NATS_PASSWORD", "...")
    url = serve(block).url("flights")
    monkeypatch.setenv("NATS_USER", "north")
    assert NatsTransport.provision(url, "north") == NatsTransport.standing(url)
    monkeypatch.setenv("NATS_USER", "south")
    for use in (NatsTransport.standing, NatsTransport.teardown):
        with pytest.raises(TransportError, match=r"let this user not (subscribe to _ADMIN|publish to \$JS.API)"):
            use(url)
    monkeypatch.setenv("NATS_USER", "north")
    assert len(NatsTransport.standing(url)) == 4
    assert NatsTransport.teardown(url) == []
    assert NatsTransport.standing(url) == []

    url = serve(block.replace('"$JS.API.STREAM.DELETE.symfed_flights", ', "")).url("flights")
    NatsTransport.provision(url, "north")
    with pytest.raises(TransportError, match=r"not publish to \$JS.API.STREAM.DELETE.symfed_flights: its permissions"):
        NatsTransport.teardown(url)
    assert len(NatsTransport.standing(url)) == 4


# -- places ----------------------------------------------------------------------------------------------------------


def test_provision_and_teardown(nats_carrier):
    """What a federation needs is made, once and again, listed, and removed, once and again; others are left alone."""
    url, other = nats_carrier.url, f"{nats_carrier.url}_"
    others = NatsTransport.provision(other, "a")
    stream = f"symfed_{url.rpartition('/')[2]}"
    there = [f"stream {stream}", f"stream {stream}_dead", f"object store {stream}", "consumer z%c3%bcrich"]
    assert NatsTransport.standing(url) == []
    for _ in range(2):
        assert NatsTransport.provision(url, "zürich") == there
    with NatsTransport(url, "zürich") as a, NatsTransport(url, "b") as b:
        a.publish(b"large" * 500_000)
        with pytest.raises(FederationError, match="holds a federation already"):
            NatsTransport.provision(url, "zürich")
        assert drain(b, patience=2) == [b"large" * 500_000]
        a.publish(b"waits")
        assert NatsTransport.standing(url) == [*there[:3], "consumer b", there[3]]
        for _ in range(2):
            assert NatsTransport.teardown(url) == []
        with pytest.raises(TransportError):
            a.publish(b"x")
    assert NatsTransport.standing(url) == []
    assert NatsTransport.provision(url, "b") == [*there[:3], "consumer b"]
    assert NatsTransport.standing(other) == others


def test_more_consumers_than_one_answer_tells(serve):
    """All inboxes are listed, of however many members."""
    server = serve("")
    url, subjects = server.url("f"), ["symfed.f.all.*", "symfed.f.to.*.*"]
    settings = {"name": "symfed_f", "subjects": subjects, "retention": "interest", "max_consumers": 2000}
    administer(server, lambda js: js.add_stream(**settings))
    members = sorted(f"m{number:04}" for number in range(1030))
    with NatsTransport(url, members[0], create=True) as a:
        for member in members[1:]:
            a.prepare(member)
    assert NatsTransport.standing(url)[3:] == [f"consumer {member}" for member in members]
    NatsTransport.teardown(url)


def test_a_federation_is_provisioned_and_taken_down_from_a_shell(nats_carrier):
    """The commands make, list and remove, and ask before they remove."""
    cli = pytest.importorskip("sklearn_symfed.cli._app")
    from typer.testing import CliRunner

    def symfed(*arguments, code=0, **options):
        result = CliRunner().invoke(cli.app, arguments, **options)
        assert result.exit_code == code, result.output
        return result.output

    url = nats_carrier.url
    there = json.loads(symfed("provision", url, "--member", "north", "--json"))["there"]
    assert len(there) == 4
    assert all(word in symfed("teardown", url, input="n\n", code=1) for word in there)
    assert NatsTransport.standing(url) == there
    assert "Removed" in symfed("teardown", url, "--yes")
    assert "There is nothing at" in symfed("teardown", url)


@pytest.mark.parametrize(
    ("right", "use"),
    [
        ("symfed.f.all.b", lambda b: b.publish(b"x")),
        ("symfed.f.to.*.b", lambda b: b.publish(b"x", "a")),
        ("$O.symfed_f.>", lambda b: b.publish(b"x" * 2_000_000)),
        ("$JS.API.CONSUMER.MSG.NEXT.symfed_f.b", lambda b: b.receive()),
        ("$JS.API.CONSUMER.INFO.symfed_f.b", lambda b: None),
        ("$JS.API.STREAM.INFO.symfed_f_dead", lambda b: b.dead_letters),
        ("$JS.ACK.symfed_f.b.>", lambda b: drain(b, patience=2)),
        ("$JS.FC.>", lambda b: drain(b, patience=2)),
    ],
)
def test_a_missing_right_is_named(least, right, use):
    """What a user may not do is an error that names the right, at once."""
    open_end = least(right)
    with open_end("a", create=True) as a:
        a.prepare("b")
        for _ in range(3):
            a.publish(b"x" * (20_000_000 if right == "$JS.FC.>" else 1), "b")
        with pytest.raises(TransportError) as caught, open_end("b") as b:
            use(b)
        assert f"let this user not publish to {right}" in str(caught.value)


def test_tokens_nkeys_and_tls(serve, monkeypatch, tmp_path):
    """A token, an NKEY's seed in a file and TLS are taken from the environment."""
    nkeys = pytest.importorskip("nkeys")
    monkeypatch.setenv("NATS_TOKEN", "a-token")
    check(serve("authorization { token: a-token }"))
    monkeypatch.delenv("NATS_TOKEN")

    seed = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)
    public = nkeys.from_seed(seed).public_key.decode()
    (tmp_path / "user.nk").write_bytes(seed)
    monkeypatch.setenv("NATS_NKEY", str(tmp_path / "user.nk"))
    check(serve(f"authorization {{ users: [ {{ nkey: {public} }} ] }}"))
    monkeypatch.delenv("NATS_NKEY")

    certificate, key = self_signed(tmp_path)
    server = serve(f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}')
    with pytest.raises(TransportError, match="no TLS connection"):
        check(server)
    monkeypatch.setenv("NATS_CA", str(certificate))
    check(server)
    with pytest.raises(TransportError, match="no TLS connection"):
        check(serve(""))  # which would be told a password
    monkeypatch.setenv("NATS_CA", str(tmp_path / "none"))
    with pytest.raises(TransportError, match="Got NATS_CA in the environment"):
        check(server)


def test_credentials_of_an_operator(serve, monkeypatch, tmp_path):
    """A file with a user's JWT and seed, as NATS' tools write it, is taken from the environment."""
    nkeys = pytest.importorskip("nkeys")
    account, user = nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER
    kinds = {"O": nkeys.PREFIX_BYTE_OPERATOR, "A": account, "S": account, "U": user}
    seeds = {
        kind: nkeys.encode_seed(bytes([number]) * 32, prefix) for number, (kind, prefix) in enumerate(kinds.items())
    }
    public = {kind: nkeys.from_seed(bytearray(seed)).public_key.decode() for kind, seed in seeds.items()}

    def jwt(of, by, claims):
        body = {"jti": of, "iat": 0, "iss": public[by], "sub": public[of], "name": of, "nats": {**claims, "version": 2}}
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, body]
        told = b".".join(encoded(json.dumps(part).encode()) for part in parts)
        return (told + b"." + encoded(nkeys.from_seed(bytearray(seeds[by])).sign(told))).decode()

    limits = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "conn": -1, "subs": -1, "data": -1}
    account = {"type": "account", "limits": {**limits, "payload": -1, "imports": -1, "exports": -1}}
    system = {"type": "account", "limits": dict.fromkeys(("conn", "subs", "data", "payload", "exports"), -1)}
    preload = f"{public['A']}: {jwt('A', 'O', account)}, {public['S']}: {jwt('S', 'O', system)}"
    user = jwt("U", "A", {"type": "user", "subs": -1, "data": -1, "payload": -1})
    (tmp_path / "user.creds").write_text(
        f"-----BEGIN NATS USER JWT-----\n{user}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seeds['U'].decode()}\n------END USER NKEY SEED------\n"
    )
    monkeypatch.setenv("NATS_CREDS", str(tmp_path / "user.creds"))
    operator = jwt("O", "O", {"type": "operator"})
    resolver = f"resolver: MEMORY\nresolver_preload: {{ {preload} }}"
    check(serve(f"operator: {operator}\nsystem_account: {public['S']}\n{resolver}"))


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def check(server):
    with NatsTransport(server.url("f"), "a", create=True) as a, NatsTransport(server.url("f"), "b") as b:
        a.publish(b"x")
        assert drain(b, patience=2) == [b"x"]


def self_signed(folder):
    """Return the files of a certificate of 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server in a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    return folder / "certificate.pem", folder / "key.pem"


def test_a_server_that_takes_little_at_once(serve):
    """Where the server's own limit is small, claims and chunks are."""
    server = serve("max_payload: 4096")
    with NatsTransport(server.url("f"), "a", create=True) as a, NatsTransport(server.url("f"), "b") as b:
        exchange(a, b, (3071, 3072, 50_000))


def test_no_server_and_another_service(serve):
    """Nobody at the port, a place that was never founded and one that holds a federation are errors that say so."""
    require_sdk()
    with pytest.raises(TransportError, match="Got no connection, from nats://127"):
        NatsTransport("nats://127.0.0.1:1/f", "a")
    server = serve("")
    with pytest.raises(TransportError, match=r"Got no inbox of 'a' .*stream not found"):
        open_transport(server.url("f"), "a")
    NatsTransport(server.url("f"), "Zürich", create=True).close()
    with pytest.raises(FederationError, match="members 'Zürich'"):
        NatsTransport(server.url("f"), "a", create=True)
    with NatsTransport(server.url("f"), "Zürich", create=True) as again:
        assert again.existed


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "nats://h",
        "nats://h/",
        "nats:///f",
        "nats://h/a/b",
        "nats://h/a.b",
        "nats://h/a?x",
        "nats://h/a_dead",
        "nats://h:0x/f",
        "nats://h/" + "x" * 65,
    ],
)
def test_malformed_urls(url):
    """A URL that names no server and federation is refused."""
    with pytest.raises(SettingError, match="expected nats://host:port/federation"):
        NatsTransport(url, "a")


def test_credentials_in_a_url_are_refused_and_not_repeated():
    """A URL goes into invites, so it may hold no secret; the error does not repeat one."""
    with pytest.raises(SettingError, match="come from the environment") as caught:
        NatsTransport("nats://user:a-secret@host/f", "a")
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["Zürich", "a.b", "*", ">", "a b", "名前", "A", "a%41", "x" * 80])
def test_tokens_are_safe_and_reversible(name):
    """A member's token is one token of a subject, from which the member can be told."""
    token = token_of(name)
    assert member_of(token) == name
    assert not set(token) & set(".*> \t/\\")
    assert token_of("A").lower() != token_of("a")
    assert member_of("%2E") is None


def test_a_missing_sdk_names_its_extra(monkeypatch):
    """Without nats-py the error says what to install."""
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    with pytest.raises(SettingError, match=r"NatsTransport needs nats-py: pip install 'sklearn-symfed\[nats\]'"):
        open_transport("nats://127.0.0.1/f", "a")
