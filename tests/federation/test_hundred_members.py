"""A hundred members: how many rounds, messages and bytes it takes until all hold the same."""

from __future__ import annotations

import pytest

from sklearn_symfed.federation._slots import Head
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

N = 100
MOST_BYTES = 128 * N + 1024
"""A message says for each member what its sender holds of it, signed, and holds the statistics of few columns."""


def simulated(schema):
    """Return members that were admitted before; that each of them asked for it by message is left out."""
    net = Simulation("m0", schema=schema)
    admin = net.nodes["m0"]
    for number in range(1, N):
        invite = net.invite(f"m{number}")
        keys = net.join(invite).identity.public
        admin.change("admit", {"member": invite.member, **keys._asdict(), "invite": invite.id, "admin": False})
    for name, node in list(net.nodes.items())[1:]:
        node._be_welcomed(admin.chain, admin.key, "m0")
        admin.peers.heads[name] = Head(0, admin.roster.number, admin.roster.head)
    return net


@pytest.mark.thorough
@pytest.mark.slow
def test_a_hundred_members_converge_within_two_rounds_after_the_last_learn():
    """All learn; two rounds on all hold the central state, after two messages each; then they know that, in silence."""
    rows = [PSR.from_rows([[float(number), 1.0 / (number + 1)]]) for number in range(N)]
    net = simulated(rows[0].schema)
    for name, psr in zip(net.nodes, rows, strict=True):
        net.learn(name, psr)
    net.round(), net.round()
    net.check(sum(rows))
    assert net.n_messages <= 2 * N
    assert net.n_bytes <= 2 * N * MOST_BYTES
    n_messages = net.n_messages
    net.round()
    assert net.n_messages == n_messages
    assert all(node.peers.converged for node in net.nodes.values())
