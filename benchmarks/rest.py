"""What an installation costs while nothing happens, how soon it is there, and how soon a phone knows.

The processes are those of `passes run`: supervisor, web, worker, emulators. A
purchase is confirmed on the till; a virtual phone is then asked every few
milliseconds what balance it shows. Many cards take turns, because one card's
phone is told five times at once and then once a minute.

    python -m benchmarks.rest
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3

from benchmarks import ground
from benchmarks.table import Row, alone
from tests.stories.town import ROOT, Town, at_the_till, browser, install, join, until
from tests.web.visitor import Visitor

CARDS, PURCHASES = 15, 60
MEGABYTES_MAX, SUPERVISOR_MEGABYTES_MAX, START_SECONDS_MAX = 250.0, 20.0, 5.0
P50_MILLISECONDS_MAX, P99_MILLISECONDS_MAX = 400.0, 1000.0


def run() -> Iterator[Row]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as name:
        town = Town(f"sqlite:///{name}/passes.sqlite3", Path(name))
        yield from _at_rest(town)
    for engine in ground.ENGINES:
        with ground.database(engine) as database:
            town = Town(database.url, database.folder)
            town.run("demo")
            try:
                town.start("serve", "worker", "emulate")
                yield from _until_the_phone_knows(engine, town)
            finally:
                town.stop()


def _at_rest(town: Town) -> Iterator[Row]:
    _started(town)[0].stop()
    whole, seconds = _started(town)
    with whole:
        time.sleep(5)
        supervisor = whole.process.pid
        parts = [_megabytes(process) for process in _descendants(supervisor)]
        alone_megabytes = _megabytes(supervisor)
    yield Row("the second start, until everything answers", seconds, "s", START_SECONDS_MAX, at_most=True)
    yield Row("web, worker, emulators at rest (PSS)", sum(parts), "MB", MEGABYTES_MAX, at_most=True)
    yield Row("… and their supervisor", alone_megabytes, "MB", SUPERVISOR_MEGABYTES_MAX, at_most=True)


class _Whole:
    """`passes run`, ended when it is no longer wanted."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def _started(town: Town) -> tuple[_Whole, float]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "passes", "run"],
        cwd=ROOT,
        env={**os.environ, **town.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for address in (town.web_url, town.phone_url):
        until(lambda address=address: _answers(address), what=address, seconds=60)  # type: ignore[misc]
    return _Whole(process), time.perf_counter() - began


def _answers(address: str) -> bool:
    try:
        return bool(urllib3.request("GET", f"{address}/health", retries=False, timeout=2).status == 200)
    except urllib3.exceptions.HTTPError:
        return False


def _descendants(process: int) -> list[int]:
    children = [
        int(child)
        for thread in Path(f"/proc/{process}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return children + [below for child in children for below in _descendants(child)]


def _megabytes(process: int) -> float:
    """The process's proportional share of memory: what several use counts once."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))


def _until_the_phone_knows(engine: str, town: Town) -> Iterator[Row]:
    cards = []
    for number in range(CARDS):
        _, page = join(town, f"Member {number}")
        cards.append(install(town, page))
    codes = {card["serial"]: card["barcode"]["message"] for card in town.phone()["cards"]}
    cashier = at_the_till(browser(town.web_url))
    took = []
    for turn in range(PURCHASES):
        serial = cards[turn % CARDS]
        took.append(_seconds(town, cashier, serial, codes[serial]))
        time.sleep(0.05)
    for share, target in ((0.5, P50_MILLISECONDS_MAX), (0.99, P99_MILLISECONDS_MAX)):
        value = 1000 * statistics.quantiles(took, n=100, method="inclusive")[round(share * 100) - 1]
        yield Row(
            f"confirmed at the till → on the phone, {engine}: p{share * 100:.0f}",
            value,
            "ms",
            target,
            at_most=True,
        )


def _seconds(town: Town, cashier: Visitor, serial: str, code: str) -> float:
    before = _shown(town, serial)
    page = cashier.send(cashier.get("/till/").form("code"), code=code)
    asked = cashier.send(page.form("amount"), amount="12.40")
    began = time.perf_counter()
    done = cashier.send(asked.form("amount"))
    assert "/done/" in done.address, done.text
    while _shown(town, serial) == before:
        assert time.perf_counter() < began + 20, "the phone was never told"
        time.sleep(0.005)
    return time.perf_counter() - began


def _shown(town: Town, serial: str) -> str:
    card = next(card for card in town.phone()["cards"] if card["serial"] == serial)
    return str(card["fields"]["balance"])


if __name__ == "__main__":
    sys.exit(alone(run))
