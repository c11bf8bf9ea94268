"""What a federation is called at AWS, and how it is made there and removed: by the class, and from a shell."""

from __future__ import annotations

import json
import sys

import pytest

from sklearn_symfed.exceptions import FederationError, SettingError
from sklearn_symfed.federation.transports import Transport, open_transport
from sklearn_symfed.federation.transports._aws_names import member_of, place_of, token_of
from sklearn_symfed.federation.transports.aws import AwsTransport
from sklearn_symfed.testing._transports import drain
from tests.servers.aws import ACCOUNT, new_url

pytestmark = pytest.mark.servers


def test_provision_and_teardown(aws_carrier):
    """What a federation needs is made, once and again, listed, and removed; what others have is left alone."""
    url, other = aws_carrier.url, new_url()
    AwsTransport.provision(other, "a")
    name = place_of(url).federation
    listed = [f"topic symfed_{name}", f"queue symfed_{name}_dead_a", f"queue symfed_{name}_in_a", "bucket symfed-tests"]
    for _ in range(2):
        assert AwsTransport.provision(url, "a") == listed
    with AwsTransport(url, "a") as a, AwsTransport(url, "b") as b:
        a.publish(b"large" * 50_000)
        with pytest.raises(FederationError, match="holds a federation already"):
            AwsTransport.provision(url, "a")
        assert drain(b, patience=1) == [b"large" * 50_000]
    with AwsTransport(other, "a") as a:
        a.publish(b"large" * 50_000)
    assert AwsTransport.teardown(url) == ["bucket symfed-tests"]
    assert AwsTransport.standing(url) == ["bucket symfed-tests"]
    assert len(AwsTransport.standing(other)) == 4


def test_the_account_is_asked_for_where_the_url_does_not_say(aws_carrier):
    """Whoever connects tells by its credentials which account it is."""
    url = aws_carrier.url.replace(f"&account={ACCOUNT}", "")
    with AwsTransport(url, "a", create=True) as a, AwsTransport(aws_carrier.url, "b") as b:
        a.publish(b"x")
        assert drain(b, patience=1) == [b"x"]
    assert f":{ACCOUNT}:" in AwsTransport.policy(url, "a")


def test_carriers_without_such_commands_say_so(tmp_path):
    """A folder has no policy and is not taken down; making it is opening it as a founder."""
    url = tmp_path.as_uri().replace("file", "dir", 1)
    kind = type(open_transport(url, "a"))
    assert issubclass(kind, Transport)
    assert kind.provision(url, "a") == [url]
    for use in (lambda: kind.policy(url, "a"), lambda: kind.standing(url), lambda: kind.teardown(url)):
        with pytest.raises(SettingError, match="but expected a carrier that"):
            use()


def test_a_federation_is_provisioned_and_taken_down_from_a_shell(aws_carrier, capsys):
    """The commands make, list and remove, ask before they remove, and print a policy."""
    cli = pytest.importorskip("sklearn_symfed.cli._app")
    from typer.testing import CliRunner

    def symfed(*arguments, code=0, **options):
        result = CliRunner().invoke(cli.app, arguments, **options)
        assert result.exit_code == code, result.output
        return result.output

    url = aws_carrier.url
    there = json.loads(symfed("provision", url, "--member", "north", "--json"))["there"]
    assert len(there) == 4
    assert json.loads(symfed("policy", url, "--member", "north", "--admin"))["Version"] == "2012-10-17"
    assert there[1] in symfed("teardown", url, input="n\n", code=1)
    assert AwsTransport.standing(url) == there
    assert "Removed" in symfed("teardown", url, input="y\n")
    assert AwsTransport.standing(url) in ([], ["bucket symfed-tests"])
    symfed("provision", url, "--member", "north")
    assert "Removed" in symfed("teardown", url, "--yes")
    assert "expected a carrier that has rights" in symfed("policy", "memory://x", "--member", "a", code=1)
    assert "$JS.ACK" in symfed("policy", "nats://host/f", "--member", "a")


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "aws://eu-central-1/f",
        "aws://eu-central-1/?bucket=b-b",
        "aws:///f?bucket=b-b",
        "aws://eu-central-1/F?bucket=b-b",
        "aws://eu-central-1/a_b?bucket=b-b",
        "aws://eu-central-1/a/b?bucket=b-b",
        "aws://eu-central-1/" + "x" * 25 + "?bucket=b-b",
        "aws://eu-central-1/f?bucket=B",
        "aws://eu-central-1/f?bucket=b-b&account=1",
        "aws://eu-central-1/f?bucket=b-b&wait=21",
        "aws://eu-central-1/f?bucket=b-b&bucket=c-c",
        "aws://eu-central-1/f?bucket=b-b#x",
        "aws://eu-central-1:443/f?bucket=b-b",
    ],
)
def test_malformed_urls(url):
    """A URL that names no region, federation and bucket is refused."""
    with pytest.raises(SettingError, match="expected aws://region/federation"):
        AwsTransport(url, "a")


@pytest.mark.parametrize(
    "url", ["aws://key:a-secret@eu-central-1/f?bucket=b-b", "aws://eu-west-1/f?bucket=b-b&k=a-secret"]
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url):
    """A URL goes into invites, so it may hold no secret; the error does not repeat one."""
    with pytest.raises(SettingError, match="come from the usual chain") as caught:
        AwsTransport(url, "a")
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["Zürich", "a.b", "*", "a b", "a_b", "a__b", "A", "a-b", "名前", "x" * 43])
def test_tokens_are_safe_and_reversible(name):
    """A member's token is letters that a queue's name may have, from which the member can be told."""
    assert member_of(token_of(name)) == name
    assert not set(token_of(name)) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_long_names_are_hashed():
    """Long names have tokens of 43 letters that differ, which no other name has."""
    names = ["x" * 44, "x" * 80, "x" * 79 + "y", "ü" * 40, "x" * 79 + "z"]
    tokens = [token_of(name) for name in names]
    assert len(set(tokens)) == len(names)
    assert {len(token) for token in tokens} == {43}
    assert [member_of(token) for token in tokens] == [None] * len(names)
    assert all(token_of(token) != token for token in tokens)
    assert len(f"symfed_{'x' * 24}_dead_{tokens[0]}") <= 80
    assert member_of("_ff") is None


def test_a_missing_sdk_names_its_extra(monkeypatch):
    """Without boto3 the error says what to install."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingError, match=r"AwsTransport needs boto3: pip install 'sklearn-symfed\[aws\]'"):
        open_transport("aws://eu-central-1/f?bucket=b-b", "a")
