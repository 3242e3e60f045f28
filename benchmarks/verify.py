"""How fast the books are proven: every balance, lot and receipt recomputed, every block hashed.

python -m benchmarks.verify
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from benchmarks import ground
from benchmarks.table import FULL, Row, alone
from passes import books, checkout, enrolment, store
from passes.enrolment import Source
from passes.loyalty.receipt import Counter
from passes.server_keys import ServerKeys

POSTINGS_A_SECOND = 50_000
PURCHASES = 100_000 if FULL else 20_000
MEMBERS = 200
ROUNDS = 3

_KEYS = ServerKeys({"k1": b"k" * 32})


def run() -> Iterator[Row]:
    """Measure both engines."""
    for engine in ("PostgreSQL", "SQLite"):
        with ground.database(engine) as database:
            opened = store.open(database.url, writer_thread=False)
            ground.open_shop(opened, _KEYS)
            _buy(opened)
            while books.seal_due(opened, now=ground.now()):
                pass
            seconds = min(_verify(opened) for _ in range(ROUNDS))
            opened.close()
            yield Row(f"postings proven, {engine}", PURCHASES / seconds, "/s", POSTINGS_A_SECOND)


def _buy(opened: store.Store) -> None:
    with opened.together() as one:
        codes = [
            enrolment.join(
                one,
                programme=ground.SHOP,
                name="Ana Reyes",
                language="en",
                consents={},
                source=Source("poster"),
                key=f"join-{number}",
                keys=_KEYS,
                now=ground.now(),
            ).code
            for number in range(MEMBERS)
        ]
        for number in range(PURCHASES):
            checkout.accrue(
                one,
                programme=ground.SHOP,
                code=codes[number % MEMBERS],
                amount_minor=500 + number % 900,
                key=f"sale-{number}",
                at=Counter(till="front"),
                now=ground.now(),
            )


def _verify(opened: store.Store) -> float:
    started = time.perf_counter()
    verified = books.verify(opened)
    assert verified.right, verified.problems
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(alone(run))
