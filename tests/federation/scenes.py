"""One message of each type on its way to the node that would take it; for mutations and for fuzzing.

Owns how a dishonest sender makes bytes: it holds its own keys and the federation's, and seals and signs what it likes.
"""

from __future__ import annotations

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.federation import _envelope
from sklearn_symfed.federation._envelope import HEADER, Header, open_envelope
from sklearn_symfed.federation._events import Event
from sklearn_symfed.federation._fields import pack, read
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._messages import TO_ONE, read_message
from sklearn_symfed.federation._sealing import seal, seal_to
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

A, B, C, D = (PSR.from_rows([[float(number), 2.0]]) for number in range(4))


class Scene:
    """Three members, of whom `a` is the admin, perhaps a joiner `d`, and a message that has not arrived yet.

    Parameters
    ----------
    kind : str
        The type of the message.
    seed : int, default=0

    Attributes
    ----------
    net : Simulation
    node, sender, other : Membership
        Who will get the message, who made it, and a member who did not.
    data, header, body, message
        The message as it travels, and what is in it.
    """

    def __init__(self, kind: str, seed: int = 0) -> None:
        self.kind = kind
        self.net = net = Simulation("a", seed=seed)
        net.learn("a", A)
        net.admit("b", "c")
        net.learn("b", B)
        net.learn("c", C)
        net.settle()
        self.data = getattr(self, f"_{kind}")()
        envelope = open_envelope(self.data)
        self.header = envelope.header
        self.sender: Membership = net.nodes[self.header.sender]
        self.node: Membership = net.nodes["a" if self.header.to is None else self.header.to]
        self.other: Membership = net.nodes["c"]
        self.body = envelope.open_one(self.node.identity) if kind in TO_ONE else envelope.open_all(net.nodes["a"].key)
        self.message = read_message(kind, self.body)
        self._home = net.backup(self.node.member)

    def rewind(self) -> None:
        """Let the node be again what it was before the message."""
        self.node = self.net.restore(self.node.member, self._home)

    # -- how each message comes to be --------------------------------------------------------------------------------

    def _sent(self, name: str) -> bytes:
        return next(message.data for message in self.net.pulse(name, lose=True) if message.kind == self.kind)

    def _pulse(self) -> bytes:
        self.net.learn("b", D)
        return self._sent("b")

    def _leave(self) -> bytes:
        self.net.nodes["b"].leave(forget=False)
        return self._sent("b")

    def _roster(self) -> bytes:
        self.net.nodes["a"].change("rotate", {})
        return self._sent("a")

    def _request(self) -> bytes:
        self.net.join(self.net.invite("d"), D)
        return self._sent("d")

    def _welcome(self) -> bytes:
        self.net.join(self.net.invite("d"), D)
        self.net.pulse("d")
        self.net.deliver("a")
        return self._sent("a")

    def _refusal(self) -> bytes:
        self.net.join(self.net.invite("d", seconds=-1), D)
        self.net.pulse("d")
        self.net.deliver("a")
        return self._sent("a")

    # -- what can be done to it --------------------------------------------------------------------------------------

    def receive(self, data: bytes | None = None) -> list[Event]:
        """Hand bytes to the node that would get the message."""
        return self.node.receive(self.data if data is None else data, self.net.now)

    def sealed(self, body: bytes, header: bytes | None = None, by: Membership | None = None) -> bytes:
        """Return a message as somebody with the keys of a member makes it, by default the sender."""
        packed = pack(HEADER, self.header._asdict()) if header is None else header
        outside = self.prefixed(packed)
        random = self.net.random
        if self.kind in TO_ONE:
            sealed = seal_to(self.node.identity.public.seal, body, outside, random)
        else:
            sealed = seal(
                _envelope._subkey(self.net.nodes["a"].key, _subject(packed, self.header)), body, outside, random
            )
        return _envelope._signed(outside + sealed, (by or self.sender).identity)

    def held(self) -> tuple[object, ...]:
        """Return all that a message can change at the node, and a refused one does not."""
        node = self.node
        joining = node.joining and (node.joining.invite, node.joining.refusal)
        held = (joining, node.key, frozenset(node.desk.issued), node.leaving)
        if not node.admitted:
            return held
        peers = node.peers
        merged = None if peers.merged is None else peers.merged.digest
        return (*held, node.roster, peers.view, peers.own, dict(peers.words), merged, peers.ahead)

    @staticmethod
    def prefixed(header: bytes) -> bytes:
        """Return what stands in the clear, given the bytes of a header."""
        return _envelope._PREFIX.pack(_envelope._MAGIC, _envelope.PROTOCOL, *_envelope._SINCE, len(header)) + header


def _subject(packed: bytes, header: Header) -> Header:
    """Return the header that a subkey is derived from: what the bytes say, where they can be read."""
    try:
        return Header(**read(HEADER, packed, "header"))
    except FormatError:
        return header
