"""The emulated push service, asked by a client that is written here, frame by frame."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest

from passes.emulators.apns import ApnsEmulator, Request
from tests.certificates_for_tests import TOPIC, Authority, Identity

TOKEN = "ab" * 32
MANY = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Reply:
    """What came back on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers[":status"])

    @property
    def reason(self) -> str:
        return str(json.loads(self.body)["reason"])


class RawClient:
    """A connection that sends exactly what a test says."""

    def __init__(self, port: int, authority: Path, identity: Identity | None, protocols: list[str]) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        context.set_alpn_protocols(protocols)
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        connection = socket.create_connection(("127.0.0.1", port), 5)
        try:
            self.tls = context.wrap_socket(connection, server_hostname="127.0.0.1")
        except BaseException:
            connection.close()
            raise
        self.http = h2.connection.H2Connection(
            # The tests want to send what a polite client would not.
            h2.config.H2Configuration(
                header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.http.initiate_connection()
        self.replies: dict[int, Reply] = {}
        self.goaway: tuple[int, bytes] | None = None
        self.over = False
        self.flush()

    def send(self, *, body: bytes = b"{}", **changes: Any) -> int:
        """Send a push; keywords replace headers (`_` for `-`, `pseudo_` for `:`), None removes one."""
        headers: dict[str, Any] = {
            ":method": "POST",
            ":scheme": "https",
            ":authority": "127.0.0.1",
            ":path": f"/3/device/{TOKEN}",
            "apns-topic": TOPIC,
        }
        for name, value in changes.items():
            headers[name.replace("pseudo_", ":").replace("_", "-")] = value
        stream = self.http.get_next_available_stream_id()
        kept = [(name, value) for name, value in headers.items() if value is not None]
        self.http.send_headers(stream, kept, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.replies[stream] = Reply()
        self.flush()
        return stream

    def flush(self) -> None:
        if data := self.http.data_to_send():
            # A service that hung up may have said why: that is found by reading.
            with contextlib.suppress(OSError):
                self.tls.sendall(data)

    def read(self) -> None:
        """Take in whatever comes next."""
        data = self.tls.recv(65536)
        self.over = not data
        # `h2` ends its state with a GOAWAY; the frame is read here so that answers may follow.
        for event in self.http.receive_data(self._without_goaway(data)):
            reply = self.replies.get(getattr(event, "stream_id", 0) or 0, Reply())
            if isinstance(event, h2.events.ResponseReceived):
                reply.headers = {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                reply.body += event.data
            elif isinstance(event, h2.events.StreamReset):
                reply.reset = int(event.error_code)
            elif isinstance(event, h2.events.StreamEnded):
                reply.ended = True
        self.flush()

    def read_to_the_end(self) -> None:
        # Some versions of Python's `ssl` report a reset connection as an ended one.
        with contextlib.suppress(ConnectionResetError):
            while not self.over:
                self.read()

    def _without_goaway(self, data: bytes) -> bytes:
        kept = b""
        while data:
            length = 9 + int.from_bytes(data[:3], "big")
            if data[3] == 7:
                self.goaway = (int.from_bytes(data[9:13], "big"), data[17:length])
            else:
                kept += data[:length]
            data = data[length:]
        return kept

    def answer(self, stream: int) -> Reply:
        """Wait for the answer on a stream."""
        while not self.replies[stream].ended:
            self.read()
            assert not self.over, "the service closed the connection"
        return self.replies[stream]

    def push(self, **changes: Any) -> Reply:
        return self.answer(self.send(**changes))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("apns"), "Test authority")


@pytest.fixture(scope="session")
def server(authority: Authority) -> Identity:
    return authority.server()


@pytest.fixture(scope="session")
def client(authority: Authority) -> Identity:
    return authority.client()


Start = Callable[..., ApnsEmulator]
Dial = Callable[..., RawClient]


@pytest.fixture
def start(authority: Authority, server: Identity) -> Iterator[Start]:
    running = []

    def make(**changes: Any) -> ApnsEmulator:
        service = ApnsEmulator(
            certificate_file=server.certificate,
            key_file=server.key,
            client_ca_files=[authority.certificate],
            clock=lambda: NOW,
            **changes,
        )
        running.append(service)
        service.start()
        return service

    yield make
    for service in running:
        service.stop()


@pytest.fixture
def dial(authority: Authority, client: Identity) -> Iterator[Dial]:
    made = []

    def make(
        service: ApnsEmulator, identity: Identity | None = client, protocols: tuple[str, ...] = ("h2",)
    ) -> RawClient:
        made.append(RawClient(service.port, authority.certificate, identity, list(protocols)))
        return made[-1]

    yield make
    for one in made:
        one.tls.close()


def test_a_good_push_is_accepted_and_remembered(start: Start, dial: Dial) -> None:
    service = start()
    identifier = "123e4567-e89b-12d3-a456-426655440000"
    reply = dial(service).push(apns_id=identifier, apns_priority="5")
    assert (reply.status, reply.body, reply.headers["apns-id"]) == (200, b"", identifier)
    (request,) = service.history
    assert request == Request(
        at=NOW,
        token=TOKEN,
        topic=TOPIC,
        headers={"apns-topic": TOPIC, "apns-id": identifier, "apns-priority": "5"},
        body="{}",
        status=200,
        reason=None,
        connection=1,
        stream=1,
        certificate=request.certificate,
    )
    assert json.loads(json.dumps(request.as_json()))["at"] == NOW.isoformat()


def test_an_identifier_is_given_where_none_was_sent(start: Start, dial: Dial) -> None:
    assert len(dial(start()).push().headers["apns-id"]) == 36


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"pseudo_method": "GET"}, 405, "MethodNotAllowed"),
        ({"pseudo_path": "/"}, 404, "BadPath"),
        ({"pseudo_path": f"/2/device/{TOKEN}"}, 404, "BadPath"),
        ({"pseudo_path": f"/3/device/{TOKEN}/x"}, 404, "BadPath"),
        ({"pseudo_path": f"/3/device/{TOKEN}?x"}, 404, "BadPath"),
        ({"pseudo_path": "/3/device/"}, 400, "MissingDeviceToken"),
        ({"pseudo_path": "/3/device/xyz0"}, 400, "BadDeviceToken"),
        ({"pseudo_path": "/3/device/abc"}, 400, "BadDeviceToken"),
        ({"pseudo_path": "/3/device/" + "ab" * 257}, 400, "BadDeviceToken"),
        ({"apns_topic": "pass.test.other"}, 400, "TopicDisallowed"),
        ({"apns_push_type": "wallet"}, 400, "InvalidPushType"),
        ({"apns_priority": "7"}, 400, "BadPriority"),
        ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
        ({"apns_expiration": "-1"}, 400, "BadExpirationDate"),
        ({"apns_id": "7"}, 400, "BadMessageId"),
        ({"apns_collapse_id": "x" * 65}, 400, "BadCollapseId"),
        ({"body": b""}, 400, "PayloadEmpty"),
        ({"body": b"[]"}, 400, "PayloadEmpty"),
        ({"body": b"{"}, 400, "PayloadEmpty"),
        ({"body": b"\xff"}, 400, "PayloadEmpty"),
        ({"body": b'{"a":"' + b"x" * 4089 + b'"}'}, 413, "PayloadTooLarge"),
        ({"body": b"{}" + b" " * 16_000}, 413, "PayloadTooLarge"),
    ],
)
def test_what_apple_would_refuse_is_refused(
    start: Start, dial: Dial, changes: dict[str, Any], status: int, reason: str
) -> None:
    service = start()
    reply = dial(service).push(**changes)
    assert (reply.status, reply.reason) == (status, reason)
    assert [request.status for request in service.history] == [status]


@pytest.mark.parametrize(
    "changes",
    [
        {"apns_topic": None},
        {"apns_push_type": "background"},
        {"apns_expiration": "0"},
        {"body": b'{"a":"' + b"x" * 4088 + b'"}'},
        {"pseudo_path": "/3/device/" + "AB" * 256},
    ],
)
def test_what_apple_would_take_is_taken(start: Start, dial: Dial, changes: dict[str, Any]) -> None:
    service = start()
    assert dial(service).push(**changes).status == 200
    # Without a topic the certificate names it.
    assert service.history[0].topic == TOPIC


def test_a_header_sent_twice_is_refused(start: Start, dial: Dial) -> None:
    client = dial(start())
    stream = client.http.get_next_available_stream_id()
    client.http.send_headers(
        stream,
        [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "x"),
            (":path", f"/3/device/{TOKEN}"),
            ("apns-topic", TOPIC),
            ("apns-topic", "pass.test.other"),
        ],
        end_stream=True,
    )
    client.replies[stream] = Reply()
    client.flush()
    assert client.answer(stream).reason == "DuplicateHeaders"


def test_only_a_certificate_of_the_authority_gets_in(start: Start, dial: Dial, tmp_path: Path) -> None:
    service = start()
    # With TLS 1.3 the refusal arrives with the first read.
    stranger = dial(service, Authority(tmp_path, "Somebody else").client())
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        stranger.read_to_the_end()
    nobody = dial(service, None)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        nobody.read_to_the_end()
    assert (service.connections, service.received) == (0, 0)
    # The client knows first; the server counts when its own side has noticed.
    deadline = time.monotonic() + 5
    while service.handshakes_refused < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.handshakes_refused == 2


def test_a_client_without_http2_is_sent_away(start: Start, dial: Dial) -> None:
    client = dial(start(), protocols=("http/1.1",))
    assert client.tls.recv(100) == b""


def test_a_token_may_be_unknown_or_belong_to_another_topic(start: Start, dial: Dial) -> None:
    service = start(known_tokens_only=True)
    client = dial(service)
    assert client.push().reason == "BadDeviceToken"
    service.know(TOKEN.upper(), "pass.test.other")
    assert client.push().reason == "DeviceTokenNotForTopic"
    service.know(TOKEN)
    assert client.push().status == 200


def test_more_streams_than_allowed_end_the_connection(start: Start, dial: Dial) -> None:
    service = start(max_concurrent_streams=2)
    service.faults.withhold()
    client = dial(service)
    client.read()
    assert client.http.remote_settings.max_concurrent_streams == 2
    client.http.remote_settings = h2.settings.Settings(client=False, initial_values={MANY: 100})
    for _ in range(3):
        client.send()
    while client.goaway is None:
        client.read()
    assert service.streams_open_max == 2


def test_an_accepted_push_is_delivered_in_order_and_a_refused_one_is_not(start: Start, dial: Dial) -> None:
    delivered: list[tuple[str, str, str | None]] = []
    both = threading.Event()

    def on_push(token: str, topic: str, headers: dict[str, str]) -> None:
        delivered.append((token, topic, headers.get("apns-priority")))
        if len(delivered) == 2:
            both.set()
        raise RuntimeError("a phone that fails keeps nothing from the next")

    client = dial(start(on_push=on_push))
    client.push(apns_priority="5")
    client.push(body=b"")
    client.push(pseudo_path="/3/device/cd")
    assert both.wait(5)
    assert delivered == [(TOKEN, TOPIC, "5"), ("cd", TOPIC, None)]


# Faults


def test_a_token_is_answered_as_asked_for_as_often_as_asked_for(start: Start, dial: Dial) -> None:
    service = start()
    service.faults.answer(TOKEN.upper(), 410, "Unregistered", timestamp_ms=1_767_225_600_123, times=2)
    client = dial(service)
    for _ in range(2):
        reply = client.push()
        assert reply.status == 410
        assert json.loads(reply.body) == {"reason": "Unregistered", "timestamp": 1_767_225_600_123}
    assert client.push(pseudo_path="/3/device/cd").status == 200
    assert client.push().status == 200


def test_shares_divide_the_tokens_and_a_token_keeps_its_fate(start: Start, dial: Dial) -> None:
    service = start()
    service.faults.share(0.3, 410, "Unregistered")
    service.faults.share(0.3, 429, "TooManyRequests")
    client = dial(service)
    paths = [f"/3/device/{number:064x}" for number in range(300)]
    first = [client.push(pseudo_path=path).status for path in paths]
    assert [client.push(pseudo_path=path).status for path in paths] == first
    for status, least, most in ((410, 60, 120), (429, 60, 120), (200, 90, 150)):
        assert least < first.count(status) < most


def test_after_a_goaway_earlier_streams_are_answered_and_later_ones_ignored(start: Start, dial: Dial) -> None:
    service = start()
    service.faults.goaway_every(2, reason="Shutdown")
    service.faults.slow(0.05)
    client = dial(service)
    streams = [client.send() for _ in range(4)]
    client.read_to_the_end()
    assert client.goaway == (streams[1], b'{"reason": "Shutdown"}')
    assert [client.replies[stream].ended for stream in streams] == [True, True, False, False]
    assert (service.received, service.ignored, service.goaways) == (2, 2, 1)


def test_a_goaway_on_demand_reaches_idle_connections(start: Start, dial: Dial) -> None:
    service = start()
    client = dial(service)
    stream = client.send()
    client.answer(stream)
    service.goaway()
    client.read_to_the_end()
    assert client.goaway == (stream, b"")


def test_a_withheld_push_is_taken_but_never_answered(start: Start, dial: Dial) -> None:
    delivered = threading.Event()
    service = start(on_push=lambda *_: delivered.set())
    service.faults.withhold(1)
    client = dial(service)
    withheld, answered = client.send(), client.send()
    assert client.answer(answered).status == 200
    assert not client.replies[withheld].ended
    assert [request.status for request in service.wait_for(2)] == [None, 200]
    assert delivered.wait(5)


def test_a_dropped_connection_leaves_its_last_push_unanswered(start: Start, dial: Dial) -> None:
    service = start()
    service.faults.drop_connection_after(2)
    client = dial(service)
    client.push()
    last = client.send()
    client.read_to_the_end()
    assert client.replies[last] == Reply()
    assert [request.status for request in service.wait_for(2)] == [200, None]


def test_a_refused_stream_is_not_processed(start: Start, dial: Dial) -> None:
    service = start()
    service.faults.reset_streams(1)
    client = dial(service)
    stream = client.send()
    assert client.push().status == 200
    assert client.replies[stream].reset == 7
    assert service.received == 1


def test_faults_end_when_cleared_and_can_be_shown(start: Start, dial: Dial) -> None:
    service = start()
    service.faults.share(1, 503, "ServiceUnavailable")
    service.faults.answer(TOKEN, 403, "Forbidden")
    shown = json.loads(json.dumps(service.as_json()))
    assert shown["faults"]["shares"][0]["answer"]["status"] == 503
    assert shown["listening"] is True
    client = dial(service)
    assert client.push().status == 403
    service.faults.clear()
    assert client.push().status == 200


def test_a_service_that_is_down_refuses_and_comes_back_on_the_same_port(start: Start, dial: Dial) -> None:
    service = start()
    client = dial(service)
    client.push()
    port = service.port
    service.go_down()
    assert service.as_json()["listening"] is False
    client.read_to_the_end()
    with pytest.raises(ConnectionRefusedError):
        dial(service)
    service.come_back()
    assert service.port == port
    assert dial(service).push().status == 200
    assert (service.received, service.connections) == (2, 2)


# Memory


def test_waiting_for_pushes_that_do_not_come_says_how_many_did(start: Start, dial: Dial) -> None:
    service = start()
    dial(service).push()
    with pytest.raises(TimeoutError, match="1 of 2 pushes"):
        service.wait_for(2, timeout_seconds=0.01)


def test_the_history_keeps_the_newest_and_survives_a_restart(
    start: Start, dial: Dial, tmp_path: Path
) -> None:
    service = start(history_limit=3, state_folder=tmp_path / "state")
    client = dial(service)
    for number in range(5):
        client.push(pseudo_path=f"/3/device/{number:02x}")
    kept = service.history
    assert [request.token for request in kept] == ["02", "03", "04"]
    assert service.received == 5
    service.stop()
    file = tmp_path / "state" / "apns.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("a") as broken:
        broken.write('{"at": "2026-')
    again = start(history_limit=3, state_folder=tmp_path / "state")
    # Half a line, left by a process that was killed, counts as none.
    assert again.history == kept[-2:]
    dial(again).push()
    assert len(again.history) == 3


def test_a_long_life_does_not_grow_the_file_without_end(start: Start, dial: Dial, tmp_path: Path) -> None:
    service = start(history_limit=1, state_folder=tmp_path)
    client = dial(service)
    for _ in range(1100):
        client.push()
    assert len((tmp_path / "apns.jsonl").read_text().splitlines()) < 200
