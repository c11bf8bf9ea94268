"""Secrets that can be recognised wherever they turn up: nodes that have them, and the search for what has leaked.

Owns the forms that a secret may take and the places where it may come to light; which secret may be where, and what
happens to the nodes, is said by `test_secrets.py`, which loads this file.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import logging
import os
import struct
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed import FederatedPSR
from sklearn_symfed.exceptions import SymfedError
from sklearn_symfed.federation import _sealing
from sklearn_symfed.federation._pulsing import Pulsing

__all__ = ["CELL", "COLUMN", "INDEX", "LABEL", "PLACES", "TEXT", "WHOLE", "Canaries", "Life", "rows"]

PLACES = ("log", "error", "repr", "output", "carrier", "database", "key file")
CELL, WHOLE, TEXT, INDEX = 31337.4242, 31337004242424243, "canary-of-a-cell", "canary-of-an-index"
LABEL, COLUMN = "canary-of-a-label", "canary-of-a-column"
_DENSE, _LOOSE = 12, 32
"""So many bytes in a row of a form are a leak: of one that takes one or two bytes for each of the secret, or four."""
_LEAST = 6


def forms_of_bytes(secret: bytes) -> Iterator[bytes]:
    """Yield how bytes may be written."""
    yield secret
    yield secret[::-1]
    yield from (secret.hex().encode(), secret.hex().upper().encode(), base64.b32encode(secret))
    for skipped in range(3):
        yield base64.b64encode(secret[skipped:])
        yield base64.urlsafe_b64encode(secret[skipped:])


def loose_forms_of_bytes(secret: bytes) -> Iterator[bytes]:
    """Yield how Python shows bytes."""
    yield repr(secret)[2:-1].encode()
    yield ", ".join(map(str, secret)).encode()
    yield str(int.from_bytes(secret, "big")).encode()


def forms_of_text(secret: str) -> Iterator[bytes]:
    """Yield how a code that people type may be written."""
    for text in (secret, secret.replace("-", ""), secret.replace("-", " ")):
        yield from (text.encode(), text.lower().encode(), text.encode().hex().encode(), text.encode("utf-16-le"))


def forms_of_number(cell: float) -> Iterator[bytes]:
    """Yield how a cell may be written: as text, in full or shortened, and as float64 or int64."""
    yield repr(cell).encode()
    if isinstance(cell, int):
        yield f"{cell:,}".encode()
        size = (cell.bit_length() + 7) // 8
        yield from (cell.to_bytes(size, "little"), cell.to_bytes(size, "big"))
    else:
        yield f"{cell:.2f}".encode()
        yield f"{cell:.7e}".partition("e")[0].encode()
    yield from (struct.pack("<d", cell), struct.pack(">d", cell))


class Canaries:
    """Recognisable secrets, by kind.

    A secret is found if a piece of any of its forms is: half of a key is a leak, too.
    """

    def __init__(self) -> None:
        self._pieces: dict[int, dict[bytes, str]] = {_DENSE: {}, _LOOSE: {}}
        self._short: dict[bytes, str] = {}

    def add(self, kind: str, secret: bytes | str | float) -> None:
        """Look out for a secret: bytes, a text, or the number in a cell."""
        if isinstance(secret, bytes):
            forms = forms_of_bytes(secret)
            self._add(kind, loose_forms_of_bytes(secret), _LOOSE)
        else:
            forms = forms_of_text(secret) if isinstance(secret, str) else forms_of_number(secret)
        self._add(kind, forms, _DENSE)

    def _add(self, kind: str, forms: Iterator[bytes], size: int) -> None:
        for form in forms:
            assert len(form) >= _LEAST, "so short a form is found by chance"
            if len(form) < size:
                self._short[form] = kind
            pieces = (form[start : start + size] for start in range(len(form) - size + 1))
            self._pieces[size].update(dict.fromkeys(pieces, kind))

    def found(self, data: bytes) -> set[str]:
        """Return the kinds of secrets that some bytes hold."""
        found = {kind for form, kind in self._short.items() if form in data}
        for size, known in self._pieces.items():
            pieces = (data[start : start + size] for start in range(len(data) - size + 1))
            found |= {known[piece] for piece in pieces if piece in known}
        return found


def files(folder: Path, *names: str) -> list[bytes]:
    """Return what the files below a folder hold, those of other names left out."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [path.read_bytes() for path in paths if not names or path.name in names]


def reprs_below(*roots: object) -> Iterator[str]:
    """Yield what everything of the package's own that hangs on some objects shows of itself."""
    seen, waiting = {id(root) for root in roots}, list(roots)
    while waiting:
        thing = waiting.pop()
        if type(thing).__module__.startswith("sklearn_symfed"):
            yield repr(thing)
            yield str(thing)
            yield thing._repr_html_() if hasattr(thing, "_repr_html_") else ""
        for other in gc.get_referents(thing):
            if id(other) not in seen and not isinstance(other, type | ModuleType | FunctionType):
                seen.add(id(other))
                waiting.append(other)


def rows(seed: int, *, canary: bool = True) -> pd.DataFrame:
    """Return twelve rows, in one of which each cell is a canary."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            COLUMN: rng.normal(size=12) * 1e4,
            "whole": rng.integers(2**54, 2**55, 12),
            "fee": rng.integers(100, 10**7, 12) / 100,
        }
    ).assign(ward=[LABEL, "other"] * 6)
    if canary:
        frame.loc[7, [COLUMN, "fee"]] = CELL, round(CELL, 2)
        frame.loc[7, "whole"] = WHOLE
    return frame.set_axis([f"{INDEX}-{number}" for number in range(12)], axis=0)


class Life:
    """Everything that comes to light while nodes live, by place; and the secrets to look for in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.url = folder, f"dir://{folder}/carrier"
        self.canaries = Canaries()
        self.seen: dict[str, set[bytes]] = {place: set() for place in PLACES}
        self.nodes: dict[str, FederatedPSR] = {}
        self.drawn: set[bytes] = set()
        for cell in (CELL, WHOLE, TEXT, INDEX):
            self.canaries.add("cell", cell)
        self.canaries.add("label", LABEL)
        self.canaries.add("column", COLUMN)
        self._spy(monkeypatch)

    def _spy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take note of every secret that is drawn or derived."""
        urandom, hkdf, scrypt = os.urandom, _sealing.HKDF, _sealing.Scrypt

        def draw(size: int) -> bytes:
            drawn = urandom(size)
            if size == 32:  # nonces, salts, numbers of invites and names of files are shorter, and public
                self.drawn.add(drawn)
            return drawn

        life = self

        class Deriving:
            def __init__(self, *args: object, info: bytes, **settings: object) -> None:
                self._inner, self._public = hkdf(*args, info=info, **settings), b"commitment" in info

            def derive(self, secret: bytes) -> bytes:
                key = self._inner.derive(secret)
                for known in (secret, *(() if self._public else (key,))):
                    life.canaries.add("derived", known)
                return key

        class Stretching:
            def __init__(self, **settings: object) -> None:
                self._inner = scrypt(**settings)

            def derive(self, code: bytes) -> bytes:
                key = self._inner.derive(code)
                life.canaries.add("derived", key)
                return key

        monkeypatch.setattr(os, "urandom", draw)
        monkeypatch.setitem(Pulsing.__init__.__kwdefaults__, "random", draw)
        monkeypatch.setattr(_sealing, "HKDF", Deriving)
        monkeypatch.setattr(_sealing, "Scrypt", Stretching)

    # -- what nodes do -----------------------------------------------------------------------------------------------

    def node(self, name: str, **settings: object) -> FederatedPSR:
        """Return a node with a home."""
        self.nodes[name] = FederatedPSR(home=self.folder / name, classes="ward", **settings)
        return self.nodes[name]

    def invite(self, by: str, member: str, expires: str = "2h") -> tuple[str, str]:
        """Return an invite and its code, which is looked out for from now on."""
        invite, code = self.nodes[by].invite(member, expires)
        self.canaries.add("code", code)
        return invite, code

    def pulse(self, names: str, times: int = 3) -> None:
        """Have nodes pulse in turn; look at the messages before anybody takes them away."""
        for name in names * times:
            report = self.nodes[name].pulse()
            self.seen["repr"] |= {repr(report).encode(), str(report).encode()}
            self.seen["carrier"] |= set(files(self.folder / "carrier"))

    def fails(self, error: type[BaseException], call: Callable[..., object], *args: object, **settings: object) -> None:
        """Have a call fail, and keep all that its error shows, its traceback without the locals of frames."""
        with pytest.raises(error) as caught:
            call(*args, **settings)
        shown = [*traceback.format_exception(caught.value)]
        link: BaseException | None = caught.value
        while link is not None:
            shown += [str(link), repr(link), *map(str, link.args), *getattr(link, "__notes__", [])]
            link = link.__cause__ or link.__context__
        self.seen["error"].add("\n".join(shown).encode())

    def look(self) -> None:
        """Look at homes as they lie on disk, and at what nodes and all that hangs on them show of themselves."""
        for name in self.nodes:
            self.seen["key file"] |= set(files(self.folder / name, "identity.key"))
            self.seen["database"] |= set(files(self.folder / name)) - self.seen["key file"]
        shown = set(reprs_below(*self.nodes.values()))
        for node in self.nodes.values():
            with contextlib.suppress(SymfedError):
                shown |= {*map(repr, node.members_), str(node.status()), node.status()._repr_html_()}
                shown |= {repr(node.psr_), node.psr_._repr_html_(), repr(node.psr_.schema), repr(node.psr_.moments())}
        self.seen["repr"] |= {text.encode() for text in shown}

    def found(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> dict[str, set[str]]:
        """Return which kinds of secrets have come to light where."""
        formatter = logging.Formatter()
        self.seen["log"] |= {formatter.format(record).encode() for record in caplog.records}
        self.seen["log"] |= {repr(record.args).encode() for record in caplog.records}
        self.seen["output"] |= {text.encode() for text in capfd.readouterr()}
        first = next(node._membership._node.chain.links[0] for node in self.nodes.values() if node._membership)
        public = {first.values["nonce"]}  # noqa: PD011 - makes two federations of one founder differ
        seeds = {data[8:] for data in self.seen["key file"]}
        for secret in self.drawn - public:
            self.canaries.add("seed" if secret in seeds else "drawn", secret)
        return {
            place: set().union(*(self.canaries.found(data) for data in every)) for place, every in self.seen.items()
        }
