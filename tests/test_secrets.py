"""A whole life of a federation whose secrets can be recognised: none comes to light where it does not belong.

Names of members, federations, columns and batches are no secrets among members; whoever carries messages sees the
names of members, and nothing else of these.
"""

from __future__ import annotations

import base64
import importlib.util
import logging
import pickle
import random
import re
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed import PSR, FederatedPSR
from sklearn_symfed.exceptions import FederationError, InviteError, StoreError, SymfedError
from sklearn_symfed.federation import Store, _sealing
from sklearn_symfed.federation.transports import open_transport
from sklearn_symfed.federation.transports.directory import DirectoryTransport

_SPEC = importlib.util.spec_from_file_location("canaries", Path(__file__).with_name("canaries.py"))
canaries = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(canaries)
CELL, WHOLE, TEXT, INDEX, LABEL = canaries.CELL, canaries.WHOLE, canaries.TEXT, canaries.INDEX, canaries.LABEL
COLUMN, Life, rows = canaries.COLUMN, canaries.Life, canaries.rows

BELONGS = {
    "seed": {"key file"},
    "drawn": set(),  # epoch keys, tokens of invites, ephemeral keys, the recovery key's seed
    "derived": set(),  # subkeys, keys of stores, shared secrets, what a code is stretched to
    "code": set(),  # its caller has it
    "recovery key": {"output"},  # printed once
    "cell": set(),
    "label": {"database", "repr"},  # a PSR holds statistics for each label, and lists them
    "column": {"database", "repr", "error", "log"},  # errors name the columns that they are about
}
"""Which secret may come to light where."""


def founded(life: Life, capfd: pytest.CaptureFixture[str]) -> str:
    """Found a federation of one admin; return the recovery key that was printed."""
    life.node("a", decimals={"fee": 2}).create_federation("trial", life.url, guard="off")
    printed = capfd.readouterr().out
    recovery = re.search(r"(?:[0-9A-Z]{4}-){12}[0-9A-Z]{4}", printed)[0]
    life.canaries.add("recovery key", recovery)
    life.seen["output"].add(printed.encode())
    return recovery


def joining(life: Life) -> None:
    """Have three become members, after every refusal that there is."""
    a = life.nodes["a"].partial_fit(rows(1), batch_id="one")
    invite, code = life.invite("a", "b")
    _, other = life.invite("a", "b")
    b = life.node("b")
    life.fails(InviteError, b.join, invite, other)
    life.fails(InviteError, b.join, invite, code[:-1])
    life.fails(InviteError, b.join, invite[:99] + ("A" if invite[99] != "A" else "B") + invite[100:], code)
    late = life.invite("a", "b", "0.001s")
    b.join(*late)
    life.pulse("ab", 2)
    assert "expired" in b.pulse().status
    b.join(invite, code)
    life.look()
    life.pulse("ab")
    second = life.node("d").join(invite, code)
    life.pulse("ad", 2)
    assert "used before" in second.pulse().status
    c = life.node("c").partial_fit(rows(3).rename(columns={"fee": "Fee"}))
    ticket = life.invite("a", "c")
    c.join(*ticket)
    life.pulse("ac", 2)
    assert "unexpected columns: ['Fee']" in c.pulse().status
    c.reset()
    for node, pair in ((c, ticket), (second, life.invite("a", "d"))):
        node.join(*pair)
    life.pulse("abcd")
    assert all(node.is_member for node in (a, b, c, second))


def bad_rows(life: Life) -> None:
    """Learn, and have rows refused for every reason that there is."""
    a, b = life.nodes["a"], life.nodes["b"]
    b.partial_fit(rows(2), batch_id="two")
    cells = {
        COLUMN: [np.nan, np.inf, TEXT, f"{CELL}", 1j * CELL, Decimal(repr(CELL)), datetime(1931, 3, 7)],  # noqa: DTZ001
        "fee": [CELL, 2.0**60],
        "whole": [f"{WHOLE}", WHOLE * 10**9],
        "ward": [np.nan, 0.5, WHOLE, CELL, (TEXT,)],
    }
    for column, values in cells.items():
        for value in values:
            frame = rows(4).astype({column: object})
            frame.iloc[3, list(frame).index(column)] = value
            for node in (a, b):
                life.fails((ValueError, TypeError), node.partial_fit, frame)
    good = rows(5)
    life.fails(ValueError, a.partial_fit, good, sample_weight=np.full(12, -CELL))
    life.fails(ValueError, a.partial_fit, good.to_numpy())
    life.fails(ValueError, a.partial_fit, iter([good, good.drop(columns="fee")]))
    life.fails((ValueError, TypeError), a.partial_fit, [[TEXT, WHOLE, CELL]])
    life.fails(ValueError, a.partial_fit, good.to_numpy()[7])
    life.fails(FederationError, a.partial_fit, good, batch_id="one")
    life.fails(ValueError, a.forget, good)
    life.fails((ValueError, TypeError), a.transform, good.assign(fee=TEXT))
    life.fails(FederationError, a.fit, good)
    life.fails(SymfedError, b.psr_of, "nobody")
    b.forget(rows(2), batch_id="two").partial_fit(rows(2), batch_id="three")
    life.pulse("abcd")


def damage(life: Life) -> None:
    """Have messages arrive that were changed, cut, torn or made up, by whoever can write to the carrier."""
    life.nodes["b"].partial_fit(rows(6))
    life.pulse("b", 1)
    (message,) = DirectoryTransport(life.url, "a").receive(1)
    size = len(message.data)
    with open_transport(life.url, "stranger") as stranger:
        for place in (0, 7, 20, size // 2, size - 80, size - 1):
            changed = bytearray(message.data)
            changed[place] ^= 1
            stranger.publish(bytes(changed), to="a")
            stranger.publish(bytes(changed[:place]), to="a")
    inbox = life.folder / "carrier" / "inbox-a"
    (inbox / f"{0:020d}-{'0' * 16}-{'0' * 32}.msg").write_bytes(message.data)
    refused = life.nodes["a"].pulse().refused
    assert len(refused) >= 10
    life.seen["repr"].add("\n".join(refused).encode())


def crashes(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whatever handles secrets fail in the middle, in front of the user and in the background."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    a = life.nodes["a"].partial_fit(rows(7))
    for owner, name, call in (
        (DirectoryTransport, "_publish", a.pulse),
        (DirectoryTransport, "_receive", a.pulse),
        (Store, "set", a.rotate_key),
        (Store, "_write_local", lambda: a.partial_fit(rows(8))),
        (_sealing, "AESGCM", a.pulse),
        (PSR, "to_bytes", lambda: a.partial_fit(rows(9))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            life.fails(ZeroDivisionError, call)
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryTransport, "_receive", broken)
        a.start_pulsing("0.01s")
        ends = time.monotonic() + 30
        while a.status().pulsing:
            assert time.monotonic() < ends
            time.sleep(0.01)
        life.fails(FederationError, a.partial_fit, rows(8))
    life.pulse("abcd")


def changes(life: Life, recovery: str) -> None:
    """Change the roster in every way, ending with one admin by the recovery key and one who left."""
    a, b, c, d = (life.nodes[name] for name in "abcd")
    c.partial_fit(rows(10)), d.partial_fit(rows(11))
    life.pulse("abcd")
    a.rotate_key().set_schedule("5m").promote("b")
    d.request_full_sync()
    life.pulse("abcd")
    a.remove("d")
    d.partial_fit(rows(12))
    life.pulse("dabc")
    assert "no member any more" in d.pulse().status
    c.leave(forget=False)
    life.pulse("ab"), c.pulse()
    assert not c.is_member
    life.fails(SymfedError, b.recover, recovery[::-1])
    life.fails(SymfedError, b.recover, recovery[:-1])
    b.recover(recovery)
    life.pulse("ab")
    life.fails(FederationError, a.rotate_key)
    life.fails(FederationError, b.leave, forget=True)


def reopening(life: Life) -> None:
    """Close homes and open them again, one of them with the key of another one."""
    key = life.folder / "a" / "identity.key"
    life.nodes["a"].close()
    kept = key.read_bytes()
    key.write_bytes((life.folder / "b" / "identity.key").read_bytes())
    life.fails(StoreError, FederatedPSR.open, life.folder / "a")
    key.write_bytes(kept)
    life.nodes["a"] = FederatedPSR.open(life.folder / "a")
    life.pulse("ab")


@pytest.mark.parametrize(
    "leak",
    [
        lambda key: key,
        lambda key: key[9:22],
        lambda key: key[::-1],
        lambda key: key.hex().encode()[:14],
        lambda key: f"{key}".encode(),
        lambda key: f"{list(key)}".encode(),
        lambda key: f"{int.from_bytes(key, 'big')}".encode(),
        lambda key: base64.b64encode(b"ab" + key),
        lambda key: base64.urlsafe_b64encode(b"a" + key),
        base64.b32encode,
        lambda key: pickle.dumps({"key": key}),
    ],
)
def test_a_key_is_found_however_it_is_written(leak):
    """A key, or a part of it, amid other bytes, is seen in every form that a program may give it."""
    chance = random.Random(1)
    key, other = chance.randbytes(32), chance.randbytes(32)
    looking = canaries.Canaries()
    looking.add("drawn", key)
    noise = chance.randbytes(999)
    assert looking.found(noise + leak(key) + noise) == {"drawn"}
    assert looking.found(noise + leak(other) + noise) == set()


@pytest.mark.parametrize(
    "leak",
    [
        lambda cell: f"Got {cell}, but expected".encode(),
        lambda cell: repr(np.array([1, cell])).encode(),
        lambda cell: np.array([0, cell]).tobytes(),
        lambda cell: np.array([0, cell]).astype(">f8").tobytes(),
        lambda cell: pickle.dumps([cell]),
    ],
)
@pytest.mark.parametrize("cell", [CELL, WHOLE])
def test_a_cell_is_found_however_it_is_written(cell, leak):
    """A cell is seen as text, shortened too, and as a binary number; another one is not taken for it."""
    looking = canaries.Canaries()
    looking.add("cell", cell)
    assert looking.found(b"before" + leak(cell) + b"after") == {"cell"}
    assert looking.found(b"before" + leak(type(cell)(cell * 1.25)) + b"after") == set()


@pytest.fixture
def life(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    life = Life(tmp_path, monkeypatch)
    yield life
    for node in life.nodes.values():
        node.close()


def test_no_secret_comes_to_light_in_a_whole_life(life, monkeypatch, caplog, capfd):
    """In logs, errors, reprs, output, messages and databases stands no secret but where the table above says so."""
    recovery = founded(life, capfd)
    for stage in (joining, bad_rows, damage):
        stage(life)
        life.look()
    crashes(life, monkeypatch)
    changes(life, recovery)
    life.look()
    reopening(life)
    central = PSR.from_rows(pd.concat([rows(n) for n in (1, 2, 6, 7, 10)]), classes="ward", decimals={"fee": 2})
    assert life.nodes["a"].psr_ == life.nodes["b"].psr_ == central
    life.look()
    for node in life.nodes.values():
        node.close()
    life.look()

    found = life.found(caplog, capfd)
    allowed = {place: {kind for kind, places in BELONGS.items() if place in places} for place in canaries.PLACES}
    assert not {(kind, place) for place, kinds in found.items() for kind in kinds - allowed[place]}
    # what belongs somewhere was found there, so the search does see what there is
    assert found["key file"] == {"seed"}
    assert found["output"] == {"recovery key"}
    assert {"label", "column"} <= found["database"] & found["repr"]
    assert "column" in found["error"]
    assert all(life.seen.values())
    assert len(life.drawn) > 40


def test_what_comes_to_light_is_found_where_it_does(life, caplog, capfd):
    """A secret that is planted in a log, error, repr, output, message or database is found just there."""

    class Report:
        def __repr__(self) -> str:
            return f"Report({key.hex()})"

    Report.__module__ = "sklearn_symfed.planted"
    recovery = founded(life, capfd)
    a = life.nodes["a"].partial_fit(rows(1))
    key = a._membership._node.key
    logging.getLogger("sklearn_symfed").debug("the key is %s", key.hex())
    a._store.set("planted", base64.b64encode(key).decode())
    a._planted = [Report()]
    with open_transport(life.url, "stranger"):
        a._membership._transport.publish(rows(1).loc[f"{INDEX}-7", ["whole"]].to_numpy(np.int64).tobytes())
        life.pulse("a", 1)

    def misuse() -> None:
        raise ValueError(f"Got recovery key {recovery}") from KeyError(CELL)

    life.fails(ValueError, misuse)
    print(rows(1))  # noqa: T201
    life.look()
    found = life.found(caplog, capfd)
    assert found == {
        "log": {"drawn"},
        "error": {"recovery key", "cell"},
        "repr": {"drawn", "column", "label"},
        "output": {"recovery key", "cell", "label", "column"},
        "carrier": {"cell"},
        "database": {"drawn", "label", "column"},
        "key file": {"seed"},
    }
