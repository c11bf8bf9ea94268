"""FederatedPSR: a transformer alone, a node among others."""

from __future__ import annotations

import copy
import pickle
import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_symfed import PSR, FederatedPSR, FederatedRidge, fitted_digests
from sklearn_symfed.exceptions import FederationError, ForgetError, InviteError, SchemaError


@pytest.fixture
def frame():
    """Return a table with a target and a class column."""
    data = load_diabetes(as_frame=True, scaled=False).frame
    return data.assign(high=data.target > 150)


@pytest.fixture
def url(tmp_path):
    """Return a place for a federation."""
    return f"dir://{tmp_path}/federation"


def test_a_home_remembers_columns_of_rows(tmp_path):
    """A node whose columns are categories takes rows, not indicators, when it is taken up again."""
    rows = pd.DataFrame({"carrier": ["AA", "UA"], "delay": [1.0, 2.0]})
    with FederatedPSR(home=tmp_path / "home") as node:
        node.partial_fit(rows)
    with FederatedPSR.open(tmp_path / "home") as node:
        assert node.feature_names_in_.tolist() == ["carrier", "delay"]
        assert node.partial_fit(rows).psr_.n_rows == 4


def _pulse(*nodes: FederatedPSR, rounds: int = 4) -> None:
    for _ in range(rounds):
        for node in nodes:
            node.pulse()


def _found(url: str, **settings: str) -> FederatedPSR:
    node = FederatedPSR(classes="high")
    return node.create_federation("f", url, member="a", guard="off", on_recovery_key=lambda _: None, **settings)


def _join(node: FederatedPSR, admin: FederatedPSR, name: str) -> FederatedPSR:
    """Have a node join by an invite, and both pulse until it is a member."""
    node.join(*admin.invite(name))
    admin.pulse(), node.pulse()
    return node


# -- alone -----------------------------------------------------------------------------------------------------------


def test_it_standardises_as_standard_scaler(frame):
    """Means, variances and transformed rows agree with StandardScaler up to its rounding."""
    X = frame.drop(columns=["target", "high"])
    node, scaler = FederatedPSR().fit(X), StandardScaler().fit(X)
    # StandardScaler sums in floating point; a few units in the last place of a column's size are its own error
    np.testing.assert_allclose(node.mean_, scaler.mean_, rtol=1e-14)
    np.testing.assert_allclose(node.var_, scaler.var_, rtol=1e-12)
    np.testing.assert_allclose(node.transform(X), scaler.transform(X), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(node.inverse_transform(node.transform(X)), X, rtol=1e-12)
    assert node.n_samples_seen_ == len(X)
    assert node.get_feature_names_out().tolist() == list(X.columns)


def test_set_output_gives_frames(frame):
    """With set_output the columns keep their names and the rows their index."""
    X = frame[["age", "bmi"]][10:20]
    out = FederatedPSR().set_output(transform="pandas").fit(X).transform(X)
    assert list(out.columns) == ["age", "bmi"]
    assert out.index.equals(X.index)


def test_constant_columns_are_divided_by_one():
    """A column without variance becomes zero, not NaN."""
    assert FederatedPSR().fit_transform([[5.0, 1.0], [5.0, 3.0]]).tolist() == [[0.0, -1.0], [0.0, 1.0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_types_are_kept(dtype):
    """float32 rows are transformed to float32, float64 rows to float64."""
    X = np.arange(6, dtype=dtype).reshape(3, 2)
    assert FederatedPSR().fit_transform(X).dtype == dtype


def test_batches_equal_one_fit(frame):
    """Learning in batches gives the state and the attributes of one fit."""
    whole, batched = FederatedPSR(classes="high").fit(frame), FederatedPSR(classes="high")
    for start in range(0, len(frame), 100):
        batched.partial_fit(frame[start : start + 100])
    assert batched.psr_ == whole.psr_
    assert fitted_digests(batched) == fitted_digests(whole)


def test_forgetting_undoes_learning(frame):
    """After forget, state and attributes are those of a node that never saw the rows."""
    node = FederatedPSR(classes="high").fit(frame).forget(frame[300:])
    assert fitted_digests(node) == fitted_digests(FederatedPSR(classes="high").fit(frame[:300]))
    node.forget(frame[:200])
    with pytest.raises(ForgetError):
        node.forget(frame[:200])
    assert node.psr_ == PSR.from_rows(frame[200:300], classes="high")


@pytest.mark.parametrize("rows", [[["4711", "x"]], [4711.0, 2.0], PSR.from_rows([[4711.0]])])
def test_transform_quotes_no_value(rows):
    """What are no rows of numbers is refused without being shown."""
    node = FederatedPSR().fit([[1.0, 2.0], [3.0, 5.0]])
    for method in (node.transform, node.inverse_transform):
        with pytest.raises(ValueError) as caught:
            method(rows)
        assert "4711" not in str(caught.value)


def test_fit_starts_over(frame):
    """A second fit, with other columns, knows nothing of the first."""
    node = FederatedPSR(classes="high").fit(frame)
    node.fit(frame[["age", "bmi", "high"]][:50])
    assert node.psr_ == PSR.from_rows(frame[["age", "bmi", "high"]][:50], classes="high")
    assert node.n_features_in_ == 2


def test_a_target_is_learned_beside_the_features(frame):
    """A numeric y becomes a column of the PSR, and is not transformed."""
    X, y = frame.drop(columns=["target", "high"]), frame.target
    node = FederatedPSR().fit(X, y)
    assert node.psr_ == PSR.from_rows(frame.drop(columns="high"))
    assert node.transform(X).shape == X.shape
    model = make_pipeline(FederatedPSR(), FederatedRidge()).fit(X, y)
    assert model.score(X, y) > 0.5


def test_a_psr_can_be_learned_in_place_of_its_rows(frame):
    """A PSR stands for its rows, here too."""
    node = FederatedPSR(classes="high").partial_fit(PSR.from_rows(frame[:200], classes="high")).partial_fit(frame[200:])
    assert node.psr_ == PSR.from_rows(frame, classes="high")
    assert node.forget(PSR.from_rows(frame[:200], classes="high")).psr_ == PSR.from_rows(frame[200:], classes="high")


def test_integer_weights_repeat_rows(frame):
    """Weights reach the statistics."""
    weight = np.arange(len(frame)) % 3
    node = FederatedPSR().fit(frame.drop(columns="high"), sample_weight=weight)
    assert node.psr_ == PSR.from_rows(frame.drop(columns="high").loc[frame.index.repeat(weight)])


def test_the_class_column_may_be_there_or_not_at_transform(frame):
    """Transform leaves the class column out where there is one."""
    node = FederatedPSR(classes="high").fit(frame)
    assert np.array_equal(node.transform(frame), node.transform(frame.drop(columns="high")))


def test_pickle_and_copy_keep_what_was_learned(frame):
    """A node without home and membership can be pickled and copied, and goes on learning."""
    node = FederatedPSR(classes="high").fit(frame[:100])
    for again in (pickle.loads(pickle.dumps(node)), copy.deepcopy(node)):
        again.partial_fit(frame[100:])
        assert again.psr_ == PSR.from_rows(frame, classes="high")
    assert node.psr_.n_rows == 100


def test_federation_calls_need_a_membership():
    """Without a federation the calls that need one say so."""
    for call in (
        FederatedPSR().pulse,
        FederatedPSR().status,
        FederatedPSR().start_pulsing,
        lambda: FederatedPSR().peers_psr_,
        lambda: FederatedPSR().psr_,
    ):
        with pytest.raises(FederationError):
            call()


def test_attributes_that_do_not_apply_are_absent(frame):
    """A local node has no peers, and an unfitted one no statistics, as hasattr and a notebook ask."""
    for node in (FederatedPSR(), FederatedPSR(classes="high").fit(frame)):
        assert not hasattr(node, "peers_")
        assert not hasattr(node, "converged_")
        assert "FederatedPSR" in node._repr_html_()
    with pytest.raises(NotFittedError):
        FederatedPSR().psr_  # noqa: B018
    with pytest.raises(NotFittedError):
        FederatedPSR().transform([[1.0]])


def test_nothing_is_left_to_transform_by_after_all_is_forgotten(frame):
    """A node whose rows are all forgotten is not fitted, and can learn again."""
    node = FederatedPSR(classes="high").fit(frame).forget(frame)
    assert node.psr_.n_rows == 0
    with pytest.raises(NotFittedError):
        node.transform(frame)
    assert node.partial_fit(frame).transform(frame).shape == (len(frame), 11)


def test_looking_at_a_node_creates_no_home(tmp_path):
    """Only what learns or joins creates the home."""
    node = FederatedPSR(home=tmp_path / "lazy")
    with pytest.raises(NotFittedError):
        node.psr_  # noqa: B018
    assert not node.is_member
    assert not hasattr(node, "converged_")
    assert not (tmp_path / "lazy").exists()


def test_threads_that_touch_a_node_first_share_it():
    """Rows that many threads learn into a new node are all there."""
    for _ in range(20):
        node, start = FederatedPSR(), threading.Barrier(8)

        def learn(node=node, start=start):
            start.wait()
            node.partial_fit(np.ones((10, 2)))

        threads = [threading.Thread(target=learn) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert node.psr_.n_rows == 80


def test_scales_that_squares_cannot_hold_are_right():
    """Standard deviations come from exact variances, which may be beyond float64."""
    X = np.array([[1e200, 1e-200], [3e200, 3e-200]])
    node = FederatedPSR().fit(X)
    assert node.scale_.tolist() == [1e200, 1e-200]
    assert node.transform(X).tolist() == [[-1.0, -1.0], [1.0, 1.0]]


# -- as a node -------------------------------------------------------------------------------------------------------


def test_nodes_reach_one_state_and_identical_models(frame, url):
    """Three nodes, columns in any order, one joining late: all hold the central state and fit the central model."""
    a = _found(url)
    b = _join(FederatedPSR(), a, "b")
    a.partial_fit(frame[:150])
    _pulse(a, b)
    b.partial_fit(frame[150:300][frame.columns[::-1]])
    _pulse(a, b)
    assert a.converged_
    assert b.converged_
    c = _join(FederatedPSR(), a, "c").partial_fit(frame[300:])
    _pulse(a, b, c)
    central = FederatedPSR(classes="high").fit(frame)
    models = []
    for node in (a, b, c):
        assert node.converged_
        assert node.psr_ == central.psr_
        assert node.psr_.names == a.psr_.names
        assert node.local_psr_ + node.peers_psr_ == node.psr_
        models.append(fitted_digests(FederatedRidge().fit(node.psr_, "target")))
        # every node standardises its own columns, in its own order, by the merged rows
        own = frame[list(node.feature_names_in_)]
        assert np.array_equal(node.transform(own), central.transform(frame)[:, _order(central, node)])
    X, y = frame.drop(columns=["target", "high"]), frame.target
    assert models == [fitted_digests(FederatedRidge().fit(X, y))] * 3
    for node in (a, b, c):
        node.close()


def _order(first: FederatedPSR, second: FederatedPSR) -> list[int]:
    return [list(first.feature_names_in_).index(name) for name in second.feature_names_in_]


def test_forgetting_reaches_the_peers(frame, url):
    """What a member forgets, all forget with the next pulse; reset forgets everything of one member."""
    a = _found(url).partial_fit(frame[:200])
    b = _join(FederatedPSR(), a, "b").partial_fit(frame[200:])
    _pulse(a, b)
    b.forget(frame[300:])
    _pulse(a, b)
    assert a.psr_ == b.psr_ == PSR.from_rows(frame[:300], classes="high")
    b.reset()
    _pulse(a, b)
    assert a.psr_ == b.psr_ == a.local_psr_ == PSR.from_rows(frame[:200], classes="high")
    assert b.partial_fit(frame[200:]).local_psr_.n_rows == len(frame) - 200
    a.close(), b.close()


def test_psr_of_sums_some_members(frame, url):
    """psr_of gives what some members published, and names those it does not know."""
    a = _found(url).partial_fit(frame[:200])
    b = _join(FederatedPSR(), a, "b").partial_fit(frame[200:])
    _pulse(a, b)
    assert a.peers_ == ["b"]
    assert a.psr_of("b") == b.local_psr_
    assert a.psr_of(["a", "b"]) == a.psr_
    with pytest.raises(FederationError, match="'c'"):
        a.psr_of(["c"])
    a.close(), b.close()


def test_a_home_is_taken_up_where_it_was_left(frame, url, tmp_path):
    """A closed node comes back with what it learned, its peers, its version and its class column."""
    a = _found(url).partial_fit(frame[:200])
    b = _join(FederatedPSR(home=tmp_path / "b"), a, "b")
    b.partial_fit(frame[200:300], batch_id="one")
    _pulse(a, b)
    version = b.status().version
    b.close()
    b = FederatedPSR.open(tmp_path / "b")
    assert b.status().member == "b"
    assert b.status().version == version
    assert b.psr_ == a.psr_
    b.partial_fit(frame[200:300], batch_id="one")  # learned already
    b.partial_fit(frame[300:], batch_id="two")
    _pulse(a, b)
    assert a.psr_ == b.psr_ == PSR.from_rows(frame, classes="high")
    a.close(), b.close()
    with pytest.raises(FederationError, match="existing"):
        FederatedPSR.open(tmp_path / "nowhere")


def test_a_home_works_without_a_federation(frame, tmp_path):
    """What is learned into a home survives the process; it can join later."""
    node = FederatedPSR(home=tmp_path / "n", classes="high").partial_fit(frame[:100], batch_id="one")
    node.close()
    node = FederatedPSR.open(tmp_path / "n", with_mean=False)
    node.partial_fit(frame[:100], batch_id="one")
    assert node.psr_ == PSR.from_rows(frame[:100], classes="high")
    keys: list[str] = []
    node.create_federation("late", f"dir://{tmp_path}/late", guard="off", on_recovery_key=keys.append)
    assert len(keys[0].replace("-", "")) == 52
    assert node.pulse().status == "published"
    node.close()


def test_a_restored_backup_waits_until_it_is_resumed(frame, url, tmp_path):
    """A home that is behind what its peers hold publishes nothing, says so, and counts again after resume."""
    a = _found(url).partial_fit(frame[:200])
    b = _join(FederatedPSR(home=tmp_path / "b"), a, "b").partial_fit(frame[200:300])
    _pulse(a, b)
    b.close()
    shutil.copytree(tmp_path / "b", tmp_path / "backup")
    with FederatedPSR.open(tmp_path / "b") as b:
        b.partial_fit(frame[300:])
        _pulse(a, b)
    shutil.rmtree(tmp_path / "b")
    shutil.copytree(tmp_path / "backup", tmp_path / "b")
    b = FederatedPSR.open(tmp_path / "b")
    _pulse(a, b)
    assert "resume()" in b.pulse().status
    assert a.psr_ == PSR.from_rows(frame, classes="high")
    assert not (a.converged_ and b.converged_)
    b.resume()
    _pulse(a, b)
    assert a.psr_ == b.psr_ == PSR.from_rows(frame[:300], classes="high")
    a.close(), b.close()


def test_a_lost_home_is_replaced_by_invite(frame, url, tmp_path):
    """An invite under a member's name lets a new home take the place of a lost one; a place is founded once."""
    a = _found(url).partial_fit(frame[:200])
    b = _join(FederatedPSR(home=tmp_path / "b"), a, "b").partial_fit(frame[200:])
    _pulse(a, b)
    with pytest.raises(FederationError, match="already"):
        FederatedPSR(classes="high").create_federation("f", url, member="c", guard="off")
    b.close()
    shutil.rmtree(tmp_path / "b")
    b = _join(FederatedPSR(home=tmp_path / "b"), a, "b").partial_fit(frame[200:300])
    _pulse(a, b)
    assert a.psr_ == b.psr_ == PSR.from_rows(frame[:300], classes="high")
    a.close(), b.close()


def test_an_invite_is_clear_about_what_is_wrong(frame, url):
    """Wrong codes, altered invites and second uses are errors that say which, where they are made."""
    a = _found(url).partial_fit(frame)
    invite, code = a.invite("b")
    with pytest.raises(InviteError, match="not the one of this invite"):
        FederatedPSR().join(invite, a.invite("b")[1])
    with pytest.raises(InviteError, match="altered"):
        FederatedPSR().join(invite[:-3], code)
    b = FederatedPSR().join(invite, code)
    assert b.pulse().status.startswith("pending: admin 'a' (")
    with pytest.raises(FederationError, match=r"Still admin 'a' .* has not answered"):
        FederatedPSR().join(invite, code, wait=0.01)
    a.start_pulsing(0.05)
    with pytest.raises(InviteError, match="used before"):  # the request that came second is answered second
        FederatedPSR().join(invite, code, wait="1m")
    a.close(), b.close()


def test_a_federation_has_admins_a_schedule_and_an_end(frame, url, capsys):
    """Promoting, rotating, a new schedule, a full sync, removing and leaving, as users call them."""
    a = (
        FederatedPSR(classes="high")
        .create_federation("f", url, member="a", topology="centralised", guard="off")
        .partial_fit(frame)
    )
    assert "Recovery key of federation 'f'" in capsys.readouterr().out
    b, c = _join(FederatedPSR(), a, "b"), _join(FederatedPSR(), a, "c")
    b.partial_fit(frame[:10]), c.partial_fit(frame[:20])
    a.promote("b").rotate_key().set_schedule("5m")
    _pulse(a, b, c)
    c.request_full_sync()
    _pulse(a, b, c)
    assert [(m.name, m.role, m.rows) for m in c.members_] == [
        ("a", "admin", len(frame)),
        ("b", "admin", 10),
        ("c", "member", 20),
    ]
    assert c.members_[2].fingerprint == c.fingerprint_
    assert (c.status().schedule, c.status().epoch, c.status().topology) == ("5m", 2, "centralised")
    b.remove("a")
    _pulse(a, b, c)
    assert b.psr_ == c.psr_ == c.local_psr_ + b.local_psr_
    assert "no member any more" in a.pulse().status
    c.leave(forget=False)
    _pulse(b)
    c.pulse()
    assert not c.is_member
    assert c.local_psr_.n_rows == 20
    assert b.psr_.n_rows == 30
    b.leave(forget=True)
    assert not b.is_member
    for node in (a, b, c):
        node.close()


def test_a_federation_is_relayed_into_another(frame, url, tmp_path):
    """A member of two federations passes the merged statistics of one on to the other, never twice."""
    a = _found(url).partial_fit(frame[:100])
    b = _join(FederatedPSR(), a, "b").partial_fit(frame[100:200])
    _pulse(a, b)
    other = f"dir://{tmp_path}/other"
    hub = FederatedPSR(classes="high").create_federation(
        "g", other, member="hub", guard="off", on_recovery_key=lambda _: None
    )
    hub.partial_fit(frame[200:300])
    spoke = _join(FederatedPSR(), hub, "spoke")
    for _ in range(2):
        hub.relay(a)
        _pulse(hub, spoke)
        assert spoke.psr_ == PSR.from_rows(frame[:300], classes="high")
    b.partial_fit(frame[300:])
    _pulse(a, b)
    hub.relay(a)
    _pulse(hub, spoke)
    assert spoke.psr_ == hub.psr_ == PSR.from_rows(frame, classes="high")
    with pytest.raises(FederationError, match="count twice"):
        spoke.relay(b)
    with pytest.raises(FederationError, match="count twice"):
        a.relay(spoke)
    with pytest.raises(FederationError, match="another one"):
        a.relay(b)
    for node in (a, b, hub, spoke):
        node.close()


def test_members_are_neither_refitted_nor_copied(frame, url):
    """On a member fit and pickle raise; a clone is a fresh local estimator."""
    node = _found(url).partial_fit(frame)
    with pytest.raises(FederationError, match="partial_fit"):
        node.fit(frame)
    with pytest.raises(FederationError, match="pickled"):
        pickle.dumps(node)
    with pytest.raises(FederationError):
        copy.deepcopy(node)
    with pytest.raises(FederationError, match="already"):
        node.join(*node.invite("b"))
    fresh = clone(node)
    assert fresh.get_params() == {**node.get_params(), "home": None}
    assert not fresh.is_member
    assert fresh.fit(frame).psr_ == node.psr_
    node.close()


def test_nothing_but_pulse_publishes(frame, url):
    """Learning, forgetting and fitting models send nothing."""
    a = _found(url)
    b = _join(FederatedPSR(), a, "b")
    a.partial_fit(frame).forget(frame[:10])
    FederatedRidge(prior=a.psr_).fit(frame.drop(columns=["target", "high"]), frame.target)
    assert b.pulse().received == 0
    a.close(), b.close()


def test_the_background_pulses_and_leaves_attributes_alone(frame, url):
    """start_pulsing keeps psr_ current; mean_ changes only by a call of the user."""
    a = _found(url, schedule="1s").partial_fit(frame[:200])
    b = _join(FederatedPSR(), a, "b").partial_fit(frame[200:])
    mean = a.mean_.copy()
    a.start_pulsing("1s"), b.start_pulsing("1s")
    done = threading.Event()
    for _ in range(300):
        if a.converged_ and b.converged_ and a.psr_ == b.psr_ and a.psr_.n_rows == len(frame):
            break
        done.wait(0.1)
    assert a.psr_ == b.psr_ == PSR.from_rows(frame, classes="high")
    assert np.array_equal(a.mean_, mean)
    assert a.status().pulsing
    a.stop_pulsing(), b.stop_pulsing()
    a.pulse()
    assert not np.array_equal(a.mean_, mean)
    a.close(), b.close()


def test_errors_of_the_background_reach_the_user(frame, url, tmp_path):
    """A carrier that is gone shows in status, and is raised by the next call."""
    a = _found(url).partial_fit(frame)
    (tmp_path / "federation").rename(tmp_path / "gone")
    a.start_pulsing("1s")
    done = threading.Event()
    for _ in range(100):
        if a.status().last_error is not None:
            break
        done.wait(0.1)
    assert "TransportError" in a.status().last_error
    with pytest.raises(ConnectionError):
        a.pulse()
    (tmp_path / "gone").rename(tmp_path / "federation")
    a.stop_pulsing()
    assert a.pulse().status == "published"
    a.close()


def test_columns_that_do_not_fit_are_refused(frame, url):
    """A joiner with other columns changes nothing, and is told what differs; after reset it can learn what fits."""
    a = _found(url).partial_fit(frame)
    b = FederatedPSR(classes="high").partial_fit(frame.rename(columns={"bmi": "BMI"}))
    invite = a.invite("b")
    b.join(*invite)
    _pulse(a, b)
    assert a.psr_ == a.local_psr_
    assert b.psr_ == b.local_psr_
    assert "['bmi']" in b.status().last_refusal
    assert "['BMI']" in b.pulse().status
    assert not b.is_member
    b.reset().join(*invite)
    _pulse(a, b)
    with pytest.raises(SchemaError, match="BMI"):
        b.partial_fit(frame.rename(columns={"bmi": "BMI"}))
    b.partial_fit(frame)
    _pulse(a, b)
    assert a.psr_ == b.psr_ == a.local_psr_ + a.local_psr_
    a.close(), b.close()


def test_a_closed_node_says_so(frame, tmp_path):
    """After close every call raises, and the home can be opened again; a context manager closes."""
    with FederatedPSR(home=tmp_path / "n", classes="high") as node:
        node.partial_fit(frame)
    with pytest.raises(FederationError, match="closed"):
        node.psr_  # noqa: B018
    assert "psr_" not in dir(node)
    assert "FederatedPSR" in node._repr_html_()  # as a notebook shows it
    assert node.transform(frame).shape == (len(frame), 11)  # what was fitted stays
    with FederatedPSR.open(tmp_path / "n") as node:
        assert node.psr_.n_rows == len(frame)


def test_a_joiner_without_rows_follows_the_federation(frame, url):
    """A node that has learned nothing holds the others' statistics, in the founder's order, and can transform."""
    a = _found(url).partial_fit(frame)
    b = FederatedPSR().join(*a.invite("b"))
    with pytest.raises(NotFittedError, match="columns"):
        b.psr_  # noqa: B018
    with pytest.raises(NotFittedError, match="answered"):
        b.partial_fit(frame)  # is `high` a number or a class? nobody has told yet
    _pulse(a, b)
    assert b.psr_ == a.psr_
    assert b.psr_.names == a.psr_.names
    assert np.array_equal(b.transform(frame), a.transform(frame))
    b.partial_fit(frame[:10])  # the class column is known by now
    assert b.local_psr_ == PSR.from_rows(frame[:10], classes="high")
    with pytest.raises(ValueError, match="other"):
        b.partial_fit(pd.DataFrame({"other": [1.0], "high": [True]}))
    a.close(), b.close()
