"""What a dishonest invitee, member or admin once could do to others: each a bug that mutations or fuzzing found."""

from __future__ import annotations

import struct
import tracemalloc

import msgpack
import pytest

from sklearn_symfed.exceptions import FederationError, FormatError
from sklearn_symfed.federation._account import Tally
from sklearn_symfed.federation._claims import Mark, signed_claim
from sklearn_symfed.federation._envelope import seal_all, seal_one
from sklearn_symfed.federation._events import Refused, TurnedDown
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._links import Link, signed_link
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._messages import Packed, Pulse, RosterNews, pack_message, read_message
from sklearn_symfed.federation._sealing import can_be_sealed_to
from sklearn_symfed.psr import PSR, Schema, most_bytes
from sklearn_symfed.testing import Simulation

A, B = PSR.from_rows([[1.0, 2.0]]), PSR.from_rows([[3.0, 4.0]])


@pytest.fixture
def net():
    """Two members, of whom the first is the admin, and each has learned a row."""
    net = Simulation("a")
    net.learn("a", A)
    net.admit("b")
    net.learn("b", B)
    net.settle()
    return net


def refusal(net, name, data):
    (event,) = net.nodes[name].receive(data, net.now)
    assert isinstance(event, Refused)
    return event.reason


def test_an_invitee_with_a_key_that_nothing_can_be_sealed_to_is_not_admitted(net):
    """Once on the roster, a point of small order would keep every member from sending anything for good."""
    joiner = net.join(net.invite("d"))
    weak = joiner.identity.public._replace(seal=bytes(32))
    assert not can_be_sealed_to(weak.seal)
    request = joiner.joining.request(weak, None)
    seal = net.nodes["a"].identity.public.seal
    data = seal_one(joiner._header(request, "a"), pack_message(request), seal, joiner.identity, net.random)
    assert "can be sealed to" in refusal(net, "a", data)
    admit = {"member": "d", **weak._asdict(), "admin": False, "invite": bytes(16), "commitment": None}
    link = signed_link(bytes(32), 9, bytes(32), "a", "admit", admit, net.nodes["a"].identity.sign)
    with pytest.raises(FormatError, match="can be sealed to"):
        Link.from_bytes(link.to_bytes())
    net.settle()
    net.check(A + B)


@pytest.mark.parametrize("values", [{"schedule": "never"}, {"schema": b"none"}])
def test_a_roster_that_nobody_can_go_by_is_refused(net, values):
    """Links with a schedule or a schema that cannot be read are refused by whoever joins, rather than raised."""
    invite = net.invite("d")
    joiner = net.join(invite)
    founder = net.nodes["a"]
    found = {**founder.chain.links[0].values, **values}
    link = signed_link(bytes(32), 0, bytes(32), "a", "found", found, founder.identity.sign)
    news = RosterNews((link.to_bytes(),), None)
    header = founder._header(news, "d")
    data = seal_one(header, pack_message(news), joiner.identity.public.seal, founder.identity, net.random)
    assert refusal(net, "d", data).startswith("roster: Got ")


def test_a_schema_that_cannot_be_read_changes_no_roster():
    """An admin's link with such a schema is refused as a whole: no node goes by half of it."""
    net = Simulation("a")
    net.admit("b")
    founder = net.nodes["a"]
    with pytest.raises(FederationError, match="The roster stays as it is: Got "):
        founder.change("schema", {"schema": b"none"})
    roster = founder.roster
    link = signed_link(
        roster.federation, roster.number + 1, roster.head, "a", "schema", {"schema": b"none"}, founder.identity.sign
    )
    news = RosterNews((link.to_bytes(),), founder.key)
    seal = net.nodes["b"].identity.public.seal
    data = seal_one(founder._header(news, "b"), pack_message(news), seal, founder.identity, net.random)
    assert refusal(net, "b", data).startswith("roster: Got ")
    assert net.nodes["b"].roster == roster


def peak_of(action):
    """Return what an action allocates at most, and its error."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            action()
        return tracemalloc.get_traced_memory()[1], str(caught.value)
    finally:
        tracemalloc.stop()


def test_a_view_of_nested_maps_is_not_built():
    """Empty containers cost sixty times the byte that makes them; a reader that expects bytes makes none."""
    row = {number: {} for number in range(4096)}
    data = msgpack.packb([0, {"a": dict.fromkeys(range(250), row)}, []])
    peak, _ = peak_of(lambda: read_message("pulse", data))
    assert peak < 3 * len(data)


def test_a_view_names_nobody_twice():
    """Of two entries of one name neither is taken."""
    data = b"\x93\x00\x82" + 2 * msgpack.packb("a") + b"\xc4\x00" + b"\x90"
    with pytest.raises(FormatError):
        read_message("pulse", data)
    with pytest.raises(FormatError, match="two entries of one name"):
        read_message("pulse", b"\x93\x00\x82" + 2 * (msgpack.packb("a") + b"\xc4\x00") + b"\x90")


def test_a_header_of_empty_lists_is_not_built():
    """A PSR whose header holds lists where columns are expected costs no more than its bytes."""
    columns = 400
    header = b"\x92\xdd" + struct.pack(">I", 2**20) + b"\x90" * 2**20 + b"\xc0"
    order = struct.pack(f"<{columns}H", *range(columns))
    data = A.to_bytes()[:10] + struct.pack("<I", columns) + order + struct.pack("<I", len(header)) + header
    peak, message = peak_of(lambda: PSR.from_bytes(data))
    assert peak < 5 * len(data)
    assert "damaged header" in message


def test_statistics_larger_than_the_columns_can_need_are_not_expanded(net):
    """A megabyte that expands to a gigabyte, as it says, is refused by its size alone."""
    b = net.nodes["b"]
    bomb = Packed("b", 2**30 - 2**10, Packed.of("", bytes(2**20)).data * 1024)
    own = b.peers.own
    claim = signed_claim(
        Mark(own.incarnation, own.version + 1, "ab" * 32), own.digest, (), b.federation, "b", b.identity.sign
    )
    pulse = Pulse(0, {**b.peers.entries, "b": claim.to_bytes()}, (bomb,))
    data = seal_all(b._header(pulse, None), pack_message(pulse), b.key, b.identity, net.random)
    tracemalloc.start()
    reason = refusal(net, "a", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than is accepted" in reason
    assert peak < 5 * len(data)
    net.check(A + B)


@pytest.mark.parametrize(
    "psr",
    [
        PSR.zero(Schema(["x"])),
        PSR.from_rows([[1e308, 1e-308, 5e-324]], sample_weight=[5e-324]),
        PSR.from_rows([[1e308, 1e-308, 5e-324]], sample_weight=[1e308]),
        PSR.from_rows([[1.5, 2.0]] * 3, ["a" * 4096, "b", "c"], classes="kind"),
    ],
)
def test_no_psr_takes_more_than_its_columns_can_need(psr):
    """The bound that a receiver goes by holds for the widest numbers and the longest labels."""
    assert len(psr.to_bytes()) <= most_bytes(psr.schema)


def test_a_reason_to_refuse_fits_into_its_message(net):
    """A joiner with long names of columns in another script is told that they do not match, at least of the first."""
    columns = ["列" * 400 + str(number) for number in range(20)]
    net.join(net.invite("d"), PSR.zero(Schema(columns)))
    net.pulse("d")
    net.deliver("a")
    net.pulse("a")
    (event,) = [event for event in net.deliver("d") if isinstance(event, TurnedDown)]
    assert event.reason.startswith("the columns do not match: ")


def test_slots_that_do_not_fit_together_are_refused_as_one():
    """A message with two members' statistics, of labels of two kinds, is refused rather than taken by half."""
    net = Simulation("a", schema=Schema(["x0"], "y"))
    net.admit("b", "c")
    for name, label in (("b", 1), ("c", "one")):
        net.learn(name, PSR.from_rows([[1.0]], [label], classes="y"))
        net.nodes[name].peers.publish()
    a, b, c = (net.nodes[name] for name in "abc")
    psrs = tuple(Packed.of(node.member, node.local.to_bytes()) for node in (b, c))
    pulse = Pulse(0, {**b.peers.entries, "c": c.peers.own.to_bytes()}, psrs)
    view = a.peers.view
    data = seal_all(b._header(pulse, None), pack_message(pulse), b.key, b.identity, net.random)
    assert "labels of kinds" in refusal(net, "a", data)
    assert a.peers.view == view


def test_statistics_that_do_not_count_yet_have_to_fit_as_well():
    """What is left out because its origins overlap may count later: it is refused at once if it could not."""
    net = Simulation("a", schema=Schema(["x0"], "y"))
    net.admit("b", "c", "d")
    a, origin = net.nodes["a"], bytes(16)
    for name, label, version in (("b", 1, 1), ("c", "one", 1), ("d", 2, 1), ("b", 1, 2)):
        node, psr = net.nodes[name], PSR.from_rows([[1.0]], [label], classes="y")
        mark = Mark(node.peers.own.incarnation, version, psr.digest)
        origins = (origin,) if name in "bc" and version == 1 else ()
        claim = signed_claim(
            mark, psr.digest if version > 1 else "", origins, node.federation, name, node.identity.sign
        )
        pulse = Pulse(0, {name: claim.to_bytes()}, (Packed.of(name, psr.to_bytes()),))
        data = seal_all(node._header(pulse, None), pack_message(pulse), node.key, node.identity, net.random)
        (event,) = a.receive(data, net.now)
        assert isinstance(event, Refused) == (name == "c")
    assert a.peers.merged.n_rows == 2


def test_two_members_do_not_change_the_kind_of_their_labels_in_one_message():
    """Slots are replaced one after the other: in between, labels would be of two kinds."""
    net = Simulation("a", schema=Schema(["x0"], "y"))
    net.admit("b", "c")
    for label in (1, "one"):
        for name in "bc":
            net.nodes[name].local = PSR.from_rows([[1.0]], [label], classes="y")
            net.nodes[name].peers.publish()
        b, c = net.nodes["b"], net.nodes["c"]
        psrs = tuple(Packed.of(node.member, node.local.to_bytes()) for node in (b, c))
        pulse = Pulse(0, {"b": b.peers.own.to_bytes(), "c": c.peers.own.to_bytes()}, psrs)
        data = seal_all(b._header(pulse, None), pack_message(pulse), b.key, b.identity, net.random)
        events = net.nodes["a"].receive(data, net.now)
        assert any(isinstance(event, Refused) for event in events) == (label == "one")
    assert net.nodes["a"].peers.merged.labels == (1,)


def test_a_member_may_learn_labels_of_another_kind_in_place_of_its_old_ones():
    """What is replaced does not count against what comes."""
    net = Simulation("a", schema=Schema(["x0"], "y"))
    net.admit("b")
    net.learn("b", PSR.from_rows([[1.0]], [1], classes="y"))
    net.settle()
    net.nodes["b"].local = PSR.from_rows([[1.0]], ["one"], classes="y")
    net.settle()
    net.check(net.nodes["b"].local)


def test_a_request_that_comes_again_and_again_is_answered_once_a_pulse(net):
    """A carrier that repeats a request cannot make an admin send the whole roster as often."""
    net.join(net.invite("d"))
    (request,) = net.pulse("d")
    for _ in range(50):
        net.nodes["a"].receive(request.data, net.now)
    assert [message.kind for message in net.pulse("a")].count("welcome") == 1
    net.settle()
    assert net.nodes["d"].is_member


def test_a_message_that_comes_again_and_again_is_passed_on_once_a_pulse():
    """As little does an admin of a centralised federation pass a repeated message on more than once."""
    net = Simulation("a", schema=A.schema, topology="centralised")
    net.admit("b", "c")
    b = net.nodes["b"]
    pulse = Pulse(0, b.peers.entries, ())
    data = seal_all(b._header(pulse, "c"), pack_message(pulse), b.key, b.identity, net.random)
    for _ in range(50):
        net.nodes["a"].receive(data, net.now)
    assert [message.data for message in net.pulse("a")].count(data) == 1


def test_an_invite_for_the_only_admins_own_name_is_refused_to_whoever_uses_it(net):
    """A change of the roster that cannot be made is an answer to the joiner, and no error of the admin's pulse."""
    admin = net.nodes["a"]
    joiner = Membership.join(Identity(net.random(32)), net.invite("a"), net.random)
    (request,) = joiner.outgoing()
    assert "the last admin cannot go" in refusal(net, "a", request.data)
    (answer,) = [message for message in admin.outgoing() if message.kind == "refusal"]
    (event,) = joiner.receive(answer.data, net.now)
    assert "the last admin cannot go" in event.reason
    assert admin.is_admin


@pytest.mark.parametrize("name", ["x" * 60_000, "x\n"])
def test_a_name_that_is_none_stands_in_no_error(name):
    """What somebody else wrote in the place of a name does not get into a log."""
    with pytest.raises(FormatError) as caught:
        read_message("pulse", msgpack.packb([0, {}, [[name, 0, b""]]]))
    assert name not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("reason", ["no\nINFO all is well", "x" * 4_000, "\u2028\x1b[2J"])
def test_a_refusal_is_one_line_whoever_words_it(reason):
    """An admin's reason, which is logged as it came, cannot look like lines of its own."""
    _, line = Tally().note(TurnedDown(reason))
    assert line.isprintable()
    assert len(line) < 2_100
