"""Large messages travel as claims; what is no claim, or claims what is not there, does no harm."""

from __future__ import annotations

import pytest

from sklearn_symfed.exceptions import FormatError, TransportError
from sklearn_symfed.federation.transports._claim_check import KEPT, ClaimCheck


class Shelf(dict):
    """A store of objects in a dict."""

    def put(self, key, data):
        self[key] = data

    def delete(self, key):
        self.pop(key, None)

    def keys(self, prefix=""):
        return [key for key in self if key.startswith(prefix)]


@pytest.fixture
def shelf():
    return Shelf()


def end(shelf, member="a", clock=lambda: 1000.0):
    return ClaimCheck(shelf, member, limit=200, most=5000, clock=clock)


@pytest.mark.parametrize("size", [0, 1, 198, 199, 200, 201, 5000])
def test_messages_come_through_frames_that_fit(shelf, size):
    """A message of any length travels in a frame within the limit, and in an object only if it must."""
    frames = []
    end(shelf).send(b"x" * size, None, frames.append)
    assert len(frames[0]) <= 200
    assert len(shelf) == (size > 199)
    assert end(shelf, "b").open(frames[0]) == b"x" * size


def test_a_message_to_one_is_removed_by_its_reader(shelf):
    """Once acknowledged, an object for one member is removed by it; one for all, or a whole message, is not."""
    frames = []
    sender, reader = end(shelf), end(shelf, "b")
    sender.send(b"x" * 300, "b", frames.append)
    sender.send(b"y" * 300, None, frames.append)
    sender.send(b"z", "b", frames.append)
    end(shelf, "all").done(frames[1])
    for frame in frames:
        reader.done(frame)
    assert [key.split("/")[1] for key in shelf] == ["all"]
    assert reader.open(frames[0]) is None


def test_superseded_objects_are_removed(shelf):
    """What was sent to all goes once it is old and there is a newer one, also by a later process; others' stays."""
    clock = [1000.0]
    sender = end(shelf, clock=lambda: clock[0])
    end(shelf, "b").send(b"x" * 300, None, id)
    sender.send(b"x" * 300, "b", id)
    for number in range(3):
        clock[0] += KEPT / 2
        sender.send(b"%d" % number * 300, None, id)
    assert sorted(key[:6] for key in shelf) == ["a/all/", "a/all/", "a/all/", "a/to-b", "b/all/"]
    clock[0] += 2 * KEPT
    end(shelf, clock=lambda: clock[0]).send(b"new" * 300, None, id)
    assert sorted(key[:6] for key in shelf) == ["a/all/", "a/to-b", "b/all/"]


def test_nothing_is_left_of_what_could_not_be_sent(shelf):
    """An object whose claim the carrier did not take is removed."""

    def fail(frame):
        raise TransportError("down")

    with pytest.raises(TransportError):
        end(shelf).send(b"x" * 300, None, fail)
    assert shelf == {}


def test_what_is_no_claim_is_an_error(shelf):
    """Bytes that are no frame, claims of other objects than they say and of too large ones are refused."""
    frames = []
    end(shelf).send(b"x" * 300, None, frames.append)
    (claim,) = frames
    for frame in (b"", b"\2", b"\1", claim[:30], claim[:1] + b"X" + claim[2:], claim[:60] + b"\xff", claim + b"/x"):
        with pytest.raises(FormatError):
            end(shelf).open(frame)
    shelf[next(iter(shelf))] = b"y" * 300
    with pytest.raises(FormatError, match="not the message"):
        end(shelf).open(claim)
    with pytest.raises(FormatError, match="larger"):
        ClaimCheck(shelf, "b", limit=200, most=299).open(claim)
