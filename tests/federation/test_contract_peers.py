"""The contract at work: senders hold back, receivers refuse, admins change it, and all come to count the same."""

from __future__ import annotations

import hashlib
import logging
import random
import uuid

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed import FederatedPSR
from sklearn_symfed.exceptions import FederationError, NotAMemberError, SettingError
from sklearn_symfed.federation._account import members_of, pending_of
from sklearn_symfed.federation._contract import Contract
from sklearn_symfed.federation._events import Applied, Flagged, Refused
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._links import Link, signed_link
from sklearn_symfed.federation._rosters import RosterError
from sklearn_symfed.psr import PSR, Schema
from sklearn_symfed.testing import Simulation

SCHEMA = Schema(["x0"])
RULES = ["count() >= 3", 'mean("x0") < 10']


def rows(*values):
    """Return the statistics of some rows of one column."""
    return PSR.from_rows([[float(value)] for value in values])


def network(contract=None, **learned):
    """Return three members who have heard of one another, and have learned and published what is given."""
    net = Simulation("a", schema=SCHEMA, contract=contract)
    net.admit("b", "c")
    for name, psr in learned.items():
        net.learn(name, psr)
    rounds(net)
    return net


def rounds(net, names=None, most=400):
    """Go round until nobody has anything to say for as long as anybody waits to ask again."""
    quiet = 0
    for _ in range(most):
        before = net.n_messages
        net.round(names)
        quiet = quiet + 1 if net.n_messages == before else 0
        if quiet > 70:
            return
    raise AssertionError("the nodes do not fall silent")


def set_contract(net, rules, flag=(), by="a"):
    """Change the contract."""
    net.nodes[by].change("contract", {"contract": Contract.of(rules, flag, SCHEMA).to_bytes()})


def make_careless(node):
    """Have a node publish whatever it learned, as one that does not look at the contract would."""
    node.peers.barring = lambda *_: None


def notes(net, by):
    """Return what a node notes of each member."""
    return {member.name: member.note for member in members_of(net.nodes[by], {}, net.now)}


def agree(net, *counted):
    """Assert that all hold the same, and that every node counts these and its own rows."""
    members = {name: node for name, node in net.nodes.items() if node.is_member}
    for name, node in members.items():
        assert node.peers.view == net.nodes["a"].peers.view
        others = [net.nodes[other].local for other in counted if other != name]
        assert node.peers.others == sum(others, PSR.zero(SCHEMA))


# -- who sends -------------------------------------------------------------------------------------------------------


def test_a_sender_holds_back_what_breaks_the_contract_and_says_so():
    """Nothing goes out, `pending` names rule and figure, and at the very bound it is published."""
    net = network(RULES)
    net.learn("b", rows(1, 2))
    rounds(net)
    assert net.nodes["b"].peers.mark.version == 0
    assert "breaks the contract: count() >= 3 does not hold: count() is 2; learn" in pending_of(net.nodes["b"])
    assert notes(net, "b")["b"] == "not published: count() >= 3 does not hold: count() is 2"
    assert not net.nodes["b"].peers.converged
    net.learn("b", rows(3))
    rounds(net)
    assert pending_of(net.nodes["b"]) is None
    agree(net, "b")
    net.check(rows(1, 2, 3))


def test_a_state_that_is_held_back_leaves_the_last_one_standing():
    """Others go on counting what was published before, until rows are learned or forgotten so that the rules hold."""
    net = network(RULES, b=rows(1, 2, 3))
    net.learn("b", rows(100))
    rounds(net)
    assert net.nodes["a"].peers.others == rows(1, 2, 3)
    assert 'mean("x0") < 10 does not hold' in pending_of(net.nodes["b"])
    net.nodes["b"].local = rows(1, 2, 3, 4)
    rounds(net)
    agree(net, "b")


def test_all_rows_can_always_be_taken_back():
    """A state of no rows breaks no rule: who cannot keep the contract is not kept from forgetting."""
    net = network(RULES, b=rows(1, 2, 3))
    net.nodes["b"].local = rows(1)
    rounds(net)
    assert net.nodes["a"].peers.others == rows(1, 2, 3)
    net.nodes["b"].local = PSR.zero(SCHEMA)
    rounds(net)
    assert net.nodes["a"].peers.others.n_rows == 0
    assert pending_of(net.nodes["b"]) is None


@pytest.mark.parametrize("restarted", [False, True])
def test_who_holds_back_still_sends_its_last_version_to_joiners(restarted):
    """A late joiner hears of the newest version, although its owner has learned more since: the home keeps both."""
    net = network(RULES, b=rows(1, 2, 3))
    net.learn("b", rows(100))
    if restarted:
        net.crash("b")
    net.join(net.invite("d"))
    for _ in range(3):
        net.round()
    assert net.nodes["d"].is_member
    net.nodes.pop("a"), net.nodes.pop("c")  # whoever could pass it on
    rounds(net)
    assert net.nodes["d"].peers.others == rows(1, 2, 3)


# -- who receives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, rows(1, 2, 3)])
@pytest.mark.parametrize(
    ("psr", "why"),
    [
        (rows(1, 2), "count() >= 3 does not hold: count() is 2"),
        (rows(*range(0, 22, 2)), 'mean("x0") < 10 does not hold: mean("x0") is 10'),
        (rows(98765, 1, 2), 'mean("x0") < 10 does not hold: mean("x0") is not told'),
    ],
)
def test_a_receiver_refuses_what_breaks_the_contract(before, psr, why):
    """One refusal with rule and figure; what was held before stays, and counts."""
    net = network(RULES, **({} if before is None else {"b": before}))
    a, b = net.nodes["a"], net.nodes["b"]
    make_careless(b)
    b.local = psr
    held = (a.peers.view, a.peers.merged, dict(a.peers.words), a.roster)
    net.pulse("b")
    (event,) = net.deliver("a")
    assert isinstance(event, Refused)
    assert event.member == "b"
    assert event.reason.startswith(f"the statistics of 'b' break the contract: {why}")
    assert "98765" not in event.reason
    assert (a.peers.view, a.peers.merged, dict(a.peers.words), a.roster) == held


def test_whoever_is_flagged_counts_with_a_note():
    """The member publishes, the others take it and say which rule it breaks, in the events and in the table."""
    net = network(RULES)
    set_contract(net, RULES, ["b"])
    rounds(net)
    net.learn("b", rows(1, 2))
    net.learn("c", rows(1))
    net.pulse("b")
    applied, flagged = net.deliver("a")
    assert isinstance(applied, Applied)
    assert flagged == Flagged("b", "count() >= 3 does not hold: count() is 2")
    rounds(net)
    assert net.nodes["a"].peers.others == rows(1, 2)
    for name in "abc":
        assert notes(net, name)["b"] == "flagged: count() >= 3 does not hold: count() is 2"
    assert notes(net, "c")["c"].startswith("not published")
    assert pending_of(net.nodes["b"]) is None


# -- when it changes -------------------------------------------------------------------------------------------------


def test_what_breaks_a_new_contract_counts_no_more_and_is_taken_back():
    """All go by the new rules at once; the owner withdraws, so that a late joiner comes to hold the same."""
    net = network(a=rows(1, 2, 3), b=rows(1, 2), c=rows(4, 5, 6))
    agree(net, "a", "b", "c")
    set_contract(net, RULES)
    assert net.nodes["a"].peers.others == rows(4, 5, 6)
    assert notes(net, "a")["b"] == "not counted: count() >= 3 does not hold: count() is 2"
    net.join(net.invite("d"))
    rounds(net)
    agree(net, "a", "c")
    assert net.nodes["a"].peers.view["b"].digest == PSR.zero(SCHEMA).digest
    assert "count() is 2" in pending_of(net.nodes["b"])
    net.learn("b", rows(3))
    rounds(net)
    agree(net, "a", "b", "c")
    assert all(node.peers.converged for node in net.nodes.values())


@pytest.mark.parametrize("way", ["laxer", "flagged", "none"])
def test_what_a_laxer_contract_lets_be_is_published(way):
    """What was held back, or taken back, goes out as soon as the rules let it."""
    net = network(RULES, a=rows(1, 2, 3), b=rows(1, 2))
    agree(net, "a")
    set_contract(net, *{"laxer": (["count() >= 2"],), "flagged": (RULES, ["b"]), "none": ([],)}[way])
    rounds(net)
    agree(net, "a", "b")
    set_contract(net, RULES)
    rounds(net)
    agree(net, "a")
    set_contract(net, [])
    rounds(net)
    agree(net, "a", "b")


def test_who_cannot_take_it_back_does_not_keep_others_from_joining():
    """The owner is away: nobody counts its state, and nobody passes it on to a joiner, who would have to refuse."""
    net = network(a=rows(1, 2, 3), b=rows(1, 2), c=rows(4, 5, 6))
    away = net.nodes.pop("b")
    set_contract(net, RULES)
    net.join(net.invite("d"))
    events = [event for _ in range(40) for event in net.round()]
    assert not [event for event in events if isinstance(event, Refused)]
    for name in "acd":
        others = [net.nodes[other].local for other in "ac" if other != name]
        assert net.nodes[name].peers.others == sum(others, PSR.zero(SCHEMA))
    net.nodes["b"] = away
    rounds(net)
    agree(net, "a", "c")


def test_what_was_published_before_the_news_came_is_taken_back():
    """One node has the new rules and refuses, another has not and counts; then both come to hold the same."""
    net = network(a=rows(1, 2, 3), b=rows(1, 2, 3))
    set_contract(net, ["count() >= 4"])
    net.learn("a", rows(4))
    net.nodes["b"].local = rows(1, 2)
    net.pulse("b")
    assert [type(event) for event in net.deliver("a")] == [Refused]
    assert Applied in [type(event) for event in net.deliver("c")]
    rounds(net)
    agree(net, "a")


def test_a_restarted_node_goes_by_the_same_contract():
    """What its home holds is judged again: what did not count before does not count after."""
    net = network(a=rows(1, 2, 3), b=rows(1, 2), c=rows(4, 5, 6))
    del net.nodes["b"]
    set_contract(net, RULES)
    for name in "ac":
        net.crash(name)
    assert net.nodes["a"].peers.others == rows(4, 5, 6)
    assert notes(net, "a")["b"].startswith("not counted")


def test_two_admins_who_change_it_at_once_come_to_agree():
    """One of both contracts counts everywhere, and none is made again without end."""
    net = network(RULES, b=rows(1, 2, 3))
    net.nodes["a"].change("promote", {"member": "b"})
    rounds(net)
    set_contract(net, ["count() >= 2"], by="a")
    set_contract(net, ["count() >= 4"], by="b")
    rounds(net)
    assert len({node.roster.contract for node in net.nodes.values()}) == 1
    assert len({node.roster.head for node in net.nodes.values()}) == 1
    assert net.nodes["a"].roster.number <= 6
    agree(net, *(["b"] if net.nodes["b"].peers.held_back is None else []))


@pytest.mark.parametrize("seed", range(12))
def test_random_courses_of_contracts_end_in_one_state(seed):
    """Whatever is learned, lost, restarted and changed: all hold the same, and count what keeps the last contract."""
    chance = random.Random(seed)
    net = network(RULES)
    for _ in range(40):
        name = chance.choice("abc")
        what = chance.choice(["learn", "learn", "contract", "lose", "crash", "round", "round"])
        if what == "learn":
            net.nodes[name].local = rows(*chance.choices(range(15), k=chance.randrange(1, 6)))
        if what == "contract":
            flag = [name for name in "abc" if chance.random() < 0.2]
            set_contract(net, [f"count() >= {chance.randrange(5)}", f'mean("x0") < {chance.randrange(4, 12)}'], flag)
        if what == "lose":
            net.pulse(name, lose=True)
        if what == "crash":
            net.crash(name)
        if what == "round":
            net.round(name)
    rounds(net)
    shown = {name: node.peers.shown for name, node in net.nodes.items()}
    for name, node in net.nodes.items():
        assert node.peers.view == net.nodes["a"].peers.view
        kept = [psr for other, psr in shown.items() if other != name and psr is not None]
        assert node.peers.others == sum(kept, PSR.zero(SCHEMA))
        assert shown[name] is None or node.roster.rules.blocks(name, shown[name]) is None
        assert node.peers.held_back is not None or node.local is None or node.local == shown[name]


# -- the link of the roster ------------------------------------------------------------------------------------------


def link_with(net, contract):
    """Return a link in which the admin signs what it likes."""
    roster, identity = net.nodes["a"].roster, net.nodes["a"].identity
    values = {"contract": contract}
    return signed_link(roster.federation, roster.number + 1, roster.head, "a", "contract", values, identity.sign)


def test_the_bytes_of_its_link_are_pinned():
    """Other releases have to read them."""
    values = {"contract": Contract.of(["count() >= 1"], ["b"]).to_bytes()}
    link = signed_link(bytes(32), 1, bytes(32), "a", "contract", values, Identity(bytes(32)).sign)
    digest = hashlib.sha256(link.to_bytes()).hexdigest()
    assert digest == "6b1eb97edb57636f6f96ef94a1c9c14a7c593dcbabcd36a7e5efaa7718239474"


def test_a_contract_travels_as_a_link():
    """Its bytes are read back; whoever reads them goes by the contract."""
    net = network(RULES)
    contract = Contract.of(["count() >= 1"], ["b"])
    link = Link.from_bytes(link_with(net, contract.to_bytes()).to_bytes())
    assert net.nodes["c"].chain.extended(link).roster.rules == contract


@pytest.mark.parametrize(
    ("contract", "why"),
    [
        (b"", "contract"),
        (b"\x92\x91\xa5count\x90", "Rule 1 of the contract"),
        (b"\x92\x91\xa9count()>1\x90", "canonical"),
        (Contract.of(['mean("tip") > 1']).to_bytes(), "an unknown column"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_in_no_roster(contract, why):
    """What is no contract, or one on other columns, is refused by whoever gets the link."""
    net = network(RULES)
    with pytest.raises(RosterError, match=why):
        net.nodes["c"].chain.extended(link_with(net, contract))


def test_only_admins_change_it():
    """A member is refused, and everything stays."""
    net = network(RULES)
    with pytest.raises(FederationError, match="no admin"):
        set_contract(net, [], by="b")
    assert [str(rule) for rule in net.nodes["b"].roster.rules.rules] == RULES


# -- as users have it ------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path):
    """Return an admin and a member of a federation with a contract on its class column."""
    url = f"memory://{uuid.uuid4()}"
    north = FederatedPSR(classes="late", home=tmp_path / "north").create_federation(
        "flights",
        url,
        schema=Schema(["delay"], classes="late"),
        guard="off",
        contract=["count()>=20", "0 < mean('delay', 'late', True) <= 30"],
        on_recovery_key=str,
    )
    south = FederatedPSR(classes="late", home=tmp_path / "south").join(*north.invite("south"))
    for _ in range(3):
        north.pulse(), south.pulse()
    yield north, south
    north.close(), south.close()


def flights(n, delay):
    """Return as many flights, half of them late by `delay` on the average."""
    late = np.arange(n) % 2 == 0
    return pd.DataFrame({"delay": np.where(late, delay + np.arange(n) % 4 - 1, 0), "late": late})


def test_a_node_keeps_the_contract_and_says_what_holds_it_back(pair):
    """`pulse` names rule and figure until the rows keep it; then the other one has them; `status` says the same."""
    north, south = pair
    assert south.contract_ == ["count() >= 20", '0 < mean("delay", "late", True) <= 30']
    south.partial_fit(flights(12, 10), batch_id="one")
    report = south.pulse()
    assert report.status.startswith("pending: what was learned here breaks the contract: count() >= 20 does not hold")
    assert "count() is 12" in report.status
    assert "count() is 12" in str(south.status())
    south.partial_fit(flights(12, 100), batch_id="two")
    assert 'mean("delay", "late", True) is 55' in south.pulse().status
    south.forget(flights(12, 100), batch_id="two").partial_fit(flights(12, 50))
    assert south.pulse().status == "published"  # the mean of those that are late is 30
    north.pulse()
    assert north.psr_of("south") == south.local_psr_
    assert north.psr_.n_rows == 24


def test_each_refusal_is_one_line_with_rule_and_figure(pair, caplog):
    """A member whose software does not look is refused, logged once, and shown as the last refusal."""
    north, south = pair
    make_careless(south._federation()._node)
    south.partial_fit(flights(40, 99)).pulse()
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        report = north.pulse()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        "'north' refused a message of 'south': the statistics of 'south' break the contract: 0 < mean"
    )
    assert line.endswith('<= 30 does not hold: mean("delay", "late", True) is 99')
    assert len(report.refused) == 1
    assert line.endswith(north.status().last_refusal)
    assert north.psr_.n_rows == 0


def test_admins_change_the_contract_and_flag_members(pair):
    """A new rule reaches the members with the next pulses; whoever is flagged counts, and is listed."""
    north, south = pair
    south.partial_fit(flights(12, 10)).pulse()
    north.set_contract(["count() >= 20"], flag=["south"])
    for _ in range(2):
        north.pulse(), south.pulse()
    report = north.pulse()
    assert north.psr_.n_rows == 12
    assert "flagged: count() >= 20 does not hold: count() is 12" in str(north.status())
    assert report.converged
    north.set_contract([])
    assert north.contract_ == []
    with pytest.raises(FederationError, match="no admin"):
        south.set_contract([])


def test_a_reopened_node_keeps_contract_and_last_version(pair, tmp_path):
    """A home holds what was published beside what was learned since, and the rules that lie between them."""
    north, south = pair
    south.partial_fit(flights(20, 10), batch_id="one")
    south.pulse()
    published = south.local_psr_
    south.partial_fit(flights(20, 99), batch_id="two")
    south.close()
    again = FederatedPSR.open(tmp_path / "south")
    assert "breaks the contract" in again.pulse().status
    assert again._federation()._node.peers.shown == published
    assert again.contract_ == north.contract_
    again.close()


def test_rules_are_refused_when_they_are_written():
    """A wrong rule founds no federation and changes no contract; rows of other columns than its are not learned."""
    node, url = FederatedPSR(), f"memory://{uuid.uuid4()}"
    with pytest.raises(SettingError, match="Rule 1 of the contract: Got a rule with a computation at line 1, column 1"):
        node.create_federation("f", url, member="a", contract=["count() >> 3"], guard="off", on_recovery_key=str)
    with pytest.raises(NotAMemberError):
        node.contract_  # noqa: B018 - it is a property
    node.create_federation("f", url, member="a", contract=['mean("fare") > 1'], guard="off", on_recovery_key=str)
    with pytest.raises(FederationError, match="an unknown column"):
        node.partial_fit(pd.DataFrame({"tip": [1.0]}))
    node.partial_fit(pd.DataFrame({"fare": [2.0]}))
    with pytest.raises(SettingError, match="one of the columns 'fare'"):
        node.set_contract(['mean("tip") > 1'])
    assert node.contract_ == ['mean("fare") > 1']
    assert node.psr_.n_rows == 1
    node.close()


def test_members_are_held_to_rules_on_levels_that_they_have_or_not():
    """Where levels are not declared, a rule on one holds for members that have it, and holds back those that do not."""
    frame = pd.DataFrame({"carrier": ["AA", "UA"] * 20, "delay": np.arange(40.0)})
    a = FederatedPSR().create_federation("f", f"memory://{uuid.uuid4()}", member="a", on_recovery_key=lambda _: None)
    a.partial_fit(frame)
    rules = ['count("carrier", "UA") >= 5', 'mean("delay", "carrier", "UA") < 100', 'share_missing("delay") == 0']
    a.set_contract(rules)
    b = FederatedPSR().join(*a.invite("b"))
    for node in (a, b, a):
        node.pulse()
    b.partial_fit(frame.assign(carrier=["AA", "DL"] * 20))
    assert 'count("carrier", "UA") >= 5 does not hold: count("carrier", "UA") is 0;' in b.pulse().status
    b.partial_fit(frame)
    assert b.pulse().status == "published"
    a.pulse()
    assert a.psr_.schema.categories == {"carrier": ("AA", "DL", "UA")}
    with pytest.raises(SettingError, match="no squares, which std takes"):
        a.set_contract(['std("delay", "carrier", "UA") < 1'])
