"""What a federation is called at Azure, and how it is made there and removed: by the class, and from a shell."""

from __future__ import annotations

import gc
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from sklearn_symfed.exceptions import FederationError, SettingError, TransportError
from sklearn_symfed.federation.transports import open_transport
from sklearn_symfed.federation.transports._azure_names import member_of, place_of, token_of
from sklearn_symfed.federation.transports.azure import AzureTransport
from sklearn_symfed.testing._transports import drain
from tests.servers._servicebus_entities import Correlation, Rule, Settings
from tests.servers._servicebus_tokens import signature
from tests.servers.azure import new_url
from tests.servers.servicebus import KEY, KEY_NAME, MEMBER_KEY, MEMBER_NAME, connection_string

URL = "azure://acme.servicebus.windows.net/flights?blobs=acmeblobs/symfed"


@pytest.fixture
def carrier(azure_carrier):
    """Return a place for a federation; what it leaves open is closed there."""
    yield azure_carrier
    gc.collect()


# -- names -----------------------------------------------------------------------------------------------------------


def test_what_a_url_says():
    """A URL names namespace, federation, account and container; clouds of countries have storage of their own."""
    place = place_of(URL)
    assert place == ("acme.servicebus.windows.net", "flights", "acmeblobs", "symfed", 1.0)
    assert (place.topic, place.inbox("b"), place.blobs) == ("symfed_flights", "in_b", "flights/")
    assert place.storage_url == "https://acmeblobs.blob.core.windows.net"
    assert place_of(URL + "&wait=0.25").wait == 0.25
    china = place_of(URL.replace("windows.net", "chinacloudapi.cn"))
    assert china.storage_url == "https://acmeblobs.blob.core.chinacloudapi.cn"


@pytest.mark.parametrize(
    "url",
    [
        "azure://acme.servicebus.windows.net",
        "azure://acme.servicebus.windows.net/flights",
        "azure:///flights?blobs=acmeblobs/symfed",
        "azure://[acme/flights?blobs=acmeblobs/symfed",
        URL.replace("flights", "Flights"),
        URL.replace("flights", "a_b"),
        URL.replace("flights", "-a"),
        URL.replace("flights", "a" * 41),
        URL.replace("acme.", "acme_."),
        URL.replace("acmeblobs/symfed", "acmeblobs"),
        URL.replace("acmeblobs/", "ab/"),
        URL.replace("/symfed", "/sym--fed"),
        URL + "&wait=soon",
        URL + "&wait=1&wait=2",
        URL + "#x",
        URL + "&key=open-sesame",
        URL.replace("acme.", "user:open-sesame@acme."),
    ],
)
def test_what_is_no_url_of_azure(url):
    """A URL that names less, more or something else is refused, and a secret in one is not repeated."""
    with pytest.raises(SettingError, match="but expected azure://namespace") as e:
        place_of(url)
    assert "open-sesame" not in str(e.value)


@pytest.mark.parametrize(
    ("member", "token"),
    [
        ("north", "north"),
        ("North", "_4eorth"),
        ("a-b", "a_2db"),
        ("a_b", "a_5fb"),
        ("é", "_c3_a9"),
        ("x" * 43, "x" * 43),
    ],
)
def test_tokens(member, token):
    """A name that Service Bus would take for another, as it does with large letters, is escaped."""
    assert token_of(member) == token
    assert member_of(token) == member


def test_long_names_are_hashed_and_not_told():
    """What is long is hashed: at most 50 letters stand in a subscription's name, and nobody tells whose it is."""
    token = token_of("ü" * 40)
    assert len(place_of(URL).inbox(token)) <= 50
    assert token != token_of("ü" * 39)
    for nobody in (token, "", "_", "a-b", "_zz", "A", "_61"):
        assert member_of(nobody) is None
    assert place_of(URL).owner("in_north") == "north"
    assert place_of(URL).owner(f"in_{token}") == token
    assert place_of(URL).owner("of-somebody-else") is None


def test_roles():
    """A member sends to the topic and reads its own inbox; an admin makes others; both keep blobs in one container."""
    member, admin = (json.loads(AzureTransport.policy(URL, "South", admin=admin)) for admin in (False, True))
    topic = "/providers/Microsoft.ServiceBus/namespaces/acme/topics/symfed_flights"
    container = "/providers/Microsoft.Storage/storageAccounts/acmeblobs/blobServices/default/containers/symfed"
    scopes = {
        each["role"]: each["scope"].removeprefix("/subscriptions/SUBSCRIPTION/resourceGroups/GROUP") for each in member
    }
    assert scopes == {
        "Azure Service Bus Data Sender": topic,
        "Azure Service Bus Data Receiver": f"{topic}/subscriptions/in__53outh",
        "Storage Blob Data Contributor": container,
    }
    assert [each["role"] for each in admin] == ["Azure Service Bus Data Owner", "Storage Blob Data Contributor"]


def test_the_roles_in_the_docs_are_these():
    """The roles that the docs print are those of a member, and the commands of its page name the same place."""
    page = (Path(__file__).parents[2] / "docs" / "transports.md").read_text("utf-8")
    (block,) = re.findall(r"### Roles of Azure\n.*?```json\n(.*?)```", page, flags=re.DOTALL)
    url = "azure://acme.servicebus.windows.net/flights?blobs=acmeblobs/flights"
    assert f'symfed policy "{url}" --member south' in page
    assert block.rstrip("\n") == AzureTransport.policy(url, "south")


# -- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.servers
def test_provision_and_teardown(carrier):
    """What a federation needs is made, once and again, listed, and removed; what others have is left alone."""
    url, other = carrier.url, new_url(int(carrier.url.split(":")[2].split("/")[0]))
    AzureTransport.provision(other, "a")
    topic = place_of(url).topic
    listed = [f"topic {topic}", "subscription in_a", "container symfed-tests"]
    for _ in range(2):
        assert AzureTransport.provision(url, "a") == listed
    with AzureTransport(url, "a") as a, AzureTransport(url, "b") as b:
        a.publish(b"large" * 50_000)
        with pytest.raises(FederationError, match="holds a federation already"):
            AzureTransport.provision(url, "a")
        assert drain(b, patience=1) == [b"large" * 50_000]
    with AzureTransport(other, "a") as a:
        a.publish(b"large" * 50_000)
    assert AzureTransport.teardown(url) == ["container symfed-tests"]
    assert AzureTransport.standing(url) == ["container symfed-tests"]
    assert AzureTransport.teardown(url) == ["container symfed-tests"]
    assert len(AzureTransport.standing(other)) == 3


@pytest.mark.servers
def test_a_container_of_its_own_goes_too(carrier):
    """A container in which nothing else lies is made and removed."""
    url = carrier.url.replace("/symfed-tests", f"/{place_of(carrier.url).federation}")
    assert len(AzureTransport.provision(url, "a")) == 3
    assert AzureTransport.teardown(url) == AzureTransport.standing(url) == []


@pytest.mark.servers
def test_what_is_made(carrier, servicebus):
    """A topic drops repetitions; an inbox tries five times, locks for as long as is asked, and keeps for 14 days."""
    place, there = place_of(carrier.url), servicebus.namespace
    with AzureTransport(carrier.url, "a", create=True, ack_deadline=1000.0) as a:
        a.prepare("b")
        a.prepare("b")
    topic, inbox = there.topic(place.topic), there.subscription(place.topic, place.inbox("b"))
    kept = timedelta(days=14)
    assert topic.settings == Settings(time_to_live=kept, duplicate_detection=True, extra={"MaxSizeInMegabytes": "5120"})
    assert inbox.settings == Settings(lock_duration=timedelta(minutes=5), max_delivery_count=5, time_to_live=kept)
    assert there.rules(place.topic, inbox.name) == [
        Rule("to_all", Correlation(to="*")),
        Rule("to_member", Correlation(to="b")),
    ]


@pytest.mark.servers
def test_what_is_there_stays_as_it_is(carrier, servicebus):
    """An operator may have made topic and subscription otherwise; only rules that are missing are added."""
    place, there = place_of(carrier.url), servicebus.namespace
    settings = Settings(max_delivery_count=9, lock_duration=timedelta(seconds=30))
    there.create_topic(place.topic, Settings(time_to_live=timedelta(days=1)))
    there.create_subscription(place.topic, place.inbox("a"), settings)
    there.create_subscription(place.topic, "of-somebody-else")
    AzureTransport(carrier.url, "a", create=True).close()
    assert there.subscription(place.topic, place.inbox("a")).settings == settings
    assert there.topic(place.topic).settings.time_to_live == timedelta(days=1)


@pytest.mark.servers
def test_who_may_not_make_is_told(carrier, servicebus, monkeypatch):
    """A founder with the rights of a member, or with a wrong key, makes nothing, and is told why."""
    for key, name in ((MEMBER_KEY, MEMBER_NAME), (KEY.replace("c3lt", "d3lt"), MEMBER_NAME)):
        monkeypatch.setenv("AZURE_SERVICEBUS_CONNECTION_STRING", connection_string(servicebus.port, key, name))
        for use in (
            lambda: open_transport(carrier.url, "a", create=True),
            lambda: AzureTransport.provision(carrier.url, "a"),
            lambda: AzureTransport.standing(carrier.url),
            lambda: AzureTransport.teardown(carrier.url),
        ):
            with pytest.raises(TransportError, match="credentials that Azure does not take") as e:
                use()
            assert key not in str(e.value)
    assert place_of(carrier.url).topic not in {topic.name for topic in servicebus.namespace.topics()}


@pytest.mark.servers
def test_a_place_without_a_federation_is_called_so(carrier):
    """Whoever opens what nobody founded, or what was taken down, is told."""
    with pytest.raises(TransportError, match=r"Got no topic 'symfed_.* expected a federation that was founded there"):
        open_transport(carrier.url, "a")


@pytest.mark.servers
def test_a_federation_is_provisioned_and_taken_down_from_a_shell(carrier):
    """The commands make, list and remove, ask before they remove, and print roles."""
    cli = pytest.importorskip("sklearn_symfed.cli._app")
    from typer.testing import CliRunner

    def symfed(*arguments, code=0, **options):
        result = CliRunner().invoke(cli.app, arguments, **options)
        assert result.exit_code == code, result.output
        return result.output

    url = carrier.url
    there = json.loads(symfed("provision", url, "--member", "north", "--json"))["there"]
    assert there == [f"topic {place_of(url).topic}", "subscription in_north", "container symfed-tests"]
    assert len(json.loads(symfed("policy", url, "--member", "north", "--admin"))) == 2
    assert there[1] in symfed("teardown", url, input="n\n", code=1)
    assert AzureTransport.standing(url) == there
    assert "Removed" in symfed("teardown", url, "--yes")
    assert AzureTransport.standing(url) in ([], ["container symfed-tests"])


# -- what stands in for administration -------------------------------------------------------------------------------


TOPIC = "<TopicDescription xmlns='http://schemas.microsoft.com/netservices/2010/10/servicebus/connect'>{}</TopicDescription>"
ENTRY = "<entry xmlns='http://www.w3.org/2005/Atom'><content type='application/xml'>{}</content></entry>"


@pytest.mark.servers
def test_the_stand_in_is_strict(servicebus):
    """It refuses what is not signed, has no version, is malformed, or sets what it does not heed, and makes nothing."""
    name = f"strict-{servicebus.port}"
    trusted = ssl.create_default_context(cafile=servicebus.authority)

    def status(body, query="?api-version=2021-05", key=KEY, **headers):
        url = f"https://localhost:{servicebus.port}/{name}"
        token = signature(url, KEY_NAME, key, int(time.time()) + 60)
        request = urllib.request.Request(url + query, body.encode(), {"Authorization": token, **headers}, method="PUT")
        try:
            with urllib.request.urlopen(request, context=trusted, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    plain = ENTRY.format(TOPIC.format(""))
    assert status(plain, key=MEMBER_KEY) == 401
    assert status(plain, Authorization="") == 401
    assert status(plain, query="") == 400
    assert status("<entry>") == 400
    assert status(ENTRY.format("")) == 400
    assert status(ENTRY.format(TOPIC.format("<EnablePartitioning>true</EnablePartitioning>"))) == 400
    assert status(plain, **{"If-Match": "*"}) == 404
    assert name not in {topic.name for topic in servicebus.namespace.topics()}
    assert status(plain) == 201
    assert status(plain) == 409
    assert status(plain, **{"If-Match": "*"}) == 200
