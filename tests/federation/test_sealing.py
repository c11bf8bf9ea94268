"""What messages and invites are sealed with: every sentence of the design on primitives, keys and associated data."""

from __future__ import annotations

import ast
import base64
from pathlib import Path

import pytest

import sklearn_symfed.federation
from sklearn_symfed.exceptions import AuthenticationError, InviteError
from sklearn_symfed.federation import _sealing
from sklearn_symfed.federation._envelope import HEADER, Header, _signed, _subkey, open_envelope, seal_all, seal_one
from sklearn_symfed.federation._fields import pack
from sklearn_symfed.federation._invites import _PREFIX, INVITE, _checksum, open_invite, seal_invite
from sklearn_symfed.federation._messages import MESSAGES, Pulse, pack_message
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

ROWS = PSR.from_rows([[1.0, 2.0]])
CODE = "ABCD-EFGH-JKMN-PQRS-TVWX"


@pytest.fixture
def net():
    """Return an admin that has learned a row, and two members."""
    net = Simulation("a")
    net.learn("a", ROWS)
    net.admit("b", "c")
    return net


# -- the protocol does no I/O; primitives come from one place --------------------------------------------------------

FOLDER = Path(sklearn_symfed.federation.__file__).parent
SHELL = {
    *("__init__", "_account", "_background", "_federation", "_home", "_learning", "_pulsing", "_records", "_report"),
    *("_inboxes", "_ledger", "_preview", "_store", "_tables"),
}
CORE = {path.stem for path in FOLDER.glob("_*.py")} - SHELL
OUTSIDE = {
    *("asyncio", "concurrent", "datetime", "fcntl", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os"),
    *(
        "pathlib",
        "platform",
        "random",
        "secrets",
        "select",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
    ),
    *("subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "weakref"),
}
SECRECY = {"cryptography", "hmac", "secrets", "ssl", "crypt", "nacl", "Crypto", "Cryptodome", "jwt", "random"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(name):
    """Return what a module imports of the world outside, of the shell around the protocol, and of built-in doors."""
    path = FOLDER / f"{name}.py"
    modules = [module.split(".") for module in imported(path)]
    inside = {parts[2] for parts in modules if parts[:2] == ["sklearn_symfed", "federation"]}
    names = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
    doors = names & {"open", "print", "input", "exec", "eval", "__import__"}
    return {parts[0] for parts in modules} & OUTSIDE | inside & {*SHELL, "transports"} | doors


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_protocol_does_no_io_and_owns_neither_clock_nor_randomness(name):
    """Its modules import nothing that reads, writes, waits, tells the time or rolls dice, and open nothing."""
    assert reached(name) == set()


def test_the_shell_around_the_protocol_is_what_does_io():
    """Store, home, pulses and background are found to reach outside; and what they move is among the protocol."""
    assert {name for name in SHELL if reached(name)} >= {"_background", "_federation", "_home", "_pulsing", "_store"}
    assert {"_membership", "_peers", "_reception", "_rosters", "_envelope", "_admission", "_sealing"} <= CORE


def test_primitives_come_from_cryptography_alone():
    """Only two modules reach for more than signatures, and what else draws or hashes does so for no key of ours."""
    found = {}
    for path in FOLDER.rglob("*.py"):
        found[path.stem] = {module for module in imported(path) if module.partition(".")[0] in SECRECY}
    assert {name: modules for name, modules in found.items() if modules and name not in {"_sealing", "_keys"}} == {
        "_recovery": {"cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey"},
        "_home": {"secrets"},  # the name of a temporary file
        "_background": {"random"},  # jitter
        "_nats_session": {"ssl"},  # the carrier's own encryption, as the environment asks for
    }
    assert {module.rpartition(".")[2] for module in found["_sealing"] | found["_keys"]} == {
        *("AESGCM", "HKDF", "SHA256", "Scrypt", "InvalidTag", "InvalidSignature"),
        *("Ed25519PrivateKey", "Ed25519PublicKey", "X25519PrivateKey", "X25519PublicKey"),
    }


# -- invites ---------------------------------------------------------------------------------------------------------


def test_an_invite_holds_no_federation_key_and_no_credential(net):
    """It says who is invited by whom, where, and until when; its one secret opens nothing and admits once."""
    assert list(INVITE) == [
        *("id", "token", "federation", "name", "url", "member", "admin", "sign", "seal", "expires"),
    ]
    invite = net.invite("d")
    held = pack(INVITE, vars(invite))
    admin = net.nodes["a"]
    for secret in (admin.key, admin.identity._seed, admin.identity.store_key):
        assert secret not in held
    assert invite.token not in admin.desk.to_bytes()


def test_scrypts_parameters_are_fixed_whatever_an_invite_says(net, monkeypatch):
    """Nobody can have a joiner work longer or take more memory: an invite's bytes choose the salt, and nothing else."""
    asked = []
    stretch = _sealing.Scrypt
    monkeypatch.setattr(_sealing, "Scrypt", lambda **settings: asked.append(settings) or stretch(**settings))
    text = seal_invite(net.invite("d"), CODE, net.random)
    sealed = base64.urlsafe_b64decode(text.removeprefix(_PREFIX) + "==")[:-4]
    for made_up in (b"\xff" * len(sealed), bytes(40), sealed[:16] + bytes(200)):
        letters = base64.urlsafe_b64encode(made_up + _checksum(made_up)).decode().rstrip("=")
        with pytest.raises(InviteError, match="not the one of this invite"):
            open_invite(_PREFIX + letters, CODE)
    assert len(asked) == 4
    assert {(each["n"], each["r"], each["p"], each["length"], len(each["salt"])) for each in asked} == {
        (2**15, 8, 1, 32, 16)
    }
    with pytest.raises(InviteError, match="no invite"):
        open_invite(_PREFIX + "A" * 16_384, CODE)
    assert len(asked) == 4


def test_the_answer_is_wrapped_for_this_joiner(net):
    """Roster, key, schema and floors come in one message that neither a member nor the carrier can open."""
    net.join(net.invite("d"))
    net.pulse("d")
    net.deliver("a")
    (answer,) = [message for message in net.pulse("a") if message.kind == "welcome"]
    envelope = open_envelope(answer.data)
    for name in "abc":
        with pytest.raises(AuthenticationError):
            envelope.open_one(net.nodes[name].identity)
    admin = net.nodes["a"]
    body = envelope.open_one(net.nodes["d"].identity)
    for wrapped in (admin.key, ROWS.digest.encode(), *map(bytes, admin.peers.entries.values())):
        assert wrapped not in answer.data
    assert admin.key in body
    assert all(entry in body for entry in admin.peers.entries.values())
    assert envelope.is_signed(admin.identity.public.sign)


# -- messages --------------------------------------------------------------------------------------------------------


def sealed_forms(net):
    """Return a message of either kind of seal, with what opens it."""
    a, b = net.nodes["a"], net.nodes["b"]
    pulse = Pulse(0, {}, ())
    to_all = seal_all(a._header(pulse, None), pack_message(pulse), a.key, a.identity, net.random)
    to_one = a._news("b", a.chain.links).data
    return {
        "all": (to_all, lambda envelope: envelope.open_all(a.key)),
        "one": (to_one, lambda envelope: envelope.open_one(b.identity)),
    }


CHANGED = {
    "kind": lambda kind: next(other for other in MESSAGES if other != kind),
    "to": lambda to: "c",
    "sender": lambda sender: "b",
}


@pytest.mark.parametrize("form", ["all", "one"])
@pytest.mark.parametrize("field", HEADER)
def test_every_message_binds_what_it_says_of_itself(net, form, field):
    """Federation, epoch, roster, sender, recipient, type, version: changed, even by its author, it does not open."""
    data, opened = sealed_forms(net)[form]
    envelope = open_envelope(data)
    assert opened(envelope)
    value = getattr(envelope.header, field)
    other = CHANGED.get(field, lambda value: value + 1 if isinstance(value, int) else bytes([*value[1:], 7]))(value)
    header = Header(**{**envelope.header._asdict(), field: other})
    packed = pack(HEADER, header._asdict())
    prefix = data[: len(envelope.associated) - len(pack(HEADER, envelope.header._asdict()))]
    again = _signed(prefix[:-2] + len(packed).to_bytes(2, "big") + packed + envelope.sealed, net.nodes["a"].identity)
    changed = open_envelope(again)
    assert changed.is_signed(net.nodes["a"].identity.public.sign)
    with pytest.raises(AuthenticationError):
        opened(changed)


@pytest.mark.parametrize("form", ["all", "one"])
def test_every_message_binds_its_protocol(net, form):
    """The release that is named beside the number of the protocol is authenticated as well."""
    data, opened = sealed_forms(net)[form]
    envelope = open_envelope(data)
    release = bytearray(envelope.associated)
    release[8] ^= 1
    changed = open_envelope(_signed(bytes(release) + envelope.sealed, net.nodes["a"].identity))
    with pytest.raises(AuthenticationError):
        opened(changed)


def test_every_sender_has_a_subkey_of_its_own(net):
    """One sender's key opens nothing of another's, of another epoch or federation; the epoch's own opens nothing."""
    node = net.nodes["a"]
    header = node._header(Pulse(0, {}, ()), None)
    headers = [
        header,
        header._replace(sender="b"),
        header._replace(epoch=header.epoch + 1),
        header._replace(federation=bytes(32)),
    ]
    keys = [_subkey(node.key, each) for each in headers]
    assert len({*keys, node.key}) == 5
    assert {len(key) for key in keys} == {32}
    sealed = _sealing.seal(keys[0], b"rows", b"", net.random)
    assert _sealing.open_sealed(keys[0], sealed, b"") == b"rows"
    for other in (*keys[1:], node.key):
        with pytest.raises(AuthenticationError):
            _sealing.open_sealed(other, sealed, b"")


def test_sealing_to_one_uses_a_key_once(net):
    """Two messages to the same member, of the same content, have nothing in common but their header's fields."""
    a, b = net.nodes["a"], net.nodes["b"].identity
    header = a._header(Pulse(0, {}, ()), "b")
    first, second = (
        open_envelope(seal_one(header, b"content", b.public.seal, a.identity, net.random)).sealed for _ in range(2)
    )
    assert first[:32] != second[:32]
    assert first[32:] != second[32:]
