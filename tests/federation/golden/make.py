"""Make the golden files of this release's formats.  Run it when a format changes, and never over an older format's.

python tests/federation/golden/make.py
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from pathlib import Path

from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation._envelope import PROTOCOL, open_envelope
from sklearn_symfed.federation._invites import seal_invite
from sklearn_symfed.federation._messages import TO_ONE
from sklearn_symfed.federation._tables import _FORMAT
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

HERE = Path(__file__).parent
CODE = "0123-4567-89AB-CDEF-GHJK"


def messages() -> dict[str, object]:
    """Return one message of each type, with the keys that open it and what is in it."""
    net = Simulation("a", seed=2013)
    net.learn("a", PSR.from_rows([[1.0, 2.0]]))
    invite = net.invite("b")
    text = seal_invite(invite, CODE, net.random)
    found = []
    net.join(invite)
    found += net.pulse("b")
    for _ in range(3):
        net.deliver("a")
        found += net.pulse("a")
        net.deliver("b")
        found += net.pulse("b")
    net.learn("b", PSR.from_rows([[3.0, 4.0]]))
    net.settle()
    net.nodes["a"].change("rotate", {})
    found += net.pulse("a")
    net.deliver("b")
    found += net.pulse("b")
    key = net.nodes["b"].key
    net.join(net.invite("c", seconds=-1))
    net.pulse("c")
    net.deliver("a")
    found += net.pulse("a")
    net.nodes["b"].leave(forget=True)
    found += net.pulse("b")
    chosen = {}
    for message in found:
        envelope = open_envelope(message.data)
        one = message.kind in TO_ONE
        opener = net.nodes[envelope.header.to].identity if one else None
        try:
            body = envelope.open_one(opener) if one else envelope.open_all(key)
        except ValueError:  # of an earlier epoch
            continue
        chosen[message.kind] = {
            "message": message.data.hex(),
            "seed": opener._seed.hex() if one else None,
            "key": None if one else key.hex(),
            "signer": net.nodes[envelope.header.sender].identity.public.sign.hex(),
            "header": [part.hex() if isinstance(part, bytes) else part for part in envelope.header],
            "body": hashlib.sha256(body).hexdigest(),
        }
    opened = {name: value.hex() if isinstance(value, bytes) else value for name, value in vars(invite).items()}
    return {"messages": chosen, "invite": text, "code": CODE, "opened": opened}


def home(folder: Path) -> None:
    """Make the home of a member that has learned, joined and heard; the seed of its keys is known, so it is a toy."""
    chance, clock = random.Random(2013), itertools.count(1_700_000_000)

    def means() -> dict[str, object]:
        return {"random": chance.randbytes, "clock": lambda: float(next(clock))}

    url = "memory://golden"
    a = Federation.create(Store.open(), "golden", url, "a", guard="off", on_recovery_key=str, **means())
    a.learn(PSR.from_rows([[1.0, 2.0]]), "one")
    with Store.open(folder) as store:
        b = Federation.join(store, *a.invite("b"), **means())
        for node in (a, b) * 2:
            node.pulse()
        b.learn(PSR.from_rows([[3.0, 4.0]]), "two")
        for node in (b, a) * 3:
            node.pulse()
        store._connection.execute("VACUUM")


if __name__ == "__main__":
    (HERE / f"protocol-{PROTOCOL}.json").write_text(json.dumps(messages(), indent=1) + "\n", encoding="utf-8")
    home(HERE / f"home-{_FORMAT}")
