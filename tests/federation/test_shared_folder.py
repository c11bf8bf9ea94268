"""Members that are different users of a machine share a folder under any umask, as far as the folder lets them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation.transports import DirectoryTransport
from sklearn_symfed.testing._transports import drain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
as_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can become others")

GROUP = 4242


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@contextlib.contextmanager
def umask(mask):
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


@contextlib.contextmanager
def user(number, groups=()):
    """Be another user, with the umask that is usual."""
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(number)
    os.seteuid(number)
    try:
        with umask(0o022):
            yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


@pytest.fixture
def share():
    """Yield a folder that other users can reach, which those that pytest makes are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        share = Path(folder, "share")
        share.mkdir()
        yield share


def transport(folder, member, **options):
    return DirectoryTransport(f"dir://{folder}", member, **options)


@pytest.mark.parametrize(
    ("granted", "message"),
    [(0o777, 0o666), (0o1777, 0o666), (0o770, 0o660), (0o2770, 0o660), (0o755, 0o644), (0o700, 0o600)],
)
@pytest.mark.parametrize("mask", [0o022, 0o077, 0])
def test_what_is_made_is_open_to_whom_the_folder_is(share, granted, message, mask):
    """The folder of a federation, inboxes and messages have the bits of the folder around them, under any umask."""
    share.chmod(granted)
    with umask(mask):
        a = transport(share / "flights", "a", create=True)
        transport(share / "flights", "b")
        a.publish(b"x")
    (file,) = (share / "flights" / "inbox-b").iterdir()
    assert {mode_of(path) for path in (share / "flights", *(share / "flights").iterdir())} == {granted}
    assert mode_of(file) == message


def test_an_inbox_whose_maker_was_killed_is_opened(share):
    """An inbox that never got its bits gets them when its member opens it again."""
    share.chmod(0o777)
    (share / "inbox-a").mkdir(0o755)
    transport(share, "a")
    assert mode_of(share / "inbox-a") == 0o777


def test_a_file_system_without_modes_will_do(share, monkeypatch):
    """Where modes cannot be changed, members go on with those that there are."""

    def refuse(*args, **kwargs):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(os, "chown", refuse)
    a, b = transport(share, "a"), transport(share, "b")
    a.publish(b"x")
    assert drain(b) == [b"x"]


@as_root
@pytest.mark.parametrize(("granted", "groups"), [(0o777, []), (0o1777, []), (0o2770, [GROUP]), (0o770, [GROUP])])
def test_users_exchange_messages(share, granted, groups):
    """Two users write to each other where the folder lets all write, or the group that both are in."""
    os.chown(share, 0, GROUP)
    share.chmod(granted)
    with user(1001, groups):
        transport(share / "flights", "a", create=True)
    with user(1002, groups):
        transport(share / "flights", "b").publish(b"to a")
    with user(1001, groups):
        a = transport(share / "flights", "a")
        assert drain(a) == [b"to a"]
        a.publish(b"to b")
    with user(1002, groups):
        assert drain(transport(share / "flights", "b")) == [b"to b"]


@as_root
def test_a_stranger_gets_no_more_than_the_folder_grants(share):
    """A folder of a group lets no others in, and a maker that is not of that group opens nothing to its own group."""
    os.chown(share, 1001, GROUP)
    share.chmod(0o770)
    with user(1001):
        transport(share, "a")
    with user(1002), pytest.raises(TransportError, match="mode 0770"):
        transport(share, "b")
    assert mode_of(share / "inbox-a") == 0o700


@as_root
@pytest.mark.parametrize(("granted", "inbox"), [(0o755, 0o777), (0o700, 0o777), (0o777, 0o755)])
def test_denied_access_names_what_denies_it(share, granted, inbox):
    """Where a user may not write, the error says to which folder, its mode and owner, and what to do."""
    share.chmod(0o777)
    with user(1001):
        transport(share, "a")
    share.chmod(granted)
    (share / "inbox-a").chmod(inbox)
    denying = share if granted != 0o777 else share / "inbox-a"
    found = f"'{denying}' has mode {mode_of(denying):04o}, owner {denying.stat().st_uid} and group .*chmod 2770"
    with user(1002), pytest.raises(TransportError, match=found):
        transport(share, "b").publish(b"x")


@as_root
@pytest.mark.parametrize(("granted", "stays"), [(0o777, False), (0o1777, True)])
def test_an_inbox_is_taken_down_where_the_folder_lets_one(share, granted, stays):
    """An admin removes the inbox of another user, unless the folder keeps what is somebody's to its owner."""
    share.chmod(granted)
    with user(1001):
        transport(share, "a")
    with user(1002):
        b = transport(share, "b")
        b.publish(b"x")
        b.discard("a")
    assert (share / "inbox-a").exists() is stays
    assert sorted(path.name for path in share.iterdir() if path.name != "inbox-a") == ["inbox-b"]
