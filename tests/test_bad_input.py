"""Bad input gets the error that docs/bad_input.md promises, and changes nothing in memory, at home, at the peers."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sklearn_symfed import PSR, FederatedPSR
from sklearn_symfed.exceptions import (
    DataError,
    DataTypeError,
    FederationError,
    ForgetError,
    HomeInUseError,
    SchemaError,
    StoreError,
    TransportError,
)
from sklearn_symfed.federation import Store

_DOCS = Path(__file__).resolve().parents[1] / "docs" / "bad_input.md"
_CANARY = 987654.25  # a value that no message may show


def _rows(n: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"age": rng.integers(20, 80, n), "dose": rng.normal(size=n), "fee": rng.integers(0, 9, n) / 4})
    return frame.assign(late=frame.dose > 0)


def _with(column: str, value: object, row: int = 7) -> pd.DataFrame:
    frame = _rows().assign(fee=_rows().fee + _CANARY)
    frame = frame.astype({column: object} if isinstance(value, str) else {column: float})
    frame.loc[row, column] = value
    return frame


def _labels(value: object) -> pd.DataFrame:
    labels = _rows().late.astype(object)
    labels[3] = value
    return _rows().assign(late=labels)


_ROWS = {
    "NaN": (lambda: _with("dose", np.nan), DataError, "NaN: column 'dose', row 7"),
    "infinity": (lambda: _with("age", -np.inf), DataError, "infinity: column 'age', row 7"),
    "NaN after 40,000 good rows": (
        lambda: pd.concat([*[_rows(8_000)] * 5, _with("fee", np.nan, row=2)], ignore_index=True),
        DataError,
        "column 'fee', row 40002",
    ),
    "no rows": (lambda: _rows()[:0], DataError, "0 sample"),
    "a column missing": (lambda: _rows().drop(columns="fee"), ValueError, "fee"),
    "a column too many": (lambda: _rows().assign(extra=1.0), ValueError, "extra"),
    "renamed columns": (lambda: _rows().rename(columns={"fee": "Fee"}), ValueError, "Fee"),
    "an array of another width": (lambda: (np.ones((5, 2)), np.ones(5)), ValueError, "columns|features"),
    "a number that is no such decimal": (lambda: _with("fee", 0.125), DataError, "column 'fee', row 7 .* 2 digits"),
    "decimals too large to be told apart": (
        lambda: _with("fee", 2.0**45),
        DataError,
        "column 'fee', row 7 .* less than",
    ),
    "a number outside of its range": (lambda: _with("age", 999.0), DataError, "row 7 .* 0 to 150 in column 'age'"),
    "a number outside of its range in a later batch of a stream": (
        lambda: iter([_rows(), _with("age", -0.5)]),
        DataError,
        "row 7 .* 0 to 150 in column 'age'.* from row 30 of the stream",
    ),
    "`decimal.Decimal` where none is declared": (
        lambda: _rows().assign(dose=[Decimal("0.5")] * 30),
        DataTypeError,
        "decimals={'dose'",
    ),
    "strings as objects": (lambda: _with("fee", f"{_CANARY}"), DataTypeError, "column 'fee'"),
    "dates": (lambda: _rows().assign(fee=pd.Timestamp("2024-01-01")), DataTypeError, "as to days: .* or declare units"),
    "complex numbers": (lambda: _rows().assign(fee=1j), DataTypeError, "[Cc]omplex"),
    "extended precision": (lambda: _rows().assign(fee=np.ones(30, np.longdouble)), DataTypeError, "float64"),
    "sparse labels": (lambda: (_rows().iloc[:, :3], sparse.csr_array(np.ones((30, 1)))), DataTypeError, "[Ss]parse"),
    "one-dimensional X": (lambda: (np.ones(5), [True] * 5), ValueError, "2D array"),
    "duplicate column names": (lambda: _rows().set_axis(["age", "age", "fee", "late"], axis=1), ValueError, "age"),
    "a NaN label": (lambda: _labels(np.nan), DataError, "missing label.*row 3"),
    "a label that is no integer": (lambda: _rows().assign(late=np.full(30, 0.5)), DataError, "label type"),
    "labels of another kind": (lambda: _rows().assign(late=1), SchemaError, "bool.*int"),
    "mixed labels": (lambda: _labels("yes"), SchemaError, "bool.*str"),
    "no labels": (lambda: _rows().drop(columns="late"), SchemaError, "'late'"),
    "a negative weight": (lambda: (_rows(), None, np.full(30, -1.0)), DataError, "sample_weight in row 0"),
    "weights of another length": (lambda: (_rows(), None, np.ones(29)), DataError, "sample_weight of shape"),
    "weights that are all zero": (lambda: (_rows(), None, np.zeros(30)), DataError, "zero"),
    "NaN in a later batch of a stream": (
        lambda: iter([_rows(), _with("dose", np.nan)]),
        DataError,
        "column 'dose', row 37",
    ),
    "an empty stream": (lambda: iter(()), DataError, "at least one batch"),
    "rows of different lengths in a stream": (lambda: iter([[1.0, 2.0], [1.0]]), DataError, "different lengths"),
}


def _fit(node: FederatedPSR, _: Path, __: pytest.MonkeyPatch) -> None:
    node.fit(_rows())


def _forget_others(node: FederatedPSR, _: Path, __: pytest.MonkeyPatch) -> None:
    node.forget(_rows(31))


def _broken_stream(node: FederatedPSR, _: Path, __: pytest.MonkeyPatch) -> None:
    def stream() -> Iterator[pd.DataFrame]:
        yield _rows()
        raise ConnectionError("the line is down")

    node.partial_fit(stream())


def _other_decimals(node: FederatedPSR, _: Path, __: pytest.MonkeyPatch) -> None:
    node.partial_fit(PSR.from_rows(_rows(), classes="late", decimals={"fee": 3}))


def _other_ranges(node: FederatedPSR, _: Path, __: pytest.MonkeyPatch) -> None:
    node.partial_fit(PSR.from_rows(_rows(), classes="late", decimals={"fee": 2}))


def _same_batch_other_rows(node: FederatedPSR, _: Path, __: pytest.MonkeyPatch) -> None:
    node.partial_fit(_rows(8), batch_id="one")


def _full_disk_at_home(node: FederatedPSR, _: Path, patch: pytest.MonkeyPatch) -> None:
    def full(self: Store, *_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    patch.setattr(Store, "_write_local", full)
    node.partial_fit(_rows(9), batch_id="two")


def _join_at(folder: Path) -> None:
    """Join by an invite of a federation that is at that folder for others."""
    place = folder.parent / "elsewhere"
    url = f"dir://{place}"
    admin = FederatedPSR().create_federation("f", url, member="a", guard="off", on_recovery_key=lambda _: None)
    admin._federation()._store.set("url", f"dir://{folder}")
    with admin:
        FederatedPSR().join(*admin.invite("x"))


def _join_missing_directory(_: FederatedPSR, place: Path, __: pytest.MonkeyPatch) -> None:
    _join_at(place / "nowhere")


def _join_file(_: FederatedPSR, place: Path, __: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("not a folder")
    _join_at(place / "file")


def _create_unwritable(_: FederatedPSR, place: Path, patch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    patch.setattr(Path, "mkdir", denied)
    FederatedPSR().create_federation("other", f"dir://{place}/other", member="x", guard="off")


def _home_of_other_files(_: FederatedPSR, place: Path, __: pytest.MonkeyPatch) -> None:
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter-1.txt").write_text("It was a dark and stormy night")
    FederatedPSR(home=place / "thesis").partial_fit(_rows())


def _home_in_use(node: FederatedPSR, _: Path, __: pytest.MonkeyPatch) -> None:
    FederatedPSR.open(node.home)


_CALLS = {
    "`fit` on a member": (_fit, FederationError, "member"),
    "forgetting what was not learned": (_forget_others, ForgetError, "never learned"),
    "a stream that fails in the middle": (_broken_stream, ConnectionError, "line is down"),
    "other decimals": (_other_decimals, SchemaError, "'fee': 3 instead of 2"),
    "other ranges": (_other_ranges, SchemaError, "'age': none instead of 0 to 150"),
    "other rows under a known `batch_id`": (_same_batch_other_rows, FederationError, "batch_id='one'"),
    "a full disk at home": (_full_disk_at_home, StoreError, "full"),
    "a carrier's directory that is missing": (_join_missing_directory, TransportError, "No such file"),
    "a file in place of the directory": (_join_file, TransportError, "folder that exists"),
    "a directory that cannot be written": (_create_unwritable, TransportError, "Permission denied"),
    "a home that holds other files": (_home_of_other_files, StoreError, "other files"),
    "a home that is in use": (_home_in_use, HomeInUseError, "in use"),
}


@pytest.fixture
def node(tmp_path):
    """Make a member with 30 rows, published, and a peer that holds them."""
    url = f"dir://{tmp_path}/federation"
    declared = {"decimals": {"fee": 2}, "ranges": {"age": (0, 150)}}
    with_home = FederatedPSR(home=tmp_path / "home", classes="late", **declared)
    with_home.create_federation("trial", url, guard="off", on_recovery_key=lambda _: None)
    peer = FederatedPSR(classes="late").join(*with_home.invite("peer"))
    with_home.partial_fit(_rows(), batch_id="one")
    for _ in range(3):
        with_home.pulse()
        peer.pulse()
    assert peer.psr_ == with_home.psr_
    yield with_home
    with_home.close()
    peer.close()


def _state(node: FederatedPSR) -> dict[str, object]:
    status = node.status()
    return {
        "digest": node.psr_.digest,
        "stored": node._store.get("local"),
        "batches": node._store.batches,
        "version": status.version,
        "published": status.published,
        "attributes": {name: repr(value) for name, value in vars(node).items() if name.endswith("_")},
    }


@pytest.mark.parametrize("case", _ROWS, ids=lambda case: case.replace(" ", "-"))
def test_bad_rows_are_refused_and_change_nothing(node, case):
    """Rows that cannot be learned raise the promised error, which holds no value, and leave the node as it was."""
    make, error, message = _ROWS[case]
    before, rows = _state(node), make()
    with pytest.raises(error, match=message) as caught:
        node.partial_fit(*rows, batch_id="bad") if isinstance(rows, tuple) else node.partial_fit(rows, batch_id="bad")
    assert str(int(_CANARY)) not in str(caught.value)
    assert _state(node) == before
    assert node.partial_fit(_rows(12), batch_id="bad").local_psr_.n_rows == 42


@pytest.mark.parametrize("case", _CALLS, ids=lambda case: case.replace(" ", "-"))
def test_calls_that_cannot_be_are_refused_and_change_nothing(node, tmp_path, monkeypatch, case):
    """A call that does not fit, or a disk that fails, raises the promised error and leaves the node as it was."""
    call, error, message = _CALLS[case]
    before = _state(node)
    with monkeypatch.context() as patch, pytest.raises(error, match=message):
        call(node, tmp_path, patch)
    assert _state(node) == before
    assert node.pulse().status in {"published", "unchanged"}


def test_a_full_disk_at_the_carrier_loses_nothing(node, monkeypatch):
    """A pulse that cannot write says so, and a later one sends what it could not."""
    node.partial_fit(_rows(6), batch_id="two")
    before = _state(node)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(TransportError, match="No space left"):
            node.pulse()
    after = _state(node)
    assert all(after[key] == before[key] for key in ("digest", "stored", "batches", "attributes"))
    assert node.pulse().status == "published"


def test_a_foreign_file_at_the_carrier_breaks_no_reader(node, tmp_path):
    """Files that nobody of the federation wrote are left alone or set aside, and pulses go on."""
    (inbox,) = (tmp_path / "federation").glob("*home")
    (inbox / "holiday.jpg").write_bytes(b"\xff\xd8\xff")
    (inbox / f"{0:020d}-{'0' * 16}-{'0' * 32}.msg").write_bytes(b"torn")
    before = _state(node)
    assert node.pulse().status == "unchanged"
    assert _state(node) == before
    assert (inbox / "holiday.jpg").read_bytes() == b"\xff\xd8\xff"


def test_the_docs_list_every_case():
    """docs/bad_input.md names each case with the error that it gets."""
    page = _DOCS.read_text(encoding="utf-8")
    carrier = {"a full disk at the carrier": (None, TransportError, "")}
    for case, (_, error, _) in {**_ROWS, **_CALLS, **carrier}.items():
        shown = "whatever it raised" if error is ConnectionError else f"`{error.__name__}`"
        assert f"| {case} | {shown}" in page, case
