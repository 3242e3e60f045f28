"""Telling phones through Apple's push service that a pass type changed.

A push for passes carries nothing: the body is an empty JSON object, the phone
then asks our web service what changed. Source: Apple, "Adding a web service to
update passes" and "Sending notification requests to APNs".

One long-lived HTTP/2 connection with the pass type's certificate carries every
push, many at a time. The protocol itself is `ngh2` (libnghttp2) without any
input or output of its own (docs/decisions/0020); this file owns the socket,
TLS, and the question what to do when an answer does not come.
"""

from __future__ import annotations

import logging
import random
import re
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import ngh2
import orjson

from passes.wallet import Accepted, Gone, Install, Later, Outcome, Parked, Rejected

log = logging.getLogger(__name__)

PRODUCTION_HOST = "api.push.apple.com"
"""Apple delivers pass updates through production only, never through the sandbox."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECEIVE_BYTES = 256 * 1024
ANSWER_BYTES_MAX = 16 * 1024
KEEPALIVE_SECONDS = 60
# An address that is no hexadecimal string can only be refused, and one with a
# slash or a line break would change the path that we ask for.
TOKEN = re.compile(r"[0-9A-Fa-f]{2,512}", re.ASCII)
TOPIC = re.compile(r"[0-9A-Za-z.\-_]{1,255}", re.ASCII)
PUSH_TYPE = re.compile(r"[a-z]{1,32}", re.ASCII)
TOKEN_IS_DEAD = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})
ACCOUNT_IS_REFUSED = frozenset({"BadCertificate", "BadCertificateEnvironment", "Forbidden"})


class _Broken(Exception):
    """The connection cannot be used (any more); another one may work."""


class _AccountRefused(Exception):
    """No connection will work until somebody changes a certificate or a setting."""


class _Answer(NamedTuple):
    """What came back for one push: `place` is where it stands in the batch."""

    place: int
    status: int
    body: bytes


class _Line:
    """One HTTP/2 connection: pushes go in, answers come out, nothing is decided here.

    `open` maps the streams still unanswered to their places in the batch.
    `refused` collects places that the service surely did not process.
    `ended` says why no new push may be sent; the streams that are open may
    still be answered until the line is also `dead`. `account_refused` is the
    service's reason for wanting nothing more from this certificate.
    """

    def __init__(self, connection: socket.socket, tls: _Tls, streams_max: int) -> None:
        self.open: dict[int, int] = {}
        self.refused: list[int] = []
        self.ended: str | None = None
        self.dead = False
        self.account_refused: str | None = None
        self._partial: dict[int, tuple[int, bytearray]] = {}
        self._streams_max = streams_max
        self._socket = connection
        self._tls = tls
        self._poll = select.poll()
        self._pending = memoryview(b"")
        self._settled = False
        # The engine returns flow-control credit by itself while it reads.
        self._engine = ngh2.Connection(ngh2.Role.CLIENT)
        self._engine.initiate_connection({ngh2.Setting.ENABLE_PUSH: 0})

    def greet(self, timeout_seconds: float) -> None:
        """Wait for the service's settings: before them its limits are unknown.

        Raises `_Broken`, `_AccountRefused`.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._settled and not self.dead:
            if (left := deadline - time.monotonic()) <= 0:
                raise _Broken("no HTTP/2 settings received in time")
            self.exchange(left)
        if self.account_refused is not None:
            raise _AccountRefused(self.account_refused)
        if self.ended is not None:
            raise _Broken(self.ended)

    @property
    def room(self) -> int:
        """How many more streams may be opened now under the service's limit and ours."""
        if self.ended is not None:
            return 0
        limit = self._engine.remote_settings[ngh2.Setting.MAX_CONCURRENT_STREAMS]
        return min(limit, self._streams_max) - len(self.open)

    def send(self, index: int, headers: Iterable[ngh2.Header]) -> bool:
        """Open a stream for one push; False when this connection takes no more (nothing was sent then)."""
        if not self._engine.can_send_request:
            self.end("no further streams on this connection")
            return False
        stream = self._engine.send_request(headers)
        self._engine.send_data(stream, b"{}", end_stream=True)
        self.open[stream] = index
        return True

    def flush(self) -> None:
        """Hand everything queued to the kernel, as far as it takes it."""
        if self.dead:
            return
        if plain := self._engine.data_to_send():
            self._tls.encrypt(plain)
        self._write()

    def exchange(self, timeout_seconds: float) -> list[_Answer]:
        """Send what is queued, wait for bytes, and return the answers in them (maybe none).

        Silence for `timeout_seconds` ends the line as dead.
        """
        self.flush()
        if self.dead:
            return []
        try:
            plain = self._read(timeout_seconds)
        except ssl.SSLError as error:
            if _is_about_certificates(error):
                self.account_refused = _words(error)
            self._die(_words(error))
            return []
        except (OSError, ValueError, _Broken) as error:
            # ValueError: `close` came meanwhile, say from a signal; a closed socket cannot be polled.
            self._die(_words(error))
            return []
        answers: list[_Answer] = []
        try:
            self._engine.receive_data(plain)
            for event in self._engine.events():
                # Nearly every answer is a lone status, and a closed stream that is settled already.
                if type(event) is ngh2.ResponseReceived and event.end_stream:
                    if (index := self.open.pop(event.stream_id, None)) is not None:
                        answers.append(_Answer(index, _status(event.headers), b""))
                elif type(event) is not ngh2.StreamClosed or event.stream_id in self.open:
                    self._hear(event, answers)
        except ngh2.NGH2Error as error:
            self._die(f"HTTP/2: {type(error).__name__}")
            return answers
        self.flush()
        if self._tls.finished:
            self._die("the service closed the connection")
        elif not self._engine.want_read and not self._engine.want_write:
            self._die(self.ended or "HTTP/2 connection error")
        return answers

    def hear_what_came(self) -> None:
        """Read what arrived while nobody listened (a good-bye, an end), without waiting for more."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if poll.poll(0):
            self.exchange(0)

    def end(self, reason: str) -> None:
        """No new pushes on this line; the first reason given stays."""
        if self.ended is None:
            self.ended = reason

    def close(self) -> None:
        self.dead = True
        self.end("closed")
        self._socket.close()

    def _die(self, reason: str) -> None:
        self.end(reason)
        self.dead = True
        self._socket.close()

    def _hear(self, event: ngh2.Event, answers: list[_Answer]) -> None:
        if isinstance(event, ngh2.ResponseReceived):
            self._partial[event.stream_id] = (_status(event.headers), bytearray())
        elif isinstance(event, ngh2.DataReceived):
            partial = self._partial.get(event.stream_id)
            if partial is not None and len(partial[1]) < ANSWER_BYTES_MAX:
                partial[1].extend(event.data)
        elif isinstance(event, ngh2.StreamClosed):
            self._closed(event, answers)
        elif isinstance(event, ngh2.GoAwayReceived):
            reason = _reason(event.debug_data) or f"GOAWAY {event.error_code}"
            if reason in ACCOUNT_IS_REFUSED:
                self.account_refused = reason
            self.end(reason)
        elif isinstance(event, ngh2.SettingsReceived):
            self._settled = True

    def _closed(self, event: ngh2.StreamClosed, answers: list[_Answer]) -> None:
        partial = self._partial.pop(event.stream_id, None)
        index = self.open.pop(event.stream_id, None)
        if index is None:
            return
        # REFUSED_STREAM is the service's word, and after a GOAWAY the engine's,
        # that the push was not processed (RFC 9113, 8.7 and 6.8).
        if event.error_code == ngh2.ErrorCode.REFUSED_STREAM:
            self.refused.append(index)
        elif partial is not None:
            # The verdict is in the headers, the reason in the body may be cut short.
            answers.append(_Answer(index, partial[0], bytes(partial[1])))
        else:
            answers.append(_Answer(index, 0, b""))

    def _read(self, timeout_seconds: float) -> bytes:
        """Decrypted bytes, at least one unless the service closed.

        Raises OSError on a broken connection, `_Broken` on silence.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                cipher = self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                self._wait(deadline)
                continue
            plain = self._tls.decrypt(cipher)
            if plain or self._tls.finished:
                return plain
            self._write()

    def _wait(self, deadline: float) -> None:
        """Wait until bytes can be read, sending what is queued meanwhile: never only one of the two."""
        left = deadline - time.monotonic()
        self._poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._pending else 0))
        if left <= 0 or not (ready := self._poll.poll(left * 1000)):
            raise _Broken("no answer in time")
        if ready[0][1] & select.POLLOUT:
            self._write()

    def _write(self) -> None:
        if cipher := self._tls.take():
            self._pending = memoryview(bytes(self._pending) + cipher) if self._pending else memoryview(cipher)
        while self._pending:
            try:
                self._pending = self._pending[self._socket.send(self._pending) :]
            except BlockingIOError:
                return
            except OSError as error:
                # Not the end yet: answers, or the reason for hanging up, may wait to be read.
                self._pending = memoryview(b"")
                self.end(_words(error))


class _Tls:
    """TLS over memory, so that one read may carry hundreds of answers and one write hundreds of pushes."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.finished = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self, connection: socket.socket) -> None:
        """Finish the handshake on a socket with a time-out. Raises OSError, `_Broken`."""
        while True:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            finally:
                # A refusal of the server's certificate must reach the server as an alert.
                if cipher := self._outgoing.read():
                    connection.sendall(cipher)
            if done:
                break
            if not (cipher := connection.recv(RECEIVE_BYTES)):
                raise _Broken("the service hung up during the handshake")
            self._incoming.write(cipher)
        if self._tls.selected_alpn_protocol() != "h2":
            raise _Broken("the service does not speak HTTP/2")

    def encrypt(self, plain: bytes) -> None:
        self._tls.write(plain)

    def decrypt(self, cipher: bytes) -> bytes:
        """Plain bytes in what the network brought; `cipher` empty means that it ended."""
        if cipher:
            self._incoming.write(cipher)
        else:
            self.finished = True
        plain: list[bytes] = []
        while self._incoming.pending:
            try:
                piece = self._tls.read(RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.finished = True
                break
            plain.append(piece)
        return b"".join(plain)

    def take(self) -> bytes:
        return self._outgoing.read()


class _Work:
    """What is left of one batch: places waiting to be sent, and how often each was sent without a verdict."""

    def __init__(self, batch: Sequence[Install], tries_max: int) -> None:
        self.batch = batch
        self.waiting = deque(range(len(batch)))
        self.parked: str | None = None
        self.wounded = False
        self._trouble = ""
        self._tries: dict[int, int] = {}
        self._tries_max = tries_max

    def refuse_malformed(self) -> Iterator[tuple[int, Outcome]]:
        """Take out what cannot be put into a request; the answers are those that Apple would give."""
        sound: deque[int] = deque()
        for index in self.waiting:
            install = self.batch[index]
            if not TOKEN.fullmatch(install.address):
                yield index, Gone(None, "BadDeviceToken")
            elif not TOPIC.fullmatch(install.topic):
                yield index, Rejected("BadTopic")
            else:
                sound.append(index)
        self.waiting = sound

    def again(self, index: int) -> bool:
        """Put a push back that may have been processed; False when it had its tries."""
        self._tries[index] = tries = self._tries.get(index, 0) + 1
        if tries >= self._tries_max:
            return False
        self.waiting.append(index)
        return True

    def unanswered(self, line: _Line) -> Iterator[tuple[int, str]]:
        """Put back what a finished line left open; yields those that had their tries, with the reason."""
        for index in line.open.values():
            if not self.again(index):
                yield index, line.ended or "no answer"
        line.open.clear()

    def give_up(self, trouble: str) -> None:
        self._trouble = trouble

    def rest(self) -> Iterator[tuple[int, str]]:
        """Everything without a verdict, and why."""
        for index in self.waiting:
            yield index, self.parked or self._trouble


class ApplePush:
    """Apple's push service as a wallet (`passes.wallet.Wallet`).

    `certificate_file` and `key_file` are the pass type's own certificate and
    key (PEM; the certificate file may hold the chain). `ca_file` names the
    roots that vouch for the service, None: the system's. `push_type` None sends
    no `apns-push-type`; `priority` is sent as it is. `apns-expiration` is never
    sent: 0 would mean one attempt, and a phone that is switched off would miss
    the change.

    `announce` makes up to `tries_max` attempts in a row without any verdict
    before it gives the rest back as `Later`, `later_seconds` from `clock()`
    with up to half of that on top by chance. Between attempts it calls `pause`
    with `backoff_seconds`, doubled each time and shortened by chance. `answer_timeout_seconds` is how
    long the service may be silent while answers are due. `jitter` gives a
    number in [0, 1). One object serves one thread at a time.
    """

    def __init__(
        self,
        *,
        host: str = PRODUCTION_HOST,
        port: int = 443,
        certificate_file: Path,
        key_file: Path,
        key_password: bytes | None = None,
        ca_file: Path | None = None,
        push_type: str | None = None,
        priority: int = 10,
        clock: Callable[[], datetime],
        connect_timeout_seconds: float = 5,
        answer_timeout_seconds: float = 8,
        streams_max: int = 500,
        tries_max: int = 3,
        backoff_seconds: float = 0.5,
        later_seconds: float = 60,
        jitter: Callable[[], float] = random.random,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if push_type is not None and not PUSH_TYPE.fullmatch(push_type):
            raise ValueError(f"push type must be lower-case letters, not {push_type!r}")
        if priority not in (1, 5, 10):
            raise ValueError(f"priority must be 1, 5 or 10, not {priority}")
        if streams_max < 1 or tries_max < 1:
            raise ValueError("streams_max and tries_max must be at least 1")
        self._host, self._port = host, port
        self._certificate_file, self._key_file, self._ca_file = certificate_file, key_file, ca_file
        self._key_password = key_password
        self._clock, self._jitter, self._pause = clock, jitter, pause
        self._connect_timeout_seconds = connect_timeout_seconds
        self._answer_timeout_seconds = answer_timeout_seconds
        self._streams_max, self._tries_max = streams_max, tries_max
        self._backoff_seconds, self._later_seconds = backoff_seconds, later_seconds
        authority = host if port == 443 else f"{host}:{port}"
        self._before_path = (
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority.encode("ascii")),
        )
        self._last = [(b"apns-priority", str(priority).encode())]
        if push_type is not None:
            self._last.append((b"apns-push-type", push_type.encode()))
        # Chance for the first 80 bits, with the marks of a version 4 UUID among them.
        self._id_start = str(uuid4())[:24].encode()
        self._pushes = 0
        self._context: ssl.SSLContext | None = None
        self._files_seen: tuple[object, ...] = ()
        self._line: _Line | None = None
        self._in_use = threading.Lock()

    def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        """Tell each install that its cards changed; yields each exactly once, as answers arrive.

        Answers become outcomes as Apple's "Handling notification responses
        from APNs" asks for. What got no answer is sent again (a phone told
        twice asks twice, a phone never told stays wrong), on a new connection.
        A 403, a certificate that cannot be loaded, or one that the service
        refuses, parks everything of the batch that has no verdict yet, sent or
        not. A mistake of the caller's (two threads at once) raises; a service
        that misbehaves does not.
        """
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("this connection is in use: one ApplePush serves one thread at a time")
        try:
            yield from self._announce(batch)
        finally:
            # A caller that stopped listening half-way must not leave its answers to the next batch.
            if self._line is not None and self._line.open:
                self._hang_up()
            self._in_use.release()

    def reload(self) -> None:
        """Read certificate and key again and close the connection made with the old ones.

        `announce` does this by itself when the files change. Raises OSError
        (ssl.SSLError is one) if the files cannot be used; the old connection
        stays then.
        """
        seen = self._look()
        self._context = self._load()
        self._files_seen = seen
        self._hang_up()

    def close(self) -> None:
        """Let go of the connection. A later `announce` opens a new one."""
        self._hang_up()

    def _announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        work = _Work(batch, self._tries_max)
        for index, outcome in work.refuse_malformed():
            yield batch[index], outcome
        failures = 0
        while work.waiting:
            line, trouble = self._connected(work)
            if line is not None:
                for index, outcome in self._converse(line, work):
                    failures = 0
                    yield batch[index], outcome
                if not work.waiting:
                    break
                trouble = line.ended or "closed"
            if work.parked is not None:
                break
            failures += 1
            if failures >= self._tries_max:
                work.give_up(trouble)
                break
            # A service that says good-bye after useful work is not in trouble.
            if line is None or failures > 1 or work.wounded:
                self._pause(self._backoff(failures))
            work.wounded = False
        for index, reason in work.rest():
            yield batch[index], Parked(reason) if work.parked is not None else self._later(reason)

    def _connected(self, work: _Work) -> tuple[_Line | None, str]:
        """The open line or a new one; None and the reason if there is none now."""
        try:
            self._follow_files()
            if self._line is not None and self._still_there(self._line):
                return self._line, ""
            self._hang_up()
            self._line = self._connect()
            return self._line, ""
        except _AccountRefused as refused:
            work.parked = str(refused)
            return None, work.parked
        except (OSError, _Broken) as error:
            return None, _words(error)

    def _converse(self, line: _Line, work: _Work) -> Iterator[tuple[int, Outcome]]:
        """Send and hear until everything is answered or the line ends; the rest is back in `work.waiting`."""
        ready: list[tuple[int, Outcome]] = []
        silence_seconds = 0.0
        while True:
            # Keep the service busy before the caller takes its time over the outcomes.
            for _ in range(min(line.room, len(work.waiting))):
                index = work.waiting.popleft()
                if not line.send(index, self._headers(work.batch[index])):
                    work.waiting.appendleft(index)
                    break
            line.flush()
            yield from ready
            if line.dead or (not line.open and (line.ended is not None or not work.waiting)):
                break
            # Only answers count: a service that pings but never answers is as good as silent.
            # The caller's own time between two outcomes does not count.
            began = time.monotonic()
            answers = line.exchange(max(0.0, self._answer_timeout_seconds - silence_seconds))
            silence_seconds = 0.0 if answers else silence_seconds + time.monotonic() - began
            ready = list(self._verdicts(line, work, answers))
        for index, reason in work.unanswered(line):
            yield index, self._later(reason)
        if line.account_refused is not None:
            work.parked = line.account_refused
        if line.ended is not None:
            self._hang_up()

    def _verdicts(self, line: _Line, work: _Work, answers: list[_Answer]) -> Iterator[tuple[int, Outcome]]:
        accepted = Accepted()
        for answer in answers:
            status = answer.status
            if status == 200:
                yield answer.place, accepted
            elif status == 0 or status >= 500:
                reason = _reason(answer.body) or (f"status {status}" if status else "the stream was reset")
                # Apple asks for a new connection after these, not for the same one again.
                line.end(reason)
                work.wounded = True
                if not work.again(answer.place):
                    yield answer.place, self._later(reason)
            elif status == 429:
                yield answer.place, self._later(_reason(answer.body) or "status 429")
            else:
                outcome = outcome_of(status, answer.body)
                if isinstance(outcome, Parked):
                    work.parked = outcome.reason
                    line.end(outcome.reason)
                yield answer.place, outcome
        if line.refused:
            work.waiting.extend(line.refused)
            line.refused.clear()

    def _headers(self, install: Install) -> list[ngh2.Header]:
        return [
            *self._before_path,
            (b":path", b"/3/device/" + install.address.encode()),
            (b"apns-topic", install.topic.encode()),
            *self._last,
            # Different on every push: indexing it would push everything else out of the table.
            ngh2.NeverIndexedHeader(b"apns-id", self._next_id()),
        ]

    def _next_id(self) -> bytes:
        """A random (version 4) UUID whose last part counts, for a tenth of the work of a fresh one."""
        self._pushes += 1
        return b"%b%012x" % (self._id_start, self._pushes)

    def _connect(self) -> _Line:
        """A new line with the service's settings received. Raises OSError, `_Broken`, `_AccountRefused`."""
        if self._context is None:
            seen = self._look()
            try:
                self._context = self._load()
            except OSError as error:
                raise _AccountRefused(f"certificate or key cannot be used: {_words(error)}") from None
            self._files_seen = seen
        connection = self._dial()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A silent network is noticed while idle, without HTTP/2 pings (Apple allows one an hour).
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
            tls = _Tls(self._context, self._host)
            tls.shake_hands(connection)
            connection.setblocking(False)
            line = _Line(connection, tls, self._streams_max)
            line.greet(self._connect_timeout_seconds)
        except ssl.SSLError as error:
            connection.close()
            if _is_about_certificates(error):
                raise _AccountRefused(_words(error)) from None
            raise
        except BaseException:
            connection.close()
            raise
        return line

    def _dial(self) -> socket.socket:
        """A TCP connection to the first address that answers, all within the time-out. Raises OSError."""
        # The name service is asked each time: Apple moves its front doors.
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        trouble = OSError(f"{self._host} has no address")
        for *_, address in found:
            try:
                each_seconds = self._connect_timeout_seconds / len(found)
                connection = socket.create_connection((str(address[0]), int(address[1])), each_seconds)
            except OSError as error:
                trouble = error
            else:
                connection.settimeout(self._connect_timeout_seconds)
                return connection
        raise trouble

    def _still_there(self, line: _Line) -> bool:
        """Whether an idle line may be used: hears a GOAWAY or an end that came meanwhile, without waiting."""
        if line.ended is None and not line.open:
            line.hear_what_came()
        return line.ended is None

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        password = self._key_password or b""
        # A callable is asked only for encrypted keys; without it OpenSSL would ask the terminal.
        context.load_cert_chain(self._certificate_file, self._key_file, password=lambda: password)
        return context

    def _look(self) -> tuple[object, ...]:
        marks: list[object] = []
        for file in (self._certificate_file, self._key_file):
            try:
                status = file.stat()
            except OSError:
                marks.append(None)
            else:
                marks.append((status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))
        return tuple(marks)

    def _follow_files(self) -> None:
        """Use a replaced certificate from now on; while the new pair does not fit, keep the old one."""
        if self._context is None or (seen := self._look()) == self._files_seen:
            return
        try:
            self.reload()
        except OSError as error:
            # Once is enough: the next attempt comes when the files change again.
            self._files_seen = seen
            log.warning("the push certificate changed but cannot be used yet: %s", _words(error))

    def _later(self, reason: str) -> Later:
        wait = self._later_seconds * (1 + self._jitter() / 2)
        return Later(self._clock() + timedelta(seconds=wait), reason)

    def _backoff(self, failures: int) -> float:
        """Seconds to wait; by chance shorter, so that many workers do not come back together."""
        return float(self._backoff_seconds * 2 ** (failures - 1) * (0.5 + self._jitter() / 2))

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def outcome_of(status: int, body: bytes) -> Outcome:
    """What a final answer of APNs other than 200, 429 and 5xx means for the install.

    Source: Apple, "Handling notification responses from APNs". A status that
    Apple does not document counts as our mistake.
    """
    reason = _reason(body) or f"status {status}"
    if status == 410:
        return Gone(_instant(_json_object(body).get("timestamp")), reason)
    if status == 400 and reason in TOKEN_IS_DEAD:
        return Gone(None, reason)
    if status == 403:
        return Parked(reason)
    return Rejected(reason)


def _json_object(body: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(body: bytes) -> str | None:
    """Apple's reason, kept short: it ends in logs and on pages."""
    if not body:
        return None
    reason = _json_object(body).get("reason")
    return reason[:100] if isinstance(reason, str) and reason.isprintable() and reason else None


def _instant(milliseconds: object) -> datetime | None:
    """Apple counts in milliseconds, where its certificates and tokens count in seconds."""
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        return None
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _status(headers: Sequence[ngh2.Header]) -> int:
    for name, value in headers:
        if name == b":status":
            return int(value)
    return 0


def _words(error: BaseException) -> str:
    """An error for a log line or an outcome."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the service's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error.strerror or type(error).__name__}"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__


def _is_about_certificates(error: ssl.SSLError) -> bool:
    """Whether one side refused the other's certificate: trying again cannot help."""
    words = error.reason or ""
    return isinstance(error, ssl.SSLCertVerificationError) or any(
        sign in words for sign in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
    )
