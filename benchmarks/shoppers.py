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


@dataclass(slots=True)
class _Till:
    connection: socket.socket
    cashier: Cashier
    received: bytes = b""
    asked_at: float = 0.0
    took_seconds: list[float] = field(default_factory=list)

    def ask(self, members: int) -> None:
        self.received = b""
        self.asked_at = time.perf_counter()
        self.connection.sendall(purchase(self.cashier, random.randrange(members)))


def purchase(cashier: Cashier, member: int) -> bytes:
    """The request with which a till books 12.40 for a member."""
    form = f"form_token={cashier.form_token}&amount=12.40&confirmed=1240&visit=v{next(_visits):015d}"
    return (
        f"POST /till/card/{code_of(member)} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cashier.cookie}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    ).encode("ascii")


def shop(port: int, cashiers: Sequence[Cashier], *, members: int, seconds: float) -> Booked:
    """Let every cashier book purchases of members chosen at random, for so many seconds."""
    selector = selectors.DefaultSelector()
    tills = [_Till(socket.create_connection(("127.0.0.1", port)), cashier) for cashier in cashiers]
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


def _answered(till: _Till) -> bool:
    """Whether the whole answer is there. It must be the way to the page that shows the receipt."""
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
    assert b" 303 " in lines[0], till.received.decode("utf-8", "replace")[:2000]
    assert b"/till/done/" in head, head.decode("utf-8", "replace")
    return True
