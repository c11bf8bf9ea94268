"""Nodes with stores and transports converge, tell what they did, and come back from being killed."""

from __future__ import annotations

import gc
import itertools
import logging
import random
import shutil
import subprocess
import sys
import threading
import time
import uuid

import pytest

from sklearn_symfed.exceptions import (
    FederationError,
    InviteError,
    NothingLearnedError,
    PayloadTooLargeError,
    SchemaError,
    SettingError,
    StoreError,
    TransportError,
)
from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation import _pulsing as pulsing_module
from sklearn_symfed.federation._envelope import open_envelope
from sklearn_symfed.federation._report import _ago
from sklearn_symfed.federation.transports import MemoryTransport, open_transport
from sklearn_symfed.psr import PSR, Schema
from sklearn_symfed.testing import FaultyTransport

A, B, C = (PSR.from_rows([[float(number), 2.0]]) for number in range(3))


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4()}"


@pytest.fixture
def clock():
    return itertools.count(1000).__next__


def founder(url, member="a", *, name="f", home=None, clock=lambda: 1000.0, opener=open_transport, **settings):
    keys = {"on_recovery_key": lambda _: None, "schema": A.schema, "guard": "off", **settings}
    return Federation.create(Store.open(home), name, url, member, clock=clock, opener=opener, **keys)


def joiner(admin, member, *, store=None, clock=lambda: 1000.0, opener=open_transport):
    """Return a node that was welcomed."""
    node = Federation.join(store or Store.open(), *admin.invite(member), clock=clock, opener=opener)
    for _ in range(200):
        admin.pulse(), node.pulse()
        if node.is_member:
            return node
    raise AssertionError(node.pending)


def settle(nodes, rounds=150):
    """Pulse round after round until nothing is sent or waits any more."""
    for _ in range(rounds):
        reports = [member.pulse() for member in nodes]
        if all(report.converged and not report.sent for report in reports):
            return
    raise AssertionError([member.status() for member in nodes])


@pytest.fixture
def pair(url):
    a = founder(url)
    nodes = [a, joiner(a, "b")]
    for member, psr in zip(nodes, (A, B), strict=True):
        member.learn(psr)
    settle(nodes)
    return nodes


def test_nodes_reach_one_state(pair):
    """Two nodes hold each other's statistics, and know the sums."""
    a, b = pair
    assert a.merged == b.merged == A + B
    assert (a.local, a.peers, b.local, b.peers) == (A, B, B, A)
    assert a.psr_of("b") == b.psr_of(["b"]) == B
    assert a.name == b.name == "f"
    assert a.converged
    assert b.converged


def test_reports(url):
    """A pulse reports what it did, in one line that begins with its status."""
    a = founder(url)
    b = Federation.join(Store.open(), *a.invite("b"), clock=lambda: 1000.0)
    assert str(b.pulse()).startswith(f"pending: admin 'a' ({a.fingerprint}) has not answered the request to join · ver")
    a.learn(A)
    report = a.pulse()
    assert (report.status, report.version, report.digest) == ("published", 1, A.digest)
    assert (report.received, report.applied, report.refused) == (2, 0, ())
    assert report.events == (f"admitted 'b', fingerprint {b.fingerprint}",)
    report = b.pulse()
    assert (report.status, report.applied) == ("unchanged", 1)
    assert report.events == (f"welcomed by 'a', fingerprint {a.fingerprint}",)
    assert report.bytes_received > len(A.to_bytes()) // 4
    settle([a, b])
    report = a.pulse()
    assert (report.status, report.sent, report.bytes_sent, report.converged) == ("unchanged", 0, 0, True)
    state = f"version 1 ({A.digest[:12]})"
    assert str(report) == f"unchanged · {state} · sent 0 (0 bytes) · received 0 (0 bytes) · applied 0 · converged"


def test_nothing_is_sent_after_convergence(pair):
    """Converged nodes that pulse on send nothing, until somebody learns."""
    assert sum(member.pulse().sent for _ in range(100) for member in pair) == 0
    pair[0].learn(C)
    assert not pair[0].converged
    settle(pair)
    assert pair[1].merged == A + B + C


def test_forget_and_reset(pair):
    """What is forgotten is gone everywhere after the next pulses."""
    a, b = pair
    a.learn(C, "batch")
    a.learn(C, "batch")
    settle(pair)
    assert b.merged == A + B + C
    a.forget(C, "batch")
    settle(pair)
    assert b.merged == A + B
    a.reset()
    settle(pair)
    assert b.merged == B
    assert a.status().version == 4


def test_status_shows_who_has_seen_what(url, clock):
    """The status lists members with rows, versions and ages, and what each said it holds."""
    a = founder(url, clock=clock)
    b = joiner(a, "b", clock=clock)
    a.learn(A)
    settle([a, b])
    b.learn(B + C)
    b.pulse()
    status = b.status()
    assert (status.federation, status.member, status.url, status.version) == ("f", "b", url, 1)
    assert (status.converged, status.published, status.pulsing, status.pending) == (False, True, False, None)
    assert status.seen == {"a": {"a": 1, "b": 0}, "b": {"a": 1, "b": 1}}
    assert (status.fingerprint, status.schedule, status.topology, status.epoch) == (
        b.fingerprint,
        "30s",
        "decentralised",
        1,
    )
    settle([a, b])
    (first, second) = a.status().members
    assert (first.name, first.rows, first.version, first.digest, first.age) == ("a", 1, 1, A.digest, 0)
    assert (second.name, second.rows, second.version, second.digest) == ("b", 2, 1, (B + C).digest)
    assert second.age > 0
    assert a.status().seen == {"a": {"a": 1, "b": 1}, "b": {"a": 1, "b": 1}}


def test_status_prints_as_a_table(url, clock):
    """A printed status is a table of the members, who lags, and what is pending or went wrong; HTML is escaped."""
    a = founder(url, name="f<1>", clock=clock)
    b = joiner(a, "z<b>", clock=clock)
    a.learn(A)
    settle([a, b])
    lines = str(a.status()).splitlines()
    assert lines[0] == f"federation 'f<1>' · {url} · converged"
    assert lines[1].split() == ["member", "role", "fingerprint", "rows", "version", "digest", "heard"]
    assert lines[2].split() == ["a", "admin", a.fingerprint, "1", "1", A.digest[:12], "this", "node"]
    assert lines[3].split()[:6] == ["z<b>", "member", b.fingerprint, "0", "0", "-"]
    assert lines[3].endswith(" ago")
    assert len(lines) == 4
    a.learn(A)
    MemoryTransport(url, "stranger").publish(b"<poison>", to="a")
    a.pulse()
    lines = str(a.status()).splitlines()
    assert lines[0].endswith(" · not converged")
    assert lines[3].split()[-2:] == ["ago", "lags"]
    assert lines[4].startswith("last refusal: a message: Got a message of 8 bytes")
    page = a.status()._repr_html_()
    assert "<td>z&lt;b&gt;</td>" in page
    assert "<b>" not in page.replace("<b>last refusal</b>", "")
    assert "f&lt;1&gt;" in page
    a.learn(A)
    assert "unpublished: " in str(a.status())


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "never"), (0.4, "0 s ago"), (119, "119 s ago"), (121, "2 min ago"), (2e5, "2 d ago")]
)
def test_ages(seconds, text):
    """An age is told in the largest unit of which there are at least two."""
    assert _ago(seconds) == text


def test_rows_that_do_not_fit_are_refused_before_they_are_learned(pair):
    """Learning columns that the peers do not have is an error that lists them, and changes nothing."""
    c = joiner(pair[0], "c")
    with pytest.raises(SchemaError, match="unexpected columns: \\['y'\\]"):
        c.learn(PSR.from_rows([[1.0, 2.0]], [3.0]), "batch")
    assert c.local is None
    assert c.learn(C, "batch")


def test_nothing_is_learned_before_the_columns_are_known(url):
    """Neither a joiner that was not answered nor a member of a federation without columns learns anything."""
    a = founder(url, schema=None)
    b = Federation.join(Store.open(), *a.invite("b"), clock=lambda: 1000.0)
    with pytest.raises(NothingLearnedError, match="until the admin has answered"):
        b.learn(B)
    a.pulse(), b.pulse()
    with pytest.raises(NothingLearnedError, match="first rows of an admin"):
        b.learn(B)
    a.learn(A)
    a.pulse(), b.pulse()
    assert b.learn(B)
    settle([a, b])
    assert a.merged == A + B


def test_joiner_with_other_columns_is_told_and_not_admitted(pair, caplog):
    """A joiner that has learned other columns is refused with one line on each side, column by column."""
    store = Store.open()
    store.learn(PSR.from_rows([[1.0, 2.0]], [3.0]))
    invite = pair[0].invite("c")
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        c = Federation.join(store, *invite, clock=lambda: 1000.0)
        for member in [*pair, c] * 3:
            member.pulse()
    assert len(caplog.records) == 2
    assert all("unexpected columns: ['y']" in record.getMessage() for record in caplog.records)
    assert "refused the request to join: the columns do not match" in c.pending
    assert pair[0].merged == A + B
    with pytest.raises(InviteError, match="unexpected columns"):
        c.wait(1)
    c.reset()
    c.close()
    again = Federation.join(store, *invite, clock=lambda: 1000.0)  # the invite was not used up
    pair[0].pulse(), again.pulse()
    assert again.is_member


def test_foreign_bytes_are_refused_and_removed(pair):
    """A message that is none is refused once, with its reason, and does not come again."""
    MemoryTransport(pair[0].url, "stranger").publish(b"poison", to="a")
    assert pair[0].pulse().refused == ("a message: Got a message of 6 bytes, but expected 77 to 1073741824.",)
    assert pair[0].pulse().received == 0
    assert "6 bytes" in pair[0].status().last_refusal


def test_create_and_join_misuse(url, tmp_path):
    """Being a member already, impossible names, schedules and places are errors, and leave no membership."""
    store, keys = Store.open(), []
    wrong = [("", url, "a"), ("f", url, ""), ("f", url, "a", "sometimes"), ("f", "ftp://x", "a")]
    for arguments in wrong:
        with pytest.raises(SettingError):
            Federation.create(store, *arguments, guard="off", on_recovery_key=keys.append)
    with pytest.raises(SettingError, match="topology"):
        Federation.create(store, "f", url, "a", topology="star", guard="off", on_recovery_key=keys.append)
    other = Store.open()
    other.learn(A)
    with pytest.raises(SchemaError):
        Federation.create(other, "f", url, "a", schema=Schema(["z"]), guard="off", on_recovery_key=keys.append)
    assert Federation.reopen(store) is None
    missing = (tmp_path / "missing").as_uri().replace("file", "dir", 1)
    a = Federation.create(store, "f", missing, "a", guard="off", on_recovery_key=keys.append)
    assert len(keys) == 1
    with pytest.raises(FederationError, match="already 'a'"):
        Federation.join(store, *a.invite("b"))
    shutil.rmtree(tmp_path / "missing")
    with pytest.raises(TransportError):
        Federation.join(other, *a.invite("b"))
    assert Federation.reopen(other) is None


def test_closed_membership(pair):
    """A closed membership says so; closing twice does nothing; the store stays open."""
    a = pair[0]
    a.close()
    a.close()
    with pytest.raises(FederationError, match="closed"):
        a.pulse()
    assert Federation.reopen(a._store).merged == A + B


def test_share_that_is_away_for_a_while(tmp_path):
    """A node whose share is not there can be opened, learns, reports the failure, and goes on once it is back."""
    share = tmp_path / "share"
    url = share.as_uri().replace("file", "dir", 1)
    with Store.open(tmp_path / "home") as store:
        Federation.create(store, "f", url, "a", schema=A.schema, guard="off", on_recovery_key=str).close()
        share.rename(tmp_path / "away")
        a = Federation.reopen(store)
        a.learn(A)
        with pytest.raises(TransportError, match="expected a folder that exists"):
            a.pulse()
        assert "TransportError" in a.status().last_error
        (tmp_path / "away").rename(share)
        assert a.pulse().status == "published"
        assert a.status().last_error is None


def test_failed_sending_is_made_up_for(pair, monkeypatch):
    """A pulse whose carrier fails raises, and the next one publishes the same version."""
    a, b = pair
    a.learn(C)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryTransport, "_publish", fail_with(TransportError("the carrier is away")))
        with pytest.raises(TransportError):
            a.pulse()
    report = a.pulse()
    assert (report.status, report.version) == ("published", 2)
    settle(pair)
    assert b.merged == A + B + C


def fail_with(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def test_uncommitted_messages_come_again(pair, monkeypatch):
    """When the home cannot be written, nothing is acknowledged, and a later pulse takes the same messages in."""
    a, b = pair
    a.learn(C)
    a.pulse()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "set_word", fail_with(StoreError("full")))
        with pytest.raises(StoreError):
            b.pulse()
    assert b.merged == A + B
    assert b.pulse().applied == 1
    assert b.merged == A + B + C


def test_rule_6_a_version_is_on_disk_before_it_is_sent(pair, monkeypatch):
    """At the moment of sending, the store already holds the version and sequence number that go out."""
    a = pair[0]
    seen = []

    def publish(self, data, to):
        header = open_envelope(data).header
        stored = Federation.reopen(a._store, clock=lambda: 1000.0)._node
        seen.append((header.version, header.seq) == (stored.peers.mark.version, stored.seq))

    monkeypatch.setattr(MemoryTransport, "_publish", publish)
    a.learn(C)
    a.pulse()
    assert seen == [True]


def test_rule_6_a_message_is_acknowledged_only_after_its_effect_is_on_disk(pair, monkeypatch):
    """At the moment of acknowledging, the store already holds the slot."""
    a, b = pair
    a.learn(C)
    a.pulse()
    seen = []
    monkeypatch.setattr(MemoryTransport, "_ack", lambda self, delivery: seen.append(b._store.slots["a"].psr))
    monkeypatch.setattr(pulsing_module, "_MOST_A_PULSE", 1)
    b.pulse()
    assert seen == [A + C]


def test_create_in_an_inhabited_place(pair, tmp_path):
    """A place in which others have inboxes is refused to a founder, who leaves nothing there."""
    place = tmp_path.as_uri().replace("file", "dir", 1)
    founder(place)
    store = Store.open()
    for url, members in ((pair[0].url, "'a', 'b'"), (place, "'a'")):
        with pytest.raises(FederationError, match=rf"holds a federation already \(members {members}\): join it"):
            Federation.create(store, "g", url, "z", guard="off", on_recovery_key=str)
    assert Federation.reopen(store) is None
    assert [path.name for path in tmp_path.iterdir()] == ["inbox-a"]


def copy_home(home, to):
    shutil.copytree(home, to)
    return to


def test_restored_home_is_found_out(tmp_path):
    """A node whose home went back to an old copy says so after its next pulses; nobody calls the state converged."""
    url = (tmp_path / "share").as_uri().replace("file", "dir", 1)
    a = founder(url, clock=time.time)
    store = Store.open(tmp_path / "b")
    b = joiner(a, "b", store=store, clock=time.time)
    a.learn(A)
    b.learn(B)
    settle([a, b])
    b.close()
    store.close()
    copy = copy_home(tmp_path / "b", tmp_path / "copy")
    with Store.open(tmp_path / "b") as store:
        b = Federation.reopen(store)
        assert not b.converged
        b.learn(C)
        settle([a, b])
    with Store.open(copy) as store:
        restored = Federation.reopen(store)
        for member in [restored, a] * 100:
            member.pulse()
        assert "others hold version 2" in restored.pending
        assert "resume()" in restored.pending
        assert not a.converged
        assert not restored.converged
        restored.resume()
        settle([a, restored])
        assert a.merged == restored.merged == A + B


def test_reopened_node_asks_once(pair):
    """A node that is taken up again asks its peers, converges once they have answered, and is silent then."""
    a, b = pair
    again = Federation.reopen(b._store, clock=lambda: 1000.0)
    again.learn(C)
    report = again.pulse()
    assert (report.sent, again.converged) == (1, False)
    assert "reads what its peers hold of it first" in report.status
    assert (a.pulse().sent, again.pulse().status) == (1, "published")
    settle([a, again])
    assert sum(member.pulse().sent for _ in range(100) for member in (a, again)) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scheme", ["memory", "dir"])
def test_faulty_carriers_converge(tmp_path, seed, scheme):
    """Nodes on a carrier that drops, repeats, delays and shuffles converge on the sum once they pulse on."""
    place = f"memory://{uuid.uuid4()}" if scheme == "memory" else tmp_path.as_uri().replace("file", "dir", 1)
    chance = random.Random(seed)

    def opener(url, member, *, create=False):
        inner = open_transport(url, member, create=create)
        return FaultyTransport(inner, chance.random(), drop=0.3, duplicate=0.3, reorder=0.5, delay=0.3)

    a = founder(place, opener=opener)
    nodes = [a, *(joiner(a, name, opener=opener) for name in "bcd")]
    total = 0
    for step in range(30):
        member = chance.choice(nodes)
        psr = PSR.from_rows([[float(step), 1.0 / (step + 1)]])
        member.learn(psr)
        total = total + psr
        chance.choice(nodes).pulse()
    settle(nodes, rounds=600)
    assert {member.merged.digest for member in nodes} == {total.digest}


def test_background_pulses_converge(pair):
    """Nodes that pulse in the background take up what is learned meanwhile, and stop when told."""
    a, b = pair
    for member in pair:
        member.start_pulsing(0.01)
    with pytest.raises(FederationError, match="already"):
        a.start_pulsing()
    a.learn(C)
    wait_until(lambda: b.merged == A + B + C and a.converged and b.converged)
    assert a.status().pulsing
    for member in pair:
        member.stop_pulsing()
        member.stop_pulsing()
    assert not a.status().pulsing


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_background_errors_reach_status_and_the_next_pulse_once(pair, monkeypatch):
    """An error of the background reaches the status, and the next pulse raises it once; learning goes on."""
    a = pair[0]
    with monkeypatch.context() as patch:
        patch.setattr(MemoryTransport, "_receive", fail_with(TransportError("the carrier is away")))
        a.start_pulsing(60)
        wait_until(lambda: a.status().last_error)
        assert a.status().last_error == "TransportError: the carrier is away"
        assert a.learn(C, "c")
        assert a.forget(C, "c")
        with pytest.raises(TransportError, match="the carrier is away") as caught:
            a.pulse()
        assert "in the background" in caught.value.__notes__[0]
    assert a.pulse().status == "unchanged"
    a.close()


def test_background_recovers_from_a_failing_carrier(pair, monkeypatch):
    """A carrier that fails for a while is tried again, and its error is forgotten once a pulse went well."""
    a, b = pair
    failures = iter([TransportError("the carrier is away")] * 3)
    receive = MemoryTransport._receive

    def flaky(self, limit):
        error = next(failures, None)
        if error is not None and self.member == "a":
            raise error
        return receive(self, limit)

    monkeypatch.setattr(MemoryTransport, "_receive", flaky)
    a.learn(C)
    a.start_pulsing(0.002)
    wait_until(lambda: a.status().version == 2 and a.status().last_error is None)
    a.stop_pulsing()
    settle(pair)
    assert b.merged == A + B + C


def test_unexpected_error_ends_the_background(pair, monkeypatch):
    """An error that is nobody's plan ends the thread and reaches the next call, which says that it did nothing else."""
    a = pair[0]
    monkeypatch.setattr(MemoryTransport, "_receive", fail_with(ZeroDivisionError("bug")))
    for call in (a.stop_pulsing, lambda: a.learn(C, "c")):
        a.start_pulsing(0.001)
        wait_until(lambda: not a.status().pulsing)
        with pytest.raises(FederationError, match=r"ended with ZeroDivisionError: bug.* not carried out") as caught:
            call()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert a.local == A
    a.stop_pulsing()
    assert a.learn(C, "c")


@pytest.mark.parametrize("fails", [False, True])
def test_dropped_node_lets_go_of_its_home(pair, tmp_path, monkeypatch, fails):
    """A node that nobody holds any more stops pulsing and frees its home, without waiting for a garbage collection."""
    with Store.open(tmp_path / "home") as store:
        joiner(pair[0], "c", store=store).close()
    if fails:
        monkeypatch.setattr(MemoryTransport, "_receive", fail_with(TransportError("the carrier is away")))
    gc.disable()
    try:
        held = [Federation.reopen(Store.open(tmp_path / "home"), clock=lambda: 1.0)]
        held[0].start_pulsing(60)
        wait_until(lambda: held[0].status().last_error or held[0]._node.seq > 1000)
        thread = held[0]._background._thread
        held.clear()
        thread.join(10)
        assert not thread.is_alive()
        Store.open(tmp_path / "home").close()
    finally:
        gc.enable()


def test_inbox_that_disappeared_is_made_again(tmp_path):
    """A node whose inbox was removed says so once, makes it anew, and takes in what it missed."""
    url = tmp_path.as_uri().replace("file", "dir", 1)
    a = founder(url)
    b = joiner(a, "b")
    a.learn(A)
    settle([a, b])
    shutil.rmtree(tmp_path / "inbox-b")
    a.learn(B)
    a.pulse()
    with pytest.raises(TransportError, match="inbox"):
        b.pulse()
    settle([a, b])
    assert b.merged == A + B


def test_statistics_beyond_the_carriers_limit(pair, monkeypatch):
    """What is too large for the carrier is learned and kept; status and pulse say so, and smaller ones go out again."""
    a, b = pair
    chance = random.Random(0)
    big = PSR.from_rows([[chance.random() * 10 ** chance.randint(-200, 200), 2.0] for _ in range(50)])
    a._transport.max_payload = 1000
    a.learn(big, "big")
    for _ in range(2):
        with pytest.raises(PayloadTooLargeError, match="at most 1000 bytes"):
            a.pulse()
    assert "version 2 is not sent: Got a message of" in a.status().pending
    assert not a.converged
    assert a.learn(C, "c")
    b.learn(C)
    b.pulse()
    with pytest.raises(PayloadTooLargeError):
        a.pulse()
    assert a.merged == A + big + C + B + C
    a.forget(big, "big")
    settle(pair)
    assert a.pending is None
    assert a.merged == b.merged == A + C + B + C


def test_threads_share_a_node(pair):
    """Many threads that learn, pulse and look at one node lose nothing."""
    a, _ = pair

    def work(index):
        for step in range(5):
            a.learn(C, f"{index}-{step}")
            a.pulse()
            a.status()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle(pair)
    assert pair[1].merged == A + B + sum([C] * 20)


NODE = """
import sys, time
from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.psr import PSR
home, invite, code = sys.argv[1:]
store = Store.open(home)
node = Federation.reopen(store) or Federation.join(store, invite, code)
node.wait(30, 0.02)
for number in range(20):
    node.learn(PSR.from_rows([[float(number), 2.0]]), str(number))
    node.pulse()
    print(number, flush=True)
while not (node.converged and node.local.n_rows == 20):
    node.pulse()
    time.sleep(0.02)
print("done", flush=True)
"""


def test_killed_node_resumes(tmp_path):
    """A node killed while it learns and pulses ends where an uninterrupted one would."""
    url = (tmp_path / "share").as_uri().replace("file", "dir", 1)
    a = founder(url, clock=time.time)
    a.learn(A)
    versions = []
    command = [sys.executable, "-c", NODE, str(tmp_path / "home"), *a.invite("b")]
    for last in ("7", "done"):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            answering = threading.Thread(target=answer, args=(a, process))
            answering.start()
            for line in iter(process.stdout.readline, ""):
                if line.strip() == last:
                    process.kill()
            answering.join()
        a.pulse()
        versions.append(dict(a.status().seen["b"])["b"])
        assert not [line for _, _, line in a._store.refusals]
    assert versions == sorted(versions)
    expected = PSR.from_rows([[float(number), 2.0] for number in range(20)])
    with Store.open(tmp_path / "home") as store:
        b = Federation.reopen(store)
        settle([a, b])
        assert b.local == expected
        assert a.merged == b.merged == A + expected


def answer(node, process):
    while process.poll() is None:
        node.pulse()
        time.sleep(0.02)


def test_rows_that_would_count_twice_are_refused_in_the_log(pair, caplog):
    """A member whose statistics hold rows of another's is not counted, and each node says so, once."""
    a, b = pair
    c = joiner(a, "c")
    settle([a, b, c])
    c._store.learn_source("elsewhere", C, b._node.identity.public.origin)
    c._node.local = c._store.local
    c._set_origins()
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        settle([a, b, c])
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"{node!r} refused a message of 'c': rows of 'b' are among its, and it is not counted" for node in "ab"
    ]
    assert a.merged == b.merged == c.merged == A + B
    assert [member.note for member in a.members if member.name == "c"] == ["not counted: rows of 'b' are among its"]


def test_secrets_lie_sealed_in_the_database(tmp_path):
    """Neither the epoch's key, nor the token of a join, nor a seed or code is in the database, only in the key file."""
    url = (tmp_path / "share").as_uri().replace("file", "dir", 1)
    a = founder(url, home=tmp_path / "a", clock=time.time)
    invite, code = a.invite("b")
    b = Federation.join(Store.open(tmp_path / "b"), invite, code)
    token = b._node.joining.invite.token
    secrets = [a._node.key, token, code.encode(), code.replace("-", "").encode()]
    seeds = [node._node.identity._seed for node in (a, b)]
    for home in ("a", "b"):
        files = {path.name: path.read_bytes() for path in (tmp_path / home).iterdir()}
        assert any(seed in files["identity.key"] for seed in seeds)
        rest = b"".join(data for name, data in files.items() if name != "identity.key")
        assert not [secret for secret in [*secrets, *seeds] if secret in rest]
    b.close()
    b._store.close()
    shutil.copy(tmp_path / "a" / "identity.key", tmp_path / "b" / "identity.key")
    with Store.open(tmp_path / "b") as store, pytest.raises(StoreError, match="key file is not that of its database"):
        Federation.reopen(store)


def test_schedules_are_followed_by_the_background(pair):
    """A background that was given no interval of its own goes by the schedule of the newest roster."""
    a, b = pair
    a.set_schedule("1d")
    settle(pair)
    assert (a.schedule, b.schedule, b.status().schedule) == ("1d", "1d", "1d")
    interval = pulsing_module.Interval(b, None)
    assert interval() == 86400
    a.set_schedule("5m")
    settle(pair)
    assert interval() == 300
    assert pulsing_module.Interval(b, 7.0)() == 7.0


def test_a_request_that_cannot_be_sent_leaves_no_membership(pair, monkeypatch):
    """If the carrier fails at once, nothing of the attempt is left, and the invite can be used again."""
    store, invite = Store.open(), pair[0].invite("c")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryTransport, "_publish", fail_with(TransportError("the carrier is away")))
        with pytest.raises(TransportError):
            Federation.join(store, *invite)
    assert Federation.reopen(store) is None
    c = Federation.join(store, *invite)
    pair[0].pulse(), c.pulse()
    assert c.is_member


def test_nobody_invites_under_its_own_name(pair):
    """A carrier goes by names: who joined under the admin's would read away what is meant for the admin."""
    with pytest.raises(FederationError, match="Got 'a', the name of this node itself"):
        pair[0].invite("a")
    pair[0].invite("b")


def test_joining_again_by_the_same_invite_goes_on(pair, tmp_path):
    """Whoever was killed while it joined, and joins once more, is the one whom the admin admitted meanwhile."""
    invite = pair[0].invite("c")
    with Store.open(tmp_path / "home") as store:
        fingerprint = Federation.join(store, *invite).fingerprint
    pair[0].pulse()
    with Store.open(tmp_path / "home") as store:
        c = Federation.join(store, *invite)
        assert c.fingerprint == fingerprint
        assert c.is_member
        settle([*pair, c])
        assert c.merged == A + B
        c.close()


def test_joining_again_after_a_refusal_asks_anew(pair):
    """A node that was refused, or has lost the keys that it asked with, asks again as somebody else."""
    store, invite = Store.open(), pair[0].invite("c", expires=1)
    pair[0]._clock = lambda: 2000.0
    c = Federation.join(store, *invite)
    pair[0].pulse(), c.pulse()
    assert "expired" in c.pending
    again = Federation.join(store, *invite)
    assert again.fingerprint != c.fingerprint
    assert "has not answered" in again.pending


def test_nobody_founds_a_federation_whose_recovery_key_was_not_handed_out(url):
    """The recovery key is handed out first: whatever ends the call, there is no federation without it."""
    store = Store.open()

    def fail(key):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Federation.create(store, "f", url, "a", guard="off", on_recovery_key=fail)
    assert Federation.reopen(store) is None
    a = Federation.create(store, "f", url, "a", schema=A.schema, guard="off", on_recovery_key=lambda _: None)
    assert a.is_member
