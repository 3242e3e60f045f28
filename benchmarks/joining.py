"""How long somebody waits between sending the join form and seeing their card.

Over HTTP, one after the other on kept connections, in a programme that has
members already: the form that is sent, the redirect, and the member's page.
No browser is in it, only what the server takes.

    python -m benchmarks.joining
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import urllib3

from benchmarks import ground
from benchmarks.table import Row, alone
from passes import wiring
from passes.settings import Settings
from tests.stories.town import Town

MEMBERS = 20_000
WARM_UP, JOINS = 10, 100  # one address may send 120 forms in five minutes
P95_MILLISECONDS_MAX = 300.0
_PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
)


def run() -> Iterator[Row]:
    """Measure both engines."""
    for engine in ground.ENGINES:
        with ground.database(engine) as database:
            town = Town(database.url, database.folder)
            settings = Settings.read(town.environment)
            wiring.prepare(settings)
            installation = wiring.build(settings)
            ground.open_shop(installation.store, installation.keys)
            ground.fill(database, MEMBERS, installation.keys)
            installation.close()
            try:
                town.start("serve")
                took = [_join(town.web_url, number) for number in range(WARM_UP + JOINS)][WARM_UP:]
            finally:
                town.stop()
        pages, cards = (sorted(one) for one in zip(*took, strict=True))
        yield Row(f"join form shown, {engine}, p95", _p95(pages), "ms", P95_MILLISECONDS_MAX, at_most=True)
        yield Row(
            "… sent, until the card is there, p50",
            statistics.median(cards),
            "ms",
            P95_MILLISECONDS_MAX,
            at_most=True,
        )
        yield Row("… p95", _p95(cards), "ms", P95_MILLISECONDS_MAX, at_most=True)


def _join(base: str, number: int) -> tuple[float, float]:
    """One customer: the milliseconds until the form is there, and from sending it until the card is."""
    with urllib3.PoolManager(headers={"User-Agent": _PHONE}) as browser:
        began = time.perf_counter()
        page = browser.request("GET", f"{base}/join/{ground.SHOP}?from=poster")
        shown = time.perf_counter()
        (token,) = re.findall(rb'name="form" value="([^"]+)"', page.data)
        sent = urlencode(
            {"form": token.decode(), "name": f"Member {number}", "email": f"{number}@joining.example"}
        )
        filled_in = time.perf_counter()
        answer = browser.request(
            "POST",
            f"{base}/join/{ground.SHOP}?from=poster",
            body=sent,
            headers={"Content-Type": "application/x-www-form-urlencoded", "User-Agent": _PHONE},
            redirect=False,
        )
        card = browser.request("GET", f"{base}{answer.headers['Location']}")
        there = time.perf_counter()
    if card.status != 200 or b"Member" not in card.data:
        raise RuntimeError(f"the card's page answered {card.status}")
    return (shown - began) * 1000, (there - filled_in) * 1000


def _p95(ordered: list[float]) -> float:
    return ordered[int(len(ordered) * 0.95)]


if __name__ == "__main__":
    sys.exit(alone(run))
