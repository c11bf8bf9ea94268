"""Membership by the calls of a user, on homes that are closed, lost and opened again."""

from __future__ import annotations

import inspect
import shutil

import pandas as pd
import pytest

from sklearn_symfed import PSR, FederatedPSR, Schema
from sklearn_symfed.exceptions import FederationError, SchemaError, SettingError

ROWS = pd.DataFrame({"age": [float(n) for n in range(12)], "fee": [1.0 / (n + 1) for n in range(12)]})
SCHEMA = Schema(["age", "fee"])

CALLS = {
    "create_federation": (("f", "dir:///x"), {"schema": SCHEMA, "schedule": "30s", "topology": "centralised"}),
    "invite": (("b",), {"expires": "2h"}),
    "join": (("invite", "code"), {}),
    "leave": ((), {"forget": True}),
    "remove": (("b",), {}),
    "promote": (("b",), {}),
    "rotate_key": ((), {}),
    "set_schedule": (("5m",), {}),
    "request_full_sync": ((), {}),
    "resume": ((), {}),
    "recover": (("key",), {}),
    "relay": ((None,), {}),
}
DEFAULTS = {
    "create_federation": {"schema": None, "schedule": "30s", "topology": "decentralised"},
    "invite": {"expires": "2h", "admin": False},
    "leave": {"forget": inspect.Parameter.empty},
}


def pulse(*nodes, rounds=4):
    for _ in range(rounds):
        for node in nodes:
            node.pulse()


def join(by, node, name, **settings):
    node.join(*by.invite(name, **settings))
    pulse(by, node, rounds=2)
    return node


def roles(node):
    return {member.name: member.role for member in node.members_}


@pytest.fixture
def place(tmp_path):
    """Return how to make a node with a home, and what opens one again; all are closed in the end."""
    nodes = {}

    def node(name):
        if name in nodes:
            nodes[name].close()
        nodes[name] = FederatedPSR(home=tmp_path / name)
        return nodes[name]

    yield node
    for each in nodes.values():
        each.close()


@pytest.mark.parametrize("name", CALLS)
def test_calls_take_these_arguments(name):
    """What members call takes these arguments, by position and by name, with these defaults."""
    arguments, settings = CALLS[name]
    signature = inspect.signature(getattr(FederatedPSR, name))
    signature.bind(None, *arguments, **settings)
    defaults = {key: signature.parameters[key].default for key in DEFAULTS.get(name, {})}
    assert defaults == DEFAULTS.get(name, {})


WRONG = {
    "statistics to relay": (lambda node: node.relay(PSR.from_rows(ROWS)), "Got a PSR to relay"),
    "nothing to relay": (lambda node: node.relay(None), "Got a NoneType to relay"),
    "a number for a recovery key": (lambda node: node.recover(3), "Got a recovery key of type int"),
    "a number for members": (lambda node: node.psr_of(3), "Got members of type int"),
    "a number to remove": (lambda node: node.remove(3), "Got a member name of type int"),
    "a surrogate to remove": (lambda node: node.remove("\ud800"), r"Got member name '\\ud800'"),
    "a surrogate for a batch": (lambda node: node.partial_fit(ROWS, batch_id="\ud800"), r"Got batch_id='\\ud800'"),
    "a number for a schema": (
        lambda _: FederatedPSR().create_federation("f", "memory://wrong", member="a", schema=3),
        "Got a schema of type int",
    ),
    "a surrogate for a carrier": (
        lambda _: FederatedPSR().create_federation("f", "memory://\ud800", member="a"),
        "Got transport URL",
    ),
    "a number for a home": (
        lambda _: FederatedPSR(home=3).create_federation("f", "memory://wrong", member="a"),
        "Got a home of type int",
    ),
    "a surrogate for a home": (
        lambda _: FederatedPSR(home="\ud800").create_federation("f", "memory://wrong", member="a"),
        "UnicodeEncodeError",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_argument_is_refused_in_words(place, tmp_path, case):
    """Each is an error of the package, which says what was got and what was expected, and changes nothing."""
    call, said = WRONG[case]
    node = place("a").create_federation("f", f"dir://{tmp_path}/f", on_recovery_key=str)
    with pytest.raises(FederationError, match=said):
        call(node)
    assert node.status().roster == 0
    assert not node.batches_


@pytest.mark.parametrize("topology", ["decentralised", "centralised"])
def test_a_federation_has_the_schema_schedule_and_topology_that_it_was_created_with(place, tmp_path, topology):
    """All members have them with their welcome; rows that do not fit the schema are refused before they are learned."""
    a = place("a").create_federation(
        "f", f"dir://{tmp_path}/f", schema=SCHEMA, schedule="1h", topology=topology, guard="off", on_recovery_key=str
    )
    with pytest.raises(SchemaError, match=r"missing columns: \['fee'\]"):
        a.partial_fit(ROWS[["age"]])
    b, c = (join(a, place(name), name) for name in "bc")
    for number, node in enumerate((b, c, a)):
        node.partial_fit(ROWS[4 * number : 4 * number + 4][["fee", "age"]])
    pulse(a, b, c)
    for node in (a, b, c):
        status = node.status()
        assert (status.schedule, status.topology, status.roster, node.converged_) == ("1h", topology, 2, True)
        assert node.psr_ == PSR.from_rows(ROWS)
        assert node.psr_.names == ("age", "fee")
    with pytest.raises(SettingError, match="star"):
        place("z").create_federation("g", f"dir://{tmp_path}/g", topology="star", guard="off", on_recovery_key=str)


def test_several_admins_act_for_one_another(place, tmp_path):
    """While one is away another admits, rotates, removes; who was away catches up, and its word counts as before."""
    a = place("a").create_federation("f", f"dir://{tmp_path}/f", schema=SCHEMA, guard="off", on_recovery_key=str)
    b = join(a, place("b"), "b", admin=True).partial_fit(ROWS[:3])
    c = join(a, place("c"), "c").partial_fit(ROWS[3:6])
    pulse(a, b, c)
    a.close()
    d = join(b, place("d"), "d").partial_fit(ROWS[6:9])
    b.rotate_key().remove("c")
    pulse(b, c, d)
    with FederatedPSR.open(tmp_path / "a") as a:
        pulse(a, b, d, c)
        assert roles(a) == roles(b) == roles(d) == {"a": "admin", "b": "admin", "d": "member"}
        a.partial_fit(ROWS[9:]).promote("d")
        pulse(a, b, d)
        assert roles(b)["d"] == "admin"
        assert a.psr_ == b.psr_ == d.psr_ == PSR.from_rows(ROWS[:3]) + PSR.from_rows(ROWS[6:])
        assert a.status().epoch == b.status().epoch == d.status().epoch == 3
    assert not c.is_member


def test_the_recovery_key_is_shown_once_and_makes_a_member_the_only_admin(place, tmp_path):
    """With every admin's home gone, a member that has the key goes on as the admin, and nobody else can."""
    keys = []
    a = place("a").create_federation(
        "f", f"dir://{tmp_path}/f", schema=SCHEMA, guard="off", on_recovery_key=keys.append
    )
    (key,) = keys
    b, c = (join(a, place(name), name).partial_fit(ROWS[:6]) for name in "bc")
    pulse(a, b, c)
    assert len(keys) == 1
    a.close()
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(FederationError, match="no admin"):
        b.invite("d")
    other = key[:-1] + ("0" if key[-1] != "0" else "1")
    with pytest.raises(SettingError, match="not this federation's"):
        b.recover(other)
    b.recover(key.lower())
    pulse(b, c)
    assert roles(c) == {"a": "member", "b": "admin", "c": "member"}
    b.remove("a")
    d = join(b, place("d"), "d")
    pulse(b, c, d)
    assert b.psr_ == c.psr_ == d.psr_ == PSR.from_rows(ROWS[:6]) + PSR.from_rows(ROWS[:6])


@pytest.mark.parametrize("forget", [True, False])
def test_leave_asks_whether_the_rows_stay_or_go(place, tmp_path, forget):
    """There is no default: rows of somebody who left go from all others, or are counted on; at home they stay."""
    a = (
        place("a")
        .create_federation("f", f"dir://{tmp_path}/f", schema=SCHEMA, guard="off", on_recovery_key=str)
        .partial_fit(ROWS)
    )
    b = join(a, place("b"), "b").partial_fit(ROWS[:5])
    pulse(a, b)
    with pytest.raises(TypeError, match="forget"):
        b.leave()
    b.leave(forget=forget)
    pulse(a)
    b.pulse()
    assert not b.is_member
    assert b.psr_ == PSR.from_rows(ROWS[:5])
    assert a.psr_ == (PSR.from_rows(ROWS) if forget else PSR.from_rows(ROWS) + PSR.from_rows(ROWS[:5]))
    assert roles(a) == ({"a": "admin"} if forget else {"a": "admin", "b": "left"})


def test_both_sides_show_the_same_fingerprints(place, tmp_path):
    """What a node says of itself is what the admin, and everybody else, is shown of it when it is admitted."""
    a = place("a").create_federation("f", f"dir://{tmp_path}/f", schema=SCHEMA, guard="off", on_recovery_key=str)
    b = place("b").join(*a.invite("b"))
    admitted, welcomed = a.pulse().events, b.pulse().events
    assert admitted == (f"admitted 'b', fingerprint {b.fingerprint_}",)
    assert welcomed == (f"welcomed by 'a', fingerprint {a.fingerprint_}",)
    pulse(a, b)
    shown = [{member.name: member.fingerprint for member in node.members_} for node in (a, b)]
    assert shown == [{"a": a.fingerprint_, "b": b.fingerprint_}] * 2
