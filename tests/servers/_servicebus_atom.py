"""The administration of a namespace, as ServiceBusAdministrationClient asks for it: ATOM entries over HTTPS.

Owns the entries: what of them is heeded, and how entities of `_servicebus_entities.py` are written as such. It is as
strict as the rest of this stand-in: settings that it does not know are a bad request, and so is a missing version.
Its certificate is made when it starts, and is its own authority: clients find it in a file.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers._servicebus_entities import (
    Correlation,
    Entity,
    Exists,
    Invalid,
    Namespace,
    NamespaceError,
    NotFound,
    NotSupported,
    Rule,
    Settings,
)
from tests.servers._servicebus_tokens import Unauthorized, expiry_of

ATOM, BUS = "http://www.w3.org/2005/Atom", "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
TYPE = f"{{{INSTANCE}}}type"

_STATUS = {Unauthorized: 401, NotFound: 404, Exists: 409, Invalid: 400, NotSupported: 400}
_SPANS = {
    "LockDuration": "lock_duration",
    "DefaultMessageTimeToLive": "time_to_live",
    "DuplicateDetectionHistoryTimeWindow": "duplicate_detection_window",
}
_FLAGS = {
    "RequiresDuplicateDetection": "duplicate_detection",
    "DeadLetteringOnMessageExpiration": "dead_lettering_on_expiration",
}
_COUNTS = {"MaxDeliveryCount": "max_delivery_count"}
_KEPT = {"MaxSizeInMegabytes"}  # and given back, not heeded
_READ_ONLY = {"MessageCount", "SizeInBytes"}
_OF_KIND = {
    "topic": {"DefaultMessageTimeToLive", "DuplicateDetectionHistoryTimeWindow", "RequiresDuplicateDetection"},
    "subscription": {
        "LockDuration",
        "DefaultMessageTimeToLive",
        "DeadLetteringOnMessageExpiration",
        "MaxDeliveryCount",
    },
}
_CORRELATION = {
    "CorrelationId": "correlation_id",
    "MessageId": "message_id",
    "To": "to",
    "ReplyTo": "reply_to",
    "Label": "label",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
    "ContentType": "content_type",
}


# -- settings and rules ----------------------------------------------------------------------------------------------


def _settings(kind: str, description: ET.Element) -> Settings:
    """Return what a description says; raise `NotSupported` for what this stand-in does not heed."""
    import isodate

    found: dict[str, Any] = {}
    for element in description:
        tag, text = element.tag.removeprefix(f"{{{BUS}}}"), element.text or ""
        if tag in _READ_ONLY:
            continue
        if kind == "topic" and tag in _KEPT:
            found["extra"] = {**found.get("extra", {}), tag: text}
            continue
        if tag not in _OF_KIND[kind]:
            raise NotSupported(f"{tag} of a {kind}")
        if tag in _SPANS:
            span = isodate.parse_duration(text)
            found[_SPANS[tag]] = span if isinstance(span, dt.timedelta) else span.totimedelta(start=_start())
        elif tag in _FLAGS:
            found[_FLAGS[tag]] = {"true": True, "false": False}[text]
        else:
            found[_COUNTS[tag]] = int(text)
    return Settings(**found)


def _start() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _description(namespace: Namespace, entity: Entity) -> ET.Element:
    """Return an entity as a description, with how much waits there."""
    import isodate

    kind = entity.kind.capitalize()
    element = ET.Element(f"{{{BUS}}}{kind}Description")
    for tag, name in {**_SPANS, **_FLAGS, **_COUNTS}.items():
        if tag in _OF_KIND[entity.kind]:
            value = getattr(entity.settings, name)
            text = isodate.duration_isoformat(value) if tag in _SPANS else str(value).lower()
            ET.SubElement(element, f"{{{BUS}}}{tag}").text = text
    for tag, text in entity.settings.extra.items():
        ET.SubElement(element, f"{{{BUS}}}{tag}").text = text
    counts = namespace.counts(entity.path)
    if entity.kind == "subscription":
        ET.SubElement(element, f"{{{BUS}}}MessageCount").text = str(counts.active + counts.dead_letters)
    else:
        ET.SubElement(element, f"{{{BUS}}}SizeInBytes").text = str(counts.size_in_bytes)
    return element


def _rule(name: str, description: ET.Element) -> Rule:
    """Return the rule that a description says."""
    wanted = description.find(f"{{{BUS}}}Filter")
    action = description.find(f"{{{BUS}}}Action")
    if wanted is None or (action is not None and action.get(TYPE) != "EmptyRuleAction"):
        raise NotSupported("a rule without a filter, or with an action")
    if wanted.get(TYPE) == "TrueFilter":
        return Rule(name)
    if wanted.get(TYPE) != "CorrelationFilter":
        raise NotSupported(f"a filter of type {wanted.get(TYPE)}")
    found: dict[str, Any] = {}
    for element in wanted:
        tag = element.tag.removeprefix(f"{{{BUS}}}")
        if tag == "Properties":
            found["properties"] = {pair[0].text: pair[1].text for pair in element}
        elif tag in _CORRELATION:
            found[_CORRELATION[tag]] = element.text
        else:
            raise NotSupported(f"{tag} of a correlation filter")
    return Rule(name, Correlation(**found))


def _rule_description(rule: Rule) -> ET.Element:
    element = ET.Element(f"{{{BUS}}}RuleDescription")
    wanted = ET.SubElement(element, f"{{{BUS}}}Filter")
    wanted.set(TYPE, "TrueFilter" if rule.filter is None else "CorrelationFilter")
    for tag, name in _CORRELATION.items() if rule.filter is not None else ():
        value = getattr(rule.filter, name)
        if value is not None:
            ET.SubElement(wanted, f"{{{BUS}}}{tag}").text = value
    ET.SubElement(element, f"{{{BUS}}}Action").set(TYPE, "EmptyRuleAction")
    ET.SubElement(element, f"{{{BUS}}}Name").text = rule.name
    return element


# -- requests --------------------------------------------------------------------------------------------------------


class Entries:
    """What is at the paths of a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def listed(self, path: list[str]) -> list[tuple[str, ET.Element]] | None:
        """Return the entries of a list, and what each is called; None if the path is that of an entry."""
        there = self._namespace
        match [part.lower() for part in path]:
            case ["$resources", "topics"]:
                return [(each.name, _description(there, each)) for each in there.topics()]
            case [_, "subscriptions"]:
                return [(each.name, _description(there, each)) for each in there.subscriptions(path[0])]
            case [_, "subscriptions", _, "rules"]:
                return [(each.name, _rule_description(each)) for each in there.rules(path[0], path[2])]
        return None

    def get(self, path: list[str]) -> ET.Element:
        """Return the description at a path."""
        there = self._namespace
        match [part.lower() for part in path]:
            case [_]:
                return _description(there, there.topic(path[0]))
            case [_, "subscriptions", _]:
                return _description(there, there.subscription(path[0], path[2]))
            case [_, "subscriptions", _, "rules", _]:
                return _rule_description(there.rule(path[0], path[2], path[4]))
        raise NotFound("/".join(path))

    def put(self, path: list[str], description: ET.Element, *, update: bool) -> None:
        """Make what is described at a path, or change it."""
        there = self._namespace
        kind = description.tag.removeprefix(f"{{{BUS}}}").removesuffix("Description").lower()
        match kind, [part.lower() for part in path]:
            case "topic", [_]:
                settings = _settings(kind, description)
                (there.update_topic if update else there.create_topic)(path[0], settings)
            case "subscription", [_, "subscriptions", _]:
                settings = _settings(kind, description)
                (there.update_subscription if update else there.create_subscription)(path[0], path[2], settings)
            case "rule", [_, "subscriptions", _, "rules", _]:
                rule = _rule(path[4], description)
                (there.update_rule if update else there.create_rule)(path[0], path[2], rule)
            case _:
                raise Invalid(f"a {kind} at {'/'.join(path)}")

    def delete(self, path: list[str]) -> None:
        """Remove what is at a path."""
        there = self._namespace
        match [part.lower() for part in path]:
            case [_]:
                there.delete_topic(path[0])
            case [_, "subscriptions", _]:
                there.delete_subscription(path[0], path[2])
            case [_, "subscriptions", _, "rules", _]:
                there.delete_rule(path[0], path[2], path[4])
            case _:
                raise NotFound("/".join(path))


class Administration:
    """Serves sockets whose clients begin TLS; called in a thread for each.

    Parameters
    ----------
    namespace : Namespace
    keys : mapping
        The key of each name.
    folder : Path
        Where the certificate is to lie: `authority.pem`.
    """

    def __init__(self, namespace: Namespace, keys: Mapping[str, str], folder: Path) -> None:
        self.entries = Entries(namespace)
        self._keys, self._clock = keys, namespace.store.clock
        self._context = _context(folder)

    def __call__(self, client: socket.socket) -> None:
        """Serve a client until it hangs up."""
        try:
            with self._context.wrap_socket(client, server_side=True) as secure:
                _Handler(secure, secure.getpeername(), self)
        except OSError:
            client.close()

    def require_right(self, token: str, url: str) -> None:
        """Raise `Unauthorized` unless the token is good for administration at a URL."""
        expiry_of(token, url, self._keys, self._clock())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, do: Callable[[list[str], dict[str, str], bytes], tuple[int, ET.Element | None]]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            self.server.require_right(self.headers.get("Authorization") or "", f"https://host{parts.path}")
            if "api-version" not in query:
                raise Invalid("no api-version")
            status, element = do([unquote(part) for part in parts.path.strip("/").split("/")], query, body)
        except NamespaceError as error:
            status, element = _STATUS[type(error)], ET.Element("Error")
            ET.SubElement(element, "Code").text = str(status)
            ET.SubElement(element, "Detail").text = str(error)
        except (ET.ParseError, KeyError, ValueError, TypeError) as error:
            status, element = 400, ET.Element("Error")
            ET.SubElement(element, "Code").text = "400"
            ET.SubElement(element, "Detail").text = f"malformed: {type(error).__name__}"
        data = b"" if element is None else ET.tostring(element, "utf-8", xml_declaration=True)
        self.send_response(status)
        self.send_header("Content-Type", "application/xml" if status >= 400 else "application/atom+xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _get(self, path: list[str], query: dict[str, str], _: bytes) -> tuple[int, ET.Element | None]:
        entries = self.server.entries
        listed = entries.listed(path)
        if listed is None:
            return 200, _entry(path[-1], entries.get(path))
        skip, top = int(query.get("$skip", "0")), int(query.get("$top", "100"))
        feed = ET.Element(f"{{{ATOM}}}feed")
        ET.SubElement(feed, f"{{{ATOM}}}title", type="text").text = path[-1]
        ET.SubElement(feed, f"{{{ATOM}}}link", rel="self", href=self.path)
        if len(listed) > skip + top:
            following = f"{urlsplit(self.path).path}?$skip={skip + top}&$top={top}&api-version={query['api-version']}"
            ET.SubElement(feed, f"{{{ATOM}}}link", rel="next", href=f"https://{self.headers['Host']}{following}")
        feed.extend(_entry(name, description) for name, description in listed[skip : skip + top])
        return 200, feed

    def _put(self, path: list[str], _: dict[str, str], body: bytes) -> tuple[int, ET.Element | None]:
        content = ET.fromstring(body).find(f"{{{ATOM}}}content")
        if content is None or len(content) != 1:
            raise Invalid("an entry without one description")
        update = self.headers.get("If-Match") == "*"
        self.server.entries.put(path, content[0], update=update)
        return (200 if update else 201), _entry(path[-1], self.server.entries.get(path))

    def _delete(self, path: list[str], _: dict[str, str], __: bytes) -> tuple[int, ET.Element | None]:
        self.server.entries.delete(path)
        return 200, None


def _entry(name: str, description: ET.Element) -> ET.Element:
    entry = ET.Element(f"{{{ATOM}}}entry")
    ET.SubElement(entry, f"{{{ATOM}}}title", type="text").text = name
    content = ET.SubElement(entry, f"{{{ATOM}}}content", type="application/xml")
    content.append(description)
    return entry


def _context(folder: Path) -> ssl.SSLContext:
    """Return what serves TLS as localhost, and put its certificate into a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = _start()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "authority.pem").write_bytes(public)
    both = folder / "server.pem"
    both.write_bytes(private + public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context
