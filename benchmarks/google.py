"""How evenly owed updates drain to Google at the rate that was set, database included.

A server beside us stands in for Google: it takes a tenth of a second for each
answer, as a service far away does, and writes down when requests arrived. What
is measured is the rate at which they did, beside the one that was set: the
rest is time in which a turn was wasted.

    python -m benchmarks.google
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import text

from benchmarks import ground
from benchmarks.table import FULL, Row, alone
from passes import delivery, store
from passes.clock import clock
from passes.google.account import ServiceAccount
from passes.google.addresses import Addresses
from passes.google.client import GoogleApi
from passes.google_cards import Announcer, Issuer, SharedPace
from passes.server_keys import ServerKeys
from passes.store import Store

ANSWER_SECONDS = 0.1
# What Google allows is 20 a second: ten thousand updates would take eleven minutes.
RUNS = ((200, 10_000), (15, 300)) if FULL else ((200, 4_000), (15, 300))
SHARE = 0.95
ISSUER = "3388000000012345678"

_KEYS = ServerKeys({"k1": b"k" * 32})
_HELD = (
    f"""INSERT INTO google_object (programme_id, card_id, object_id, revision, told, inserted_at)
        SELECT programme_id, id, '{ISSUER}.' || serial, 2, '{{}}', 0 FROM card""",
    f"""INSERT INTO device (pass_type_id, id, library_id, push_token, push_token_at, wallet)
        SELECT pass_type_id, id + 1000000, 'google:{ISSUER}.' || serial, '{ISSUER}.' || serial, 0, 'google'
        FROM card""",
    """INSERT INTO registration (pass_type_id, device_id, card_id, programme_id, announced_revision,
            registered_at, wallet)
       SELECT pass_type_id, id + 1000000, id, programme_id, 1, 0, 'google' FROM card""",
)
_OWE = text("""
    INSERT INTO owed (pass_type_id, device_id, card_id, revision, due_at, lease_until, attempts, wallet)
    SELECT pass_type_id, device_id, card_id, 2, 0, 0, 0, 'google' FROM registration
    WHERE wallet = 'google' ORDER BY card_id LIMIT :count
""")
_FORGET = text("UPDATE google_object SET told = '{}'")


def run() -> Iterator[Row]:
    """Measure both engines."""
    cards = max(count for _, count in RUNS)
    for engine in ground.ENGINES:
        with ground.database(engine) as database, _sink() as sink:
            opened = store.open(database.url)
            ground.open_shop(opened, _KEYS)
            ground.fill(database, cards, _KEYS)
            for statement in _HELD:
                opened.write(lambda work, statement=statement: work.put(text(statement)))  # type: ignore[misc]
            for rate, count in RUNS:
                reached = _drained(opened, sink, rate, count)
                yield Row(f"{count:,} cards told to Google, {engine}", reached, "/s", SHARE, rate)
            opened.close()


def _drained(opened: Store, sink: str, rate: int, count: int) -> float:
    """Requests a second, from the first to the last."""
    opened.write(lambda work: work.put(_FORGET))
    opened.write(lambda work: work.put(_OWE, count=count))
    threads = min(64, max(8, rate + 1))
    api = GoogleApi(
        ServiceAccount("cards@example.com", "1", f"{sink}/token", rsa.generate_private_key(65537, 2048)),
        clock=ground.now,
        pace=SharedPace(opened, rate_per_second=rate, clock=clock(None), slots=max(1, rate * 3 // 10)),
        addresses=Addresses(api=sink, token=f"{sink}/token"),
        connections=threads,
    )
    announcer = Announcer(
        opened,
        Issuer(ISSUER, "https://cards.example.com"),
        api,
        clock=ground.now,
        rate_per_second=rate,
        threads=threads,
    )
    wallets = {delivery.GOOGLE: announcer}
    told = 0
    while (
        done := delivery.announce_due(
            opened,
            wallets,
            wallet=delivery.GOOGLE,
            now=ground.now(),
            limit=rate * delivery.GOOGLE_ROUND_SECONDS,
        )
    ).claimed:
        told += done.accepted
    announcer.close()
    assert told == count, (told, count)
    times = json.loads(urllib3.request("GET", f"{sink}/times").data)
    assert len(times) == count, "nothing was sent twice"
    return float((count - 1) / (times[-1] - times[0]))


# The stand-in ----------------------------------------------------------------------


@contextmanager
def _sink() -> Iterator[str]:
    """The address of a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.google", "sink"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def _serve() -> None:
    times: list[float] = []
    lock = threading.Lock()

    class Sink(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_PATCH(self) -> None:
            with lock:
                times.append(time.monotonic())
            self._take()
            time.sleep(ANSWER_SECONDS)
            self._answer({})

        def do_POST(self) -> None:
            self._take()
            self._answer({"access_token": "benchmark", "token_type": "Bearer", "expires_in": 3599})

        def do_GET(self) -> None:
            with lock:
                seen = sorted(times)
                times.clear()
            self._answer(seen)

        def _take(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))

        def _answer(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Sink)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["sink"]:
        _serve()
    sys.exit(alone(run))
