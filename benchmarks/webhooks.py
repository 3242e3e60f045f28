"""How many messages a second a worker sends to webhooks, signed, answered and written down.

The receivers are one small server in a process of its own, which reads a
request and answers 204; both share this machine's cores. To one webhook
messages go one after the other, each written down before the next. Finding
what happened is measured by itself.

    python -m benchmarks.webhooks
"""

from __future__ import annotations

import multiprocessing
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import ground
from benchmarks.ground import SHOP
from benchmarks.table import Row, alone
from passes import checkout, store, webhooks
from passes.loyalty.receipt import Counter
from passes.server_keys import ServerKeys
from passes.store import Store
from passes.webhooks import Door, Sender

PURCHASES, MEMBERS, WEBHOOKS = 2_000, 400, 4
ONE, TOGETHER, FOUND, MEGABYTES_MAX = 100, 200, 1_000, 20.0

_KEYS = ServerKeys({"k1": b"k" * 32})


def run() -> Iterator[Row]:
    """Measure both engines."""
    with _receivers() as port:
        for engine in ground.ENGINES:
            with ground.database(engine) as database:
                opened = store.open(database.url)
                ground.open_shop(opened, _KEYS)
                ground.fill(database, MEMBERS, _KEYS)
                for _ in range(WEBHOOKS):
                    _add(opened, port)
                _buy(opened)
                begun = time.perf_counter()
                owed = webhooks.find_due(opened, now=ground.now())
                found = owed / (time.perf_counter() - begun)
                assert owed == PURCHASES * WEBHOOKS
                before = ground.resident_megabytes()
                one = _one_by_one(opened, 500)
                together = _together(opened)
                grown = ground.resident_megabytes() - before
                opened.close()
            yield Row(f"messages to one webhook, {engine}", one, "/s", ONE)
            yield Row(f"… to {WEBHOOKS} webhooks at once", together, "/s", TOGETHER)
            yield Row("… found in the books and owed", found, "/s", FOUND)
            yield Row("… memory that this adds", grown, "MB", MEGABYTES_MAX, at_most=True)


def _add(opened: Store, port: int) -> None:
    webhooks.add(
        opened,
        programme=SHOP,
        address=f"http://127.0.0.1:{port}/hooks",
        events=["purchase.booked"],
        keys=_KEYS,
        development=True,
        by="benchmark",
        now=ground.now(),
    )


def _buy(opened: Store) -> None:
    for number in range(PURCHASES):
        checkout.accrue(
            opened,
            programme=SHOP,
            code=ground.code_of(number % MEMBERS),
            amount_minor=450,
            key=f"purchase-{number}",
            at=Counter(location=ground.PLACE, till="front", person="cashier"),
            now=ground.now(),
        )


def _one_by_one(opened: Store, count: int) -> float:
    """Messages a second to one webhook, turn after turn."""
    only = webhooks.every(opened, programme=SHOP)[0].webhook.id
    door = Door(development=True)
    sent, begun = 0, time.perf_counter()
    while sent < count:
        sent += webhooks.send_due(opened, door, keys=_KEYS, clock=ground.now, only=only).taken
    return sent / (time.perf_counter() - begun)


def _together(opened: Store) -> float:
    """Messages a second to all webhooks, by a worker as it runs, until nothing waits."""
    stop = threading.Event()
    sender = Sender(opened, Door(development=True), keys=_KEYS, clock=ground.now, stop=stop)
    waiting = _waiting(opened)
    thread = threading.Thread(target=sender.run)
    begun = time.perf_counter()
    thread.start()
    while _waiting(opened):
        time.sleep(0.1)
    took = time.perf_counter() - begun
    stop.set()
    thread.join()
    return waiting / took


def _waiting(opened: Store) -> int:
    return sum(one.waiting for one in webhooks.every(opened, programme=SHOP))


# The other side -------------------------------------------------------------------


@contextmanager
def _receivers() -> Iterator[int]:
    """A process that takes every message; its port."""
    context = multiprocessing.get_context("spawn")
    port = context.Value("i", 0)
    process = context.Process(target=_serve, args=(port,), daemon=True)
    process.start()
    try:
        while not port.value:
            time.sleep(0.01)
        yield port.value
    finally:
        process.terminate()
        process.join()


def _serve(port: object) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Taking) as server:
        server.daemon_threads = True
        port.value = server.server_address[1]  # type: ignore[attr-defined]
        server.serve_forever()


class _Taking(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Read requests and answer each, as long as the connection lasts."""
        while self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.rfile.read(length)
            self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")


if __name__ == "__main__":
    sys.exit(alone(run))
