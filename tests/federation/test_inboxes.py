"""An admin makes the inbox of whom it invites, and takes it down once nobody needs it, whatever fails in between."""

from __future__ import annotations

import uuid

import pytest

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation._inboxes import GRACE, Inboxes
from sklearn_symfed.federation.transports import MemoryTransport
from sklearn_symfed.psr import PSR

SCHEMA = PSR.from_rows([[1.0]]).schema


class Office:
    """A carrier in memory that notes who made and took down inboxes, and can be down."""

    def __init__(self):
        self.url = f"memory://{uuid.uuid4()}"
        self.done, self.down, self.now, self.n_dead = [], False, 1000.0, 0

    def open(self, url, member, *, create=False):
        office = self

        class Noted(MemoryTransport):
            dead_letters = property(lambda self: office.n_dead)

            def _prepare(self, name):
                office.note("prepare", name)
                super()._prepare(name)

            def _discard(self, name):
                office.note("discard", name)
                super()._discard(name)

        return Noted(url, member, create=create)

    def note(self, what, name):
        if self.down:
            raise TransportError("Got no answer.")
        self.done.append((what, name))

    @property
    def means(self):
        return {"clock": lambda: self.now, "opener": self.open}

    def found(self, home=None):
        keys = {"on_recovery_key": lambda _: None, "schema": SCHEMA, "guard": "off"}
        return Federation.create(Store.open(home), "f", self.url, "a", **keys, **self.means)

    def joined(self, admin, name):
        node = Federation.join(Store.open(), *admin.invite(name), **self.means)
        admin.pulse(), node.pulse()
        assert node.is_member
        return node


@pytest.fixture
def office():
    return Office()


def test_an_invite_makes_the_inbox(office):
    """The inbox is made when the invite is, once, and anew for whoever is invited again."""
    admin = office.found()
    office.joined(admin, "b")
    admin.pulse()
    assert office.done == [("prepare", "b")]
    admin.invite("b")
    assert office.done == [("prepare", "b")] * 2


def test_an_invite_is_not_lost_when_the_carrier_is_down(office, tmp_path):
    """The invite of a call whose carrier fails is good, and a later pulse makes the inbox, also in another process."""
    admin = office.found(tmp_path / "a")
    office.down = True
    invite = admin.invite("b")
    assert office.done == []
    assert "no answer" in admin.status().last_error
    with pytest.raises(TransportError):
        admin.pulse()
    office.down = False
    admin.close()
    admin._store.close()
    with Store.open(tmp_path / "a") as store, Federation.reopen(store, **office.means) as again:
        again.pulse()
        assert office.done == [("prepare", "b")]
        node = Federation.join(Store.open(), *invite, **office.means)
        again.pulse(), node.pulse()
        assert node.is_member


def test_who_is_gone_keeps_the_inbox_for_a_while(office):
    """Whoever was removed reads that in its inbox, which is taken down a day later, and once; a failure waits a day."""
    admin = office.found()
    b = office.joined(admin, "b")
    admin.remove("b")
    admin.pulse(), b.pulse()
    assert not b.is_member
    office.now += GRACE - 1
    admin.pulse()
    assert ("discard", "b") not in office.done
    office.now += 1
    office.down = True
    admin.pulse()
    office.down = False
    admin.pulse()
    assert ("discard", "b") not in office.done
    office.now += GRACE
    admin.pulse(), admin.pulse()
    assert office.done == [("prepare", "b"), ("discard", "b")]


def test_who_comes_back_keeps_the_inbox(office):
    """Whoever is invited again within that time keeps what waits in the inbox; an invite that nobody used expires."""
    admin = office.found()
    office.joined(admin, "b")
    admin.remove("b")
    admin.pulse()
    office.now += GRACE / 2
    office.joined(admin, "b")
    admin.invite("never", "1h")
    office.now += GRACE
    admin.pulse()
    office.now += GRACE
    admin.pulse()
    assert [name for what, name in office.done if what == "discard"] == ["never"]


def test_only_admins_do(office):
    """A member that is no admin makes and takes down nothing; one that becomes an admin learns who is there."""
    admin = office.found()
    b = office.joined(admin, "b")
    office.joined(admin, "c")
    assert b._inboxes._due(b._node, office.now) == ([], [])
    admin.promote("b")
    admin.pulse(), b.pulse()
    b.remove("c")
    office.now += GRACE
    b.pulse()
    office.now += GRACE
    done = len(office.done)
    b.pulse()
    assert office.done[done:] == [("discard", "c")]


def test_inboxes_as_bytes():
    """What is remembered is read back; nothing is where nothing was."""
    inboxes = Inboxes({"b": 0, "c": 17})
    assert Inboxes.from_bytes(inboxes.to_bytes())._since == {"b": 0, "c": 17}
    assert Inboxes.from_bytes(None)._since == {}


def test_status_shows_dead_letters(office, tmp_path):
    """What the carrier set aside is in the status, after the pulse that saw it and in later processes."""
    admin = office.found(tmp_path / "a")
    assert "dead letters" not in str(admin.status())
    office.n_dead = 3
    admin.pulse()
    admin.close()
    admin._store.close()
    with Store.open(tmp_path / "a") as store, Federation.reopen(store, **office.means) as again:
        assert again.status().dead_letters == 3
        assert "dead letters: 3 messages could not be taken in" in str(again.status())


def test_what_is_being_taken_in_does_not_come_again():
    """The carrier is asked for more time once a third of it has passed, and its failure is none."""
    asked = []

    class Slow(MemoryTransport):
        ack_deadline = 0.0

        def _extend(self, deliveries):
            asked.append(len(deliveries))
            raise TransportError("Got no answer.")

    office = Office()
    slow = Slow(office.url, "b")
    MemoryTransport(office.url, "a").publish(b"x")
    deliveries = slow.receive()
    slow.extend(deliveries)
    assert asked == [1]
    Slow.ack_deadline = 1e6
    slow.extend(deliveries)
    assert asked == [1]
