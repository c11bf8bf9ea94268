"""A transport in a package of its own is found by its entry point, and inherits the suite that proves it."""

from __future__ import annotations

import contextlib
import importlib
import sqlite3
import sys
import tomllib
from pathlib import Path

import pytest

from sklearn_symfed import PSR, FederatedPSR
from sklearn_symfed.exceptions import FederationError, SettingError, TransportError
from sklearn_symfed.federation.transports import open_transport
from sklearn_symfed.testing import TransportTests

EXAMPLE = Path(__file__).parents[1] / "example_transport"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install the example, as pip does: its module, and a folder that says what it offers."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    information = tmp_path / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (information / "entry_points.txt").write_text("\n".join(groups))
    for folder in (EXAMPLE, information.parent):
        monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield f"sqlite://{tmp_path}/carrier.db"
    sys.modules.pop("symfed_sqlite", None)


class TestSqlite(TransportTests):
    back_end = "sqlite"
    skips = dict.fromkeys(
        ("with_wrong_credentials", "restart_server", "slowly", "poison"), "it is a file, whose rows are all messages"
    )

    @pytest.fixture(autouse=True)
    def _place(self, installed):
        self.url = installed
        open_transport(self.url, "founder", create=True).close()

    def make(self, member):
        return open_transport(self.url, member)

    def remove_inbox(self, member):
        with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite://"))) as connection:
            connection.execute("DELETE FROM inboxes WHERE member = ?", [member])
            connection.commit()


def test_a_federation_over_it(installed):
    """Members found, join and converge over the carrier of another package, which the URL names."""
    keys = {"guard": "off", "on_recovery_key": lambda _: None}
    a = FederatedPSR().create_federation("f", installed, member="a", **keys).partial_fit([[1.0, 2.0]])
    b = FederatedPSR().join(*a.invite("b"))
    for node in (a, b):
        node.pulse()
    b.partial_fit([[3.0, 4.0]])
    for node in (b, a):
        node.pulse()
    assert a.psr_ == b.psr_ == PSR.from_rows([[1.0, 2.0], [3.0, 4.0]])
    for node in (a, b):
        node.close()


def test_its_errors(installed):
    """No file, a file of something else, and a second founder are errors of this package."""
    with pytest.raises(TransportError, match="Got no file"):
        open_transport(installed, "a")
    open_transport(installed, "a", create=True).close()
    with pytest.raises(FederationError, match="members 'a'"):
        open_transport(installed, "b", create=True)
    Path(installed.removeprefix("sqlite://")).write_bytes(b"no database" * 100)
    with pytest.raises(TransportError, match="Got DatabaseError"):
        open_transport(installed, "a")


def test_without_it_the_scheme_is_not_known():
    """Where the package is not installed its scheme is none."""
    with pytest.raises(SettingError, match=r"expected one of [^q]*memory://"):
        open_transport("sqlite:///x", "a")
