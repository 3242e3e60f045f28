"""Sixteen tills that book purchases over HTTP as fast as they are answered.

One process with plain sockets kept open: what it costs is a few per cent of
what the server costs, and it measures each request by itself.
"""

from __future__ import annotations

import random
import selectors
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from benchmarks.ground import Cashier, code_of

TILLS = 16

_visits = count(int(time.time() * 1000))


@dataclass(frozen=True, slots=True)
class Booked:
    """What came of it: purchases, over how many seconds, and how long each took, in order of length."""

    seconds: float
    took_seconds: Sequence[float]

    @property
    def rate(self) -> float:
        """Purchases a second."""
        return len(self.took_seconds) / self.seconds

    def percentile(self, share: float) -> float:
        """How long the purchase took that is slower than this share of all, in milliseconds."""
        return 1000 * self.took_seconds[int(share * (len(self.took_seconds) - 1))]

    @property
    def median(self) -> float:
        """In milliseconds."""
        return 1000 * statistics.median(self.took_seconds)


class Asker(Protocol):
    """Who books purchases, and how."""

    def purchase(self, member: int) -> bytes:
        """The whole request that books 12.40 for a member."""

    def is_booked(self, head: bytes) -> bool:
        """Whether an answer with this head says that it was."""


@dataclass(frozen=True, slots=True)
class Till:
    """A cashier with the till's page: a session, a form, and the way to the page that shows the receipt."""

    cashier: Cashier

    def purchase(self, member: int) -> bytes:
        """The form."""
        token, visit = self.cashier.form_token, next(_visits)
        form = f"form_token={token}&amount=12.40&confirmed=1240&visit=v{visit:015d}"
        return _request(
            f"/till/card/{code_of(member)}",
            f"Cookie: {self.cashier.cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
            form,
        )

    def is_booked(self, head: bytes) -> bool:
        """The way to the receipt."""
        return b" 303 " in head.partition(b"\r\n")[0] and b"/till/done/" in head


@dataclass(frozen=True, slots=True)
class Register:
    """A register with a key of the API."""

    secret: str

    def purchase(self, member: int) -> bytes:
        """The purchase as JSON."""
        return _request(
            "/api/v1/purchases",
            f"Authorization: Bearer {self.secret}\r\nIdempotency-Key: v{next(_visits):015d}\r\n"
            "Content-Type: application/json\r\n",
            f'{{"code":"{code_of(member)}","amount_minor":1240}}',
        )

    def is_booked(self, head: bytes) -> bool:
        """Created."""
        return b" 201 " in head.partition(b"\r\n")[0]


def _request(path: str, headers: str, body: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode("ascii")


@dataclass(slots=True)
class _Line:
    connection: socket.socket
    asker: Asker
    received: bytes = b""
    asked_at: float = 0.0
    took_seconds: list[float] = field(default_factory=list)

    def ask(self, members: int) -> None:
        self.received = b""
        self.asked_at = time.perf_counter()
        self.connection.sendall(self.asker.purchase(random.randrange(members)))


def shop(port: int, askers: Sequence[Asker], *, members: int, seconds: float) -> Booked:
    """Let every one of them book purchases of members chosen at random, for so many seconds."""
    selector = selectors.DefaultSelector()
    tills = [_Line(socket.create_connection(("127.0.0.1", port)), asker) for asker in askers]
    for till in tills:
        till.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(till.connection, selectors.EVENT_READ, till)
    began = time.perf_counter()
    for till in tills:
        till.ask(members)
    waiting = len(tills)
    while waiting:
        for key, _ in selector.select():
            till = key.data
            if not _answered(till):
                continue
            at = time.perf_counter()
            till.took_seconds.append(at - till.asked_at)
            if at - began < seconds:
                till.ask(members)
            else:
                waiting -= 1
    lasted = time.perf_counter() - began
    for till in tills:
        till.connection.close()
    return Booked(lasted, sorted(took for till in tills for took in till.took_seconds))


def _answered(till: _Line) -> bool:
    """Whether the whole answer is there. It must say that the purchase is booked."""
    got = till.connection.recv(65536)
    assert got, "the server closed the connection"
    till.received += got
    head, found, body = till.received.partition(b"\r\n\r\n")
    if not found:
        return False
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    if len(body) < length:
        return False
    assert till.asker.is_booked(head), till.received.decode("utf-8", "replace")[:2000]
    return True
