"""What a phone and a till ask of the database, at ten thousand cards and at a million.

Both sizes are open at the same time and asked in turns, after so many requests
that a process which runs for an hour has seen more: pages of memory that a
process touches for the first time are the machine's cost, not the question's.
All of it runs on one core: whether the asker's server happens to run beside it
or on another one decides more about the time of a short question than its size.
A change to everybody is made in the larger one: how soon it is accepted, and
what memory it takes to spread it to all phones. Without BENCH=full the larger
one has 100,000 cards.

    BENCH=full python -m benchmarks.scale
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks import ground
from benchmarks.table import FULL, Row, alone
from passes import checkout, delivery, issuing, store
from passes.server_keys import ServerKeys
from passes.store import Store, programmes
from passes.wiring import DEVELOPMENT_PASS_TYPE

SMALL, LARGE = 10_000, 1_000_000 if FULL else 100_000
ROUNDS, ASKED = 10, 100
_FIRST_FRACTION = 25
"""One of so many cards is asked about before anything is measured."""
SPREAD_A_SECOND = 10_000
P50_RATIO_MAX, P99_RATIO_MAX, ACCEPTED_SECONDS_MAX, GROWTH_MEGABYTES_MAX = 1.5, 2.5, 1.0, 10.0

_KEYS = ServerKeys({"k1": b"k" * 32})
Question = Callable[[Store, int], object]


def run() -> Iterator[Row]:
    """Measure both engines."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield from _measured()
    finally:
        os.sched_setaffinity(0, cores)


def _measured() -> Iterator[Row]:
    for engine in ground.ENGINES:
        with ground.database(engine) as small, ground.database(engine) as large:
            opened = {}
            for database, cards in ((small, SMALL), (large, LARGE)):
                opened[cards] = store.open(database.url)
                ground.open_shop(opened[cards], _KEYS)
                ground.fill(database, cards, _KEYS)
            for cards, one in opened.items():
                for number in random.sample(range(cards), cards // _FIRST_FRACTION):
                    _list(one, number)
                    _scan(one, number)
            for name, question in _QUESTIONS.items():
                yield from _compare(f"{name}, {engine}", question, opened)
            yield from _change_everybody(engine, opened[LARGE])
            for one in opened.values():
                one.close()


def _list(opened: Store, number: int) -> object:
    found = issuing.changes(
        opened, library_id=ground.library_of(number), pass_type=DEVELOPMENT_PASS_TYPE, since=0
    )
    assert found is not None
    return found


def _unregister(opened: Store, number: int) -> None:
    serial = ground.serial_of(number)
    issuing.unregister(
        opened,
        _KEYS,
        library_id=ground.library_of(number),
        pass_type=DEVELOPMENT_PASS_TYPE,
        serial=serial,
        token=_KEYS.token(_KEYS.current_id, DEVELOPMENT_PASS_TYPE, serial),
        now=ground.now(),
    )


def _scan(opened: Store, number: int) -> object:
    return checkout.look(
        opened, programme=ground.SHOP, code=ground.code_of(number), language="en", now=ground.now()
    )


_QUESTIONS: dict[str, Question] = {
    "list of a phone's changes": _list,
    "scan of a card": _scan,
    "card removed from a phone": _unregister,
}


def _compare(name: str, question: Question, opened: dict[int, Store]) -> Iterator[Row]:
    took: dict[int, list[float]] = {cards: [] for cards in opened}
    for turn in range(ROUNDS + 1):
        for cards, one in opened.items():
            for number in random.sample(range(cards), ASKED):
                began = time.perf_counter()
                question(one, number)
                if turn:  # the first one fills caches
                    took[cards].append(1e6 * (time.perf_counter() - began))
    for share, target in ((0.5, P50_RATIO_MAX), (0.99, P99_RATIO_MAX)):
        small, large = (_percentile(took[cards], share) for cards in (SMALL, LARGE))
        yield Row(
            f"{name}: p{share * 100:.0f} of {LARGE:,} cards beside {SMALL:,}",
            large,
            "µs",
            target,
            small,
            at_most=True,
        )


def _percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def _change_everybody(engine: str, opened: Store) -> Iterator[Row]:
    with opened.read() as read:
        programme_id = programmes.by_slug(read, ground.SHOP).id
    began = time.perf_counter()
    opened.write(lambda work: programmes.revise(work, programme_id))
    accepted = time.perf_counter() - began
    yield Row(
        f"a change to {LARGE:,} cards accepted, {engine}", accepted, "s", ACCEPTED_SECONDS_MAX, at_most=True
    )
    assert delivery.stamp_due(opened, now=ground.now())
    before = peak = ground.resident_megabytes()
    began, cards = time.perf_counter(), 0
    while handled := delivery.stamp_due(opened, now=ground.now()):
        cards += handled
        peak = max(peak, ground.resident_megabytes())
    rate = cards / (time.perf_counter() - began)
    yield Row(f"… spread to their phones, {engine}", rate, "/s", SPREAD_A_SECOND)
    yield Row("… memory that this adds", peak - before, "MB", GROWTH_MEGABYTES_MAX, at_most=True)


if __name__ == "__main__":
    sys.exit(alone(run))
