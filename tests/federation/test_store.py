"""A home keeps what was committed, is one node's alone, and says what is wrong with it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from sklearn_symfed.exceptions import FederationError, ForgetError, FormatError, HomeInUseError, SchemaError, StoreError
from sklearn_symfed.federation import Store
from sklearn_symfed.federation import _store as store_module
from sklearn_symfed.federation._claims import Mark, signed_claim
from sklearn_symfed.federation._home import DATABASE, KEY_FILE, network_file_system
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._peers import Slot, Word
from sklearn_symfed.psr import PSR

A, B = PSR.from_rows([[1.0, 2.0]]), PSR.from_rows([[3.0, 4.0]])
ALICE = Identity(bytes(32))


def slot(version, psr, digest=None):
    """Return a slot that its owner has signed."""
    mark = Mark(1, version, digest or ("" if psr is None else psr.digest))
    return Slot(signed_claim(mark, "", (), bytes(32), "alice", ALICE.sign), psr)


@pytest.fixture(params=["disk", "memory"])
def store(request, tmp_path):
    with Store.open(tmp_path / "home" if request.param == "disk" else None) as store:
        yield store


def test_a_named_batch_is_learned_once(store):
    """Learning a named batch again does nothing; other rows under its name are refused."""
    assert store.local is None
    assert store.learn(A, "january")
    assert not store.learn(A, "january")
    assert store.learn(A)
    with pytest.raises(FederationError, match="'january'"):
        store.learn(B, "january")
    assert store.local == A + A
    assert store.batches == {"january": A.digest}


def test_a_named_batch_is_forgotten_once(store):
    """Forgetting a named batch again does nothing; it can be learned anew, and forgotten anew."""
    store.learn(A, "january")
    store.learn(B, "february")
    assert store.forget(A, "january")
    assert not store.forget(A, "january")
    with pytest.raises(FederationError, match="'february'"):
        store.forget(A, "february")
    assert store.local == B
    assert store.batches == {"february": B.digest}
    assert store.learn(A, "january")
    assert store.forget(A, "january")
    assert store.learn(B, "january")
    assert store.local == B + B


def test_a_batch_that_was_never_learned_cannot_be_forgotten(store):
    """A name under which nothing was learned is an error, so that a misspelt one is not taken for forgetting."""
    store.learn(A, "january")
    with pytest.raises(FederationError, match="batch_id='janury', under which nothing was learned"):
        store.forget(A, "janury")
    assert store.local == A


def test_refused_learning_changes_nothing(store):
    """Columns that do not match, rows that were never learned and impossible names leave the store as it was."""
    store.learn(A, "january")
    with pytest.raises(SchemaError):
        store.learn(PSR.from_rows([[1.0]]), "february")
    with pytest.raises(ForgetError):
        store.forget(B)
    for name in ("", 3):
        with pytest.raises(FederationError, match="batch_id"):
            store.learn(B, name)
    assert store.local == A
    assert store.batches == {"january": A.digest}


def test_reset_drops_names_too(store):
    """After a reset everything is forgotten, and can be learned again."""
    store.learn(A, "january")
    store.reset()
    assert store.local is None
    assert store.batches == {}
    assert not store.forget(A, "january")
    assert store.learn(A, "january")


def test_failed_transaction_leaves_nothing(store):
    """What is written in a transaction that fails is not there, nested or not."""

    def fail():
        with store.transaction():
            store.set("seq", 1)
            store.set_slot("b", slot(1, A))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.get("seq") is None
    assert store.slots == {}


def test_everything_comes_back(tmp_path):
    """A home that is opened again holds all that was committed."""
    slots = {"b": slot(2, B), "c": slot(0, None)}
    word = Word(9, {"a": Mark(1, 1, A.digest), "b": slots["b"].mark})
    with Store.open(tmp_path / "home") as store:
        store.learn(A, "january")
        store.set("seq", 7)
        store.set_word("b", word, 12.5)
        for member, held in slots.items():
            store.set_slot(member, held)
        store.add_refusal(1.0, None, "why")
    with Store.open(tmp_path / "home") as store:
        assert store.local == A
        assert store.batches == {"january": A.digest}
        assert store.get("seq") == 7
        assert store.slots == slots
        assert store.words == {"b": word}
        assert store.heard == {"b": 12.5}
        assert store.refusals == [(1.0, None, "why")]


def test_refusals_are_bounded(store, monkeypatch):
    """Only the newest refusals are kept."""
    monkeypatch.setattr(store_module, "_REFUSALS", 3)
    for number in range(10):
        store.add_refusal(float(number), "b", str(number))
    assert [reason for _, _, reason in store.refusals] == ["7", "8", "9"]


def test_second_process_gets_a_clear_error(tmp_path):
    """A home in use by one process is refused to another, and free once that one was killed."""
    code = (
        "import sys\nfrom sklearn_symfed.federation import Store\nstore = Store.open(sys.argv[1])\n"
        "store.set('seq', 1)\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(HomeInUseError, match="in use by another process"):
            Store.open(tmp_path / "home")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with Store.open(tmp_path / "home") as store:
        assert store.get("seq") == 1


def test_second_store_in_one_process_gets_a_clear_error(tmp_path):
    """One home serves one store at a time, in one process as well."""
    with Store.open(tmp_path / "home"), pytest.raises(StoreError, match="in use"):
        Store.open(tmp_path / "home")
    Store.open(tmp_path / "home").close()


def test_places_that_are_no_home(tmp_path):
    """A missing parent, a file, a folder of other files and another program's database are refused and left alone."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("x")
    for name in ("garbage", "foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "garbage" / DATABASE).write_bytes(b"not a database" * 100)
    with sqlite3.connect(tmp_path / "foreign" / DATABASE) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    before = sorted(tmp_path.rglob("*"))
    for name in ("missing/home", "file", "folder", "garbage", "foreign"):
        with pytest.raises(StoreError, match=r"Got .*expected|is not a node's"):
            Store.open(tmp_path / name)
    assert sorted(path for path in tmp_path.rglob("*") if "-" not in path.name) == before


def test_newer_home_is_refused(tmp_path):
    """A home that a newer release wrote says so."""
    Store.open(tmp_path / "home").close()
    database = sqlite3.connect(tmp_path / "home" / DATABASE)
    database.execute("PRAGMA user_version = 4")
    database.execute("UPDATE format SET since = '7.8.9'")
    database.commit()
    database.close()
    with pytest.raises(FormatError, match=r"format 4, but this release reads format 3; install sklearn-symfed 7\.8\.9"):
        Store.open(tmp_path / "home")


def test_the_key_file_is_its_owners_alone(tmp_path):
    """The seed lies in a file of mode 0600 beside the database; one that others may read is refused."""
    with Store.open(tmp_path / "home") as store:
        identity = store.new_identity(bytes(range(32)))
    path = tmp_path / "home" / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    with Store.open(tmp_path / "home") as store:
        assert store.identity.public == identity.public
    path.chmod(0o640)
    with Store.open(tmp_path / "home") as store, pytest.raises(StoreError, match="chmod 600"):
        store.identity  # noqa: B018
    path.chmod(0o600)
    path.write_bytes(b"short")
    with Store.open(tmp_path / "home") as store, pytest.raises(StoreError, match="no key file"):
        store.identity  # noqa: B018
    path.unlink()
    with Store.open(tmp_path / "home") as store, pytest.raises(StoreError, match=r"lost its identity\.key"):
        store.identity  # noqa: B018


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    """A home on NFS or SMB, where locks and syncs are not to be relied on, is refused where that can be told."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 0:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 0:2 / {tmp_path}/share rw shared:1 - nfs4 server:/x rw\n"
        f"3 2 0:3 / {tmp_path}/share/local rw - xfs /dev/sdb rw\n"
        f"4 1 0:4 / {tmp_path}/donn\u00e9es\\040communes rw - cifs //server/x rw\n",
        encoding="utf-8",
    )
    assert network_file_system(tmp_path / "donn\u00e9es communes" / "home", mounts) == "cifs"
    assert network_file_system(tmp_path / "share" / "home", mounts) == "nfs4"
    assert network_file_system(tmp_path / "share" / "local" / "home", mounts) is None
    assert network_file_system(tmp_path / "shared", mounts) is None
    assert network_file_system(tmp_path, tmp_path / "none") is None
    monkeypatch.setattr("sklearn_symfed.federation._home.network_file_system", lambda folder: "cifs")
    with pytest.raises(StoreError, match="network file system \\(cifs\\)"):
        Store.open(tmp_path / "home")


def test_a_source_replaces_itself(store):
    """Statistics of another federation are counted once, by their newest."""
    store.learn(A)
    assert store.learn_source("f", B, b"o" * 16)
    assert not store.learn_source("f", B, b"o" * 16)
    assert store.learn_source("f", B + B, b"o" * 16 + b"p" * 16)
    assert store.local == A + B + B
    assert store.sources == {"f": b"o" * 16 + b"p" * 16}


def test_home_whose_creation_was_interrupted(tmp_path):
    """A folder, or a database without tables, that a killed process left behind becomes a home."""
    for name in ("folder", "database"):
        (tmp_path / name).mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "database" / DATABASE)) as database:
        database.execute("PRAGMA journal_mode = WAL").fetchall()
    for name in ("folder", "database"):
        with Store.open(tmp_path / name) as store:
            assert store.learn(A)


def test_a_database_appears_as_a_whole(tmp_path, monkeypatch):
    """A process that dies while it makes a home leaves none, and what it left is gone once there is one."""

    def fail(path):
        assert path.parent == tmp_path / "home"
        path.write_bytes(b"SQLite format 3\0")
        raise KeyboardInterrupt

    unfinished = [f"{name}.0123456789abcdef" for name in (DATABASE, KEY_FILE)]
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "create", fail)
        with pytest.raises(KeyboardInterrupt):
            Store.open(tmp_path / "home")
    for name in unfinished:  # as of one that was killed, which removes nothing
        (tmp_path / "home" / name).write_bytes(b"")
    with Store.open(tmp_path / "home") as store:
        assert store.learn(A)
        assert {path.name for path in store.home.iterdir()} == {DATABASE, f"{DATABASE}-wal"}


def test_two_processes_that_make_one_home(tmp_path, monkeypatch):
    """Whoever is second gets the error of a home in use, and takes nothing from the first."""
    first = []

    def create(path):
        monkeypatch.undo()
        first.append(Store.open(tmp_path / "home"))
        first[0].learn(A)
        store_module.create(path)

    monkeypatch.setattr(store_module, "create", create)
    with pytest.raises(StoreError, match="in use"):
        Store.open(tmp_path / "home")
    first[0].close()
    with Store.open(tmp_path / "home") as store:
        assert store.local == A


def test_a_log_without_its_database_is_no_new_home(tmp_path):
    """Where only SQLite's log of a lost database lies, no database is made that would take in what it says."""
    with Store.open(tmp_path / "home") as store:
        store.learn(A)
        (tmp_path / "home" / DATABASE).unlink()
    (tmp_path / "home" / f"{DATABASE}-wal").write_bytes(b"x")
    with pytest.raises(StoreError, match="holds other files"):
        Store.open(tmp_path / "home")


def test_a_home_is_written_ahead_and_synced_and_its_owners_alone(tmp_path):
    """The database logs ahead, syncs each commit, and can be read by nobody else, whoever may enter the folder."""
    (tmp_path / "home").mkdir(mode=0o755)
    with Store.open(tmp_path / "home") as store:
        store.learn(A)
        pragmas = [f"PRAGMA {name}" for name in ("journal_mode", "synchronous", "locking_mode")]
        assert [store._connection.execute(line).fetchone()[0] for line in pragmas] == ["wal", 2, "exclusive"]
        modes = {path.name: path.stat().st_mode & 0o777 for path in store.home.iterdir()}
        assert modes == {DATABASE: 0o600, f"{DATABASE}-wal": 0o600}


def test_no_home_there(tmp_path):
    """Whoever expects a home gets an error where there is none, and none is made."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(StoreError, match="where no home is"):
            Store.open(tmp_path / name, must_exist=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]
    Store.open(tmp_path / "home").close()
    Store.open(tmp_path / "home", must_exist=True).close()


@pytest.mark.parametrize("size", [0, 50, 512, 4096, 6000, 12288])
@pytest.mark.parametrize("must_exist", [True, False])
def test_a_database_that_was_cut_is_damage(tmp_path, size, must_exist):
    """A home whose database lost its end, or all of it, is never taken for a new one."""
    with Store.open(tmp_path / "home") as store:
        store.learn(A, "january")
    path = tmp_path / "home" / DATABASE
    assert path.stat().st_size > size
    os.truncate(path, size)
    with pytest.raises(StoreError, match="is damaged"):
        Store.open(tmp_path / "home", must_exist=must_exist)
    assert path.stat().st_size == size


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_unwritable_parent(tmp_path, monkeypatch, code):
    """A parent in which nothing can be created is an error with the system's reason."""

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "mkdir", fail)
    with pytest.raises(StoreError, match=os.strerror(code)):
        Store.open(tmp_path / "home")


def test_full_disk_changes_nothing(tmp_path):
    """A home without room keeps what it held, on disk and in memory, and goes on once there is room."""
    big = PSR.from_rows([[1.5**k for k in range(60)]])
    with Store.open(tmp_path / "home") as store:
        store.learn(big, "first")
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        other = PSR.from_rows([[1.1**-k for k in range(60)]])
        with pytest.raises(StoreError, match="full"):  # noqa: PT012 - which of them fills the disk does not matter
            for number in range(1000):
                store.learn(other, f"{number}" * 100)
        kept, batches = store.local, store.batches
        assert kept.n_rows == len(batches)
        store._connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert store.learn(other, "second")
    with Store.open(tmp_path / "home") as store:
        assert store.local == kept + other


@pytest.mark.parametrize("fate", ["deleted", "moved", "replaced", "hidden"])
def test_a_home_that_goes_away_takes_nothing_in(tmp_path, fate):
    """A home that is no longer where it was opened refuses each change, and a node in memory keeps what was stored."""
    home, backup = tmp_path / "home", tmp_path / "backup"
    with Store.open(home) as store:
        store.learn(A, "january")
    shutil.copytree(home, backup)
    with Store.open(home) as store:
        home.rename(tmp_path / "elsewhere")
        if fate == "deleted":
            shutil.rmtree(tmp_path / "elsewhere")
        elif fate == "replaced":
            shutil.copytree(backup, home)
        elif fate == "hidden":
            home.write_text("a file")

        def learn_in_a_larger_transaction():
            with store.transaction():
                store.learn(B)

        for change in (
            learn_in_a_larger_transaction,
            lambda: store.learn(B),
            lambda: store.forget(A, "january"),
            store.reset,
        ):
            with pytest.raises(StoreError, match=r"deleted, moved or replaced .*nothing of this call was stored"):
                change()
        assert store.local == A
        assert store.batches == {"january": A.digest}
    with Store.open(tmp_path / "elsewhere" if fate in {"moved", "hidden"} else backup) as store:
        assert store.local == A


def test_what_a_larger_transaction_takes_back_was_not_learned(store):
    """Statistics that were learned within a transaction that fails as a whole are gone from memory as from the disk."""
    store.learn(A, "january")

    def learn_and_fail():
        with store.transaction():
            store.learn(B, "february")
            raise KeyError

    with pytest.raises(KeyError):
        learn_and_fail()
    assert store.local == A
    assert store.batches == {"january": A.digest}
    store.learn(B, "february")
    assert store.local == A + B


def test_a_home_with_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    """A node whose process goes to another folder goes on in the home that it opened."""
    monkeypatch.chdir(tmp_path)
    with Store.open("home") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.learn(A)
    with Store.open(tmp_path / "home") as store:
        assert store.local == A


def test_a_home_that_comes_back_goes_on(tmp_path):
    """A home that was away for a while takes in changes again."""
    home = tmp_path / "home"
    with Store.open(home) as store:
        home.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="moved"):
            store.learn(A)
        (tmp_path / "elsewhere").rename(home)
        store.learn(B)
    with Store.open(home) as store:
        assert store.local == B


def test_closed_store(store):
    """A closed store says so, and closing twice does nothing."""
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.learn(A)


def test_learning_survives_a_kill(tmp_path):
    """A process killed while it learns named batches and started again has each of them exactly once."""
    code = (
        "import sys\nfrom sklearn_symfed.federation import Store\nfrom sklearn_symfed.psr import PSR\n"
        "store = Store.open(sys.argv[1])\n"
        "for number in range(60):\n"
        "    store.learn(PSR.from_rows([[float(number), 1.0]]), str(number))\n"
        "    print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while int(process.stdout.readline()) < 17:
            pass
        process.kill()
    with Store.open(tmp_path / "home") as store:
        known = [float(name) for name in store.batches]
        assert len(known) >= 18
        assert store.local == PSR.from_rows([[number, 1.0] for number in known])
        for number in range(60):
            store.learn(PSR.from_rows([[float(number), 1.0]]), str(number))
        assert store.local == PSR.from_rows([[float(number), 1.0] for number in range(60)])


def test_a_damaged_home_is_noticed(tmp_path):
    """Statistics that are not those that were written are refused, be they the node's own or a peer's."""
    first, second = PSR.from_rows([[1.0]]), PSR.from_rows([[2.0]])
    with Store.open(tmp_path / "home") as store:
        store.learn(first)
        store.set("local", second.to_bytes())
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path / "home")
    with Store.open() as store:
        store.set_slot("peer", slot(1, second, first.digest))
        with pytest.raises(StoreError, match="damaged"):
            store.slots  # noqa: B018
