"""The transports of this package keep the contract, and a directory survives what happens to directories."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import uuid
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from sklearn_symfed.exceptions import FederationError, SettingError, TransportError
from sklearn_symfed.federation.transports import DirectoryTransport, MemoryTransport, open_transport
from sklearn_symfed.federation.transports import _url as url_module
from sklearn_symfed.federation.transports import memory as memory_module
from sklearn_symfed.federation.transports.directory import folder_of, member_of
from sklearn_symfed.testing import FaultyTransport, TransportTests
from sklearn_symfed.testing._transports import SKIPS, drain


def url_of(path):
    return path.as_uri().replace("file", "dir", 1)


class TestMemory(TransportTests):
    back_end = "memory"

    @pytest.fixture(autouse=True)
    def _place(self):
        self.url = f"memory://{uuid.uuid4()}"

    def make(self, member):
        return MemoryTransport(self.url, member, max_payload=100_000)

    def remove_inbox(self, member):
        del memory_module._hubs[self.url.removeprefix("memory://")].inboxes[member]


class TestDirectory(TransportTests):
    back_end = "dir"

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.place, self.url = tmp_path, url_of(tmp_path)

    def make(self, member):
        return open_transport(self.url, member)

    def remove_inbox(self, member):
        shutil.rmtree(self.place / folder_of(member))

    def poison(self, member):
        (self.place / folder_of(member) / f"{0:020d}-{0:016x}-{0:032x}.msg").write_bytes(b"SYMFED")


class TestFaultyMemory(TestMemory):
    """Late, repeated and shuffled messages are within the contract; lost ones are not."""

    def make(self, member):
        inner = MemoryTransport(self.url, member, max_payload=100_000)
        return FaultyTransport(inner, seed=7, duplicate=0.5, reorder=0.5, delay=0.3)


def test_what_back_ends_cannot_provide_is_listed():
    """The hooks that a back end lacks are these; no test of a carrier is skipped for another reason."""
    assert {name: sorted(skips) for name, skips in SKIPS.items()} == {
        "dir": ["restart_server", "slowly", "with_wrong_credentials"],
        "memory": ["poison", "restart_server", "slowly", "with_wrong_credentials"],
        "aws, moto": ["restart_server"],
        "aws, ministack": ["with_wrong_credentials"],
    }


def faulty_arrivals(seed):
    url = f"memory://{uuid.uuid4()}"
    sender = MemoryTransport(url, "a")
    reader = FaultyTransport(MemoryTransport(url, "b"), seed, drop=0.3, duplicate=0.3, reorder=0.5, delay=0.3)
    arrivals = []
    for number in range(40):
        sender.publish(b"%d" % number)
        for delivery in reader.receive(10):
            arrivals.append(delivery.data)
            reader.ack(delivery)
    return arrivals


def test_faults_are_repeatable():
    """The same seed gives the same faults, another seed others, and each kind of fault happens."""
    first = faulty_arrivals(1)
    assert first == faulty_arrivals(1)
    assert first != faulty_arrivals(2)
    numbers = [int(data) for data in first]
    assert len(set(numbers)) < 40
    assert len(set(numbers)) < len(numbers)
    assert numbers != sorted(numbers)


def test_unknown_scheme_lists_the_known():
    """An unknown scheme is a ValueError that lists those that are known."""
    for url in ("ftp://x", "nothing", "", None):
        with pytest.raises(SettingError, match="dir://, memory://") as caught:
            open_transport(url, "a")
        assert isinstance(caught.value, ValueError)


def test_third_party_scheme(monkeypatch):
    """An entry point of another package adds a scheme, and is listed."""
    points = EntryPoints([EntryPoint("pigeon", f"{__name__}:Pigeon", url_module.ENTRY_POINTS)])
    monkeypatch.setattr(url_module, "entry_points", points.select)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Pigeon)
    assert isinstance(open_transport("pigeon://loft", "a"), Pigeon)
    with pytest.raises(SettingError, match="pigeon://"):
        open_transport("hawk://loft", "a")


class Pigeon(MemoryTransport):
    def __init__(self, url, member, *, create=False):
        super().__init__(url.replace("pigeon", "memory"), member, create=create)


@pytest.mark.parametrize("url", ["dir://host/x", "dir://", "dir:///a?b", "dir:///a#b", "memory://"])
def test_malformed_url(url):
    """A URL of a known scheme that names no place is refused."""
    with pytest.raises(SettingError):
        open_transport(url, "a")


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "x" * 81, "\ud800", "a\0", "a\u200bb", "\u202ea", "a\u2028b", 3, None]
)
def test_impossible_names(name):
    """A name that no transport could carry is refused."""
    with pytest.raises(SettingError, match="expected"):
        MemoryTransport("memory://names", name)


@pytest.mark.parametrize("name", ["../x", "a/b", "Zürich", "..", ".", "A", "a", "%41", "名", "con", "a\\b", "x:y"])
def test_folder_names_are_safe_and_reversible(name):
    """A member's folder is one safe file name, from which the member can be told."""
    folder = folder_of(name)
    assert member_of(folder) == name
    assert set(folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_%")
    assert folder_of("A").lower() != folder_of("a")


@pytest.mark.parametrize("folder", ["lost+found", "inbox-", "inbox-%", "inbox-%ff", "inbox-A", "inbox-%2E", ".git"])
def test_foreign_folders_are_no_inboxes(folder):
    """A folder that this package would not have named is nobody's inbox."""
    assert member_of(folder) is None


@pytest.fixture
def pair(tmp_path):
    a, b = DirectoryTransport(url_of(tmp_path), "a"), DirectoryTransport(url_of(tmp_path), "b")
    return a, b, tmp_path / "inbox-b"


def test_path_with_spaces_and_unicode(tmp_path):
    """A URL may escape what a path may hold."""
    place = tmp_path / "Zürich 100%#?"
    place.mkdir()
    a, b = DirectoryTransport(url_of(place), "a"), DirectoryTransport(url_of(place), "b")
    a.publish(b"x")
    assert drain(b) == [b"x"]


def test_foreign_and_temporary_files_are_left_alone(pair):
    """Files and folders that are no messages, in an inbox or beside it, disturb nobody and stay."""
    a, b, inbox = pair
    (inbox / "notes.txt").write_text("mine")
    (inbox / ".tmp-half").write_bytes(b"SYM")
    (inbox / "folder.msg").mkdir()
    (inbox.parent / "inbox-README").write_text("a file")
    (inbox.parent / "thesis").mkdir()
    (inbox.parent / "inbox-c").symlink_to(inbox)
    a.publish(b"x")
    assert drain(b) == [b"x"]
    assert {entry.name for entry in inbox.iterdir()} == {"notes.txt", ".tmp-half", "folder.msg"}


@pytest.mark.parametrize("keep", [0, 7, 48, 50, -1])
def test_torn_files_are_set_aside(pair, keep, caplog):
    """A message of which a part is missing is set aside with one log line, and later ones arrive."""
    a, b, inbox = pair
    a.publish(b"torn")
    (file,) = inbox.iterdir()
    file.write_bytes(file.read_bytes()[:keep])
    a.publish(b"whole")
    assert drain(b) == [b"whole"]
    assert [entry.suffix for entry in inbox.iterdir()] == [".torn"]
    assert sum("torn" in record.message for record in caplog.records) == 1


def test_altered_and_oversized_files_are_set_aside(pair):
    """A message with a changed byte, or larger than can be, is set aside."""
    a, b, inbox = pair
    b.max_payload = 1000
    for change in (lambda blob: blob[:-1] + b"?", lambda blob: blob + b"x" * 2000):
        a.publish(b"message")
        (file,) = inbox.glob("*.msg")
        file.write_bytes(change(file.read_bytes()))
        assert drain(b) == []
    assert len(list(inbox.glob("*.torn"))) == 2


def test_abandoned_temporaries_are_swept(pair):
    """What a killed writer left goes when the inbox is opened a day later."""
    _, _, inbox = pair
    for name in (".tmp-old", ".tmp-new"):
        (inbox / name).write_bytes(b"half")
    os.utime(inbox / ".tmp-old", (0, 0))
    DirectoryTransport(url_of(inbox.parent), "b")
    assert [entry.name for entry in inbox.iterdir()] == [".tmp-new"]


def test_missing_directory(tmp_path):
    """A missing directory is an error that says what was expected; only its last part is created, and only if asked."""
    with pytest.raises(TransportError, match="expected a folder that exists"):
        DirectoryTransport(url_of(tmp_path / "new"), "a")
    with pytest.raises(TransportError):
        DirectoryTransport(url_of(tmp_path / "new" / "deep"), "a", create=True)
    assert list(tmp_path.iterdir()) == []
    assert DirectoryTransport(url_of(tmp_path / "new"), "a", create=True).existed is False
    assert DirectoryTransport(url_of(tmp_path / "new"), "a", create=True).existed is True
    with pytest.raises(FederationError, match="members 'a'"):
        DirectoryTransport(url_of(tmp_path / "new"), "b", create=True)


def test_file_in_place_of_directory(tmp_path):
    """A file where the directory or an inbox should be is an error."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(TransportError, match="Not a directory"):
        DirectoryTransport(url_of(tmp_path / "file"), "a", create=True)
    (tmp_path / "inbox-a").write_text("x")
    with pytest.raises(TransportError, match="Not a directory"):
        DirectoryTransport(url_of(tmp_path), "a")


def test_directory_that_goes_away(pair):
    """A share that is unmounted meanwhile is an error of the carrier, for reader and writer."""
    a, b, inbox = pair
    inbox.parent.rename(inbox.parent.with_name("elsewhere"))
    with pytest.raises(TransportError, match="gone or not mounted"):
        a.publish(b"x")
    with pytest.raises(TransportError, match="gone or not mounted"):
        b.receive(1)


@pytest.mark.parametrize("function", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_failing_writes_leave_nothing(pair, monkeypatch, function, code):
    """A full disk or a read-only one is a TransportError, and no part of a message is left behind."""
    a, b, inbox = pair

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(TransportError, match=os.strerror(code)):
            a.publish(b"x")
    assert list(inbox.iterdir()) == []
    a.publish(b"y")
    assert drain(b) == [b"y"]


def test_short_writes_are_continued(pair, monkeypatch):
    """A system that takes a few bytes at a time gets them all; one that takes none is full."""
    a, b, inbox = pair
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:5]))
        a.publish(b"a long message")
        patch.setattr(os, "write", lambda file, data: 0)
        with pytest.raises(TransportError, match="No space left"):
            a.publish(b"another")
    assert len(list(inbox.iterdir())) == 1
    assert drain(b) == [b"a long message"]


def test_disk_full_at_second_inbox(pair, monkeypatch):
    """A broadcast that does not fit into all inboxes is seen in none."""
    a, _, inbox = pair
    DirectoryTransport(a.url, "c")
    fsync, calls = os.fsync, []

    def fail_second(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_second)
        with pytest.raises(TransportError):
            a.publish(b"x")
    assert not [path for folder in (inbox, inbox.parent / "inbox-c") for path in folder.iterdir()]


def test_memory_is_thread_safe():
    """Many threads that publish at once lose nothing."""
    url = f"memory://{uuid.uuid4()}"
    reader = MemoryTransport(url, "reader")

    def work(name):
        transport = MemoryTransport(url, name)
        for number in range(100):
            transport.publish(f"{name}{number}".encode(), to="reader")

    threads = [threading.Thread(target=work, args=(f"w{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drain(reader)) == 400
