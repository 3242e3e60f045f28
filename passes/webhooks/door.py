"""The one network door of webhooks: a signed message goes out, and the beginning of an answer comes back.

A receiver is anybody's machine. So its name is looked up once, what was found
is checked, and the connection goes to just that address: a name that answers
differently a moment later leads nowhere else (DNS rebinding). Redirects are
answers like any other that is not 2xx, and are not followed. Certificates are
always verified against the name. Whoever answers slowly, without end, or with
one byte at a time is cut off.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import WebhookAddressInvalid
from passes.webhooks.addresses import Target, may_be_reached, read

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
WHOLE_SECONDS = 25.0
"""For one message, from the connection to the end of the answer."""
_PLACES_MAX = 3
_PART_BYTES = 4096
_LEAST_SECONDS = 0.001
ANSWER_BYTES_MAX = 64 * 1024
_SHOWN_LETTERS_MAX = 500
AGENT = "passes-webhooks"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status and the beginning of the body; `retry_after` as the header says it."""

    status: int
    words: str
    retry_after: str | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came back, and why, in one sentence for the receiver's maker."""

    words: str
    milliseconds: int


class Door:
    """Opens lines to receivers. In development this machine may be one; `ca_file` replaces known roots."""

    def __init__(
        self,
        *,
        development: bool,
        ca_file: Path | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        whole_seconds: float = WHOLE_SECONDS,
    ) -> None:
        self.development = development
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._whole_seconds = whole_seconds
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None

    def line(self, address: str) -> Line:
        """A line to one receiver for a few messages in a row. Opens nothing yet."""
        return Line(self, address)

    def connect(self, target: Target) -> socket.socket:
        """A connection to an address that was checked. Raises OSError, and `_Forbidden` where none may go."""
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        places = list(dict.fromkeys(str(one[4][0]) for one in found))
        # One that leads inside is enough: whoever answers so means no good, or is mistaken.
        if not all(may_be_reached(ip_address(place), development=self.development) for place in places):
            raise _Forbidden
        trouble: OSError | None = None
        for place in places[:_PLACES_MAX]:
            try:
                opened = socket.create_connection((place, target.port), self._connect_seconds)
                # Head and body are two small parts: together at once, not one after the other's receipt.
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return opened
            except OSError as problem:
                trouble = problem
        raise trouble or OSError("the name has no address")

    def secure(self, plain: socket.socket, target: Target) -> ssl.SSLSocket:
        """TLS over a connection, its certificate verified against the name in the address."""
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca_file)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        return self._context.wrap_socket(plain, server_hostname=target.host.rstrip("."))

    @property
    def read_seconds(self) -> float:
        """How long a receiver may say nothing."""
        return self._read_seconds

    @property
    def whole_seconds(self) -> float:
        """How long a message may take in all."""
        return self._whole_seconds


class Line:
    """Messages to one receiver, over one connection as long as that holds."""

    def __init__(self, door: Door, address: str) -> None:
        self._door, self._address = door, address
        self._connection: HTTPConnection | None = None
        self._wire: _Wire | None = None

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()

    def send(self, body: bytes, headers: Mapping[str, str]) -> Answer | Silence:
        """Send one message. Never raises for what a receiver or the network does."""
        begun = time.monotonic()
        try:
            target = read(self._address, development=self._door.development)
        except WebhookAddressInvalid:
            return Silence("Messages do not go to such an address.", 0)
        try:
            reused = self._connection is not None
            try:
                return self._ask(target, body, headers, begun)
            except _TROUBLES as problem:
                # A receiver may hang up between two messages; of a new connection it is the answer.
                if not reused or isinstance(problem, TimeoutError):
                    raise
                self._hang_up()
                return self._ask(target, body, headers, begun)
        except _TROUBLES as problem:
            self._hang_up()
            return Silence(_why(problem), _since(begun))

    def _ask(self, target: Target, body: bytes, headers: Mapping[str, str], begun: float) -> Answer:
        ends_at = begun + self._door.whole_seconds
        connection = self._connection or self._open(target, ends_at)
        assert self._wire is not None
        self._wire.ends_at = ends_at
        connection.request(
            "POST",
            target.path,
            body=body,
            headers={
                "Host": target.authority,
                "User-Agent": AGENT,
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
                **headers,
            },
            preload_content=False,
            decode_content=False,
        )
        response = connection.getresponse()
        took = _since(begun)
        beginning, whole = _beginning(response)
        # The socket is taken from a connection whose receiver wants to hang up.
        if not whole or connection.sock is None:
            self._hang_up()
        return Answer(
            status=response.status,
            words=cleaned(beginning.decode("utf-8", "replace"), _SHOWN_LETTERS_MAX),
            retry_after=response.headers.get("retry-after"),
            milliseconds=took,
        )

    def _open(self, target: Target, ends_at: float) -> HTTPConnection:
        opened = self._door.connect(target)
        self._wire = _Wire(opened, self._door.read_seconds)
        if target.scheme == "https":
            # A handshake has to be over in that time, however slowly it goes.
            opened.settimeout(max(_LEAST_SECONDS, min(self._door.read_seconds, ends_at - time.monotonic())))
            self._wire.socket = self._door.secure(opened, target)
        self._connection = HTTPConnection(target.host, target.port)
        self._connection.sock = self._wire
        return self._connection

    def _hang_up(self) -> None:
        connection, wire = self._connection, self._wire
        self._connection = self._wire = None
        if connection is not None:
            connection.close()
        if wire is not None:
            wire.close()


class _Wire:
    """A connection as HTTP writes to it and reads from it, which is over at `ends_at` whatever still comes.

    A time limit of the socket is one for each byte: who sends one at a time could go on for ever.
    """

    def __init__(self, opened: socket.socket, read_seconds: float) -> None:
        self.socket, self._read_seconds = opened, read_seconds
        self.ends_at = 0.0

    def makefile(self, _mode: str, *_rest: object) -> io.BufferedReader:
        """What an answer is read from."""
        return io.BufferedReader(_Reader(self))

    def sendall(self, data: bytes) -> None:
        """Write all of it. Raises TimeoutError at the end."""
        self._limit()
        self.socket.sendall(data)

    def receive_into(self, buffer: WriteableBuffer) -> int:
        """Read what has come. Raises TimeoutError at the end."""
        self._limit()
        return self.socket.recv_into(buffer)

    def settimeout(self, _seconds: object) -> None:
        """Nothing: each step has its own."""

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _limit(self) -> None:
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(min(left, self._read_seconds))


class _Reader(io.RawIOBase):
    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._wire.receive_into(buffer)


class _Forbidden(OSError):
    """The name leads to an address that only this machine or its network has."""


# What the network and its machines do: sockets, TLS and names, HTTP as two libraries read it.
_TROUBLES = (OSError, HTTPException, HTTPError, UnicodeError)
_TOO_SLOW = "The receiver took too long."


def _beginning(response: HTTPResponse) -> tuple[bytes, bool]:
    """The first bytes of an answer, and whether that is all of it. The status counts, whatever follows it."""
    beginning = b""
    try:
        while len(beginning) < ANSWER_BYTES_MAX:
            part = response.read1(_PART_BYTES)
            if not part:
                return beginning, True
            beginning += part
    except _TROUBLES:
        return beginning, False
    return beginning, False


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)


def _why(problem: Exception) -> str:
    """A failure in one sentence that says nothing of this network."""
    cause: BaseException | None = problem
    while cause is not None:
        match cause:
            case _Forbidden():
                return "The name leads to an address inside this network, where messages do not go."
            case ssl.SSLCertVerificationError():
                return f"The certificate is not trusted: {cleaned(cause.verify_message, 200)}."
            case ssl.SSLError():
                return "The receiver does not speak TLS as it should."
            case TimeoutError():
                return _TOO_SLOW
            case socket.gaierror():
                return "The name is unknown."
            case ConnectionRefusedError():
                return "The connection was refused."
            case ConnectionError():
                return "The receiver hung up."
        cause = cause.__cause__ or cause.__context__
    if isinstance(problem, HTTPException | HTTPError):
        return "The receiver did not answer as HTTP does."
    return "The receiver cannot be reached."
