"""Apple's push service, as far as passes need it, on this machine.

It asks for a client certificate, checks every push as strictly as Apple
documents it, keeps a history, and misbehaves on request. Built on `h2`, another
code base than the client's, so that one library's mistake cannot hide the same
mistake on the other side. Sources: Apple, "Sending notification requests to
APNs", "Handling notification responses from APNs"; RFC 9113.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import json
import logging
import os
import queue
import select
import socket
import ssl
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

log = logging.getLogger(__name__)

PAYLOAD_BYTES_MAX = 4096
TOKEN_CHARACTERS_MAX = 512
PATH = "/3/device/"
PUSH_TYPES = frozenset(
    {"alert", "background", "complication", "controls", "fileprovider", "liveactivity"}
    | {"location", "mdm", "pushtotalk", "voip", "widgets"}
)
PRIORITIES = frozenset({"1", "5", "10"})
SINGLE_HEADERS = frozenset(
    {"apns-topic", "apns-id", "apns-priority", "apns-push-type", "apns-expiration", "apns-collapse-id"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """One push that arrived. `status` is None if it was taken but never answered.

    `certificate` is the serial number of the client's certificate, in hexadecimal.
    """

    at: datetime
    token: str
    topic: str
    headers: dict[str, str]
    body: str
    status: int | None
    reason: str | None
    connection: int
    stream: int
    certificate: str

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says to one push; `reason` None only with 200."""

    status: int = 200
    reason: str | None = None
    timestamp_ms: int | None = None


@dataclass(slots=True)
class _Wish:
    """An answer to give, as often as `times` says (None: always)."""

    answer: Answer
    times: int | None

    def take(self) -> Answer | None:
        if self.times is None:
            return self.answer
        if self.times <= 0:
            return None
        self.times -= 1
        return self.answer


class Faults:
    """Misbehaviour on request. Every method may be called while pushes arrive; `clear` ends all of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._by_token: dict[str, _Wish] = {}
            self._shares: list[tuple[float, _Wish]] = []
            self.goaway_requests: int | None = None
            self.goaway_reason = ""
            self.drop_requests: int | None = None
            self.withholding: int | None = 0
            self.slow_seconds = 0.0
            self.resetting = 0

    def answer(
        self,
        token: str,
        status: int,
        reason: str | None = None,
        *,
        timestamp_ms: int | None = None,
        times: int | None = None,
    ) -> None:
        """Answer pushes to this token so, `times` times (None: from now on)."""
        with self._lock:
            self._by_token[token.lower()] = _Wish(Answer(status, reason, timestamp_ms), times)

    def share(
        self,
        part: float,
        status: int,
        reason: str | None = None,
        *,
        timestamp_ms: int | None = None,
        times: int | None = None,
    ) -> None:
        """Answer this part (0 to 1) of all tokens so. The same token always meets the same fate."""
        with self._lock:
            self._shares.append((part, _Wish(Answer(status, reason, timestamp_ms), times)))

    def goaway_every(self, requests: int | None, *, reason: str = "") -> None:
        """Say GOAWAY after this many pushes of each connection; None: no more."""
        with self._lock:
            self.goaway_requests, self.goaway_reason = requests, reason

    def drop_connection_after(self, requests: int | None) -> None:
        """Reset each connection after this many pushes, the last ones unanswered; None: no more."""
        with self._lock:
            self.drop_requests = requests

    def withhold(self, pushes: int | None = None) -> None:
        """Take the next pushes (None: all) and deliver them, but never answer."""
        with self._lock:
            self.withholding = pushes

    def slow(self, seconds: float) -> None:
        """Answer that much later."""
        with self._lock:
            self.slow_seconds = seconds

    def reset_streams(self, pushes: int) -> None:
        """Refuse the next streams unprocessed (RST_STREAM, REFUSED_STREAM)."""
        with self._lock:
            self.resetting = pushes

    def as_json(self) -> dict[str, object]:
        """The misbehaviour in force."""
        with self._lock:
            return {
                "answers": {token: asdict(wish) for token, wish in self._by_token.items()},
                "shares": [{"part": part, **asdict(wish)} for part, wish in self._shares],
                "goaway_requests": self.goaway_requests,
                "goaway_reason": self.goaway_reason,
                "drop_requests": self.drop_requests,
                "withholding": self.withholding,
                "slow_seconds": self.slow_seconds,
                "resetting": self.resetting,
            }

    def _take_reset(self) -> bool:
        with self._lock:
            taken = self.resetting > 0
            self.resetting -= taken
            return taken

    def _take_withhold(self) -> bool:
        with self._lock:
            if self.withholding is None:
                return True
            taken = self.withholding > 0
            self.withholding -= taken
            return taken

    def _wish_for(self, token: str) -> Answer | None:
        with self._lock:
            if (wish := self._by_token.get(token)) and (answer := wish.take()):
                return answer
            if self._shares:
                place = zlib.crc32(token.encode()) / 2**32
                for part, wish in self._shares:
                    if place < part and (answer := wish.take()):
                        return answer
                    place -= part
                    if place < 0:
                        break
        return None


class ApnsEmulator:
    """A push service on `host` that answers as Apple's does.

    `certificate_file`, `key_file`: its own identity. `client_ca_files`: who
    may vouch for clients. A client may push to the topic in the UID of its
    certificate's subject and to no other. `on_push(token, topic, headers)` is
    called for every accepted push, in order, on a thread of its own.
    `state_folder` keeps the history across restarts. `known_tokens_only`
    refuses tokens that were not announced with `know`.
    """

    def __init__(
        self,
        *,
        certificate_file: Path,
        key_file: Path,
        client_ca_files: Sequence[Path],
        host: str = "127.0.0.1",
        port: int = 0,
        on_push: Callable[[str, str, dict[str, str]], None] | None = None,
        history_limit: int = 10_000,
        max_concurrent_streams: int = 1000,
        known_tokens_only: bool = False,
        state_folder: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.faults = Faults()
        self.max_concurrent_streams = max_concurrent_streams
        self.known_tokens_only = known_tokens_only
        self._host, self._port = host, port
        self._on_push = on_push
        self._clock = clock
        self._context = _tls(certificate_file, key_file, client_ca_files)
        self._known: dict[str, str | None] = {}
        self._changed = threading.Condition()
        self._history: collections.deque[Request] = collections.deque(maxlen=history_limit)
        self._received = 0
        self._connections_made = 0
        self._handshakes_refused = 0
        self._ignored = 0
        self._goaways = 0
        self._streams_open_max = 0
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._threads: set[threading.Thread] = set()
        self._lines: set[_Line] = set()
        self._deliveries: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._deliverer: threading.Thread | None = None
        self._journal = _Journal(state_folder, history_limit) if state_folder is not None else None
        if self._journal is not None:
            self._history.extend(self._journal.read())

    @property
    def port(self) -> int:
        """The port that it listens on (or did, while it is down)."""
        return self._port

    @property
    def history(self) -> list[Request]:
        """The newest pushes, oldest first, at most `history_limit`."""
        with self._changed:
            return list(self._history)

    @property
    def received(self) -> int:
        """Pushes taken since the start, however short the history is."""
        return self._received

    @property
    def connections(self) -> int:
        """Connections that got through the handshake since the start."""
        return self._connections_made

    @property
    def connections_open(self) -> int:
        return len(self._lines)

    @property
    def handshakes_refused(self) -> int:
        return self._handshakes_refused

    @property
    def ignored(self) -> int:
        """Streams that came after a GOAWAY and were, as it says, not processed."""
        return self._ignored

    @property
    def goaways(self) -> int:
        """How often it said GOAWAY."""
        return self._goaways

    @property
    def streams_open_max(self) -> int:
        """The most streams that were ever open at once on one connection."""
        return self._streams_open_max

    def know(self, token: str, topic: str | None = None) -> None:
        """This token exists; with `topic`, only for that topic."""
        self._known[token.lower()] = topic

    def start(self) -> None:
        """Listen. A `port` of 0 becomes a free one. Raises OSError if the port is taken."""
        if self._on_push is not None and self._deliverer is None:
            self._deliverer = threading.Thread(target=self._deliver, name="apns-deliver", daemon=True)
            self._deliverer.start()
        self.come_back()

    def stop(self) -> None:
        """Close everything; returns when all threads have ended."""
        self.go_down()
        if self._deliverer is not None:
            self._deliveries.put(None)
            self._deliverer.join(5)
            self._deliverer = None
        if self._journal is not None:
            self._journal.close()

    def go_down(self) -> None:
        """Be unreachable: the port is closed, every connection reset."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        if self._acceptor is not None:
            self._acceptor.join(5)
            self._acceptor = None
        for line in list(self._lines):
            line.ask(line.DROP)
        for thread in list(self._threads):
            thread.join(5)

    def come_back(self) -> None:
        """Listen again on the same port."""
        if self._listener is not None:
            return
        self._listener = socket.create_server((self._host, self._port), backlog=64)
        self._port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener,), name="apns", daemon=True
        )
        self._acceptor.start()

    def goaway(self) -> None:
        """Ask every open connection to end in good order, now."""
        for line in list(self._lines):
            line.ask(line.GOAWAY)

    def as_json(self) -> dict[str, object]:
        """What a page about this service shows; the history is separate."""
        return {
            "port": self._port,
            "listening": self._listener is not None,
            "received": self._received,
            "ignored": self._ignored,
            "goaways": self._goaways,
            "connections": self._connections_made,
            "connections_open": len(self._lines),
            "handshakes_refused": self._handshakes_refused,
            "streams_open_max": self._streams_open_max,
            "faults": self.faults.as_json(),
        }

    def wait_for(self, pushes: int, timeout_seconds: float = 10) -> list[Request]:
        """Wait until that many pushes were taken since the start; the history. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._received >= pushes, timeout_seconds):
                raise TimeoutError(f"{self._received} of {pushes} pushes after {timeout_seconds} s")
            return list(self._history)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="apns-connection", daemon=True
            )
            self._threads.add(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._serve_client(connection)
        finally:
            self._threads.discard(threading.current_thread())

    def _serve_client(self, connection: socket.socket) -> None:
        connection.settimeout(4)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # Blocking, so that a refused client gets the TLS alert that says why.
            tls = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            with self._changed:
                self._handshakes_refused += 1
                self._changed.notify_all()
            connection.close()
            return
        if self._listener is None or tls.selected_alpn_protocol() != "h2":
            tls.close()
            return
        with self._changed:
            self._connections_made += 1
            line = _Line(self, tls, self._connections_made)
            self._lines.add(line)
        try:
            line.run()
        finally:
            self._lines.discard(line)

    def _record(self, requests: list[Request]) -> None:
        if self._journal is not None:
            self._journal.append(requests)
        with self._changed:
            self._history.extend(requests)
            self._received += len(requests)
            self._changed.notify_all()
        if self._on_push is not None:
            for request in requests:
                if request.status in (200, None):
                    self._deliveries.put(request)

    def _deliver(self) -> None:
        while (request := self._deliveries.get()) is not None:
            assert self._on_push is not None
            try:
                self._on_push(request.token, request.topic, request.headers)
            except Exception:
                # One phone's trouble must not keep pushes from the others.
                log.exception("a phone failed to take a push")


def _tls(certificate_file: Path, key_file: Path, client_ca_files: Sequence[Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file, key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    # An intermediate may be given as the authority, as Apple's worldwide developer relations is one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for file in client_ca_files:
        context.load_verify_locations(file)
    context.set_alpn_protocols(["h2"])
    return context


@dataclass(slots=True)
class _Arriving:
    """A request whose body is not complete yet."""

    headers: list[tuple[str, str]]
    body: bytearray = field(default_factory=bytearray)


class _Line:
    """One client's connection, served by one thread."""

    DROP, GOAWAY = b"d", b"g"

    def __init__(self, service: ApnsEmulator, tls: ssl.SSLSocket, number: int) -> None:
        self._service = service
        self._tls = tls
        self._number = number
        certificate = tls.getpeercert() or {}
        self._topic = _topic_of(certificate)
        self._certificate = str(certificate.get("serialNumber", ""))
        self._arriving: dict[int, _Arriving] = {}
        self._unanswered: set[int] = set()
        self._requests = 0
        self._since_goaway: int | None = None
        self._extra = b""
        self._delayed: list[tuple[float, int, Answer, str]] = []
        self._fresh: list[Request] = []
        self._asked, self._asker = socket.socketpair()
        self._http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._http.local_settings = h2.settings.Settings(
            client=False,
            initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: service.max_concurrent_streams},
        )

    def ask(self, what: bytes) -> None:
        """From another thread: DROP or GOAWAY, as soon as possible."""
        with contextlib.suppress(OSError):
            self._asker.send(what)

    def run(self) -> None:
        try:
            self._http.initiate_connection()
            self._flush()
            while self._turn():
                pass
        except (OSError, h2.exceptions.ProtocolError):
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                self._flush()
        finally:
            self._publish()
            self._tls.close()
            self._asked.close()
            self._asker.close()

    def _turn(self) -> bool:
        """Wait for bytes, a wish or a due answer; False when the connection is over."""
        if not self._tls.pending():
            wait = max(0.0, self._delayed[0][0] - time.monotonic()) if self._delayed else None
            readable, _, _ = select.select([self._tls, self._asked], [], [], wait)
        else:
            readable = [self._tls]
        if self._asked in readable:
            if self._asked.recv(1) == self.DROP:
                self._reset()
                return False
            self._say_goaway(self._http.highest_inbound_stream_id)
        if self._tls in readable:
            data = self._tls.recv(65536)
            if not data:
                return False
            for event in self._http.receive_data(data):
                if not self._hear(event):
                    # The pushes were taken; their answers never leave.
                    self._reset()
                    return False
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            _, stream, answer, identifier = heapq.heappop(self._delayed)
            self._respond(stream, answer, identifier)
        self._flush()
        if self._since_goaway is not None and not self._unanswered:
            self._linger()
            return False
        return True

    def _hear(self, event: h2.events.Event) -> bool:
        """Take one event; False: drop the connection now."""
        if isinstance(event, h2.events.RequestReceived):
            self._request_began(event)
        elif isinstance(event, h2.events.DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if arriving := self._arriving.get(event.stream_id):
                arriving.body += event.data[: PAYLOAD_BYTES_MAX + 1 - len(arriving.body)]
        elif isinstance(event, h2.events.StreamReset):
            self._arriving.pop(event.stream_id, None)
            self._unanswered.discard(event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            arriving = self._arriving.pop(event.stream_id, None)
            if arriving is not None:
                self._request_ended(event.stream_id, arriving)
                return not _is_due(self._service.faults.drop_requests, self._requests)
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise ConnectionError("the client said good-bye")
        return True

    def _request_began(self, event: h2.events.RequestReceived) -> None:
        if self._since_goaway is not None and event.stream_id > self._since_goaway:
            self._service._ignored += 1
            return
        if self._service.faults._take_reset():
            self._http.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        headers = [(str(name), str(value)) for name, value in event.headers]
        self._arriving[event.stream_id] = _Arriving(headers)
        self._unanswered.add(event.stream_id)
        if len(self._unanswered) > self._service._streams_open_max:
            self._service._streams_open_max = len(self._unanswered)

    def _request_ended(self, stream: int, arriving: _Arriving) -> None:
        service = self._service
        self._requests += 1
        headers = dict(arriving.headers)
        token = headers.get(":path", "").removeprefix(PATH)
        topic = headers.get("apns-topic") or self._topic or ""
        identifier = headers.get("apns-id") or str(uuid.uuid4())
        answer = self._judge(arriving, headers, token, topic)
        if answer.status == 200 and (wish := service.faults._wish_for(token.lower())):
            answer = wish
        dropping = _is_due(service.faults.drop_requests, self._requests)
        withheld = answer.status == 200 and service.faults._take_withhold()
        self._fresh.append(
            Request(
                at=service._clock(),
                token=token,
                topic=topic,
                headers={name: value for name, value in headers.items() if not name.startswith(":")},
                body=arriving.body.decode("utf-8", "replace"),
                status=None if withheld or dropping else answer.status,
                reason=answer.reason,
                connection=self._number,
                stream=stream,
                certificate=self._certificate,
            )
        )
        if not withheld:
            if service.faults.slow_seconds:
                due = time.monotonic() + service.faults.slow_seconds
                heapq.heappush(self._delayed, (due, stream, answer, identifier))
            else:
                self._respond(stream, answer, identifier)
        if _is_due(service.faults.goaway_requests, self._requests):
            self._say_goaway(stream)

    def _judge(self, arriving: _Arriving, headers: dict[str, str], token: str, topic: str) -> Answer:
        """Apple's checks, the most basic first."""
        names = [name for name, _ in arriving.headers if name in SINGLE_HEADERS]
        path = headers.get(":path", "")
        if headers.get(":method") != "POST":
            return Answer(405, "MethodNotAllowed")
        if not path.startswith(PATH) or "/" in token or "?" in token:
            return Answer(404, "BadPath")
        if not token:
            return Answer(400, "MissingDeviceToken")
        if len(names) != len(set(names)):
            return Answer(400, "DuplicateHeaders")
        if not topic:
            return Answer(400, "MissingTopic")
        if topic != self._topic:
            return Answer(400, "TopicDisallowed")
        if headers.get("apns-push-type", "alert") not in PUSH_TYPES:
            return Answer(400, "InvalidPushType")
        if headers.get("apns-priority", "10") not in PRIORITIES:
            return Answer(400, "BadPriority")
        if not _is_count(headers.get("apns-expiration", "0")):
            return Answer(400, "BadExpirationDate")
        if not _is_identifier(headers.get("apns-id")):
            return Answer(400, "BadMessageId")
        if len(headers.get("apns-collapse-id", "").encode()) > 64:
            return Answer(400, "BadCollapseId")
        if len(arriving.body) > PAYLOAD_BYTES_MAX:
            return Answer(413, "PayloadTooLarge")
        if not _is_object(bytes(arriving.body)):
            return Answer(400, "PayloadEmpty")
        return self._judge_token(token, topic)

    def _judge_token(self, token: str, topic: str) -> Answer:
        hexadecimal = all(character in "0123456789abcdefABCDEF" for character in token)
        if not hexadecimal or len(token) > TOKEN_CHARACTERS_MAX or len(token) % 2:
            return Answer(400, "BadDeviceToken")
        if token.lower() not in self._service._known:
            return Answer(400, "BadDeviceToken") if self._service.known_tokens_only else Answer()
        if self._service._known[token.lower()] not in (None, topic):
            return Answer(400, "DeviceTokenNotForTopic")
        return Answer()

    def _respond(self, stream: int, answer: Answer, identifier: str) -> None:
        if stream not in self._unanswered:
            return
        self._unanswered.discard(stream)
        headers = [(":status", str(answer.status)), ("apns-id", identifier)]
        if answer.status == 200:
            self._http.send_headers(stream, headers, end_stream=True)
            return
        said: dict[str, object] = {"reason": answer.reason or "InternalServerError"}
        if answer.timestamp_ms is not None:
            said["timestamp"] = answer.timestamp_ms
        self._http.send_headers(stream, [*headers, ("content-type", "application/json")])
        self._http.send_data(stream, json.dumps(said).encode(), end_stream=True)

    def _say_goaway(self, last_stream: int) -> None:
        """Announce the end: streams up to the last will still be answered, later ones are not processed.

        The frame is written by hand: `h2` would close its own state with it and
        refuse the answers that are still due.
        """
        if self._since_goaway is not None:
            return
        self._since_goaway = last_stream
        for stream in [stream for stream in self._unanswered if stream > last_stream]:
            self._unanswered.discard(stream)
            self._arriving.pop(stream, None)
            self._service._ignored += 1
        self._extra = self._http.data_to_send()
        frame = GoAwayFrame(0)
        frame.last_stream_id = self._since_goaway
        if self._service.faults.goaway_reason:
            frame.additional_data = json.dumps({"reason": self._service.faults.goaway_reason}).encode()
        self._extra += frame.serialize()
        self._flush()
        self._service._goaways += 1

    def _flush(self) -> None:
        # The history first: whoever has an answer in hand finds the push in it.
        self._publish()
        out, self._extra = self._extra + self._http.data_to_send(), b""
        if out:
            self._tls.sendall(out)

    def _publish(self) -> None:
        if self._fresh:
            self._service._record(self._fresh)
            self._fresh = []

    def _linger(self) -> None:
        """Let the client read the last answers: closing at once could reset the connection before it has."""
        self._tls.settimeout(2)
        self._tls.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and self._tls.recv(65536):
            pass

    def _reset(self) -> None:
        """End without a word, as a broken network does."""
        with contextlib.suppress(OSError):
            self._tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _topic_of(certificate: Mapping[str, object]) -> str | None:
    """The UID of a client certificate's subject, which is its pass type."""
    subject = cast(tuple[tuple[tuple[str, str], ...], ...], certificate.get("subject", ()))
    return next((value for part in subject for name, value in part if name == "userId"), None)


def _is_due(limit: int | None, requests: int) -> bool:
    return limit is not None and requests >= limit


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_identifier(text: str | None) -> bool:
    if text is None:
        return True
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


class _Journal:
    """The history on disk, one JSON object a line, so that a restarted service still knows it."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "apns.jsonl"
        self._limit = limit
        self._lock = threading.Lock()
        self._lines = 0

    def read(self) -> list[Request]:
        """The newest requests kept; also shortens the file to them."""
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()[-self._limit :]
        except FileNotFoundError:
            lines = []
        requests = []
        for line in lines:
            # A killed process may have left half a line.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found = json.loads(line)
                requests.append(Request(**{**found, "at": datetime.fromisoformat(found["at"])}))
        with self._open("w") as file:
            file.writelines(json.dumps(one.as_json()) + "\n" for one in requests)
        self._lines = len(requests)
        self._out = self._open("a")
        return requests

    def append(self, requests: list[Request]) -> None:
        with self._lock:
            self._out.writelines(json.dumps(one.as_json()) + "\n" for one in requests)
            self._out.flush()
            self._lines += len(requests)
            if self._lines > 2 * self._limit + 1000:
                self._out.close()
                self.read()

    def close(self) -> None:
        self._out.close()

    def _open(self, mode: str) -> TextIO:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return cast(TextIO, open(self._file, mode, encoding="utf-8", opener=private))
