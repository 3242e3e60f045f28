"""Purchases through the API in a programme of a million members, beside one of ten thousand.

Both installations run at once, each with its own database, web processes and
worker; registers ask one and the other in turns. The larger one is also held
against its bare database, as in `checkout`. Without BENCH=full it has 100,000.

    BENCH=full python -m benchmarks.crowd
"""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks import ground, push, shoppers
from benchmarks.checkout import (
    P99_MILLISECONDS_MAX,
    PROCESSES,
    RATIO_POSTGRESQL,
    RATIO_SQLITE,
    Recorded,
    record,
    replayed,
)
from benchmarks.ground import FIRST_ID, Database
from benchmarks.shoppers import Booked, Register
from benchmarks.table import FULL, Row, alone
from passes import store, wiring
from passes.settings import Settings
from passes.store import programmes, records
from passes.web.api import records as records_api
from tests.stories.town import Town

SMALL, LARGE = 10_000, 1_000_000 if FULL else 100_000
ROUNDS, SECONDS, PAGES = 5, 6.0, 200
P50_RATIO_MAX, P99_RATIO_MAX = 1.5, 2.5


@dataclass(slots=True)
class Installed:
    """A running installation with its registers, and what they booked in each turn."""

    members: int
    database: Database
    port: int
    registers: list[Register]
    recorded: Recorded
    booked: list[Booked] = field(default_factory=list)

    def shop(self, seconds: float) -> Booked:
        """Let all registers book for so long."""
        return shoppers.shop(self.port, self.registers, members=self.members, seconds=seconds)

    def median(self, share: float) -> float:
        """How long a purchase takes that is slower than this share of all: the median of the turns, in ms."""
        return statistics.median(one.percentile(share) for one in self.booked)


def run() -> Iterator[Row]:
    """Measure both engines."""
    for engine in ground.ENGINES:
        with _installed(engine, SMALL) as small, _installed(engine, LARGE) as large:
            bare = []
            for one in (small, large):
                one.shop(3)
            for turn in range(ROUNDS):
                bare.append(replayed(large.database, large.recorded, turn, members=LARGE))
                for one in (small, large):
                    one.booked.append(one.shop(SECONDS))
            yield from _rows(engine, small, large, statistics.median(bare))
            yield _pages(engine, small, large)


def _rows(engine: str, small: Installed, large: Installed, bare: float) -> Iterator[Row]:
    beside, target = (
        ("pgbench", RATIO_POSTGRESQL)
        if large.database.postgresql
        else ("bare loop, synchronous=FULL", RATIO_SQLITE)
    )
    rate = statistics.median(one.rate for one in large.booked)
    yield Row(f"purchase by the API, {engine}, {LARGE:,} members, beside {beside}", rate, "/s", target, bare)
    yield Row(
        f"… p99 of {shoppers.TILLS} at full load",
        large.median(0.99),
        "ms",
        P99_MILLISECONDS_MAX,
        at_most=True,
    )
    for share, most in ((0.5, P50_RATIO_MAX), (0.99, P99_RATIO_MAX)):
        yield Row(
            f"… p{share * 100:.0f} of {LARGE:,} members beside {SMALL:,}",
            large.median(share),
            "ms",
            most,
            small.median(share),
            at_most=True,
        )


def _pages(engine: str, small: Installed, large: Installed) -> Row:
    """A page of the list of members, from anywhere in it, as the API reads it."""
    took = {}
    for one in (small, large):
        opened = store.open(one.database.url)
        with opened.read() as read:
            shop = programmes.by_slug(read, ground.SHOP)
        times = []
        for _ in range(PAGES):
            after = FIRST_ID + random.randrange(one.members - records_api.PAGE_MAX)
            began = time.perf_counter()
            with opened.read() as read:
                found = records.members(read, shop.id, after=after, limit=records_api.PAGE_MAX)
            times.append(1000 * (time.perf_counter() - began))
            assert len(found) == records_api.PAGE_MAX
        took[one.members] = statistics.median(times)
        opened.close()
    return Row(
        f"page of {records_api.PAGE_MAX} of {LARGE:,} members beside {SMALL:,}, {engine}",
        took[LARGE],
        "ms",
        P50_RATIO_MAX,
        took[SMALL],
        at_most=True,
    )


@contextlib.contextmanager
def _installed(engine: str, members: int) -> Iterator[Installed]:
    """An installation with so many members, until the end of the block."""
    with ground.database(engine) as database, push.sink_for_development(database.folder) as sink:
        town = Town(
            database.url,
            database.folder,
            {
                "PASSES_APNS_HOST_PORT": str(sink.port),
                "PASSES_APNS_CA_FILE": str(sink.authority),
                # As in production, where nobody moves the clock.
                "PASSES_CLOCK_FILE": "",
                "PASSES_WEB_PROCESSES": str(PROCESSES[engine]),
            },
        )
        settings = Settings.read(town.environment)
        wiring.prepare(settings)
        installation = wiring.build(settings)
        ground.open_shop(installation.store, installation.keys)
        ground.fill(database, members, installation.keys)
        registers = [Register(ground.api_secret(installation.store)) for _ in range(shoppers.TILLS)]
        installation.close()
        recorded = record(database, settings, registers[0])
        try:
            town.start("serve", "worker")
            yield Installed(members, database, int(town.web_url.rpartition(":")[2]), registers, recorded)
        finally:
            town.stop()


if __name__ == "__main__":
    sys.exit(alone(run))
