"""One federation in three processes, over each carrier: invited, late, killed, removed, and equal in the end."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_symfed import PSR, FederatedPSR
from tests.federation.scenario_nodes import nodes, rows_of
from tests.servers._server import Carrier

pytestmark = pytest.mark.servers

BACK_ENDS = ("dir", "nats", "aws", "azure")


@pytest.fixture
def dir_carrier(tmp_path):
    return Carrier((tmp_path / "share").as_uri().replace("file", "dir", 1))


@pytest.fixture
def carrier(request, back_end):
    return request.getfixturevalue(f"{back_end}_carrier")


def settle(*members):
    """Pulse until nobody says anything any more."""
    for _ in range(200):
        quiet = [node("pulse")[0] for node in members]
        if all(quiet):
            return
    raise AssertionError([node("digest") for node in members])


def admit(admin, node, name):
    node("join", *admin("invite", name))
    for _ in range(200):
        admin("pulse")
        if node("pulse")[1]:
            return
    raise AssertionError(f"{name} was not admitted")


@pytest.mark.parametrize("faulty", [False, True], ids=["", "faulty"])
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_three_processes_converge(carrier, tmp_path, faulty):
    """Members are invited, one joins late, one is killed in the middle, one removed; digests are the central one's."""
    with nodes(tmp_path, carrier, faulty=faulty) as by_name:
        a, b, c = by_name.values()
        a("create", carrier.url, "a")
        admit(a, b, "b")
        a("learn", 1), b("learn", 2)
        settle(a, b)

        admit(a, c, "c")
        c("learn", 3)
        settle(a, b, c)
        assert {node("digest") for node in (a, b, c)} == {(rows_of(1) + rows_of(2) + rows_of(3)).digest}

        b("learn", 4), a("learn", 5), c("pulse")
        b.begin("pulse")
        b.kill()
        a("pulse"), c("pulse")
        b.open()
        settle(a, b, c)
        everything = sum((rows_of(seed) for seed in (2, 3, 4, 5)), rows_of(1))
        assert {node("digest") for node in (a, b, c)} == {everything.digest}

        a("remove", "c")
        b("learn", 6)
        settle(a, b)
        rest = sum((rows_of(seed) for seed in (2, 4, 5, 6)), rows_of(1))
        assert a("digest") == b("digest") == rest.digest
        while not faulty and c("pulse")[1]:
            a("pulse")


@pytest.mark.parametrize("back_end", [name for name in BACK_ENDS if name != "dir"])
def test_members_on_different_carriers_converge_by_a_relay(carrier, dir_carrier):
    """What members of a federation on one carrier learned reaches those of another, there and back by a hub."""
    rows = np.arange(80.0).reshape(40, 2) / 7
    keys = {"guard": "off", "on_recovery_key": lambda _: None}
    near = FederatedPSR().create_federation("near", dir_carrier.url, member="near", **keys).partial_fit(rows[:10])
    far = FederatedPSR().create_federation("far", carrier.url, member="far", **keys).partial_fit(rows[10:20])
    hubs = []
    for admin, name in ((near, "hub"), (far, "hub")):
        hubs.append(FederatedPSR().join(*admin.invite(name)))
        admin.pulse(), hubs[-1].pulse(), admin.pulse(), hubs[-1].pulse()
    hubs[1].partial_fit(rows[20:])
    for _ in range(2):
        hubs[1].relay(hubs[0])
        for node in (hubs[1], far, hubs[1], far):
            node.pulse()
        assert far.psr_ == hubs[1].psr_ == PSR.from_rows(np.vstack([rows[:10], rows[10:20], rows[20:]]))
        assert far.converged_
    for node in (near, far, *hubs):
        node.close()
