"""Formats that were released once stay readable: files in `golden`, made by `golden/make.py`, pin each version."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation._envelope import open_envelope
from sklearn_symfed.federation._invites import open_invite
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._messages import MESSAGES, pack_message, read_message
from sklearn_symfed.psr import PSR

GOLDEN = Path(__file__).parent / "golden"
PROTOCOL = json.loads((GOLDEN / "protocol-1.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_of_protocol_1(kind):
    """A message of each type is read, authenticated and opened, and has one form only."""
    golden = PROTOCOL["messages"][kind]
    envelope = open_envelope(bytes.fromhex(golden["message"]))
    assert [part.hex() if isinstance(part, bytes) else part for part in envelope.header] == golden["header"]
    assert envelope.is_signed(bytes.fromhex(golden["signer"]))
    if golden["key"] is None:
        body = envelope.open_one(Identity(bytes.fromhex(golden["seed"])))
    else:
        body = envelope.open_all(bytes.fromhex(golden["key"]))
    assert hashlib.sha256(body).hexdigest() == golden["body"]
    assert pack_message(read_message(kind, body)) == body


def test_invites_of_version_1():
    """An invite opens under its code, and says what it said."""
    invite = open_invite(PROTOCOL["invite"], PROTOCOL["code"])
    said = {name: value.hex() if isinstance(value, bytes) else value for name, value in vars(invite).items()}
    assert said == PROTOCOL["opened"]


def test_homes_of_format_3(tmp_path):
    """A home holds its member, what it learned, and what it held of the others."""
    home = tmp_path / "home"
    shutil.copytree(GOLDEN / "home-3", home)
    (home / "identity.key").chmod(0o600)
    with Store.open(home) as store:
        node = Federation.reopen(store, clock=lambda: 1_700_000_100.0)
        assert (node.member, node.name, node.url, node.is_member) == ("b", "golden", "memory://golden", True)
        assert node.local == PSR.from_rows([[3.0, 4.0]])
        assert node.merged == PSR.from_rows([[1.0, 2.0], [3.0, 4.0]])
        assert store.batches == {"two": node.local.digest}
        assert [(member.name, member.role, member.version) for member in node.members] == [
            ("a", "admin", 1),
            ("b", "member", 1),
        ]
